"""Rows that no window holds: those without a timestamp, and those whose timestamp is far from all others.

One row of 1970 or of 9999 in a log of this year is no beginning and no end of it. What is far depends on the log: a
year without rows is a gap in a log of ten years, and so is a decade in a log of a century.

Such a row is placed by the rows that it stands among in its file, so that the window it is missing from is known.
"""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Micros = npt.NDArray[np.int64]

CLOSE = 90 * 24 * 3600 * 1_000_000      # µs: rows at most this far from each other belong together
FAR = 10 * 365 * 24 * 3600 * 1_000_000  # µs: rows beyond the FEW must be at least this far from the rest
FEW, MOST = 0.01, 1 / 3                 # shares of the rows
_NONE = np.iinfo(np.int64).min          # instead of a timestamp
_BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True, eq=False)
class Times:
    """The timestamps of some rows of one file, in µs since 1970. `at` in the order of the rows, or None where each row
    has one and all lie within CLOSE of each other.
    """

    rows: int
    low: int
    high: int
    at: Micros | None

    @property
    def ends(self) -> tuple[datetime, datetime] | None:
        """The oldest and the newest timestamp; None without any."""
        return None if self.low == _NONE else (_moment(self.low), _moment(self.high))

    @classmethod
    def between(cls, rows: int, low: datetime, high: datetime) -> "Times | None":
        """Return the times of rows that all have one between two moments; None if these are not close."""
        first, last = _micros(low), _micros(high)
        return cls(rows, first, last, None) if last - first <= CLOSE else None

    @classmethod
    def of(cls, column: pa.ChunkedArray) -> "Times":
        """Return the times of a column of type timestamp[us, UTC]."""
        at: Micros = column.cast(pa.int64()).fill_null(_NONE).to_numpy()
        ends = pc.min_max(column.cast(pa.int64())).as_py()
        low, high = (_NONE if ends[end] is None else ends[end] for end in ("min", "max"))
        together = not column.null_count and high - low <= CLOSE
        return cls(len(at), low, high, None if together else at)


@dataclass(frozen=True, slots=True, eq=False)
class Strays:
    """The rows that no window holds, and between which times all others lie; None where there are no others."""

    rows: int | None                     # of the source; None: not counted
    untimed: int = 0                     # without a timestamp
    apart: int = 0                       # with one before `low` or after `high`
    unplaced: int = 0                    # of these two: in a part of a file where no row has another timestamp
    low: datetime | None = None
    high: datetime | None = None
    # the others of these two: the timestamp of the row before, ascending
    placed: Micros = field(default_factory=lambda: np.empty(0, np.int64))

    def inside(self, start: datetime, end: datetime) -> int:
        """Count those that stand among the rows of [start, end)."""
        first, last = np.searchsorted(self.placed, [_micros(start), _micros(end)])
        return int(last - first)

    def bounded(self, start: datetime | None, end: datetime) -> tuple[datetime | None, datetime]:
        """Return a time range without those that are apart."""
        if not self.apart or self.low is None or self.high is None:
            return start, end
        return self.low if start is None else max(start, self.low), min(end, self.high)


def strays_of(parts: Iterable[Times]) -> Strays:
    """Find the strays of a source, given the timestamps of all its rows."""
    parts = [part for part in parts if part.rows]
    rows, ends = sum(part.rows for part in parts), _ends(parts)
    if ends is None:
        return Strays(rows, untimed=rows, unplaced=rows)
    low, high = ends
    odd = [part for part in parts if part.at is not None or part.low < low or part.high > high]
    placed, untimed, apart, unplaced = [np.empty(0, np.int64)], 0, 0, 0
    for part in odd:
        at = np.full(part.rows, part.low) if part.at is None else part.at
        bad = (at < low) | (at > high)
        none = int((at == _NONE).sum())
        untimed, apart = untimed + none, apart + int(bad.sum()) - none
        if bad.all():
            unplaced += part.rows
        elif bad.any():
            placed.append(_before(at, bad))
    return Strays(rows, untimed, apart, unplaced, _moment(low), _moment(high), np.sort(np.concatenate(placed)))


def _ends(parts: Iterable[Times]) -> tuple[int, int] | None:
    """Return the first and last timestamp of the rows that belong together; None without any timestamp."""
    clusters = _clusters(parts)
    if not clusters:
        return None
    total = sum(rows for _, _, rows in clusters)
    core = max(range(len(clusters)), key=lambda place: clusters[place][2])
    low, high, _ = clusters[core]
    for first, last, _ in clusters[core + 1:]:
        beyond = sum(rows for start, _, rows in clusters if start >= first)
        if _is_far(first - high, high - low, beyond / total):
            break
        high = last
    for first, last, _ in reversed(clusters[:core]):
        beyond = sum(rows for _, end, rows in clusters if end <= last)
        if _is_far(low - last, high - low, beyond / total):
            break
        low = first
    return low, high


def _is_far(gap: int, span: int, share: float) -> bool:
    """Tell whether a share of the rows is too far from the others, which span so much time, to belong to them."""
    return gap > span / 2 if share <= FEW else share <= MOST and gap > max(FAR, 2 * span)


def _clusters(parts: Iterable[Times]) -> list[tuple[int, int, int]]:
    """Return first and last timestamp and number of rows of each stretch without a gap longer than CLOSE."""
    found: list[tuple[int, int, int]] = []
    for part in parts:
        if part.at is None:
            found.append((part.low, part.high, part.rows))
        elif len(known := np.sort(part.at[part.at != _NONE])):
            cut = np.flatnonzero(np.diff(known) > CLOSE)
            first, last = np.concatenate([[0], cut + 1]), np.concatenate([cut, [len(known) - 1]])
            weights = last - first + 1
            found += zip(known[first].tolist(), known[last].tolist(), weights.tolist(), strict=True)
    joined: list[tuple[int, int, int]] = []
    for low, high, rows in sorted(found):
        if joined and low - joined[-1][1] <= CLOSE:
            before = joined[-1]
            joined[-1] = (before[0], max(before[1], high), before[2] + rows)
        else:
            joined.append((low, high, rows))
    return joined


def _before(at: Micros, bad: npt.NDArray[np.bool_]) -> Micros:
    """Return for each bad row the time of the good row before it; before the first good one, that of the first."""
    good = np.flatnonzero(~bad)
    place = np.searchsorted(good, np.flatnonzero(bad)) - 1
    return at[good[np.maximum(place, 0)]]


def _micros(moment: datetime) -> int:
    return (moment - _BEGINNING) // timedelta(microseconds=1)


def _moment(micros: int) -> datetime:
    try:
        return _BEGINNING + timedelta(microseconds=micros)
    except OverflowError:
        return datetime.max.replace(tzinfo=UTC) if micros > 0 else datetime.min.replace(tzinfo=UTC)
