"""Thresholds that hold a stated false-alarm rate, from the distances of the reference's blocks to its rest.

Each score of a block becomes a surprise, −log p, where p is the probability of so large a score in the column itself
if nothing has changed (`Null`). The mean of that distribution is fitted to the usual score of the column's other
blocks. The largest surprise over the columns is one number per block. The smallest of these numbers that is exceeded no
more often than the rate allows is the level: a column's threshold is the score of that surprise.

The usual score is the median, or with more than twenty blocks the eleventh largest. With medians alone, a column with
a rare event (a holiday) makes the thresholds of all other columns too high. A block's own score is left out of its
usual score, so the rate holds for any distribution of it: the block relates to the other blocks as a new window to all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import cache

import numpy as np

from monitor.calibration.dependence import independent
from monitor.config.drift_methods import METHODS, is_p_value
from monitor.drift.methods import AS_SQUARES, Limit, Novelty, grows, spread, surprise_of_new
from monitor.tables.columns import Floats, Ints

FEWEST = 10                    # blocks needed for a median
_TIE = 1 + 1e-9                # a window that equals a block is not beyond it

_STILL = 1e-9                  # rounding, not movement
_ABOVE = 11                    # blocks at and beyond the usual score, if there are many blocks
_RARE = 25                     # times the usual squared score: a rare event

_T = np.concatenate([np.linspace(0, 10, 501), np.linspace(10.5, 100, 180)])     # surprises that are tabulated
_TAIL = 0.2                                                        # of random windows, from which its scale is taken
_START = -math.log(_TAIL)
_EVEN: Floats = -np.log((np.arange(1000) + 0.5) / 1000)            # surprises of a thousand windows, beyond it

Fires = Callable[[Sequence[bool | None]], Sequence[bool]]


@cache
def _normal() -> Floats:
    """The squared normal deviation of each surprise in `_T`."""
    from scipy.special import erfcinv  # with what it imports it takes a tenth of a second, and few checks calibrate

    squares: Floats = 2 * erfcinv(np.exp(-_T)) ** 2
    return squares


@dataclass(frozen=True, slots=True)
class Null:
    """Squared scores of a column where nothing has changed: the mean, and in units of it that of each surprise in `_T`.

    Windows drawn at random from the reference give the distribution; their largest fifth gives the scale of a tail.
    That of distances between numbers, which are mostly one deviation, the mean's, is of a squared normal deviation;
    that of counts in many bins is exponential. Where the reference's windows differ more than chance, they move: a
    squared normal deviation is added, at equal surprise, which has the tail of a normal deviation with both variances.
    """

    mean: float
    squares: Floats

    @classmethod
    def of(cls, method: str, scores: Floats | None) -> "Null":
        """Return what these scores of random windows show. Of a p-value (None) −log p is the surprise itself."""
        if scores is None:
            return cls(1.0, _T)
        known = np.sort(scores[np.isfinite(scores)] ** _power(method))
        mean = float(known.mean()) if len(known) else math.nan
        if not mean > 0:
            return cls(mean, _T)
        surprise = -np.log1p(-(np.arange(len(known)) + 0.5) / len(known))
        begin = float(np.quantile(known, 1 - _TAIL))
        beyond = known[known > begin]
        shape = _normal() if method == "wasserstein" else _T
        start = float(np.interp(_START, _T, shape))
        usual = float(np.interp(_START + _EVEN, _T, shape).mean()) - start      # mean excess of the shape itself
        tail = begin + (float(beyond.mean()) - begin if len(beyond) else 0.0) / usual * (shape - start)
        body = np.minimum(np.interp(_T, surprise, known), begin)
        return cls(mean, np.where(_START < _T, tail, body) / mean)

    def moved(self, square: float, level: float) -> "Null":
        """Return the distribution where windows also move by themselves, so that this is the squared score at `level`.

        `level`: the share of windows whose scores are smaller.
        """
        more = (square - self.mean * self.quantile(level)) / float(np.interp(-math.log1p(-level), _T, _normal()))
        if not more > 0:
            return self
        mean = self.mean + more
        return Null(mean, (self.mean * self.squares + more * _normal()) / mean)

    def quantile(self, level: float) -> float:
        """Return a quantile in units of the mean."""
        return self.square(-math.log1p(-level))

    def surprise(self, squares: Floats) -> Floats:
        """Return −log p of squared scores in units of the mean."""
        near = np.interp(squares, self.squares, _T)
        surprises: Floats = near + np.maximum(squares - self.squares[-1], 0.0) / self._slope
        return surprises

    def square(self, surprise: float) -> float:
        """Return the squared score, in units of the mean, of a surprise."""
        beyond = max(surprise - _T[-1], 0.0) * self._slope
        return float(np.interp(surprise, _T, self.squares) + beyond)

    @property
    def _slope(self) -> float:
        """Beyond the table; where all random windows have one score, a surprise more is worth one mean more."""
        return float((self.squares[-1] - self.squares[-2]) / (_T[-1] - _T[-2])) or 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Blocks:
    """One column's scores of the reference's blocks, in time order; NaN if a block could not be judged.

    Each is the score a window equal to the block would have against the whole reference (see `beside_the_rest`).
    """

    method: str
    scores: Floats
    sizes: Ints                # values in each block
    total: int                 # values in the reference
    chance: Null               # of as many values drawn at random

    @classmethod
    def beside_the_rest(cls, method: str, scores: Floats, sizes: Ints, total: int, chance: Null) -> "Blocks":
        """Return blocks from scores against the rest of the reference, corrected for the rest's smaller size."""
        judged = np.where(np.isfinite(scores), sizes, 1)
        shrink = spread(method, total, judged) / spread(method, np.maximum(total - judged, 1), judged)
        return cls(method=method, scores=scores * shrink, sizes=sizes, total=total, chance=chance)

    def inflated(self, inflation: float) -> "Blocks":
        """Return blocks whose squared scores are so many times as large (see `dependence.inflations`)."""
        return replace(self, scores=self.scores * inflation ** (1 / _power(self.method)))

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
    def surprises(self) -> Floats:
        """Each block's −log p by the scale of the other blocks, as a window's is by that of all blocks."""
        judged = np.flatnonzero(np.isfinite(self.scores))
        squares = self._squares
        rank = np.argsort(np.argsort(squares, kind="stable"))
        known, place = np.sort(squares), _place(len(judged) - 1)
        usual = np.where(rank <= place, known[place + 1], known[place])
        most = np.where(rank == len(judged) - 1, known[-2], known[-1])
        surprises = np.full(len(self.scores), np.nan)
        surprises[judged] = self._null.surprise(squares / self._scale(usual, most, len(judged) - 1))
        return surprises

    @property
    def _squares(self) -> Floats:
        squares: Floats = self.even[np.isfinite(self.scores)] ** _power(self.method)
        return squares

    @property
    def _null(self) -> Null:
        """Of the squared scores of all blocks."""
        known = np.sort(self._squares)
        place = _place(len(known))
        return self.chance.moved(float(known[place]), _level(place, len(known)))

    def _scale(self, usual: Floats, most: Floats, count: int) -> Floats:
        """Return the mean of squared scores whose usual one, of `count`, is this, but at least the one that chance
        alone gives: the hour of the day, for example, is nearly equally distributed in all blocks. If the largest is
        far beyond, a few blocks have a rare event: then it is the largest, or they would set the thresholds of all
        columns. If the column never moves, it is Evidently's threshold, which is then the limit too.
        """
        quantile = self._null.quantile(_level(_place(count), count))
        mean = np.fmax(usual / quantile, self.chance.mean)
        limit = METHODS[self.method].threshold
        still = -math.log(limit) if is_p_value(self.method) else limit ** _power(self.method)
        rare = most >= _RARE * mean * quantile
        return np.where(np.maximum(most, mean) < _STILL**2, still, np.where(rare, most, mean))

    @property
    def lack(self) -> str | None:
        """Why these scores give no threshold; None if they do."""
        if np.isinf(self.scores).any():
            return f"{self.method} gives p = 0 for a part of the reference itself; use a distance method instead"
        known = int(np.isfinite(self.scores).sum())
        return None if known >= FEWEST else f"{known} parts of the reference could be judged, {FEWEST} are needed"

    def limit(self, level: float) -> Limit:
        """Return the threshold whose surprise is `level`."""
        known = np.sort(self._squares)
        mean = float(self._scale(known[_place(len(known))], known[-1], len(known)))
        still = max(known[-1], self.chance.mean) < _STILL**2
        square = mean if still else mean * self._null.square(level)
        return Limit(self.method, square ** (1 / _power(self.method)) * _TIE, self.rows, self.total)


