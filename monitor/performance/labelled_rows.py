"""Labels and predictions of the rows where both are known, and the task they imply.

Classes are compared as text: true, "yes" and 1 are one class, false, "no" and 0 another. The positive class of a
binary task is that of the roles (`class_evidence.py`), else it is told by its name or order.
"""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from monitor import escape
from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task
from monitor.private import quoted
from monitor.tables import columns
from monitor.tables.columns import Category, Floats, Ints, Numbers

_WORDS = {"1": "1", "true": "1", "yes": "1", "0": "0", "false": "0", "no": "0"}
_YES = {"positive", "pos", "y", "t", "fraud", "spam", "churn", "churned", "default", "defaulted", "malignant", "late"}
_NO = {"negative", "neg", "n", "f", "legit", "legitimate", "genuine", "ham", "normal", "benign", "healthy", "ok"}
_WHOLE = re.compile(r"-?(0|[1-9]\d*)\.0+")
_NUMBER = re.compile(r"[+-]?\d+(\.\d+)?")
MOST_CLASSES = 20   # a label column of integers with more distinct values holds quantities
HAIR = 1e-6         # so far outside 0 to 1 a probability may be by rounding


@dataclass(frozen=True)
class Answers:
    """`truth` and `predicted`: class numbers (positions in `classes`) or quantities, one per row.

    `probability`: of the positive class, NaN if unknown; None if the model gives none. `weight`: of each row; None:
    all rows count the same. In a binary task the positive class is number 1.
    """

    task: Task
    classes: tuple[str, ...]
    truth: Numbers
    predicted: Numbers
    at: Ints                                     # row numbers in the table
    probability: Floats | None = None
    weight: Floats | None = None
    clipped: int = 0                             # probabilities a hair outside 0 to 1
    ranks_only: bool = False                     # `probability` holds scores that are no probabilities
    chances: Floats | None = None                # rows × classes: of a multiclass model the probability of each class

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def down_to_each_probability(self) -> tuple[Floats, Floats]:
        """The cumulative (weighted) positives and negatives down to each distinct probability, highest first.

        Computed once for several metrics.
        """
        assert self.probability is not None
        order = np.argsort(-self.probability, kind="stable")
        falling, ends = self.probability[order], np.ones(len(order), np.bool_)
        np.not_equal(falling[1:], falling[:-1], out=ends[:-1])
        if self.weight is None:          # whole numbers, which are exact
            del falling
            hits = np.cumsum(self.truth[order], dtype=np.float64)[ends]
            return hits, np.flatnonzero(ends) + 1 - hits
        weight, truth = self.weight[order], self.truth[order]
        return np.cumsum(weight * truth)[ends], np.cumsum(weight * (1 - truth))[ends]

    def take(self, rows: Numbers) -> "Answers":
        """Return the answers of some rows, by number or mask."""
        probability = None if self.probability is None else self.probability[rows]
        weight = None if self.weight is None else self.weight[rows]
        truth, predicted, at = self.truth[rows], self.predicted[rows], self.at[rows]
        chances = None if self.chances is None else self.chances[rows]
        return replace(self, truth=truth, predicted=predicted, at=at, probability=probability, weight=weight,
                       chances=chances)

    def against_rest(self, place: int) -> "Answers":
        """Return the answers of a multiclass model as those of a binary one: is it this class, or another?"""
        assert self.chances is not None
        return replace(self, task="binary", classes=("0", "1"), truth=(self.truth == place).astype(np.int64),
                       predicted=(self.predicted == place).astype(np.int64), probability=self.chances[:, place],
                       chances=None)


def answers(table: pa.Table, roles: Roles, task: Task, classes: tuple[str, ...] = ()) -> Answers:
    """Return the labelled rows of a table that have a prediction.

    `classes` (from `classes_of`) must cover the labels and predictions. Raises CannotJudge if a column is missing or
    holds the wrong kind of values.
    """
    label, prediction = _column(table, roles.label, "label"), _column(table, roles.prediction, "prediction")
    if task == "regression":
        truth, predicted = _numbers(label, "label"), _numbers(prediction, "prediction")
        known = np.flatnonzero(~(np.isnan(truth) | np.isnan(predicted)))
        return Answers(task, (), truth[known], predicted[known], known)
    places = {name: place for place, name in enumerate(classes)}
    labels = columns.codes(label, places_of(label, places))
    predicted, scores = _predictions(table, prediction, roles, task, places)
    known = np.flatnonzero((labels >= 0) & (predicted >= 0))
    if len(known) < len(labels):         # else they need no copies
        labels, predicted, scores = labels[known], predicted[known], None if scores is None else scores[known]
    probability, clipped = _in_unit(scores, roles)
    chances = _chances(table, roles, classes, known) if task == "multiclass" else None
    return Answers(task, classes, labels, predicted, known, probability, None, clipped, roles.scale == "score", chances)


