"""How far the rows of a log are apart: how long they may stay away, and how long a window must be to hold some."""

from datetime import timedelta

import numpy as np
import pyarrow as pa

from monitor.tables.columns import Ints

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONGEST_PAUSE = timedelta(days=7)    # a reference that is no log may have one row a month: its pauses say nothing
_US = timedelta(microseconds=1)
_FEWEST = 3                          # gaps that tell what is usual


def usual_pause(times: pa.ChunkedArray, size: timedelta | int) -> timedelta:
    """Return how long rows may stay away without anything being wrong, in full minutes.

    That is the longest pause between neighbouring rows that came at least twice, at most `LONGEST_PAUSE`, or one window
    of `size` where that is longer; and a quarter more. Where all rows have one time of the day, as dates do, it is
    a day more: their time is when the day begins, and rows may come at its end. `times` are timestamps in
    microseconds, in any order. The first and last hundredth of the rows do not count, for a few may be astray.
    """
    order = np.sort(times.drop_null().cast(pa.int64()).to_numpy())
    order = order[len(order) // 100:len(order) - len(order) // 100]
    if len(order) < 3:
        return timedelta(0)
    most = LONGEST_PAUSE if isinstance(size, int) else max(LONGEST_PAUSE, size)
    pause = min(most, int(np.partition(np.diff(order), -2)[-2]) * _US)
    dated = pause and len(np.unique(order % (DAY // _US))) <= 2          # two: where summer time begins or ends
    return -(-(pause * 1.25) // MINUTE) * MINUTE + (DAY if dated else timedelta(0))


def usually_apart(times: pa.ChunkedArray) -> timedelta:
    """Return how far rows, or batches of them, usually are from the next ones; zero where there are too few to tell.

    That is the upper quartile of the gaps between the hours that have rows, or of those between the days, where that is
    more than a day: nights, weekends and outages are rarer, and a batch may take hours or some days.
    `times` are timestamps in microseconds.
    """
    hours = np.unique(times.drop_null().cast(pa.int64()).to_numpy() // (HOUR // _US))
    days = _usual_gap(np.unique(hours // 24)) * DAY
    return max(_usual_gap(hours) * HOUR, days if days > DAY else timedelta(0))


def _usual_gap(places: Ints) -> int:
    gaps = np.diff(places)
    return int(np.quantile(gaps, 0.75, method="higher")) if len(gaps) >= _FEWEST else 0
