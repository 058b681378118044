"""Thresholds that hold a stated false-alarm rate, from the distances of the reference's blocks to its rest.

Each score of a column is divided by the usual score of the column's other blocks. The largest ratio over the columns
is one number per block. The smallest of these numbers that is exceeded no more often than the rate allows is the
factor: a column's threshold is the factor times its usual score.

The usual score is the median, or with more than twenty blocks the eleventh largest. With medians alone, a column with
a rare event (a holiday) makes the thresholds of all other columns too high. A block's own score is left out of its
usual score, so the rate holds for any definition of it: the block relates to the other blocks as a new window to all.
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

FEWEST = 10                    # blocks needed for a median
_TIE = 1 + 1e-9                # a window that equals a block is not beyond it

_STILL = 1e-9                  # rounding, not movement
_ABOVE = 11                    # blocks at and beyond the usual score, if there are many blocks
_RARE = 5

Fires = Callable[[Sequence[bool | None]], Sequence[bool]]
QUICK = ("cramer_von_mises", "anderson", "es", "mannw", "t_test")    # computed block by block
MOST = 100      # blocks up to which these are computed


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """One column's scores of the reference's blocks, in time order; NaN if a block could not be judged.

    Each is the score a window equal to the block would have against the whole reference (see `beside_the_rest`).
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
        """Return blocks from scores against the rest of the reference, corrected for the rest's smaller size."""
        judged = np.where(np.isfinite(scores), sizes, 1)
        shrink = spread(method, total, judged) / spread(method, np.maximum(total - judged, 1), judged)
        return cls(method=method, scores=scores * shrink, sizes=sizes, total=total, chance=chance)

    @property
    def rows(self) -> int:
        """The number of values of a typical (median) block."""
        return int(np.median(self.sizes[np.isfinite(self.scores)]))

    @property
    def even(self) -> Floats:
        """The scores scaled to a typical block's size: the part due to a smaller size alone is removed."""
        scaled: Floats = self.scores / grows(self.method, self.total, self.rows, np.maximum(self.sizes, 1))
        return scaled

    @property
    def scale(self) -> float:
        """The usual score, by which scores are divided: half of the blocks lie beyond it, or ten of many blocks."""
        known = np.sort(self.even[np.isfinite(self.scores)])
        return float(self._scale(known[_place(len(known))], known[-1]))

    @property
    def ratios(self) -> Floats:
        """Each block's score divided by the scale of the other blocks, as a window's score is by that of all blocks."""
        judged = np.flatnonzero(np.isfinite(self.scores))
        rank = np.argsort(np.argsort(self.even[judged], kind="stable"))
        known, place = np.sort(self.even[judged]), _place(len(judged) - 1)
        usual = np.where(rank <= place, known[place + 1], known[place])
        ratios = np.full(len(self.scores), np.nan)
        ratios[judged] = self.even[judged] / self._scale(usual, np.where(rank == len(judged) - 1, known[-2], known[-1]))
        return ratios

    def _scale(self, usual: Floats, most: Floats) -> Floats:
        """Return the usual score, but at least the one that chance alone gives: the hour of the day, for example, is
        nearly equally distributed in all blocks. If the largest score is far beyond, a few blocks have a rare event:
        then it is the largest, or they would set the thresholds of all columns. If the column never moves, it is
        Evidently's threshold.
        """
        usual = np.maximum(usual, self.chance)
        rare = _RARE if _is_distance(self.method) else _RARE**2
        limit = METHODS[self.method].threshold
        still = -math.log(limit) if is_p_value(self.method) else limit
        return np.where(np.maximum(most, usual) < _STILL, still, np.where(most < rare * usual, usual, most))

    @property
    def lack(self) -> str | None:
        """Why these scores give no threshold; None if they do."""
        if np.isinf(self.scores).any():
            return f"{self.method} gives p = 0 for a part of the reference itself; use a distance method instead"
        known = int(np.isfinite(self.scores).sum())
        return None if known >= FEWEST else f"{known} parts of the reference could be judged, {FEWEST} are needed"

    def limit(self, factor: float) -> Limit:
        """Return the threshold at `factor` times the scale."""
        return Limit(self.method, factor * self.scale, self.rows, self.total)


