"""Thresholds that hold a stated rate of false alarms, from how far the reference's own blocks lie from its rest.

A column's scores are divided by the usual one of its other blocks; the largest over the columns is one number a block.
What of these numbers is exceeded no more often than the rate allows, times each column's own usual score, is its
threshold.

The usual score is the median, or with more than twenty blocks the eleventh largest: with medians alone a column with a
rare event (a holiday) sets the thresholds of all the others out of reach. Leaving out the block itself from what it is
measured by keeps the rate whatever the usual score is: the block stands to the others as a new window to all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from monitor.config.drift_methods import METHODS, is_p_value
from monitor.drift.count_tests import (
    chisquare_of_counts,
    from_overlap,
    kl_of_shares,
    psi_of_counts,
    quantile_edges,
    relative_entropy,
    shares_of,
    z_score,
)
from monitor.drift.methods import AS_SQUARES, Limit, grows, spread, work_out
from monitor.tables.columns import Floats, Ints, Numbers
from monitor.tables.digest import FEW, NumberDigest

FEWEST = 10                    # blocks that a median can rest on
_TIE = 1 + 1e-9                # a window that equals a block is not beyond it

_STILL = 1e-9                  # rounding, not movement
_ABOVE = 11                    # blocks at and beyond the usual score, where there are many
_RARE = 5

Fires = Callable[[Sequence[bool | None]], Sequence[bool]]
QUICK = ("cramer_von_mises", "anderson", "es", "mannw", "t_test")    # asked block by block
MOST = 100      # blocks these are asked about


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """One column's scores of the reference's blocks, in their order in time; NaN where a block could not be judged.

    They are what a window like the block would score beside the whole reference: `beside_the_rest` made them so.
    """

    method: str
    scores: Floats
    sizes: Ints                # values in each block
    total: int                 # values in the reference
    chance: float              # the usual score of as many values drawn at random

    @classmethod
    def beside_the_rest(
        cls, method: str, scores: Floats, sizes: Ints, total: int, chance: float
    ) -> "Blocks":
        """Take scores against the rest of the reference, which is smaller than the whole and scatters more."""
        held = np.where(np.isfinite(scores), sizes, 1)
        shrink = spread(method, total, held) / spread(method, np.maximum(total - held, 1), held)
        return cls(method=method, scores=scores * shrink, sizes=sizes, total=total, chance=chance)

    @property
    def rows(self) -> int:
        """Values of a usual block."""
        return int(np.median(self.sizes[np.isfinite(self.scores)]))

    @property
    def even(self) -> Floats:
        """The scores as of usual blocks: what a smaller one has by its size alone is taken off."""
        found: Floats = self.scores / grows(self.method, self.total, self.rows, np.maximum(self.sizes, 1))
        return found

    @property
    def scale(self) -> float:
        """What its scores are measured by: half of the blocks lie beyond it, of many blocks ten."""
        known = np.sort(self.even[np.isfinite(self.scores)])
        return float(self._scale(known[_place(len(known))], known[-1]))

    @property
    def ratios(self) -> Floats:
        """Each block's score by the scale that the others give, as a window's is by that of all blocks."""
        held = np.flatnonzero(np.isfinite(self.scores))
        rank = np.argsort(np.argsort(self.even[held], kind="stable"))
        known, place = np.sort(self.even[held]), _place(len(held) - 1)
        usual = np.where(rank <= place, known[place + 1], known[place])
        found = np.full(len(self.scores), np.nan)
        found[held] = self.even[held] / self._scale(usual, np.where(rank == len(held) - 1, known[-2], known[-1]))
        return found

    def _scale(self, usual: Floats, most: Floats) -> Floats:
        """The usual score, but no less than chance alone gives: of a clock every window holds the same hours until one
        is lost. Where the largest is far from it, a few blocks hold a rare thing: then it is the largest, lest they
        set the threshold of every other column. Where the column never moves, it is Evidently's threshold.
        """
        usual = np.maximum(usual, self.chance)
        rare = _RARE if _is_distance(self.method) else _RARE**2
        limit = METHODS[self.method].threshold
        still = -math.log(limit) if is_p_value(self.method) else limit
        return np.where(np.maximum(most, usual) < _STILL, still, np.where(most < rare * usual, usual, most))

    @property
    def lack(self) -> str | None:
        """Why no threshold can be had from these scores."""
        if np.isinf(self.scores).any():
            return f"{self.method} gives p = 0 for a part of the reference itself, a distance says more"
        known = int(np.isfinite(self.scores).sum())
        return None if known >= FEWEST else f"{known} parts of the reference could be judged, it takes {FEWEST}"

    def limit(self, factor: float) -> Limit:
        """The threshold at `factor` scales."""
        return Limit(self.method, factor * self.scale, self.rows, self.total)


def _place(count: int) -> int:
    """Where in `count` ascending scores the usual one is: so high that a few beyond it do not move it."""
    return max(count // 2, count - _ABOVE)


def _is_distance(method: str) -> bool:
    """Whether the method grows with the difference itself and not with its square."""
    return not is_p_value(method) and method not in AS_SQUARES


def largest(columns: Sequence[Blocks]) -> Floats:
    """Return for each block the largest of its columns' ratios; NaN where no column could be judged."""
    found: Floats = np.fmax.reduce([one.ratios for one in columns])
    return found


