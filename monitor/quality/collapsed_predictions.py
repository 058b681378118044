"""Whether the model says one thing to nearly every row: the Score `prediction_collapse`."""

from collections.abc import Iterator
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import Roles
from monitor.performance.confidence_intervals import significant_difference
from monitor.quality.column_checks import block_count
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.columns import Category

METRIC = "prediction_collapse"
LEFT = 0.1         # of the reference's variety, at most, where scores have collapsed; classes must be all the same


def collapse_scores(reference: pa.Table, window: pa.Table, roles: Roles, min_rows: int) -> Iterator[Score]:
    """Score the share of the window's most frequent prediction, and of its most frequent probability.

    It is drifted where the rest has all but vanished (of numbers with fractions a tenth of what the reference had is
    left, of classes nothing), beyond three standard errors of that value's share in blocks of the reference.
    """
    for name in dict.fromkeys(one for one in (roles.prediction, roles.probability) if one):
        if name in window.column_names:
            yield _score(name, reference, window[name], min_rows)


def _score(name: str, reference: pa.Table, column: pa.ChunkedArray, min_rows: int) -> Score:
    now = column.filter(columns.is_present(column))
    before = reference[name].filter(columns.is_present(reference[name])) if name in reference.column_names else None
    score = Score(metric=METRIC, column=name, n=len(now), status=ScoreStatus.INSUFFICIENT)
    if len(now) < min_rows:
        return replace(score, reason=f"the window has {len(now)} predictions, fewer than the {min_rows} required")
    if before is None or not len(before):
        return replace(score, reason=f"the reference has no {name}")
    (value, hits), usual = _most_frequent(now), _most_frequent(before)[1] / len(before)
    same = _equals(before, value)
    blocks = np.array_split(same, block_count(len(same), len(now)))
    found, sizes = (np.array([count(block) for block in blocks]) for count in (np.sum, len))
    far = significant_difference(hits, len(now), found, sizes)
    vanished = len(now) - hits <= (1 - usual) * (LEFT if _has_fractions(before) else 0) * len(now)
    score = replace(score, status=ScoreStatus.OK, value=hits / len(now), reference=usual)
    if not (vanished and usual < 1 and hits / len(now) - float(same.mean()) > far):
        return score
    reason = f"{name} is the same in {hits / len(now):.1%} of the rows, in at most {usual:.1%} of the reference's"
    return replace(score, status=ScoreStatus.DRIFTED, reason=reason)


def _equals(column: pa.ChunkedArray, value: Category) -> npt.NDArray[np.bool_]:
    """Tell of each row whether it holds a category."""
    if columns.type_name(column.type) == "number":       # in C: fractions may be all distinct
        return np.asarray(columns.numeric(column) == value)
    return np.asarray(columns.codes(column, {value: 0}) == 0)


def _has_fractions(column: pa.ChunkedArray) -> bool:
    return bool(pa.types.is_floating(columns.value_type(column.type)) or pa.types.is_decimal(column.type))


def _most_frequent(column: pa.ChunkedArray) -> tuple[Category, int]:
    """Return the category that occurs most often, and how often."""
    kind = columns.value_type(column.type)
    if pa.types.is_integer(kind) or pa.types.is_floating(kind):       # in C too
        top = pc.mode(column.cast(kind), 1)[0]
        return columns.category(top["mode"].as_py()) or 0, top["count"].as_py()
    value, hits = max(columns.counts(column).items(), key=lambda pair: pair[1])
    return value, hits
