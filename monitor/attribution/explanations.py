"""Two explanations of a loss that need no other relation of labels to inputs: other inputs, and other labels' shares.

Each gives the metric as it would be, and a distance: how many standard errors the window is from what it says.
"""

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import replace
from functools import cached_property

import numpy as np

from monitor.attribution import relation
from monitor.attribution.relation import Sides
from monitor.attribution.sides import SURE, Side, resamples, weighted
from monitor.errors import CannotJudge
from monitor.metric_catalogue import better_by
from monitor.performance.formulas import losses, value_of
from monitor.performance.labelled_rows import Answers
from monitor.tables.columns import Floats, Ints, Numbers

DIFFERENT = 3.0              # standard errors: the window is not what an explanation says
LEAST_SHARE, MOST_SHARE = 0.02, 0.6      # of the rows, of a group that alone may have another relation
FEWEST_IN_GROUP = 30
ALONE = 0.7                  # of what the other relation costs, in that group
GROUP_SURE = 4.0             # standard errors of its cost: the largest of many
MOST_CLASSES = 200           # that a learner reads as categories
_TINY = 1e-6


class Explanations:
    """Of two sides, `categorical` of their columns; what the reference's relation says of the rows of both."""

    def __init__(self, metric: str, reference: Side, window: Side, categorical: list[bool]) -> None:
        self.metric, self.reference, self.window, self.categorical = metric, reference, window, categorical
        self._are_classes = reference.answers.task != "regression"
        self._actual = self._facts(reference.answers), self._facts(window.answers)
        sides = self._sides()
        matters = relation.relevant(sides, np.column_stack(
            [self._actual[0], self._row_losses(reference, self._actual[0])]))
        self.spread = relation.spread(sides, matters if matters.any() else ~matters)
        if self._are_classes:
            answers = reference.answers
            self._expected = relation.chances(sides, answers.truth, len(answers.classes))
        else:
            self._expected = relation.means(sides, self._actual[0])

    def _sides(self) -> Sides:
        before, now = (np.column_stack([side.matrix, *side.said]) for side in (self.reference, self.window))
        answers = self.reference.answers
        is_word = answers.task == "multiclass" and len(answers.classes) <= MOST_CLASSES
        return Sides(before, now, [*self.categorical, *([False] * (len(self.reference.said) - 1)), is_word])

    def _facts(self, answers: Answers) -> Floats:
        """Rows × numbers whose means the relation gives: is it each class; or loss, error, label and its square."""
        if self._are_classes:
            return np.asarray(np.eye(len(answers.classes))[answers.truth])
        loss = losses("rmse" if self.metric == "r2" else self.metric, answers)
        return np.column_stack([loss, answers.predicted - answers.truth, answers.truth, answers.truth**2])

    @cached_property
    def by_labels(self) -> bool:
        """Whether the labels have other shares, and these describe the window, and better than other inputs do, and
        leave no loss over that is sure.
        """
        describe = self._other_shares() and self._from_labels() < min(DIFFERENT, self._from_inputs())
        return describe and not self._leave_a_loss()

    @cached_property
    def changed(self) -> bool:
        """Whether the better explanation does not describe the window: the relation itself changed."""
        return (self._from_labels() if self.by_labels else self._from_inputs()) > DIFFERENT

    def value(self, before: Floats | None, now: Floats | None) -> float:
        """The metric as the better explanation has it, rows of the two sides weighted. Raises CannotJudge."""
        return self._with_labels(before, now) if self.by_labels else self._with_inputs(before, now)

    # How far the window is from each

    def _from_inputs(self) -> float:
        """How far the window's labels are from those that the reference expects of its rows: all, and by the model's
        own answer. Rows that the reference has nothing like say nothing.
        """
        known = ~self.spread.strange
        if not known.any():
            return 0.0
        share = self.spread.odds / self.spread.odds.sum()
        before, now = ((actual - expected) for actual, expected in zip(self._actual, self._expected, strict=True))
        said, usual = self.window.said[0][known], self.reference.said[0]
        middle, size = usual.mean(), usual.std() or 1.0
        tilts = ((np.ones(len(said)), np.ones(len(usual))), ((said - middle) / size, (usual - middle) / size))
        farthest = 0.0
        for at in range(now.shape[1] if self._are_classes else 2):
            for tilt_now, tilt_before in tilts:
                one, other = tilt_now * now[known, at], tilt_before * before[:, at]
                error = np.sqrt(one.var() / len(one) + (share**2 * other**2).sum())
                farthest = max(farthest, abs(one.mean() - (share * other).sum()) / error if error > 0 else 0.0)
        return float(farthest)

    def _from_labels(self) -> float:
        """How far the rows of each label are from those of the reference, by how the sides differ, by the model's own
        answer and by its loss, and how far columns have moved in the rows of one label only; infinite where a label of
        the window has no rows to compare with.
        """
        before, now = self._labels
        lost, losing = (self._row_losses(side, actual)
                        for side, actual in zip((self.reference, self.window), self._actual, strict=True))
        pairs = ((self.spread.reference, self.spread.window), (self.reference.said[0], self.window.said[0]),
                 (lost, losing))
        moved = [distance for at in range(len(self.categorical)) for pair in self._read(at)
                 for distance in _in_one(before, now, *pair)]
        return max(_farthest(moved), *(_within(before, now, *pair) for pair in pairs))

    def _read(self, at: int) -> Iterator[tuple[Floats, Floats]]:
        """A column of both sides as numbers: tenths, or whether it is each of its most frequent categories."""
        before, now = self._bins(self.reference, at), self._bins(self.window, at)
        if not self.categorical[at]:
            yield before.astype(np.float64), now.astype(np.float64)
            return
        for place in np.argsort(-np.bincount(before), kind="stable")[:relation.BINS]:
            yield (before == place).astype(np.float64), (now == place).astype(np.float64)

    def _other_shares(self) -> bool:
        before, now = self._labels
        most = int(max(before.max(), now.max())) + 1
        p, q = (np.bincount(labels, minlength=most) / len(labels) for labels in (before, now))
        error = np.sqrt(p * (1 - p) / len(before) + q * (1 - q) / len(now))
        return bool((abs(q - p) > DIFFERENT * error).any())

    def _leave_a_loss(self) -> bool:
        """Whether the window's metric is surely worse than other shares of the labels make it."""
        def left(before: Floats | None, now: Floats | None) -> float:
            return better_by(self.metric, self._with_labels(before, now), self.window.value(self.metric, now))

        drawn = []
        for before, now in resamples(len(self.reference), len(self.window)):
            with suppress(CannotJudge):
                drawn.append(left(before, now))
        return bool(drawn) and left(None, None) > SURE * float(np.std(drawn))

    @cached_property
    def _labels(self) -> tuple[Ints, Ints]:
        """The label of each row; of quantities its tenth of the reference."""
        before, now = self.reference.answers.truth, self.window.answers.truth
        if self._are_classes:
            return before, now
        return relation.binned(before, before, False), relation.binned(now, before, False)

    # The metric as each has it

    def _with_labels(self, before: Floats | None, now: Floats | None) -> float:
        """The reference's rows, its labels weighted to the window's shares."""
        usual, labels = self._labels
        most = int(max(usual.max(), labels.max())) + 1
        had, has = np.bincount(usual, before, most), np.bincount(labels, now, most)
        with np.errstate(divide="ignore", invalid="ignore"):
            times = np.where(had > 0, has / had, 0.0)[usual]
        return self.reference.value(self.metric, times if before is None else times * before)

    def _with_inputs(self, before: Floats | None, now: Floats | None) -> float:
        """The window's rows with the labels that the reference expects, corrected by how far it is wrong of its own."""
        odds = self.spread.odds if before is None else self.spread.odds * before
        if not self._are_classes:
            return self._of_quantities(odds, now)
        expected = self._expecting(self.window.answers, self._likely, now)
        beside = self._expecting(self.reference.answers, self._expected[0], odds)
        return expected + self.reference.value(self.metric, odds) - beside

    @cached_property
    def _likely(self) -> Floats:
        """What is expected of the window's rows; of those that the reference has nothing like, what came."""
        return np.where(self.spread.strange[:, None], self._actual[1], self._expected[1])

    def _expecting(self, answers: Answers, likely: Floats, weight: Floats | None) -> float:
        """The metric if each row had each label as often as is likely."""
        rows, classes = likely.shape
        every = answers.take(np.tile(np.arange(rows), classes))
        share = likely.T.ravel() * (1.0 if weight is None else np.tile(weight, classes))
        return value_of(self.metric, weighted(replace(every, truth=np.repeat(np.arange(classes), rows)), share))

    def _of_quantities(self, odds: Floats, now: Floats | None) -> float:
        likely = np.average(self._likely, axis=0, weights=now)
        beside = np.average(self._actual[0] - self._expected[0], axis=0, weights=odds)
        loss, _, mean, square = likely + beside
        if self.metric == "rmse":
            return float(np.sqrt(max(loss, 0.0)))
        return float(1 - loss / max(square - mean**2, _TINY)) if self.metric == "r2" else float(loss)

    # Which columns, which rows

    def effects(self, inputs: float) -> Iterator[tuple[int, float]]:
        """Divide what the inputs cost over the columns whose change costs something: by the loss that each column's
        values had in the reference, weighted by how much more frequent they have become.
        """
        usual = self._row_losses(self.reference, self._expected[0])
        likely = self._row_losses(self.window, self._likely)
        found = []
        for at in range(self.reference.matrix.shape[1]):
            before, now = (self._bins(side, at) for side in (self.reference, self.window))
            most = int(max(before.max(), now.max())) + 1
            p, q = np.bincount(before, minlength=most), np.bincount(now, minlength=most)
            with np.errstate(divide="ignore", invalid="ignore"):
                mean = np.where(p > 0, np.bincount(before, usual, most) / p, np.bincount(now, likely, most) / q)
            found.append((float((np.nan_to_num(mean) * (q / q.sum() - p / p.sum())).sum()), at))
        total = sum(max(cost, 0.0) for cost, _ in found)
        yield from ((at, inputs * cost / total) for cost, at in sorted(found, reverse=True) if cost > 0)

    def group(self) -> tuple[int, int] | None:
        """The column and the bin of the only rows in which the relation changed; None if it did in others too."""
        excess = self._row_losses(self.window, self._actual[1]) - self._row_losses(self.window, self._likely)
        total, most, found = float(excess.sum()), ALONE, None
        for at in range(self.window.matrix.shape[1] if total > 0 else 0):
            bins = self._bins(self.window, at)
            for place in np.unique(bins):
                inside = bins == place
                share = float(excess[inside].sum()) / total
                if share > most and _stands_alone(excess[inside], excess[~inside]):
                    most, found = share, (at, int(place))
        return found

    def _bins(self, side: Side, at: int) -> Ints:
        return relation.binned(side.matrix[:, at], self.reference.matrix[:, at], self.categorical[at])

    def _row_losses(self, side: Side, likely: Floats) -> Floats:
        """The loss of each row given how likely each label is: log loss, errors, or the metric's own of quantities."""
        answers = side.answers
        if not self._are_classes:
            return likely[:, 0]
        if answers.ranks_only or (answers.chances is None and answers.probability is None):
            return np.asarray(1 - likely[np.arange(len(answers)), answers.predicted])
        chances = answers.chances if answers.chances is not None else np.column_stack([1 - side.said[0], side.said[0]])
        return np.asarray(-(likely * np.log(np.clip(chances, _TINY, 1))).sum(axis=1))


