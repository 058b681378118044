"""Thresholds that hold a stated rate of false alarms, from how far the reference's own blocks lie from its rest.

A column's scores are divided by the usual one of its other blocks; the largest over the columns is one number a block.
What of these numbers is exceeded no more often than the rate allows, times each column's own usual score, is its
threshold. NumPy only.

The usual score is the median, or with more than twenty blocks the eleventh largest: with medians alone a column with a
rare event (a holiday) sets the thresholds of all the others out of reach. Leaving out the block itself from what it is
measured by keeps the rate whatever the usual score is: the block stands to the others as a new window to all.
"""

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from monitor.config.drift_methods import METHODS, is_p_value
from monitor.drift.methods import AS_SQUARES, Limit, grows, spread
from monitor.tables.columns import Floats, Ints

FEWEST = 10                    # blocks that a median can rest on
_TIE = 1 + 1e-9                # a window that equals a block is not beyond it

_STILL = 1e-9                  # rounding, not movement
_ABOVE = 11                    # blocks at and beyond the usual score, where there are many
_RARE = 5

Fires = Callable[[Sequence[bool | None]], Sequence[bool]]


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
