"""What a classifier's scores are, as its reference shows: of which class, on which scale, and if they can be judged.

It is worked out once from the reference and kept with the roles, so that no single window decides it.
"""

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles, Scale
from monitor.errors import CannotJudge, ConfigError
from monitor.escape import name as shown
from monitor.escape import names
from monitor.metric_catalogue import Task
from monitor.performance import confidence_intervals
from monitor.performance.labelled_rows import (
    HAIR,
    Answers,
    answers,
    classes_of,
    holds_scores,
    named_positive,
    places_of,
    word,
)
from monitor.private import quoted
from monitor.tables import columns
from monitor.tables.columns import Floats, Numbers
from monitor.wording import number, several

FOLLOWS = 0.9              # of pairs of rows with unlike predictions, the one predicted positive has the larger score
FEWEST_OF_A_CLASS = 10     # rows of each class, before their order says anything
STRAY = 0.01               # with a larger share of values above 1 it is another scale, not a few faults
MINGLED = 0.001            # with more of the pairs the other way round no threshold of a score gives the predictions
CLEARLY = 3                # standard errors below 0.5


def settle(roles: Roles, table: pa.Table, task: Task | None, positive: object = None) -> tuple[Roles, tuple[str, ...]]:
    """Return the roles with the positive class and the scale of the scores, and a sentence on each.

    `positive`: the class as configured, None if it is not. Raises ConfigError if no row has it.
    """
    if task == "multiclass":
        return roles, tuple(_never_predicted(roles, table))
    if task != "binary" or roles.prediction not in table.column_names:
        return roles, ()
    scored = holds_scores(table[roles.prediction], roles)
    roles = replace(roles, scored=scored)
    scale, said = _scale(roles, table)
    roles = replace(roles, scale=scale)
    if is_of_predicted(roles, table):
        roles = replace(roles, of_predicted=True)
        half = "50" if scale == "percent" else "0.5"
        what = "whatever is predicted: read as the probability of the predicted class"
        said = (*said, f"{roles.probability} is never below {half}, {what}")
    known = classes_of([table], roles, task)
    found, why = _configured(positive, known) if positive is not None else _positive(roles, table, known)
    roles = replace(roles, positive=found)
    return roles, (f'positive class "{quoted(shown(found))}": {why}', *said)


def _never_predicted(roles: Roles, table: pa.Table) -> Iterator[str]:
    """Say which labels no row predicts: they may be words for "not known"."""
    if roles.label not in table.column_names or roles.prediction not in table.column_names:
        return
    predicted = {word(key) for key in columns.counts(table[roles.prediction])}
    of_labels = {word(key): rows for key, rows in columns.counts(table[roles.label]).items()}
    if never := {name: rows for name, rows in of_labels.items() if name not in predicted}:
        some = quoted(names(sorted(never)[:5]))
        yield (f"{several(sum(never.values()), 'label')} that no row predicts: {some}; where that means \"not known\", "
               "write nothing, or name it in csv.missing")


def follows(score: pa.ChunkedArray, prediction: pa.ChunkedArray) -> bool | None:
    """Tell whether a score rises or falls with a prediction of two classes; None where that cannot be seen."""
    share = _share(score, prediction, sorted({word(key) for key in columns.counts(prediction)}))
    if share is None:
        return None
    values = columns.present(score)
    return max(share, 1 - share) >= FOLLOWS or _is_confidence(values, share, 50 if values.max() > 1 + HAIR else 0.5)


def is_of_predicted(roles: Roles, table: pa.Table) -> bool:
    """Tell whether the scores are of the class that was predicted in each row."""
    if roles.scored or roles.probability not in table.column_names or roles.scale not in ("probability", "percent"):
        return False
    score, prediction = table[roles.probability], table[roles.prediction]
    share = _share(score, prediction, sorted({word(key) for key in columns.counts(prediction)}))
    half = 50 if roles.scale == "percent" else 0.5
    return share is not None and _is_confidence(columns.present(score), share, half)


def _is_confidence(values: Numbers, share: float, half: float) -> bool:
    """Tell whether scores are never below half, and no threshold of them gives the predictions.

    `share`: how often the row of the later predicted class has the larger one.
    """
    whole = 2 * half
    inside = bool(np.all(values <= whole + HAIR)) and float(np.mean(values >= half - HAIR)) >= 1 - STRAY
    return inside and MINGLED < share < 1 - MINGLED


def score_column(roles: Roles) -> str | None:
    """Return the column that holds the scores of a binary model."""
    return roles.probability or (roles.prediction if roles.scored else None)


def _configured(positive: object, known: tuple[str, ...]) -> tuple[str, str]:
    name = word(columns.category(positive) or str(positive))
    if name not in known and len(known) > 1:
        there = quoted(names(known))
        raise ConfigError([f'columns.positive: there is no class "{shown(name)}", expected one of {there}'])
    return name, "as configured"


