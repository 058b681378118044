"""Every performance metric on many draws of blocks of rows at once, from sums per block where it has such sums."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from monitor.performance.formulas import Tallies, against_rest, losses, of_tallies
from monitor.performance.labelled_rows import Answers
from monitor.tables.columns import Floats, Ints, Numbers

AT_ONCE = 4_000_000      # weights of rows in memory


@dataclass(frozen=True, slots=True, eq=False)
class Redrawn:
    """`weights`: how often each draw has each block, (draws, blocks); `block`: that of each row."""

    weights: Floats
    block: Ints

    def sums(self, *values: Numbers) -> list[Floats]:
        """The sum of each of the values over the rows of each draw."""
        blocks = self.weights.shape[1]
        return [self.weights @ np.bincount(self.block, value, blocks) for value in values]


def redrawn(metric: str, given: Answers, of: Redrawn) -> Floats:
    """Return the metric on each draw as `value_of` does on rows, NaN where it is not defined."""
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric in _OTHERS:
            return _OTHERS[metric](given, of)
        return of_tallies(metric, given.task, _tallies(given, of))


def _tallies(given: Answers, of: Redrawn) -> Tallies:
    """Of each draw and class."""
    blocks, size = of.weights.shape[1], len(given.classes)
    right = given.truth == given.predicted
    kinds = ((given.truth[right], of.block[right]), (given.truth, of.block), (given.predicted, of.block))
    cells = [np.bincount(block * size + classes, minlength=blocks * size).reshape(blocks, size)
             for classes, block in kinds]
    hits, labelled, said = np.split(of.weights @ np.hstack(cells), 3, axis=1)
    return hits, labelled, said


def _mean_of(metric: str) -> Callable[[Answers, Redrawn], Floats]:
    def value(given: Answers, of: Redrawn) -> Floats:
        total, rows = of.sums(losses(metric, given), np.ones(len(given)))
        return total / rows

    return value


def _rmse(given: Answers, of: Redrawn) -> Floats:
    found: Floats = np.sqrt(_mean_of("rmse")(given, of))
    return found


def _r2(given: Answers, of: Redrawn) -> Floats:
    centred = given.truth - np.mean(given.truth)         # so that the squares lose no digits
    wrong, once, twice, rows = of.sums((given.predicted - given.truth) ** 2, centred, centred**2, np.ones(len(given)))
    return 1 - wrong / (twice - once**2 / rows)


def _roc_auc(given: Answers, of: Redrawn) -> Floats:
    """From how often positives of one block stand above negatives of another, ties half; of several classes the mean
    of each against the others.
    """
    if given.chances is not None:
        each: Floats = np.mean([_roc_auc(one, of) for one in against_rest(given)], axis=0)
        return each
    assert given.probability is not None
    blocks, positive = of.weights.shape[1], given.truth == 1
    ones, of_ones = given.probability[positive], of.block[positive]
    above = np.zeros((blocks, blocks))
    for other in np.unique(of.block[~positive]):
        zeros = np.sort(given.probability[~positive & (of.block == other)])
        below = (np.searchsorted(zeros, ones, "left") + np.searchsorted(zeros, ones, "right")) / 2
        above[:, other] = np.bincount(of_ones, below, blocks)
    positives, negatives = of.sums(positive, ~positive)
    found: Floats = ((of.weights @ above) * of.weights).sum(axis=1) / (positives * negatives)
    return found


def _average_precision(given: Answers, of: Redrawn) -> Floats:
    """Σ (Rᵢ − Rᵢ₋₁) Pᵢ over the thresholds, highest first, as scikit-learn's."""
    assert given.probability is not None
    order = np.argsort(-given.probability, kind="stable")
    chance, hit, block = given.probability[order], given.truth[order] == 1, of.block[order]
    last = np.flatnonzero(np.append(np.diff(chance) != 0, True))
    step = max(1, AT_ONCE // len(given))
    parts = []
    for start in range(0, len(of.weights), step):
        weight = of.weights[start : start + step][:, block]
        true = np.cumsum(weight * hit, axis=1)[:, last]
        precision = np.nan_to_num(true / np.cumsum(weight, axis=1)[:, last])
        parts.append((np.diff(true, axis=1, prepend=0) * precision).sum(axis=1) / true[:, -1])
    return np.concatenate(parts)


_OTHERS: dict[str, Callable[[Answers, Redrawn], Floats]] = {
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _mean_of("log_loss"),
    "brier": _mean_of("brier"),
    "mae": _mean_of("mae"),
    "rmse": _rmse,
    "r2": _r2,
    "mape": _mean_of("mape"),
    "bias": _mean_of("bias"),
}
