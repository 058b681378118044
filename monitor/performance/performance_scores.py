"""The model's performance on labelled rows against the reference, with 95 % confidence intervals.

By segment: every metric on the rows of each value of a column, against the same segment of the reference. `low` and
`high` of a segment are one-sided 95 % bounds that hold for all segments of a metric simultaneously, because the worst
of many small groups always looks bad. The groups of a column share no row, so each of k groups has the level
(1 − 0.05/c)^(1/k) (Šidák 1967, exact here), with c columns (Bonferroni).
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from statistics import NormalDist
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.metric_catalogue import METRICS, Task
from monitor.performance import formulas
from monitor.performance.confidence_intervals import Z
from monitor.performance.labelled_rows import Answers, answers, classes_in, classes_of
from monitor.performance.labels import known_early
from monitor.performance.lost_performance import Norm, norm_of
from monitor.records import Score, ScoreStatus
from monitor.tables.columns import Floats
from monitor.tables.groups import Groups, divide, too_small, without_scores

RESAMPLES = 200
RESAMPLED_ROWS = 20_000
FEWEST_BLOCKS = 3
ALPHA = 0.05
Keep = Callable[[str, Callable[[], Any]], Any]      # the JSON value of a key, made where none is kept


def _made(key: str, make: Callable[[], Any]) -> Any:
    return make()


@dataclass(frozen=True, slots=True, eq=False)
class ReferenceMetrics:
    """The reference's metrics, with which every window's are compared; each is computed once.

    A window whose labels are still coming is compared with the reference's labels that were known at the same age:
    each row is weighted by the share of the window's row ages at which its label was known.

    `read` returns the rows, which are read for the figures that are not `kept`.
    """

    read: Callable[[], pa.Table]
    roles: Roles
    task: Task
    kept: Keep = _made
    _computed: dict[tuple[str, ...], dict[str, float | None]] = field(default_factory=dict)

    def classes(self, window: pa.Table) -> tuple[str, ...]:
        """Return the classes of the reference and of a window. Raises CannotJudge as `classes_of` does."""
        seen = self.kept("classes", lambda: list(map(sorted, classes_in([self.read()], self.roles, self.task))))
        return classes_of([window], self.roles, self.task, seen=seen)

    def values(self, classes: tuple[str, ...]) -> dict[str, float | None]:
        """Return every metric of the task; None if it is not defined. Empty without labels."""
        if classes not in self._computed:
            key = "\x1f".join(("metrics", *classes))
            self._computed[classes] = self.kept(key, lambda: self._values(classes))
        return self._computed[classes]

    def early(self, classes: tuple[str, ...], window: pa.Table, as_of: datetime) -> dict[str, float | None]:
        """Return the same from the labels that were known at the age the window's rows have at `as_of`."""
        weight = known_early(self.read(), window, self.roles, as_of)
        return self.values(classes) if weight is None else self._values(classes, weight)

    def _values(self, classes: tuple[str, ...], weight: Floats | None = None) -> dict[str, float | None]:
        try:
            given = answers(self.read(), self.roles, self.task, classes)
        except CannotJudge:
            return {}             # a reference without labels gives nothing to compare with
        if weight is not None:
            given = replace(given, weight=weight[given.at]).take(weight[given.at] > 0)
        return values_of(given)


def performance_scores(
    reference: ReferenceMetrics, window: pa.Table, metric: str, provisional: bool, as_of: datetime | None = None
) -> list[Score]:
    """Score the labelled rows of the window by every metric of the task, the primary `metric` first.

    A metric that is not defined (no label yet, one class only, no probability) is insufficient, with a reason.
    Provisional scores are compared with the reference as it was known at the age of the window's rows at `as_of`.
    """
    roles, task = reference.roles, reference.task
    names = metrics_for(task, roles, metric)
    try:
        classes = reference.classes(window)
        now = answers(window, roles, task, classes)
    except CannotJudge as error:
        return [_insufficient(name, str(error), 0, provisional) for name in names]
    early = as_of if provisional and len(now) else None
    before = reference.early(classes, window, early) if early else reference.values(classes)
    return [score_of(name, now, before.get(name), provisional) for name in names]


def names_for(task: Task) -> list[str]:
    """Return the metrics of a task."""
    return [name for name, metric in METRICS.items() if task in metric.tasks]


