"""Schedules of retrains scored in hindsight: what each gained, the best there was, calendars, net and lead.

A schedule is a list of windows at whose end the model is retrained. Scores are in reference sd of the metric, more is
better, and a price is what one retrain costs, in sd × windows. Not imported by the daemon: NumPy is all it needs.
"""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

PHASES = 9              # of a calendar
BLOCK, RESAMPLES = 4, 400   # windows drawn together, and how often, for intervals

Schedule = list[int]
Floats = np.ndarray


@dataclass(frozen=True, eq=False)
class Scores:
    """`score[t + 1, j]`: what the model retrained after window t scores in window j; row 0 is the one there was.

    Only j > t of a row is ever looked at: a model serves the windows behind those it was fitted on.
    """

    score: Floats

    def __len__(self) -> int:
        return int(self.score.shape[1])

    def champions(self, schedule: Sequence[int]) -> Floats:
        """Which model serves each window, as a row of `score`."""
        serving = np.zeros(len(self), int)
        for window in schedule:
            serving[window + 1:] = window + 1
        return serving

    def served(self, schedule: Sequence[int]) -> Floats:
        """Per window, what the model in service scores."""
        return np.asarray(self.score[self.champions(schedule), np.arange(len(self))])

    def paid(self, schedule: Sequence[int], price: float = 0.0) -> Floats:
        """Per window, what it gains over never retraining, less the price where it ends in a retrain."""
        spent = np.isin(np.arange(len(self)), schedule) * price
        return np.asarray(self.served(schedule) - self.score[0] - spent)

    def best(self, price: float) -> Schedule:
        """The best schedule in hindsight at this price, by dynamic programming."""
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
        """The gain of the best schedule with exactly so many retrains."""
        ahead = np.array([np.sum(self.score[now, now:] - self.score[0, now:]) for now in range(len(self))])
        for _ in range(retrains):
            ahead = np.array([self._once_more(ahead, now) for now in range(len(self))])
        return float(ahead[0])

    def _once_more(self, ahead: Floats, now: int) -> float:
        served = np.cumsum(self.score[now, now:-1] - self.score[0, now:-1])
        return float(np.max(served + ahead[now + 1:], initial=-np.inf))

    def calendars(self, retrains: int) -> list[Schedule]:
        """Equally spaced retrains, in nine phases."""
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
    """The share of the best schedule's net gain; None where no schedule pays."""
    return float(paid.sum() / best.sum()) if best.sum() > 0 else None


def lead(scores: Scores, schedule: Schedule) -> float | None:
    """The share of the gain of the best schedule with as many retrains, less what a calendar with as many has of it.

    0 without a retrain; None where even the best gains nothing.
    """
    if not schedule:
        return 0.0
    most = scores.most(len(schedule))
    return float((scores.paid(schedule).sum() - scores.calendar(len(schedule))) / most) if most > 0 else None


def blocks(windows: int, draw: np.random.Generator) -> Floats:
    """So many windows in blocks of four, drawn with replacement."""
    block = min(BLOCK, windows)
    starts = draw.integers(0, windows - block + 1, size=-(-windows // block))
    return np.asarray((starts[:, None] + np.arange(block)).ravel()[:windows])


def net_interval(paid: Floats, best: Floats) -> tuple[float, float] | None:
    """95 % of net, from blocks of what is lost against the best, the schedules held fast."""
    if best.sum() <= 0:
        return None
    lost, draw = best - paid, np.random.default_rng(0)
    return _middle([1 - lost[blocks(len(best), draw)].sum() / best.sum() for _ in range(RESAMPLES)])


def lead_interval(scores: Scores, schedule: Schedule) -> tuple[float, float] | None:
    """95 % of lead, from blocks of what is won against the calendar, the schedules held fast."""
    most = scores.most(len(schedule)) if schedule else 0.0
    if most <= 0:
        return None
    won, draw = scores.paid(schedule) - scores.calendar_paid(len(schedule)), np.random.default_rng(0)
    return _middle([won[blocks(len(won), draw)].sum() / most for _ in range(RESAMPLES)])


def _middle(values: Sequence[float]) -> tuple[float, float]:
    low, high = np.quantile(values, (0.025, 0.975))
    return float(low), float(high)