def expected(alarms: int, blocks: int) -> float:
    """False alarms a window, when it fired in so many of the blocks: conformal, one standard error to the safe side.

    With none at all it is 1 in blocks + 1.
    """
    return (alarms + 1 + math.sqrt(alarms)) / (blocks + 1)


def factor(numbers: Floats, rate: float, fires: Fires) -> float | None:
    """Return the lowest of the blocks' numbers beyond which no more than `rate` alarms a window are to be expected.

    `fires` says where votes in time order make the trigger fire. Every such window counts, not only the first of a row:
    so neither the alarms people get nor the windows in alarm are more than the rate. None where the blocks are too few.
    """
    known = numbers[np.isfinite(numbers)]

    def holds(level: float) -> bool:
        votes = [None if math.isnan(one) else bool(one > level) for one in numbers.tolist()]
        return expected(sum(fires(votes)), len(known)) <= rate

    levels = np.unique(known[known >= np.median(known)])[::-1] if len(known) else known
    if not len(levels) or not holds(levels[0]):
        return None
    good, step = 0, 1          # from the top in growing steps, then halving: further down everything fires for good
    while good + step < len(levels) and holds(levels[good + step]):
        good, step = good + step, step * 2
    while step := step // 2:
        if good + step < len(levels) and holds(levels[good + step]):
            good += step
    return float(levels[good]) * _TIE


def block_scores(method: str, values: Numbers, block: Ints, blocks: int, *, categorical: bool) -> Floats | None:
    """Score each of `blocks` blocks of the reference against its rest; None for a method that would take too long.

    `values` are one column's values (or its categories' codes, numbered in sorted order) without missing ones,
    `block` the number of the block each lies in, −1 for none; the rest is everything else. Block and rest together are
    the whole reference, so that bins and ranks are found once for all blocks. A score is higher the further the block
    lies away: a distance as it is, a p-value as −log p. NaN where a block or its rest is empty.
    """
    with np.errstate(divide="ignore", invalid="ignore"):
        if method in _BINNED:
            code, bins = _binned(method, values, categorical)
            inside = block >= 0
            cells = np.bincount(block[inside] * bins + code[inside], minlength=blocks * bins)
            counts = cells.reshape(blocks, bins).astype(np.float64)
            rest = np.bincount(code, minlength=bins) - counts
            empty = (rest.sum(axis=1) == 0) | (counts.sum(axis=1) == 0)
            return np.where(empty, np.nan, _BINNED[method](rest, counts))
        if method in _RANKED:
            return _RANKED[method](values.astype(np.float64), block, blocks)
    if method in QUICK and blocks <= MOST:
        return np.array([_one(method, values[block != at], values[block == at]) for at in range(blocks)])
    return None


def _one(method: str, rest: Numbers, inside: Numbers) -> float:
    if not len(rest) or not len(inside):
        return float("nan")
    value = work_out(method, *(NumberDigest([pa.array(side)], len(side)) for side in (rest, inside)))
    return float(-np.log(value)) if is_p_value(method) else value


def _binned(method: str, values: Numbers, categorical: bool) -> tuple[Ints, int]:
    """Each value's bin, and how many there are."""
    if method == "psi_quantile" and not categorical:
        edges = quantile_edges(np.sort(values))
        return np.searchsorted(edges, values, "right"), len(edges) + 1
    distinct, code = np.unique(values, return_inverse=True)
    by_value = len(distinct) <= FEW and method != "hellinger"
    if categorical or by_value or METHODS[method].kinds == ("categorical",):
        return code, len(distinct)
    edges = np.histogram_bin_edges(distinct if method == "hellinger" else values, "sturges")
    return np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2), len(edges) - 1


def _kl_div(rest: Floats, inside: Floats) -> Floats:
    return kl_of_shares(shares_of(rest), shares_of(inside))


def _jensenshannon(rest: Floats, inside: Floats) -> Floats:
    r, c = shares_of(rest), shares_of(inside)
    terms = [relative_entropy(side, (r + c) / 2) for side in (r, c)]
    divergence: Floats = ((terms[0] + terms[1]) / 2).sum(axis=1)
    return np.sqrt(np.maximum(divergence, 0.0))


def _hellinger(rest: Floats, inside: Floats) -> Floats:
    return from_overlap(np.sqrt(shares_of(rest) * shares_of(inside)).sum(axis=1))


def _chisquare(rest: Floats, inside: Floats) -> Floats:
    found: Floats = -np.log(chisquare_of_counts(rest, inside))
    return found