def metrics_for(task: Task, roles: Roles, primary: str) -> list[str]:
    """Return the metrics a window is scored by, the primary one first."""
    names = sorted(names_for(task), key=lambda name: name != primary)
    if task == "multiclass" and not roles.per_class:
        names = [name for name in names if not METRICS[name].needs_probability]
    return names


def values_of(given: Answers) -> dict[str, float | None]:
    """Return every metric of the task on these answers; None if it is not defined on them."""
    return {name: next(iter(_defined(name, [given])), None) for name in names_for(given.task)}


def metric_sd(blocks: Sequence[pa.Table], roles: Roles, task: Task, metric: str) -> Score:
    """Return the standard deviation (ddof 1) of the metric over blocks of the reference.

    A block counts if the metric is defined on it and it has at least half the median block's labelled rows. With
    fewer than three such blocks it is the sd over 200 resamples of a block's size. Low and high are the 95 % interval
    of the sd of a normal variable (chi-square); None for resamples.
    """
    return sd_and_norm(blocks, roles, task, metric)[0]


def sd_and_norm(blocks: Sequence[pa.Table], roles: Roles, task: Task, metric: str) -> tuple[Score, Norm]:
    """Return `metric_sd`, and what the performance of a window is held against."""
    score, norm = Score(metric="metric_sd", method=metric), partial(norm_of, roles, task, metric)
    classes: tuple[str, ...] = ()
    try:
        classes = classes_of(list(blocks), roles, task)
        read = [answers(block, roles, task, classes) for block in blocks]
        known = [block for block in read if len(block)]
        if not known:
            raise CannotJudge("the reference has no labelled rows")
        values, reason = block_values(known, metric)
    except CannotJudge as error:
        lack = replace(score, status=ScoreStatus.INSUFFICIENT, reason=str(error))
        return lack, norm(len(classes), (), resampled=False)
    sd = float(np.std(values, ddof=1))
    low, high = (None, None) if reason else _sd_interval(sd, len(values))
    score = replace(score, n=sum(map(len, known)), value=sd, low=low, high=high, reason=reason)
    return score, norm(len(classes), values.tolist(), resampled=reason is not None)


def _sd_interval(sd: float, count: int) -> tuple[float, float]:
    from scipy.special import chdtri  # the quantile of chi-square; scipy.stats takes a second to import

    least, most = chdtri(count - 1, (0.975, 0.025))
    return float(sd * np.sqrt((count - 1) / most)), float(sd * np.sqrt((count - 1) / least))


def block_values(blocks: Sequence[Answers], metric: str) -> tuple[Floats, str | None]:
    """Return the metric on each block with at least half the median block's rows.

    With fewer than three such blocks: on 200 resamples (fixed seed), scaled to the spread of a block's size, with the
    reason. Raises CannotJudge if the metric is defined on fewer than half of them.
    """
    size = float(np.median([len(block) for block in blocks]))
    values = np.array(_defined(metric, [block for block in blocks if len(block) >= size / 2]))
    if len(values) >= FEWEST_BLOCKS:
        return values, None
    rows = max(2, min(int(size), RESAMPLED_ROWS))
    pooled, generator = _pool(list(blocks)), np.random.default_rng(0)
    resamples = (pooled.take(generator.integers(len(pooled), size=rows)) for _ in range(RESAMPLES))
    values = np.array(_defined(metric, resamples))
    if len(values) < RESAMPLES / 2:
        raise CannotJudge(f"{metric} is not defined on resamples of {rows} labelled rows of the reference")
    middle = np.mean(values)
    reason = f"from resamples of {rows} rows: fewer than {FEWEST_BLOCKS} windows of the reference are usable"
    return middle + (values - middle) * np.sqrt(rows / max(size, 2.0)), reason


def score_of(metric: str, now: Answers, before: float | None, provisional: bool) -> Score:
    """Score the answers by one metric with its 95 % interval; insufficient, with a reason, if it is not defined."""
    score = Score(metric=metric, n=len(now), provisional=provisional, reference=before)
    try:
        score = replace(score, value=formulas.value_of(metric, now))
    except CannotJudge as error:
        return replace(score, status=ScoreStatus.INSUFFICIENT, reason=str(error))
    used = formulas.usable(metric, now)
    low, high = formulas.interval(metric, used) or (None, None)
    return replace(score, low=low, high=high, n=len(used), reason=_remark(metric, now, len(used)))