def _within(labels_before: Ints, labels_now: Ints, before: Floats, now: Floats) -> float:
    """Standard errors between the means of two sides where the first one's labels had the second one's shares."""
    gaps, variances = _gaps(labels_before, labels_now, before, now)
    if not np.isfinite(variances).all():
        return float(np.inf)
    share = np.bincount(labels_now)[np.unique(labels_now)] / len(labels_now)
    variance = float((share**2 * variances).sum())
    return float(abs((share * gaps).sum()) / np.sqrt(variance)) if variance else 0.0


def _in_one(labels_before: Ints, labels_now: Ints, before: Floats, now: Floats) -> Iterator[float]:
    """Standard errors between what a mean has moved by in the rows of each label, and in those of the others."""
    gaps, variances = _gaps(labels_before, labels_now, before, now)
    rows = np.bincount(labels_now)[np.unique(labels_now)]
    known = np.isfinite(variances) & (variances > 0) & (rows >= FEWEST_IN_GROUP)
    gaps, weight = gaps[known], 1 / variances[known]
    for gap, one in zip(gaps, weight, strict=True):
        rest = weight.sum() - one
        if rest > 0:
            others = ((weight * gaps).sum() - one * gap) / rest
            yield float(abs(gap - others) / np.sqrt(1 / one + 1 / rest))


