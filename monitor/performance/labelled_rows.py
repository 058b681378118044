"""Labels beside what the model said, on the rows where both are known, and what kind of model they tell of.

Classes are compared as words: true, "yes" and 1 are one class, false, "no" and 0 another. The positive class
of a binary task is 1, true, "1", "yes" or "true" where one of them occurs, else the lexically greatest.
"""

from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task
from monitor.private import quoted
from monitor.tables import columns
from monitor.tables.columns import Category, Floats, Ints, Numbers

_WORDS = {"1": "1", "true": "1", "yes": "1", "0": "0", "false": "0", "no": "0"}
MOST_CLASSES = 20   # whole numbers with more distinct values are quantities


@dataclass(frozen=True)
class Answers:
    """`truth` and `said`: class numbers (positions in `classes`) or quantities, one a row.

    `chance`: the probability of the positive class, NaN where unknown; None where the model gives none.
    `weight`: how much each row counts; None where all count the same. In a binary task the positive class is
    number 1.
    """

    task: Task
    classes: tuple[str, ...]
    truth: Numbers
    said: Numbers
    at: Ints                                     # which row of the table each is
    chance: Floats | None = None
    weight: Floats | None = None

    def __len__(self) -> int:
        return len(self.truth)

    @cached_property
    def falling(self) -> Ints:
        """The rows by falling chance; what several metrics of the same answers begin with."""
        assert self.chance is not None
        return np.argsort(-self.chance, kind="stable")

    def take(self, rows: Numbers) -> "Answers":
        """Return the answers of some rows, by number or mask."""
        chance = None if self.chance is None else self.chance[rows]
        weight = None if self.weight is None else self.weight[rows]
        truth, said, at = self.truth[rows], self.said[rows], self.at[rows]
        return replace(self, truth=truth, said=said, at=at, chance=chance, weight=weight)


def answers(table: pa.Table, roles: Roles, task: Task, classes: tuple[str, ...] = ()) -> Answers:
    """Read the labelled rows of a table that have a prediction. Raises CannotJudge where a column is missing
    or holds the wrong kind of values; `classes` (from `classes_of`) must cover the labels and predictions."""
    label, prediction = _column(table, roles.label, "label"), _column(table, roles.prediction, "prediction")
    if task == "regression":
        truth, said = _numbers(label, "label"), _numbers(prediction, "prediction")
        known = np.flatnonzero(~(np.isnan(truth) | np.isnan(said)))
        return Answers(task, (), truth[known], said[known], known)
    places = {name: place for place, name in enumerate(classes)}
    labels = columns.codes(label, _places(label, places))
    said_classes, chance = _predictions(table, prediction, roles, task, places)
    known = np.flatnonzero((labels >= 0) & (said_classes >= 0))
    chance = None if chance is None else chance[known]
    return Answers(task, classes, labels[known], said_classes[known], known, chance)


def unlabelled(table: pa.Table, roles: Roles, task: Task, classes: tuple[str, ...] = ()) -> Answers:
    """Read what the model said on every row that has a prediction, whether its label is known or not; `truth`
    says nothing. Raises CannotJudge as `answers` does."""
    prediction = _column(table, roles.prediction, "prediction")
    if task == "regression":
        said, chance = _numbers(prediction, "prediction"), None
        known = np.flatnonzero(~np.isnan(said))
    else:
        places = {name: place for place, name in enumerate(classes)}
        said, chance = _predictions(table, prediction, roles, task, places)
        known = np.flatnonzero(said >= 0)
    chance = None if chance is None else chance[known]
    return Answers(task, classes, np.zeros_like(said[known]), said[known], known, chance)


def classes_of(
    tables: list[pa.Table], roles: Roles, task: Task, also: tuple[str, ...] = ()
) -> tuple[str, ...]:
    """Return the classes in labels and predictions (and `also`), sorted; of a binary task negative, positive.

    Raises CannotJudge where a binary task has more than two classes.
    """
    if task == "regression":
        return ()
    found = set(also)
    for name in (roles.label, roles.prediction):
        for table in tables:
            if name in table.column_names and not (task == "binary" and is_score(table[name])):
                found |= {word(key) for key in columns.counts(table[name])}
    if task == "multiclass":
        return tuple(sorted(found))
    if len(found) > 2:
        some = quoted(", ".join(sorted(found)[:5]))
        raise CannotJudge(f"a binary task has two classes, found {some}: set task = \"multiclass\"")
    positive = "1" if "1" in found or found <= {"0"} else max(found)
    return (*(found - {positive} or {"0"}), positive)


def word(key: Category) -> str:
    """Return the class a category stands for."""
    text = str(key)
    return _WORDS.get(text.lower(), text)


def is_score(column: pa.ChunkedArray) -> bool:
    """Say whether a classifier's prediction column holds probabilities instead of classes."""
    if not pa.types.is_floating(columns.value_type(column.type)):
        return False
    values = columns.present(column)
    return bool((values % 1 != 0).any() and values.min() >= 0 and values.max() <= 1)


def _predictions(
    table: pa.Table, prediction: pa.ChunkedArray, roles: Roles, task: Task, places: dict[str, int]
) -> tuple[Numbers, Floats | None]:
    """Return the predicted classes (−1 where missing) and the probabilities of the positive class."""
    chance = None
    if task == "binary" and roles.probability is not None and roles.probability in table.column_names:
        chance = _numbers(table[roles.probability], "probability")
    if task != "binary" or not is_score(prediction):
        return columns.codes(prediction, _places(prediction, places)), chance
    shown = columns.numeric(prediction)
    said = np.where(np.isnan(shown), -1, shown >= 0.5).astype(np.int64)
    return said, shown if chance is None else chance


def _places(column: pa.ChunkedArray, classes: dict[str, int]) -> dict[Category, int]:
    return {key: classes[word(key)] for key in columns.counts(column) if word(key) in classes}


def _numbers(column: pa.ChunkedArray, part: str) -> Floats:
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
    """Return the task: regression where labels are quantities, else binary or multiclass.

    Text and booleans are classes. Numbers are quantities where they are no whole numbers, or more than 20
    different ones, or predicted by broken numbers (a share between 0 and 1 excepted: a probability of one of
    two classes). Raises CannotJudge where there is neither a label nor a prediction.
    """
    known = labels if columns.missing(labels) < len(labels) else predictions
    if columns.missing(known) == len(known):
        raise CannotJudge("the task cannot be told: there are no labels and no predictions, set task = …")
    if columns.type_name(known.type) != "number":
        return _classes(len(columns.counts(known)))
    values = np.unique(columns.present(known).astype(np.float64))
    quantities = len(values) > MOST_CLASSES or _broken(values)
    if len(values) <= 2 and not quantities:
        return "regression" if _predicts_quantities(predictions) else "binary"
    return "regression" if quantities or _broken(_present_numbers(predictions)) else _classes(len(values))


def _classes(distinct: int) -> Task:
    return "binary" if distinct <= 2 else "multiclass"


def _present_numbers(column: pa.ChunkedArray) -> np.ndarray[Any, Any]:
    return columns.present(column) if columns.type_name(column.type) == "number" else np.empty(0)


def _predicts_quantities(predictions: pa.ChunkedArray) -> bool:
    values = _present_numbers(predictions)
    return _broken(values) and not bool(((values >= 0) & (values <= 1)).all())


def _broken(values: np.ndarray[Any, Any]) -> bool:
    return bool((values % 1 != 0).any())
