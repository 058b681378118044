"""The scores of a reference's blocks against its rest, and of windows drawn at random from it, all at once.

A score is higher for a larger difference: a distance as it is, a p-value as −log p.
"""

from collections.abc import Callable, Iterator
from typing import Protocol

import numpy as np
import pyarrow as pa

from monitor.config.drift_methods import METHODS, is_p_value
from monitor.drift.count_tests import (
    chisquare_of_counts,
    from_overlap,
    jensenshannon_of_counts,
    kl_of_shares,
    psi_of_counts,
    quantile_edges,
    shares_of,
    z_score,
)
from monitor.drift.methods import spread, work_out
from monitor.tables.columns import Floats, Ints, Numbers
from monitor.tables.digest import FEW, NumberDigest

QUICK = ("cramer_von_mises", "anderson", "es", "mannw", "t_test")    # computed block by block
MOST = 100      # blocks up to which these are computed
DRAWN, MOST_DRAWN = 400, 80_000    # windows drawn at random, and values in all of them together
AT_ONCE = 1 << 18                  # values that are ranked or counted together, which bounds the memory
_HYPERGEOMETRIC = 1_000_000_000    # NumPy draws without replacement from fewer rows than this


class Scorer(Protocol):
    """One column's values (or its categories' codes, numbered in sorted order) without missing ones, and a method."""

    def of_blocks(self, block: Ints, blocks: int) -> Floats:
        """Score each block against the rest of the column.

        `block` has the number of each value's block, −1 for none; the rest is everything else. Block and rest together
        are the whole column, so bins and ranks are computed once for all blocks. NaN if a block or its rest is empty.
        """

    def by_chance(self, rows: int) -> Floats | None:
        """Score windows of `rows` values drawn at random against the whole column; None for a p-value."""


def scorer(method: str, values: Numbers, *, categorical: bool, blocks: int) -> Scorer | None:
    """Return what scores a column by a method; None for a method that takes too long for so many blocks."""
    if method in _BINNED:
        return _Binned(method, values, categorical)
    if method in ("wasserstein", "ks"):
        return _Ranked(method, values)
    return _OneByOne(method, values) if method in QUICK and blocks <= MOST else None


