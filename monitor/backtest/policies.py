"""Comparison of retraining policies on windows on which every schedule can be scored."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from monitor.backtest.schedules import (
    NEVER_BACK,
    Back,
    Floats,
    Schedule,
    Scores,
    lead,
    lead_interval,
    net,
    net_interval,
)

Pair = tuple[float, float] | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Policy:
    """One policy: its number of retrains, its schedule, and its figures as defined in `schedules`.

    For a calendar every figure is the mean over its phases, and `schedule` is None. `back` says which of the schedule's
    windows end in going back, and to which row.
    """

    name: str
    kind: str                   # trigger, never, calendar, best
    retrains: int
    schedule: Schedule | None
    back: Back = field(default_factory=dict)
    gain: float                 # over never, in sd × windows, before the price
    net: float | None
    net_interval: Pair
    lead: float | None
    lead_interval: Pair


def compare(
    scores: Scores, price: float, played: Mapping[str, Schedule], back: Mapping[str, Back] | None = None
) -> list[Policy]:
    """Compare the schedules of triggers with the best schedule in hindsight, calendars, and never retraining.

    `back`: by trigger, where it goes back. The best schedule is one of retrains alone.
    """
    best = scores.paid(scores.best(price), price)
    found = [_of(name, "trigger", scores, made, price, best, (back or {}).get(name, NEVER_BACK))
             for name, made in played.items()]
    found.append(_of("best schedule", "best", scores, scores.best(price), price, best))
    found += _calendars(scores, price, best)
    found.append(_of("never", "never", scores, [], price, best))
    return found


def _of(
    name: str, kind: str, scores: Scores, made: Schedule, price: float, best: Floats, back: Back = NEVER_BACK
) -> Policy:
    paid = scores.paid(made, price, back)
    return Policy(
        name=name, kind=kind, retrains=len(made) - len(back), schedule=made, back=back,
        gain=float(scores.paid(made, back=back).sum()), net=net(paid, best),
        net_interval=net_interval(paid, best) if made and kind != "best" else None,
        lead=lead(scores, made, back), lead_interval=lead_interval(scores, made, back),
    )


def _calendars(scores: Scores, price: float, best: Floats) -> Iterator[Policy]:
    """Yield the calendar that pays best, then calendars with 1, 2, 4, … retrains."""
    counts = range(1, max(2, len(scores) // 2 + 1))
    sums = {count: float(scores.calendar_paid(count, price).sum()) for count in counts}
    top = max(counts, key=lambda count: sums[count])
    yield _calendar("best calendar", scores, top, price, best)
    for count in (2**power for power in range(int(np.log2(counts[-1])) + 1)):
        if count != top:
            yield _calendar("a calendar", scores, count, price, best)


def _calendar(name: str, scores: Scores, count: int, price: float, best: Floats) -> Policy:
    paid = scores.calendar_paid(count, price)
    return Policy(
        name=name, kind="calendar", retrains=count, schedule=None, gain=scores.calendar(count), net=net(paid, best),
        net_interval=net_interval(paid, best), lead=0.0, lead_interval=None,
    )


def nearest(counts: Mapping[float, int], wanted: int) -> float:
    """Return the price whose number of retrains is nearest to `wanted`; of neighbouring prices the middle one."""
    off = min(abs(count - wanted) for count in counts.values())
    runs: list[list[float]] = [[]]
    for price in sorted(counts):
        if abs(counts[price] - wanted) == off:
            runs[-1].append(price)
        elif runs[-1]:
            runs.append([])
    run = max(runs, key=len)
    return run[len(run) // 2]


def grid(low: float, high: float, factor: float) -> Sequence[float]:
    """Return prices from low to high, each `factor` times the one before."""
    return [low * factor**step for step in range(int(np.log(high / low) / np.log(factor)) + 1)]