def _positive(roles: Roles, table: pa.Table, known: tuple[str, ...]) -> tuple[str, str]:
    """Work out the class that the scores are of, from what they agree with, else from its name."""
    low, high = known
    if roles.probability in table.column_names and not roles.scored and not roles.of_predicted:
        share = _share(table[roles.probability], table[roles.prediction], known)
        if share is not None and max(share, 1 - share) >= FOLLOWS:
            return (high if share >= FOLLOWS else low), f"{roles.probability} is larger where it is predicted"
    name = None if roles.of_predicted else score_column(roles)
    if name is not None and (meant := _in_name(name, known)):
        return meant, f"{name} names it"
    return named_positive(set(known)), "by its name or order, since no score says; columns.positive sets it"


def _in_name(column: str, known: tuple[str, ...]) -> str | None:
    """Return the only class that is a word of the column's name, as in `p_fraud`."""
    parts = set(re.split(r"[^0-9a-z]+", column.lower()))
    named = [one for one in known if one.lower() in parts]
    return named[0] if len(named) == 1 else None


def _share(score: pa.ChunkedArray, prediction: pa.ChunkedArray, known: Iterable[str]) -> float | None:
    """Return how often, of two rows with unlike predictions, the one of the later class has the larger score."""
    pair = tuple(known)
    if len(pair) != 2 or columns.type_name(score.type) != "number":
        return None
    values = columns.numeric(score)
    predicted = columns.codes(prediction, places_of(prediction, {name: at for at, name in enumerate(pair)}))
    there = ~np.isnan(values) & (predicted >= 0)
    truth, values = predicted[there], values[there]
    if min(np.sum(truth == 0), np.sum(truth == 1)) < FEWEST_OF_A_CLASS:
        return None
    return float(np.mean(confidence_intervals.placements(truth, values)[0]))


def _scale(roles: Roles, table: pa.Table) -> tuple[Scale | None, tuple[str, ...]]:
    """Return on which scale the scores are, and what is to be said of it."""
    name = score_column(roles)
    if name is None or name not in table.column_names or columns.type_name(table[name].type) != "number":
        return None, ()
    values = columns.numeric(table[name])
    values = values[~np.isnan(values)]
    return _scale_of(name, values) if len(values) else (None, ())


def _scale_of(name: str, values: Floats) -> tuple[Scale, tuple[str, ...]]:
    low, high = float(values.min()), float(values.max())
    between = f"from {number(low)} to {number(high)}"
    if low >= -HAIR and high <= 1 + HAIR:
        outside = int(np.sum((values < 0) | (values > 1)))
        note = f"{several(outside, 'value')} of {name} a hair outside 0 to 1, taken as 0 or 1"
        return "probability", (note,) if outside else ()
    beyond = int(np.sum(values > 1 + HAIR))
    if low >= 0 and beyond <= STRAY * len(values):
        return "probability", (f"{several(beyond, 'value')} of {name} above 1, which is no probability",)
    if low >= 0 and high <= 100:
        return "percent", (f"{name} runs {between}: read as percent",)
    what = "it ranks the rows; log_loss, brier and other metrics of probabilities cannot be told"
    return "score", (f"{name} runs {between}, which is no probability: {what}",)


def require_better_than_chance(roles: Roles, table: pa.Table, *, configured: bool) -> None:
    """Raise CannotJudge if the area under the ROC curve is clearly below 0.5 on the labelled rows of a reference.

    Only where `settle` has told whose scores they are; `configured`: the positive class is.
    """
    name = score_column(roles)
    if roles.positive is None or roles.label not in table.column_names or name not in table.column_names:
        return
    classes = classes_of([table], roles, "binary")
    try:
        given = answers(table, roles, "binary", classes)
    except CannotJudge:
        return                # said where it is measured
    if (found := _area(given)) is None:
        return
    area, low, high = found
    if area + CLEARLY * (high - area) / confidence_intervals.Z >= 0.5:
        return
    other, positive = (quoted(shown(text)) for text in classes)
    mend = f'columns.positive = "{other}" if {name} is the probability of "{other}", else mend columns.probability'
    done = f'"{positive}" is configured as the positive class, but {name} falls where it is the label'
    raise CannotJudge(
        f'the reference is worse than chance: ROC AUC {number(area)} (95 % interval {number(low)} to {number(high)}) '
        f'with "{positive}" as the positive class; nothing is judged until that is mended. '
        + (f"{done}: take it out, or set columns.positive = \"{other}\"" if configured else f"Set {mend}")
    )


def _area(given: Answers) -> tuple[float, float, float] | None:
    """Return the area under the ROC curve with its 95 % interval; None with too few rows of a class."""
    if given.probability is None:
        return None
    there = ~np.isnan(given.probability)
    truth, probability = given.truth[there], given.probability[there]
    if min(np.sum(truth == 0), np.sum(truth == 1)) < FEWEST_OF_A_CLASS:
        return None
    low, high = confidence_intervals.roc_auc(truth, probability) or (0.0, 1.0)
    return float(np.mean(confidence_intervals.placements(truth, probability)[0])), low, high
