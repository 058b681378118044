"""How often each group of a protected column gets the positive prediction: the rates of group fairness.

`selection_rate` is over all rows with a prediction, `true_positive_rate` over those whose label is positive,
`false_positive_rate` over those whose label is negative. The `n` of each rate is its own denominator, so that
`decide` can pool windows. The group that the others are compared with has the method "comparison".
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import datetime

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.config.sections import FairnessSection
from monitor.errors import CannotJudge
from monitor.performance import confidence_intervals
from monitor.performance.labelled_rows import answers, classes_of, unlabelled
from monitor.performance.labels import known_early
from monitor.performance.performance_scores import ALPHA, simultaneous
from monitor.records import Score, ScoreStatus
from monitor.tables.columns import Floats, Ints
from monitor.tables.groups import SMALLEST_CELL, Groups, divide, too_small, without_scores

COMPARISON = "comparison"


@dataclass(frozen=True, slots=True, eq=False)
class _Rows:
    """The rows of a rate's denominator: row numbers in the table, whether the prediction is positive, and weights."""

    at: Ints
    hit: Floats
    weight: Floats | None = None         # None: all rows count the same

    def tally(self, places: Ints, count: int) -> tuple[Ints, Ints]:
        """Return the number of rows of each group, and how many of them have a positive prediction."""
        where = places[self.at]
        inside = where >= 0
        rows = np.bincount(where[inside], minlength=count)
        return rows, np.bincount(where[inside], weights=self.hit[inside], minlength=count).round().astype(np.int64)

    def rates(self, places: Ints, count: int, min_rows: int) -> list[float | None]:
        """Return the (weighted) rate of each group; None if fewer than `min_rows` rows count."""
        weight = np.ones(len(self.at)) if self.weight is None else self.weight
        where = np.where(weight > 0, places[self.at], -1)
        inside = where >= 0
        rows = np.bincount(where[inside], minlength=count)
        whole, hits = (np.bincount(where[inside], weights=summand[inside], minlength=count)
                       for summand in (weight, weight * self.hit))
        return [float(hits[at] / whole[at]) if rows[at] >= min_rows else None for at in range(count)]


def rate_scores(
    reference: pa.Table,
    window: pa.Table,
    roles: Roles,
    section: FairnessSection,
    min_rows: int,
    provisional: bool,
    as_of: datetime | None = None,
) -> list[Score]:
    """Score the rates of each group of each protected column against the reference; two of them need labels.

    A rate over fewer than `min_rows` rows is insufficient, but is pooled with other windows; over fewer than ten it
    is not published. Provisional rates are compared with the reference's labels that were known at the age the
    window's rows have at `as_of`. Raises CannotJudge if the predictions have more than two classes.
    """
    classes = classes_of([reference, window], roles, "binary")
    early = as_of if provisional and len(window) else None
    weight = known_early(reference, window, roles, early) if early else None
    before, now = _rates(reference, roles, classes, weight), _rates(window, roles, classes)
    found: list[Score] = []
    for column in section.columns:
        try:
            groups = divide(column, reference, window)
            comparison = _comparison(groups, section)
        except CannotJudge as error:
            found.append(without_scores("selection_rate", column, str(error)))
            continue
        for metric, rows in now.items():
            late = provisional and metric != "selection_rate"
            scores = _of_metric(metric, groups, rows, before.get(metric), min_rows, ALPHA / len(section.columns))
            found += [replace(score, provisional=late, method=COMPARISON if place == comparison else None)
                      for place, score in enumerate(scores)]
        if groups.left_out:
            found.append(without_scores("selection_rate", column, groups.left_out))
    return found


def _rates(
    table: pa.Table, roles: Roles, classes: tuple[str, ...], weight: Floats | None = None
) -> dict[str, _Rows]:
    """Return the rows of each rate; without labels only of the selection rate. `weight`: the weight of each label."""
    rows = unlabelled(table, roles, "binary", classes)
    rates = {"selection_rate": _Rows(rows.at, rows.predicted == 1)}
    if roles.label is None or roles.label not in table.column_names:
        return rates
    known = answers(table, roles, "binary", classes)
    for metric, truth in (("true_positive_rate", 1), ("false_positive_rate", 0)):
        given = known.take(known.truth == truth)
        rates[metric] = _Rows(given.at, given.predicted == 1, None if weight is None else weight[given.at])
    return rates


def _comparison(groups: Groups, section: FairnessSection) -> int:
    """Return the position of the comparison group: the configured one, else the largest in the reference."""
    named = section.comparison.get(groups.column)
    if named is None:
        if not (groups.before == 0).any():
            raise CannotJudge(f"every value of {groups.column} in the reference is missing or rare, so there is no "
                              "largest group to compare with: name one under fairness.comparison")
        return 0
    if named not in groups.names:
        present = ", ".join(groups.names) or "none"
        raise CannotJudge(f'{groups.column} has no group "{named}" to compare with, it has {present}')
    return groups.names.index(named)


def _of_metric(
    metric: str, groups: Groups, now: _Rows, before: _Rows | None, min_rows: int, alpha: float
) -> Iterator[Score]:
    count = len(groups.names)
    rows, hits = now.tally(groups.now, count)
    old = before.rates(groups.before, count, min_rows) if before else [None] * count
    enough = int((rows >= min_rows).sum())
    for place in range(count):
        score = Score(metric=metric, segment=groups.segment(place), n=int(rows[place]))
        if rows[place] < SMALLEST_CELL:
            yield too_small(score, int(rows[place]), min_rows)
            continue
        score = replace(score, value=float(hits[place] / rows[place]), reference=old[place])
        if rows[place] < min_rows:
            few = f"{rows[place]} rows, expected at least {min_rows}; they are pooled with those of other windows"
            yield replace(score, status=ScoreStatus.INSUFFICIENT, reason=few)
            continue
        low, high = confidence_intervals.wilson(hits[place], rows[place]) or (None, None)
        yield simultaneous(replace(score, low=low, high=high), enough, alpha)