def _remark(metric: str, now: Answers, used: int) -> str | None:
    """What is to be said of the rows a metric rests on."""
    if metric == "mape" and used < len(now):
        return f"{len(now) - used} rows with a label of zero left out"
    if METRICS[metric].needs_probability and now.clipped:
        return f"{now.clipped} probabilities a hair outside 0 to 1 are taken as 0 or 1"
    return None


def _insufficient(metric: str, reason: str, n: int, provisional: bool) -> Score:
    return Score(metric=metric, status=ScoreStatus.INSUFFICIENT, reason=reason, n=n, provisional=provisional)


def _defined(metric: str, many: Iterable[Answers]) -> list[float]:
    values = []
    for given in many:
        with suppress(CannotJudge):
            values.append(formulas.value_of(metric, given))
    return values


def _pool(blocks: list[Answers]) -> Answers:
    chances = [block.chances for block in blocks if block.chances is not None]
    probabilities = [block.probability for block in blocks if block.probability is not None]
    return replace(
        blocks[0],
        truth=np.concatenate([block.truth for block in blocks]),
        predicted=np.concatenate([block.predicted for block in blocks]),
        at=np.concatenate([block.at for block in blocks]),
        probability=np.concatenate(probabilities) if len(probabilities) == len(blocks) else None,
        chances=np.concatenate(chances) if len(chances) == len(blocks) else None,
    )


@dataclass(frozen=True, slots=True, eq=False)
class Segments:
    """How a model is judged by segment, with the reference's metrics, which are computed once."""

    read: Callable[[], pa.Table]         # the reference's rows
    roles: Roles
    task: Task
    metric: str
    min_rows: int
    _computed: dict[tuple[tuple[str, ...], str], dict[str, float | None]] = field(default_factory=dict)

    def before(
        self, classes: tuple[str, ...], groups: Groups, place: int, weight: Floats | None = None
    ) -> dict[str, float | None]:
        """Return every metric on one group of the reference; empty if it has too few labelled rows.

        `weight`: of each row of the reference; None: all count the same.
        """
        if weight is not None:
            return self._values(classes, groups, place, weight)
        key = classes, groups.segment(place)
        if key not in self._computed:
            self._computed[key] = self._values(classes, groups, place)
        return self._computed[key]

    def _values(
        self, classes: tuple[str, ...], groups: Groups, place: int, weight: Floats | None = None
    ) -> dict[str, float | None]:
        try:
            whole = answers(self.read(), self.roles, self.task, classes)
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

    Provisional scores are compared with the reference as it was known at the age of the window's rows at `as_of`. A
    group with fewer than `min_rows` labelled rows is insufficient. The values a column leaves out are named in one more
    insufficient Score whose segment is the column's name.
    """
    reference = segments.read()
    try:
        classes = classes_of([reference, window], segments.roles, segments.task)
        now = answers(window, segments.roles, segments.task, classes)
    except CannotJudge as error:
        return [without_scores(segments.metric, column, str(error)) for column in columns]
    early = as_of if provisional and len(now) else None
    weight = known_early(reference, window, segments.roles, early) if early else None
    scores: list[Score] = []
    for column in columns:
        try:
            groups = divide(column, reference, window)
        except CannotJudge as error:
            scores.append(without_scores(segments.metric, column, str(error)))
            continue
        scores += _of_column(segments, groups, now, ALPHA / len(columns), provisional, weight)
        if groups.left_out:
            scores.append(without_scores(segments.metric, column, groups.left_out))
    return scores


def simultaneous(score: Score, count: int, alpha: float) -> Score:
    """Widen a 95 % interval to one-sided bounds that hold for `count` independent scores together.

    The distance of each end from the value is multiplied by the ratio of normal quantiles. This is exact for normal
    intervals; for shares near 0 or 1 the bound towards the middle is conservative.
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
                yield too_small(empty, len(given), segments.min_rows)
                continue
            score = replace(score_of(metric, given, before.get(metric), provisional), segment=empty.segment)
            yield simultaneous(score, enough, alpha)