def _z(rest: Floats, inside: Floats) -> Floats:
    from scipy.special import log_ndtr

    if inside.shape[1] == 1:
        return np.zeros(len(inside))
    n1, n2 = rest.sum(axis=1), inside.sum(axis=1)
    found: Floats = -np.log(2) - log_ndtr(-z_score(1 - rest[:, 0] / n1, n1, 1 - inside[:, 0] / n2, n2))
    return found


class _Ranks:
    """Where each block's values stand in the whole sorted column.

    Between two neighbouring values of a block lie the gaps j = a + 1 … b of the column, across which a share of
    j / N of the whole and i / m of the block lies below. Block − rest is N / (N − m) times block − whole.
    """

    def __init__(self, values: Numbers, block: Ints, blocks: int) -> None:
        order = np.argsort(values, kind="stable")
        self.sorted = values[order]
        lies = block[order]
        inside = np.flatnonzero(lies >= 0)
        rank = inside[np.argsort(lies[inside], kind="stable")]       # by block, then by value
        self.total, self.sizes = len(values), np.bincount(lies[inside], minlength=blocks)
        held = np.repeat(np.arange(blocks), self.sizes + 1)          # one stretch more than values in each
        first = np.cumsum(self.sizes + 1) - (self.sizes + 1)
        self.owner, self.first = held, first
        self.below = np.arange(len(held)) - first[held]              # i
        starts = np.zeros(len(held), dtype=np.int64)
        starts[self.below > 0] = rank + 1
        self.a = np.maximum(starts - 1, 0)
        ends = np.append(starts[1:], 0)
        self.b = np.where(self.below == self.sizes[held], self.total - 1, np.maximum(ends - 1, 0))
        self.share = self.below / np.maximum(self.sizes, 1)[held]

    def summed(self, values: Floats) -> Floats:
        return self._of_rest(np.add.reduceat(values, self.first))

    def largest(self, values: Floats) -> Floats:
        return self._of_rest(np.maximum.reduceat(values, self.first))

    def _of_rest(self, found: Floats) -> Floats:
        rest = np.where((self.sizes == 0) | (self.sizes == self.total), np.nan, self.total - self.sizes)
        scaled: Floats = found * self.total / rest
        return scaled


def _wasserstein(values: Numbers, block: Ints, blocks: int) -> Floats:
    ranks = _Ranks(values, block, blocks)
    n = ranks.total
    gaps = np.concatenate([[0.0], np.diff(ranks.sorted)])
    length, weighted = np.cumsum(gaps), np.cumsum(gaps * np.arange(n) / n)
    middle = np.clip(np.floor(ranks.share * n).astype(np.int64), ranks.a, ranks.b)
    under = ranks.share * (length[middle] - length[ranks.a]) - (weighted[middle] - weighted[ranks.a])
    over = (weighted[ranks.b] - weighted[middle]) - ranks.share * (length[ranks.b] - length[middle])
    return ranks.summed(under + over) / np.maximum(_spread_of_rest(values, block, blocks), 0.001)


def _spread_of_rest(values: Numbers, block: Ints, blocks: int) -> Floats:
    inside = block >= 0
    centred = values - values.mean()
    held = block[inside]
    rest = len(values) - np.bincount(held, minlength=blocks)
    means = (centred.sum() - np.bincount(held, centred[inside], blocks)) / rest
    squares = ((centred**2).sum() - np.bincount(held, centred[inside] ** 2, blocks)) / rest
    spread: Floats = np.sqrt(np.maximum(squares - means**2, 0.0))
    return spread


def _distance(values: Numbers, block: Ints, blocks: int) -> tuple[Floats, _Ranks]:
    """The Kolmogorov-Smirnov statistic; equal values are one step, so only gaps of some length count."""
    ranks = _Ranks(values, block, blocks)
    n = ranks.total
    real = np.concatenate([[False], np.diff(ranks.sorted) > 0, [True]])
    places = np.arange(n + 1)
    after = np.minimum.accumulate(np.where(real, places, n)[::-1])[::-1]
    before = np.maximum.accumulate(np.where(real, places, 0))
    low, high = after[np.minimum(ranks.a + 1, n)], before[ranks.b]
    ends = np.maximum(np.abs(low / n - ranks.share), np.abs(high / n - ranks.share))
    return ranks.largest(np.where(low <= ranks.b, ends, 0.0)), ranks


def _ks(values: Numbers, block: Ints, blocks: int) -> Floats:
    from scipy.stats import kstwo

    distance, ranks = _distance(values, block, blocks)
    rows = np.round((ranks.total - ranks.sizes) * ranks.sizes / ranks.total)
    found: Floats = -kstwo.logsf(np.minimum(distance, 1.0), np.maximum(rows, 1))
    return found


_BINNED: dict[str, Callable[[Floats, Floats], Floats]] = {
    "psi": psi_of_counts,
    "psi_quantile": psi_of_counts,
    "kl_div": _kl_div,
    "jensenshannon": _jensenshannon,
    "hellinger": _hellinger,
    "chisquare": _chisquare,
    "z": _z,
}
_RANKED: dict[str, Callable[[Numbers, Ints, int], Floats]] = {"wasserstein": _wasserstein, "ks": _ks}
