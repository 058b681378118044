"""How a log is cut into windows. Pure: it reads keys, and no rows.

Windows of whole days (step too) are cut from local midnight to local midnight, counted in calendar days from
Monday 1970-01-05, so that weeks begin on Monday and a day has 23 to 25 hours where clocks change. Others are
cut in absolute time from that Monday's midnight in the zone's standard time.
"""

import hashlib
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from datetime import UTC, date, datetime, timedelta
from itertools import count
from zoneinfo import ZoneInfo

from monitor.config.sections import WindowSection
from monitor.config.values import WindowSize
from monitor.records import Window
from monitor.times import format_duration

Key = tuple[datetime, str]

_MONDAY = date(1970, 1, 5)
_DAY = timedelta(days=1)


def spec(section: WindowSection, zone: ZoneInfo) -> str:
    """Return a short hash of how windows are cut: size, step, time zone."""
    size = _name(section.size)
    text = f"{size}|{size if section.step is None else _name(section.step)}|{zone.key}"
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def first_stretch(span: timedelta, start: datetime) -> str:
    """Return the name of a reference that is the first `span` of the log; it becomes part of the reference's id."""
    return f"first {format_duration(span)} from {start.astimezone(UTC).isoformat()}"


def closed_windows(
    section: WindowSection,
    zone: ZoneInfo,
    model: str,
    *,
    after: datetime | None,
    first: datetime,
    until: datetime,
) -> Iterator[Window]:
    """Yield the time windows with end + lateness ≤ until, oldest first.

    They start after `after` (the start of the last known window; None: none is known), and not before the grid
    cell that contains `first`, the time of the oldest row.
    """
    grid = _Grid(section, zone)
    begin = grid.cell(first) if after is None else max(grid.cell(first), grid.cell(after) + 1)
    for index in count(begin):
        window = grid.window(index, model)
        if window.end + section.lateness > until:
            return
        yield window


def newest_closed(section: WindowSection, zone: ZoneInfo, model: str, until: datetime) -> Window:
    """Return the newest time window with end + lateness ≤ until."""
    grid = _Grid(section, zone)
    index = grid.cell(until)
    while grid.window(index, model).end + section.lateness > until:
        index -= 1
    return grid.window(index, model)


def row_windows(
    keys: Sequence[Key],
    size: int,
    model: str,
    spec: str,
    start_key: Key | None,
    *,
    before: datetime | None = None,
) -> Iterator[Window]:
    """Yield consecutive windows of `size` rows from `start_key` (None: the first key), complete ones only.

    `keys` are the sorted (timestamp, id) of all rows; any sequence will do. A window ends just after its
    last row, which must not be newer than `before` (as_of − lateness). Rows with equal keys stay in one window.
    """
    start = start_key if start_key is not None else (keys[0] if len(keys) else None)
    while start is not None:
        last = bisect_left(keys, start) + size - 1
        if last >= len(keys) or (before is not None and keys[last][0] > before):
            return
        end = (keys[last][0], keys[last][1] + "\x00")
        yield Window(model=model, start=start[0], start_id=start[1], end=end[0], end_id=end[1], spec=spec)
        start = end


class _Grid:
    """The numbered cells of a section's windows: cell k begins at start(k) and is one step wide."""

    def __init__(self, section: WindowSection, zone: ZoneInfo) -> None:
        if isinstance(section.size, int):
            raise TypeError("windows of rows are cut by row_windows")
        self._size = section.size
        self._step = section.step or section.size
        self._zone = zone
        self._spec = spec(section, zone)
        self._by_days = not (self._size % _DAY or self._step % _DAY)
        standard = min(datetime(2024, month, 1, tzinfo=zone).utcoffset() or timedelta(0) for month in (1, 7))
        self._origin = datetime(1970, 1, 5, tzinfo=UTC) - standard

    def window(self, index: int, model: str) -> Window:
        return Window(model=model, start=self._edge(index * self._step), spec=self._spec,
                      end=self._edge(index * self._step + self._size))

    def cell(self, moment: datetime) -> int:
        """Return the number of the cell that contains a moment."""
        if self._by_days:
            return (moment.astimezone(self._zone).date() - _MONDAY) // self._step
        return (moment - self._origin) // self._step

    def _edge(self, since_origin: timedelta) -> datetime:
        if not self._by_days:
            return self._origin + since_origin
        day = _MONDAY + since_origin
        return datetime(day.year, day.month, day.day, tzinfo=self._zone).astimezone(UTC)


def _name(size: WindowSize) -> str:
    return str(size) if isinstance(size, int) else format_duration(size)