def _place(count: int) -> int:
    """Return the position of the usual score among `count` ascending scores; a few scores beyond do not move it."""
    return max(count // 2, count - _ABOVE)


def _is_distance(method: str) -> bool:
    """Tell whether the method's value is linear in the difference, not quadratic."""
    return not is_p_value(method) and method not in AS_SQUARES


def largest(columns: Sequence[Blocks]) -> Floats:
    """Return for each block the largest ratio over its columns; NaN if no column could be judged."""
    ratios: Floats = np.fmax.reduce([blocks.ratios for blocks in columns])
    return ratios


def expected(alarms: int, blocks: int) -> float:
    """Return the expected false alarms per window, given `alarms` firings in `blocks` blocks.

    It is the conformal rate plus one standard error; with no firing it is 1 / (blocks + 1).
    """
    return (alarms + 1 + math.sqrt(alarms)) / (blocks + 1)


def factor(numbers: Floats, rate: float, fires: Fires) -> float | None:
    """Return the lowest of the blocks' numbers beyond which at most `rate` alarms per window are expected.

    `fires` maps votes in time order to where the trigger fires. Every firing window counts, not only the first of an
    episode, so neither notifications nor windows in alarm exceed the rate. None if there are too few blocks.
    """
    known = numbers[np.isfinite(numbers)]

    def holds(level: float) -> bool:
        votes = [None if math.isnan(ratio) else bool(ratio > level) for ratio in numbers.tolist()]
        return expected(sum(fires(votes)), len(known)) <= rate

    levels = np.unique(known[known >= np.median(known)])[::-1] if len(known) else known
    if not len(levels) or not holds(levels[0]):
        return None
    good, step = 0, 1          # from the top in growing steps, then halving: at low levels it always fires
    while good + step < len(levels) and holds(levels[good + step]):
        good, step = good + step, step * 2
    while step := step // 2:
        if good + step < len(levels) and holds(levels[good + step]):
            good += step
    return float(levels[good]) * _TIE


def block_scores(method: str, values: Numbers, block: Ints, blocks: int, *, categorical: bool) -> Floats | None:
    """Score each of `blocks` blocks of the reference against its rest; None for a method that takes too long.

    `values` are one column's values (or its categories' codes, numbered in sorted order) without missing ones,
    `block` the number of each value's block, −1 for none; the rest is everything else. Block and rest together are
    the whole reference, so bins and ranks are computed once for all blocks. A score is higher for a larger difference:
    a distance as it is, a p-value as −log p. NaN if a block or its rest is empty.
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
        return np.array([_block_score(method, values[block != at], values[block == at]) for at in range(blocks)])
    return None


def _block_score(method: str, rest: Numbers, inside: Numbers) -> float:
    if not len(rest) or not len(inside):
        return float("nan")
    value = work_out(method, *(NumberDigest([pa.array(side)], len(side)) for side in (rest, inside)))
    return float(-np.log(value)) if is_p_value(method) else value


def _binned(method: str, values: Numbers, categorical: bool) -> tuple[Ints, int]:
    """Return each value's bin, and the number of bins."""
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
    scores: Floats = -np.log(chisquare_of_counts(rest, inside))
    return scores


def _z(rest: Floats, inside: Floats) -> Floats:
    from scipy.special import log_ndtr

    if inside.shape[1] == 1:
        return np.zeros(len(inside))
    n1, n2 = rest.sum(axis=1), inside.sum(axis=1)
    scores: Floats = -np.log(2) - log_ndtr(-z_score(1 - rest[:, 0] / n1, n1, 1 - inside[:, 0] / n2, n2))
    return scores


class _Ranks:
    """The positions of each block's values in the whole sorted column.

    Between two neighbouring values of a block are the gaps j = a + 1 … b of the column, at which a share of j / N of
    the whole and i / m of the block is smaller. Block − rest is N / (N − m) times block − whole.
    """

    def __init__(self, values: Numbers, block: Ints, blocks: int) -> None:
        order = np.argsort(values, kind="stable")
        self.sorted = values[order]
        lies = block[order]
        inside = np.flatnonzero(lies >= 0)
        rank = inside[np.argsort(lies[inside], kind="stable")]       # by block, then by value
        self.total, self.sizes = len(values), np.bincount(lies[inside], minlength=blocks)
        owner = np.repeat(np.arange(blocks), self.sizes + 1)          # one stretch more than values in each
        first = np.cumsum(self.sizes + 1) - (self.sizes + 1)
        self.owner, self.first = owner, first
        self.below = np.arange(len(owner)) - first[owner]              # i
        starts = np.zeros(len(owner), dtype=np.int64)
        starts[self.below > 0] = rank + 1
        self.a = np.maximum(starts - 1, 0)
        ends = np.append(starts[1:], 0)
        self.b = np.where(self.below == self.sizes[owner], self.total - 1, np.maximum(ends - 1, 0))
        self.share = self.below / np.maximum(self.sizes, 1)[owner]

    def summed(self, values: Floats) -> Floats:
        return self._of_rest(np.add.reduceat(values, self.first))

    def largest(self, values: Floats) -> Floats:
        return self._of_rest(np.maximum.reduceat(values, self.first))

    def _of_rest(self, totals: Floats) -> Floats:
        rest = np.where((self.sizes == 0) | (self.sizes == self.total), np.nan, self.total - self.sizes)
        scaled: Floats = totals * self.total / rest
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
    owner = block[inside]
    rest = len(values) - np.bincount(owner, minlength=blocks)
    means = (centred.sum() - np.bincount(owner, centred[inside], blocks)) / rest
    squares = ((centred**2).sum() - np.bincount(owner, centred[inside] ** 2, blocks)) / rest
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
    scores: Floats = -kstwo.logsf(np.minimum(distance, 1.0), np.maximum(rows, 1))
    return scores


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
