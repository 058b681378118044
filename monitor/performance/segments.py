"""Performance by segment: every metric on the rows of each value of a column, beside the same rows of the reference.

`low` and `high` of a segment are one-sided 95 % bounds that hold for all segments of a metric at once: the worst of
many small groups always looks bad. The groups of a column share no row, so of k of them each has the level
(1 − 0.05/c)^(1/k) (Šidák 1967, exact here), with c columns (Bonferroni).
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from statistics import NormalDist

import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.config.sections import Task
from monitor.errors import CannotJudge
from monitor.performance.confidence_intervals import Z
from monitor.performance.label_delay import known_early
from monitor.performance.labelled_rows import Answers, answers, classes_of
from monitor.performance.performance_scores import metrics_for, score_of, values_of
from monitor.records import Score
from monitor.tables.columns import Floats
from monitor.tables.groups import Groups, divide, not_every, small

ALPHA = 0.05


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """How a model is judged by segment; the reference's own numbers are computed once."""

    reference: pa.Table
    roles: Roles
    task: Task
    metric: str
    min_rows: int
    _found: dict[tuple[tuple[str, ...], str], dict[str, float | None]] = field(default_factory=dict)

    def before(
        self, classes: tuple[str, ...], groups: Groups, place: int, weight: Floats | None = None
    ) -> dict[str, float | None]:
        """Every metric on one group of the reference; none where it has too few labelled rows.

        `weight`: how much each row of the reference counts; None where all count the same.
        """
        if weight is not None:
            return self._values(classes, groups, place, weight)
        key = classes, groups.segment(place)
        if key not in self._found:
            self._found[key] = self._values(classes, groups, place)
        return self._found[key]

    def _values(
        self, classes: tuple[str, ...], groups: Groups, place: int, weight: Floats | None = None
    ) -> dict[str, float | None]:
        try:
            whole = answers(self.reference, self.roles, self.task, classes)
        except CannotJudge:
            return {}
        given = whole.take(groups.before[whole.at] == place)
        if weight is not None:
            given = replace(given, weight=weight[given.at]).take(weight[given.at] > 0)
        return values_of(given) if len(given) >= self.min_rows else {}


def segment_scores(
    segments: Segments, window: pa.Table, columns: Sequence[str], provisional: bool, as_of: datetime | None = None
) -> list[Score]:
    """Score the labelled rows of each group of each of the columns by every metric of the task.

    Provisional ones stand beside the reference as it was known at the age of the window's rows at `as_of`. A group
    with fewer than `min_rows` labelled rows is insufficient. What a column leaves out is told in one more insufficient
    Score whose segment is the column's name.
    """
    try:
        classes = classes_of([segments.reference, window], segments.roles, segments.task)
        now = answers(window, segments.roles, segments.task, classes)
    except CannotJudge as error:
        return [not_every(segments.metric, column, str(error)) for column in columns]
    early = as_of if provisional and len(now) else None
    weight = known_early(segments.reference, window, segments.roles, early) if early else None
    found: list[Score] = []
    for column in columns:
        try:
            groups = divide(column, segments.reference, window)
        except CannotJudge as error:
            found.append(not_every(segments.metric, column, str(error)))
            continue
        found += _of_column(segments, groups, now, ALPHA / len(columns), provisional, weight)
        if groups.left_out:
            found.append(not_every(segments.metric, column, groups.left_out))
    return found


def simultaneous(score: Score, count: int, alpha: float) -> Score:
    """Widen a 95 % interval to one-sided bounds that hold for `count` independent scores together.

    The distance of each end from the value is stretched by the ratio of normal quantiles: exact for normal
    intervals; beyond the middle of the scale, where a share has more room, it errs to the wide side.
    """
    if score.value is None or score.low is None or score.high is None:
        return score
    wider = NormalDist().inv_cdf((1 - alpha) ** (1 / count)) / Z
    low, high = ((end - score.value) * wider + score.value for end in (score.low, score.high))
    return replace(score, low=low, high=high)


def _of_column(
    segments: Segments, groups: Groups, now: Answers, alpha: float, provisional: bool, weight: Floats | None
) -> Iterator[Score]:
    inside = [now.take(groups.now[now.at] == place) for place in range(len(groups.names))]
    enough = sum(len(given) >= segments.min_rows for given in inside)
    for place, given in enumerate(inside):
        before = segments.before(now.classes, groups, place, weight) if len(given) >= segments.min_rows else {}
        for metric in metrics_for(segments.task, segments.roles, segments.metric):
            empty = Score(metric=metric, segment=groups.segment(place), provisional=provisional)
            if len(given) < segments.min_rows:
                yield small(empty, len(given), segments.min_rows)
                continue
            score = replace(score_of(metric, given, before.get(metric), provisional), segment=empty.segment)
            yield simultaneous(score, enough, alpha)