def unlabelled(table: pa.Table, roles: Roles, task: Task, classes: tuple[str, ...] = ()) -> Answers:
    """Return every row that has a prediction, whether its label is known or not; `truth` is meaningless.

    Raises CannotJudge as `answers` does.
    """
    prediction = _column(table, roles.prediction, "prediction")
    if task == "regression":
        predicted, scores = _numbers(prediction, "prediction"), None
        known = np.flatnonzero(~np.isnan(predicted))
    else:
        places = {name: place for place, name in enumerate(classes)}
        predicted, scores = _predictions(table, prediction, roles, task, places)
        known = np.flatnonzero(predicted >= 0)
    probability, clipped = _in_unit(None if scores is None else scores[known], roles)
    chances, nothing = _chances(table, roles, classes, known), np.zeros_like(predicted[known])
    return Answers(task, classes, nothing, predicted[known], known, probability, None, clipped,
                   roles.scale == "score", chances if task == "multiclass" else None)


def _chances(table: pa.Table, roles: Roles, classes: tuple[str, ...], known: Ints) -> Floats | None:
    """Return the probability of each class, rows × classes; None unless the model gives them."""
    columns_of = {name: column for name, column in roles.per_class if column in table.column_names}
    if not columns_of or len(columns_of) < len(roles.per_class):
        return None
    chances = np.zeros((len(known), len(classes)))
    for place, name in enumerate(classes):
        if name in columns_of:
            chances[:, place] = np.clip(_numbers(table[columns_of[name]], "probability")[known], 0, 1)
    return chances


def classes_in(tables: Sequence[pa.Table], roles: Roles, task: Task) -> tuple[set[str], set[str]]:
    """Return the classes of the labels, and those of the predictions; none of quantities."""
    labels: set[str] = set()
    predictions: set[str] = set()
    for found, name in ((labels, roles.label), (predictions, roles.prediction)):
        for table in tables if task != "regression" else ():
            if name is not None and name in table.column_names and not (
                task == "binary" and _scored(table, name, roles)
            ):
                found |= {word(key) for key in columns.counts(table[name])}
    return labels, predictions


def classes_of(
    tables: list[pa.Table], roles: Roles, task: Task, also: tuple[str, ...] = (),
    seen: Sequence[Collection[str]] = ((), ()),
) -> tuple[str, ...]:
    """Return the sorted classes of labels, predictions and `also`; in a binary task (negative, positive).

    `seen`: what `classes_in` found in further tables. Raises CannotJudge if a binary task has more than two classes.
    """
    if task == "regression":
        return ()
    labels, predictions = (here | set(there) for here, there in
                           zip(classes_in(tables, roles, task), seen, strict=True))
    classes = set(also) | ({roles.positive} if task == "binary" and roles.positive is not None else set())
    classes |= labels | predictions
    if task == "multiclass":
        return tuple(sorted(classes))
    if len(classes) > 2:
        raise CannotJudge(_too_many(classes, labels, predictions))
    positive = named_positive(classes) if roles.positive is None else roles.positive
    return (*(classes - {positive} or {"0"}), positive)


def _too_many(classes: set[str], labels: set[str], predictions: set[str]) -> str:
    """Say that there are more than two classes, or that labels and predictions write two in different ways."""
    if len(labels) <= 2 and len(predictions) <= 2:
        of_each = (quoted(escape.names(sorted(each))) for each in (labels, predictions))
        return "a binary task has two classes; labels hold {}, predictions {}: write both alike".format(*of_each)
    some = quoted(escape.names(sorted(classes)[:5]))
    return f"a binary task has two classes, found {some}: set task = \"multiclass\""


def named_positive(classes: set[str]) -> str:
    """Return the positive one of at most two classes by its name ("fraud", "not fraud"), else the greatest."""
    if len(classes) < 2:
        return "1" if classes <= {"0"} else max(classes)
    low, high = sorted(classes, key=_rank)
    for one, other in ((low, high), (high, low)):
        denied = re.fullmatch(rf"(not?|non|un)[\W_]*{re.escape(one.lower())}", other.lower())
        if denied or one.lower() in _YES - _NO or other.lower() in _NO or other == "0":
            return one
    return high


def _rank(name: str) -> tuple[bool, float, str]:
    """Numbers by their size, before words."""
    counted = _NUMBER.fullmatch(name) is not None
    return not counted, float(name) if counted else 0.0, name


def word(key: Category) -> str:
    """Return the class of a category, with equivalent spellings unified: "1.0" is 1, blanks around a word are none."""
    text = str(key).strip()
    text = text.rstrip("0")[:-1] if _WHOLE.fullmatch(text) else text
    return _WORDS.get(text.lower(), text)


def is_score(column: pa.ChunkedArray) -> bool:
    """Tell whether a classifier's prediction column holds probabilities instead of classes."""
    if not pa.types.is_floating(columns.value_type(column.type)):
        return False
    values = columns.present(column)
    return bool((values % 1 != 0).any() and values.min() >= -HAIR and values.max() <= 1 + HAIR)