@dataclass(frozen=True, slots=True, kw_only=True)
class NewValues:
    """How many values of each block are in categories that the rest of the reference never had.

    They may come in bursts, as a new product does. Where a block has more than chance explains, it counts as what
    happens once in as many blocks, and surprises are divided so that it does.
    """

    counts: Ints
    sizes: Ints
    chance: float

    @classmethod
    def of(cls, codes: Ints, block: Ints, blocks: int) -> "NewValues":
        """Return the new values of each block of a column, whose categories' codes these are."""
        whole = np.bincount(codes)
        inside = block >= 0
        cell, times = np.unique(block[inside] * len(whole) + codes[inside], return_counts=True)
        alone = times == whole[cell % len(whole)]
        counts = np.bincount(cell[alone] // len(whole), times[alone], blocks).astype(np.int64)
        sizes = np.bincount(block[inside], minlength=blocks)
        return cls(counts=counts, sizes=sizes, chance=float(np.sum(whole == 1)) / len(codes))

    @property
    def surprises(self) -> Floats:
        """Each block's −log p."""
        surprises: Floats = surprise_of_new(self.chance, self.counts, self.sizes) / self._scale
        return surprises

    def limit(self, level: float) -> Novelty:
        return Novelty(self.chance, level * self._scale)

    @property
    def _scale(self) -> float:
        most = float(np.max(surprise_of_new(self.chance, self.counts, self.sizes), initial=0.0))
        return max(1.0, most / math.log(len(self.counts) + 1))


def _power(method: str) -> int:
    """Return the power that makes the method's value quadratic in the difference."""
    return 1 if is_p_value(method) or method in AS_SQUARES else 2


def _place(count: int) -> int:
    """Return the position of the usual score among `count` ascending scores; a few scores beyond do not move it."""
    return max(count // 2, count - _ABOVE)


def _level(place: int, count: int) -> float:
    """Return the share of scores below the one at this position."""
    return (place + 0.5) / count


def largest(columns: Sequence[Blocks | NewValues]) -> Floats:
    """Return for each block the largest surprise over its columns; NaN if no column could be judged."""
    surprises: Floats = np.fmax.reduce([blocks.surprises for blocks in columns])
    return surprises


def expected(alarms: int, blocks: int, worth: float) -> float:
    """Return the expected false alarms per window, given `alarms` firings in `blocks` blocks that count as `worth`
    independent ones.

    It is the conformal rate plus one standard error; with no firing it is 1 / (blocks + 1). Where neighbours are alike
    the largest numbers come in rows, and a later window is beyond the second or third of a row more often than that.
    """
    if not alarms:
        return 1 / (blocks + 1)
    alike = alarms * worth / blocks
    return (alike + 1 + math.sqrt(alike)) / (worth + 1)


def factor(numbers: Floats, rate: float, fires: Fires) -> float | None:
    """Return the lowest of the blocks' numbers beyond which at most `rate` alarms per window are expected.

    `fires` maps votes in time order to where the trigger fires. Every firing window counts, not only the first of an
    episode, so neither notifications nor windows in alarm exceed the rate. None if there are too few blocks.
    """
    known = numbers[np.isfinite(numbers)]
    worth = independent(known)

    def holds(level: float) -> bool:
        votes = [None if math.isnan(number) else bool(number > level) for number in numbers.tolist()]
        return expected(sum(fires(votes)), len(known), worth) <= rate

    levels = np.unique(known[known >= np.median(known)])[::-1] if len(known) else known
    if not len(levels) or not holds(levels[0]):
        return None
    good, step = 0, 1          # from the top in growing steps, then halving: at low levels it always fires
    while good + step < len(levels) and holds(levels[good + step]):
        good, step = good + step, step * 2
    while step := step // 2:
        if good + step < len(levels) and holds(levels[good + step]):
            good += step
    return float(levels[good])