class _Binned:
    def __init__(self, method: str, values: Numbers, categorical: bool) -> None:
        self._score = _BINNED[method]
        self._code, self._bins = _binned(method, values, categorical)
        self._whole = np.bincount(self._code, minlength=self._bins)
        self._method = method

    def of_blocks(self, block: Ints, blocks: int) -> Floats:
        cells, step = np.zeros(blocks * self._bins, np.int64), max(AT_ONCE, blocks * self._bins)
        for at in range(0, len(block), step):
            own, code = block[at : at + step], self._code[at : at + step]
            inside = own >= 0
            cells += np.bincount(own[inside] * self._bins + code[inside], minlength=len(cells))
        return self._scores(cells.reshape(blocks, self._bins))

    def by_chance(self, rows: int) -> Floats | None:
        total = len(self._code)
        if is_p_value(self._method) or rows >= total:
            return None
        draws = min(DRAWN, max(1, MOST_DRAWN // self._bins))
        chance = np.random.default_rng(0)
        if total < _HYPERGEOMETRIC:
            counts = chance.multivariate_hypergeometric(self._whole, rows, draws, method="marginals")
        else:
            counts = chance.multinomial(rows, self._whole / total, draws)
        shrink = spread(self._method, total, rows) / spread(self._method, total - rows, rows)
        scaled: Floats = self._scores(counts) * shrink
        return scaled

    def _scores(self, counts: Ints) -> Floats:
        inside = counts.astype(np.float64)
        rest = self._whole - inside
        empty = (rest.sum(axis=1) == 0) | (inside.sum(axis=1) == 0)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(empty, np.nan, self._score(rest, inside))


class _Ranked:
    def __init__(self, method: str, values: Numbers) -> None:
        self._method, self._values = method, values.astype(np.float64, copy=False)
        self._order = np.argsort(self._values, kind="stable")
        ascending = self._values[self._order]
        self._column = _Steps(ascending) if method == "ks" else _Lengths(ascending)

    def of_blocks(self, block: Ints, blocks: int) -> Floats:
        sizes, total = np.bincount(block[block >= 0], minlength=blocks), len(block)
        rest = np.where((sizes == 0) | (sizes == total), np.nan, total - sizes)
        distance = np.concatenate([self._column.distances(ranks) for ranks in self._ranks(block, sizes)])
        distance = distance * total / rest
        if self._method == "ks":
            return _ks(distance, sizes, total)
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.asarray(distance / np.maximum(_spread_of_rest(self._values, block, blocks), 0.001))

    def _ranks(self, block: Ints, sizes: Ints) -> Iterator["_Ranks"]:
        """Yield the ranks of a few blocks at a time, in the order of the blocks."""
        lies = block.astype(np.min_scalar_type(-len(sizes) - 1))[self._order]      # short numbers are sorted in no time
        rank = np.argsort(lies, kind="stable")[len(lies) - sizes.sum() :]         # by block, then by value
        del lies
        at = 0
        for some in np.split(sizes, np.flatnonzero(np.diff(np.cumsum(sizes) // AT_ONCE)) + 1):
            yield _Ranks(len(block), rank[at : at + some.sum()], some)
            at += some.sum()

    def by_chance(self, rows: int) -> Floats | None:
        if is_p_value(self._method):
            return None
        drawn = min(rows, MOST_DRAWN // DRAWN)        # the shape of a longer window's scores is the same
        total = len(self._values)
        rank = np.sort(np.random.default_rng(0).integers(0, total, (DRAWN, drawn)), axis=1)
        distance = self._column.distances(_Ranks(total, rank.ravel(), np.full(DRAWN, drawn)))
        scaled: Floats = distance / max(float(self._values.std()), 0.001) * np.sqrt(drawn / rows + drawn / total)
        return scaled


class _OneByOne:
    def __init__(self, method: str, values: Numbers) -> None:
        self._method, self._values = method, values

    def of_blocks(self, block: Ints, blocks: int) -> Floats:
        return np.array([self._score(block == at) for at in range(blocks)])

    def by_chance(self, rows: int) -> Floats | None:
        return None

    def _score(self, inside: Numbers) -> float:
        if inside.all() or not inside.any():
            return float("nan")
        sides = (NumberDigest([pa.array(side)], len(side)) for side in (self._values[~inside], self._values[inside]))
        value = work_out(self._method, *sides)
        return float(-np.log(value)) if is_p_value(self._method) else value


def _binned(method: str, values: Numbers, categorical: bool) -> tuple[Ints, int]:
    """Return each value's bin, and the number of bins."""
    if method == "psi_quantile" and not categorical:
        edges = quantile_edges(np.sort(values))
        return np.searchsorted(edges, values, "right"), len(edges) + 1
    if categorical:                      # small whole numbers, which need no sorting
        seen = np.bincount(values) > 0
        return (np.cumsum(seen) - 1)[values], int(seen.sum())
    distinct, code = np.unique(values, return_inverse=True)
    by_value = len(distinct) <= FEW and method != "hellinger"
    if by_value or METHODS[method].kinds == ("categorical",):
        return code, len(distinct)
    edges = np.histogram_bin_edges(distinct if method == "hellinger" else values, "sturges")
    return np.clip(np.searchsorted(edges, values, "right") - 1, 0, len(edges) - 2), len(edges) - 1


def _kl_div(rest: Floats, inside: Floats) -> Floats:
    return kl_of_shares(shares_of(rest), shares_of(inside))


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

    def __init__(self, total: int, rank: Ints, sizes: Ints) -> None:
        """Take the values of the column, and the positions of each block's values, ascending, block after block."""
        blocks = len(sizes)
        self.total, self.sizes = total, sizes
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
        scaled: Floats = np.add.reduceat(values, self.first)
        return scaled

    def largest(self, values: Floats) -> Floats:
        scaled: Floats = np.maximum.reduceat(values, self.first)
        return scaled


class _Lengths:
    """The lengths of a column's gaps, summed from its smallest value, by which distances of Wasserstein are told."""

    def __init__(self, ascending: Floats) -> None:
        gaps = np.concatenate([[0.0], np.diff(ascending)])
        self._length = np.cumsum(gaps)
        gaps *= np.arange(len(gaps))
        gaps /= len(gaps)
        self._weighted = np.cumsum(gaps, out=gaps)

    def distances(self, ranks: _Ranks) -> Floats:
        """Return the distance of each block to the whole column, in the column's unit."""
        length, weighted = self._length, self._weighted
        middle = np.clip(np.floor(ranks.share * ranks.total).astype(np.int64), ranks.a, ranks.b)
        under = ranks.share * (length[middle] - length[ranks.a]) - (weighted[middle] - weighted[ranks.a])
        over = (weighted[ranks.b] - weighted[middle]) - ranks.share * (length[ranks.b] - length[middle])
        return ranks.summed(under + over)


def _spread_of_rest(values: Numbers, block: Ints, blocks: int) -> Floats:
    inside = block >= 0
    centred = values - values.mean()
    squared = centred**2
    owner, ours, our_squares = block, centred, squared
    if not inside.all():                 # else they need no copies
        owner, ours, our_squares = block[inside], centred[inside], squared[inside]
    rest = len(values) - np.bincount(owner, minlength=blocks)
    means = (centred.sum() - np.bincount(owner, ours, blocks)) / rest
    squares = (squared.sum() - np.bincount(owner, our_squares, blocks)) / rest
    spread: Floats = np.sqrt(np.maximum(squares - means**2, 0.0))
    return spread


class _Steps:
    """Where a sorted column steps up: equal values are one step, so only gaps of some length count."""

    def __init__(self, ascending: Floats) -> None:
        n, places = len(ascending), np.arange(len(ascending) + 1)
        real = np.concatenate([[False], np.diff(ascending) > 0, [True]])
        self._after = np.minimum.accumulate(np.where(real, places, n)[::-1])[::-1]
        self._before = np.maximum.accumulate(np.where(real, places, 0))

    def distances(self, ranks: _Ranks) -> Floats:
        """Return the Kolmogorov-Smirnov statistic of each block against the whole column."""
        n = ranks.total
        low, high = self._after[np.minimum(ranks.a + 1, n)], self._before[ranks.b]
        ends = np.maximum(np.abs(low / n - ranks.share), np.abs(high / n - ranks.share))
        return ranks.largest(np.where(low <= ranks.b, ends, 0.0))


def _ks(distance: Floats, sizes: Ints, total: int) -> Floats:
    from scipy.stats import kstwo

    rows = np.round((total - sizes) * sizes / total)
    scores: Floats = -kstwo.logsf(np.minimum(distance, 1.0), np.maximum(rows, 1))
    return scores


_BINNED: dict[str, Callable[[Floats, Floats], Floats]] = {
    "psi": psi_of_counts,
    "psi_quantile": psi_of_counts,
    "kl_div": _kl_div,
    "jensenshannon": jensenshannon_of_counts,
    "hellinger": _hellinger,
    "chisquare": _chisquare,
    "z": _z,
}