def holds_scores(prediction: pa.ChunkedArray, roles: Roles) -> bool:
    """Tell whether a binary model's prediction column holds scores: probabilities, percent or others."""
    if roles.scored is not None:
        return roles.scored
    if columns.type_name(prediction.type) != "number":
        return False
    return is_score(prediction) or len(columns.counts(prediction)) > MOST_CLASSES


def _scored(table: pa.Table, name: str, roles: Roles) -> bool:
    return name == roles.prediction and holds_scores(table[name], roles)


def _predictions(
    table: pa.Table, prediction: pa.ChunkedArray, roles: Roles, task: Task, places: dict[str, int]
) -> tuple[Numbers, Floats | None]:
    """Return the predicted classes (−1 if missing) and the scores of the positive class."""
    scores = None
    if task == "binary" and roles.probability is not None and roles.probability in table.column_names:
        scores = _numbers(table[roles.probability], "probability")
    if task != "binary" or not holds_scores(prediction, roles):
        predicted = columns.codes(prediction, places_of(prediction, places))
        if scores is not None and roles.of_predicted:
            scores = np.where(predicted == 1, scores, (100 if roles.scale == "percent" else 1) - scores)
        return predicted, scores
    shown = _numbers(prediction, "prediction")
    predicted = np.where(np.isnan(shown), -1, shown >= _cut(roles)).astype(np.int64)
    return predicted, shown if scores is None else scores


def positive_probability(table: pa.Table, roles: Roles, classes: tuple[str, ...]) -> Floats | None:
    """Return of each row the probability of the positive class as the metrics use it; None without scores."""
    places = {name: place for place, name in enumerate(classes)}
    scores = _predictions(table, _column(table, roles.prediction, "prediction"), roles, "binary", places)[1]
    return _in_unit(scores, roles)[0]


def _cut(roles: Roles) -> float:
    """Return the score from which the positive class is predicted."""
    return {"percent": 50.0, "score": 0.0}.get(roles.scale or "", 0.5)


def _in_unit(scores: Floats | None, roles: Roles) -> tuple[Floats | None, int]:
    """Return scores as probabilities, and how many were a hair outside 0 to 1; scores that only rank stay."""
    if scores is None or roles.scale == "score":
        return scores, 0
    shares = scores / 100 if roles.scale == "percent" else scores
    hair = ((shares < 0) & (shares >= -HAIR)) | ((shares > 1) & (shares <= 1 + HAIR))
    return (np.where(hair, np.clip(shares, 0, 1), shares), int(hair.sum())) if hair.any() else (shares, 0)


def places_of(column: pa.ChunkedArray, classes: dict[str, int]) -> dict[Category, int]:
    """Return the class number of each category of a column that is one of the classes."""
    return {key: classes[word(key)] for key in columns.counts(column) if word(key) in classes}


def _numbers(column: pa.ChunkedArray, part: str) -> Floats:
    column = columns.counted(column)
    if columns.type_name(column.type) not in ("number", "nothing"):
        raise CannotJudge(f"the {part} column holds {columns.type_name(column.type)}, expected numbers")
    return columns.numeric(column)


def _column(table: pa.Table, name: str | None, part: str) -> pa.ChunkedArray:
    if name is None:
        raise CannotJudge(f"there is no {part} column")
    if name not in table.column_names:
        raise CannotJudge(f"there is no {part} column {name}")
    return table[name]


def guess_task(labels: pa.ChunkedArray, predictions: pa.ChunkedArray) -> Task:
    """Return the task: regression if labels are quantities, else binary or multiclass.

    Text and booleans are classes, but for text that holds numbers where the predictions are numbers.
    Numbers are quantities if they are not integers, if there are more than 20 distinct
    ones, or if the predictions are fractions (except for two classes 0 and 1, or fractions between 0 and 1, which are
    probabilities). Raises CannotJudge if there is neither a label nor a prediction.
    """
    labels = columns.counted(labels) if columns.type_name(predictions.type) == "number" else labels
    known = labels if columns.missing(labels) < len(labels) else predictions
    if columns.missing(known) == len(known):
        raise CannotJudge("the task is not known, because there are no labels and no predictions; set task = …")
    if columns.type_name(known.type) != "number":
        return _classes(len(columns.counts(known)))
    values = np.unique(columns.present(known).astype(np.float64))
    quantities = len(values) > MOST_CLASSES or _has_fractions(values)
    if len(values) <= 2 and not quantities:
        flags = set(values) <= {0.0, 1.0}
        return "regression" if not flags and _predicts_quantities(predictions) else "binary"
    return "regression" if quantities or _has_fractions(_present_numbers(predictions)) else _classes(len(values))


def _classes(distinct: int) -> Task:
    return "binary" if distinct <= 2 else "multiclass"


def _present_numbers(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    return columns.present(column) if columns.type_name(column.type) == "number" else np.empty(0)


def _predicts_quantities(predictions: pa.ChunkedArray) -> bool:
    values = _present_numbers(predictions)
    return _has_fractions(values) and not bool(((values >= -HAIR) & (values <= 1 + HAIR)).all())


def _has_fractions(values: np.ndarray[Any, Any]) -> bool:
    return bool((values % 1 != 0).any())
