"""Schedules of retrains scored in hindsight: the gain of each, the best schedule, calendars, net and lead.

A schedule is a list of windows at whose end the model is retrained. Scores are in reference sd of the metric, higher is
better; a price is the cost of one retrain in sd × windows. The daemon does not import this module.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np

from monitor.config.trigger_sections import BACK

PHASES = 9              # of a calendar
BLOCK, RESAMPLES = 4, 400   # windows drawn together, and how often, for intervals

Schedule = list[int]
Back = Mapping[int, int]    # windows of a schedule at whose end, instead of a retrain, the model of a row serves again
NEVER_BACK: Back = MappingProxyType({})
Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Scores:
    """`score[t + 1, j]` is the score in window j of the model retrained after window t; row 0 is the original model.

    Only j > t is used: a model serves the windows after those it was fitted on.
    """

    score: Floats

    def __len__(self) -> int:
        return int(self.score.shape[1])

    def champions(self, schedule: Sequence[int], back: Back = NEVER_BACK) -> Floats:
        """Return the model that serves each window, as a row number of `score`."""
        serving = np.zeros(len(self), int)
        for window in schedule:
            serving[window + 1:] = back.get(window, window + 1)
        return serving

    def served(self, schedule: Sequence[int], back: Back = NEVER_BACK) -> Floats:
        """Return the score of the model in service for each window."""
        return np.asarray(self.score[self.champions(schedule, back), np.arange(len(self))])

    def paid(self, schedule: Sequence[int], price: float = 0.0, back: Back = NEVER_BACK) -> Floats:
        """Return the gain over never retraining for each window, minus what its end costs: a retrain, or going back."""
        spent = np.isin(np.arange(len(self)), schedule) * price
        spent[list(back)] = BACK * price
        return np.asarray(self.served(schedule, back) - self.score[0] - spent)

    def best(self, price: float) -> Schedule:
        """Return the best schedule in hindsight at this price, by dynamic programming."""
        ahead, then = np.zeros(len(self) + 1), [0] * len(self)
        for now in range(len(self) - 1, -1, -1):        # the best from a retrain before `now` on
            served = np.cumsum(self.score[now, now:] - self.score[0, now:])
            total = served + np.append(ahead[now + 1:len(self)] - price, 0.0)
            then[now] = now + int(np.argmax(total))
            ahead[now] = total.max()
        schedule, now = [], then[0]
        while now < len(self) - 1:
            schedule.append(now)
            now = then[now + 1]
        return schedule

    def most(self, retrains: int) -> float:
        """Return the gain of the best schedule with exactly this number of retrains."""
        ahead = np.array([np.sum(self.score[now, now:] - self.score[0, now:]) for now in range(len(self))])
        for _ in range(retrains):
            ahead = np.array([self._once_more(ahead, now) for now in range(len(self))])
        return float(ahead[0])

    def _once_more(self, ahead: Floats, now: int) -> float:
        served = np.cumsum(self.score[now, now:-1] - self.score[0, now:-1])
        return float(np.max(served + ahead[now + 1:], initial=-np.inf))

    def calendars(self, retrains: int) -> list[Schedule]:
        """Return schedules of equally spaced retrains, in nine phases."""
        space = len(self) / max(1, retrains)
        return [
            [min(len(self) - 2, int(((phase + 0.5) / PHASES + i) * space)) for i in range(retrains)]
            for phase in range(PHASES)
        ]

    def calendar(self, retrains: int) -> float:
        """The mean gain of equally spaced retrains over nine phases."""
        return float(self.calendar_paid(retrains).sum())

    def calendar_paid(self, retrains: int, price: float = 0.0) -> Floats:
        """Per window, the mean of `paid` over the phases of a calendar."""
        return np.asarray(np.mean([self.paid(retrain, price) for retrain in self.calendars(retrains)], axis=0))


def net(paid: Floats, best: Floats) -> float | None:
    """Return the net gain as a share of the best schedule's; None if no schedule pays."""
    return float(paid.sum() / best.sum()) if best.sum() > 0 else None


def lead(scores: Scores, schedule: Schedule, back: Back = NEVER_BACK) -> float | None:
    """Return the gain minus that of a calendar, as a share of the best schedule's, all with as many retrains.

    0 without a retrain; None if even the best schedule gains nothing.
    """
    if not schedule:
        return 0.0
    most = scores.most(len(schedule))
    gained = scores.paid(schedule, back=back).sum()
    return float((gained - scores.calendar(len(schedule))) / most) if most > 0 else None


def blocks(windows: int, draw: np.random.Generator) -> Floats:
    """Draw window numbers in blocks of four with replacement (moving-block bootstrap)."""
    block = min(BLOCK, windows)
    starts = draw.integers(0, windows - block + 1, size=-(-windows // block))
    return np.asarray((starts[:, None] + np.arange(block)).ravel()[:windows])


def net_interval(paid: Floats, best: Floats) -> tuple[float, float] | None:
    """Return a 95 % interval of net by a block bootstrap of the loss against the best, with fixed schedules."""
    if best.sum() <= 0:
        return None
    lost, draw = best - paid, np.random.default_rng(0)
    return _middle([1 - lost[blocks(len(best), draw)].sum() / best.sum() for _ in range(RESAMPLES)])


def lead_interval(scores: Scores, schedule: Schedule, back: Back = NEVER_BACK) -> tuple[float, float] | None:
    """Return a 95 % interval of lead by a block bootstrap of the gain over the calendar, with fixed schedules."""
    most = scores.most(len(schedule)) if schedule else 0.0
    if most <= 0:
        return None
    won, draw = scores.paid(schedule, back=back) - scores.calendar_paid(len(schedule)), np.random.default_rng(0)
    return _middle([won[blocks(len(won), draw)].sum() / most for _ in range(RESAMPLES)])


def _middle(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