def _gaps(labels_before: Ints, labels_now: Ints, before: Floats, now: Floats) -> tuple[Floats, Floats]:
    """Of each label of the window by how much the mean differs, and the variance of that; infinite if not known."""
    gaps, variances = [], []
    for label in np.unique(labels_now):
        there, here = before[labels_before == label], now[labels_now == label]
        is_known = min(len(there), len(here)) >= 2
        gaps.append(here.mean() - there.mean() if is_known else 0.0)
        variances.append(here.var() / len(here) + there.var() / len(there) if is_known else np.inf)
    return np.array(gaps), np.array(variances)


def _farthest(distances: Sequence[float]) -> float:
    """The largest of several distances in standard errors, as that of one is which chance exceeds as seldom."""
    from scipy.special import log_ndtr, ndtri_exp

    largest = max(distances, default=0.0)
    if not np.isfinite(largest):
        return largest
    return max(-float(ndtri_exp(min(log_ndtr(-largest) + np.log(max(len(distances), 1)), np.log(0.5)))), 0.0)


def _stands_alone(here: Floats, rest: Floats) -> bool:
    """Whether rows lose more than expected, and no others do."""
    if len(here) < FEWEST_IN_GROUP or not LEAST_SHARE <= len(here) / (len(here) + len(rest)) <= MOST_SHARE:
        return False
    return _sure(here) > GROUP_SURE and _sure(rest) < DIFFERENT


def _sure(values: Numbers) -> float:
    return float(values.mean() / (values.std() / np.sqrt(len(values)) or 1.0))
