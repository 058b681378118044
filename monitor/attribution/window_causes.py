"""Why a window's performance fell, as Scores `lost_to`: of each cause, and of columns and groups of rows where they say
more. Only for windows whose performance is lost (`performance_lost`).
"""

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from monitor.attribution.loss_parts import Cause, Loss, loss_parts
from monitor.attribution.relation import edges_of
from monitor.attribution.sides import Side
from monitor.config import ModelSection
from monitor.errors import CannotJudge
from monitor.performance.labelled_rows import answers
from monitor.records import Score, ScoreStatus
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.rows import Rows
from monitor.tables import columns
from monitor.tables.columns import MOST_CATEGORIES, Category, Features, Floats, features_of
from monitor.wording import number

MOST_ROWS = 10_000           # labelled rows of either side
MOST_EXPECTED = 200_000      # rows × classes
MOST_COLUMNS = 5
METRIC = "lost_to"


def lost_to(model: ModelSection, reference: ReferenceData, judged: Performance, rows: Rows) -> list[Score]:
    """Say what the loss of the window's metric is due to."""
    drawn = rows.drawn(MOST_ROWS, reference.roles, labelled=True)
    try:
        loss, features, before = _loss(reference, judged, drawn.table)
    except CannotJudge as error:
        why = f"why {judged.metric} fell cannot be said: {error}"
        return [Score(metric=METRIC, status=ScoreStatus.INSUFFICIENT, reason=why)]
    return list(_scores(loss, features, before, model.columns.private, drawn.words))


def _loss(reference: ReferenceData, judged: Performance, window: pa.Table) -> tuple[Loss, Features, Floats]:
    roles, metric = reference.roles, judged.metric
    usual = reference.read(reference.spread(MOST_ROWS))
    features, classes = features_of(usual, roles), judged.reference.classes(window)
    if not features.names:
        raise CannotJudge("the model has no features")
    most = MOST_EXPECTED // max(len(classes), 1)
    before, now = (_side(table, roles.timestamp, features, most) for table in (usual, window))
    sides = [Side(given := answers(table, roles, judged.task, classes), _matrix(features, table)[given.at])
             for table in (before, now)]
    return loss_parts(metric, sides[0], sides[1], features.categorical), features, sides[0].matrix


def _matrix(features: Features, table: pa.Table) -> Floats:
    """The features' matrix, where a category that the reference lacks is one of its own and not missing."""
    matrix = features.matrix(table)
    for at, name in enumerate(features.names):
        if (places := (features.places or {}).get(name)) is not None and name in table.column_names:
            new = np.isnan(matrix[:, at]) & columns.is_present(table[name]).to_numpy()
            matrix[new, at] = min(len(places), MOST_CATEGORIES - 1)
    return matrix


def _side(table: pa.Table, timestamp: str, features: Features, most: int) -> pa.Table:
    """The rows in order of time, at most so many, evenly over it."""
    ordered = table.sort_by(timestamp)
    if len(ordered) <= most:
        return ordered
    return ordered.take(np.unique(np.linspace(0, len(ordered) - 1, most).astype(np.int64)))


def _scores(
    loss: Loss, features: Features, before: Floats, private: Sequence[str], sample: str | None
) -> Iterator[Score]:
    for part in loss.parts:
        words = [_names(loss.broken, features)] if part.cause is Cause.BROKEN else []
        yield Score(
            metric=METRIC, method=part.cause, value=part.value, low=part.low, high=part.high, n=loss.rows,
            status=ScoreStatus.DRIFTED if part in loss.sure else ScoreStatus.OK,
            reason="; ".join([*words, *([sample] if sample else [])]) or None,
        )
    main = loss.main
    if main is None:
        return
    empty = Score(metric=METRIC, method=main.cause, n=loss.rows)
    if main.cause is Cause.INPUTS:
        for at, cost in loss.effects[:MOST_COLUMNS]:
            yield replace(empty, column=features.names[at], value=cost)
    if main.cause is Cause.RELATION and loss.group is not None and features.names[loss.group[0]] not in private:
        yield replace(empty, segment=_group(loss.group, features, before), value=main.value)


def _names(places: Sequence[int], features: Features) -> str:
    names = [features.names[at] for at in places]
    told = ", ".join(names[:MOST_COLUMNS])
    return f"values of {told} are missing, far away or in other steps, or have all become one"


def _group(group: tuple[int, int], features: Features, before: Floats) -> str:
    """"region=north", or "age=31 to 38"."""
    at, place = group
    name = features.names[at]
    if (places := (features.places or {}).get(name)) is not None:
        return f"{name}={_category(places, place)}"
    edges = [number(edge) for edge in edges_of(before[:, at])]
    if place > len(edges):
        return f"{name}=missing"
    low, high = ([None, *edges][place], [*edges, None][place])
    return f"{name}={f'under {high}' if low is None else f'from {low}' if high is None else f'{low} to {high}'}"


def _category(places: dict[Category, int], place: int) -> str:
    return next((str(key) for key, at in places.items() if at == place), "missing or new")
