"""Durations and moments. All moments are aware UTC; this is the only module that reads the clock."""

import re
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

JUMP = timedelta(seconds=30)                    # a clock that slews, or is set by less than this, has not jumped
BELIEVED = timedelta(days=7)                    # after which a clock that stayed as it was set is right
SETTLED = timedelta(minutes=10)                 # after which a clock that was set back is not glitching

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)    # before every row
LONGEST = timedelta(days=36_525)                # of a duration: a moment less it is still a date

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_WHOLE = re.compile(r"\s*(?:\d+(?:\.\d+)?\s*[smhdw]\s*)+")


def utcnow() -> datetime:
    """Return the present moment, aware, UTC."""
    return datetime.now(UTC)


def elapsed() -> float:
    """Seconds since some moment, by a clock that nobody sets; also while the machine sleeps, where that is known."""
    return time.clock_gettime(time.CLOCK_BOOTTIME) if hasattr(time, "CLOCK_BOOTTIME") else time.monotonic()


def as_of_now(clock: Clock, stamp: datetime) -> datetime:
    """When `stamp` was, never later than now: by what a watched clock knows of its jumps."""
    return clock.as_of_now(stamp) if isinstance(clock, WatchedClock) else min(stamp, clock())


@dataclass(frozen=True, slots=True)
class Wait:
    """A wait that a clock set back does not prolong."""

    begin: datetime
    span: timedelta

    @property
    def until(self) -> datetime:
        return self.begin + self.span

    def over(self, now: datetime) -> bool:
        return now >= self.until or now < self.begin


@dataclass(slots=True)
class _Stretch:
    """While the wall clock kept its distance to the one that nobody sets."""

    begin: datetime
    end: datetime            # when it was read last
    offset: timedelta        # wall clock minus elapsed seconds
    began: float             # in elapsed seconds


class WatchedClock:
    """A wall clock beside one that nobody sets: it notices when it is set, and tells how old stamps are nonetheless.

    Thread safe.
    """

    def __init__(self, wall: Clock = utcnow, seconds: Callable[[], float] = elapsed) -> None:
        self._wall, self._seconds = wall, seconds
        self._lock = threading.Lock()
        self._jumps: list[timedelta] = []
        now, passed = wall(), seconds()
        self._stretches = [_Stretch(now, now, _offset(now, passed), passed)]

    def __call__(self) -> datetime:
        """What the wall clock says."""
        with self._lock:
            return self._read()

    def jumps(self) -> list[timedelta]:
        """By how much the clock was set, each time since this was last called."""
        with self._lock:
            self._read()
            found, self._jumps = self._jumps, []
            return found

    def as_of_now(self, stamp: datetime) -> datetime:
        """Where `stamp` is on the present clock, never later than now.

        What was written before the clock was set forward has not aged by that; what was written while it was ahead is
        put back. Where both are possible it is the later one: a cooldown is rather too long than too short.
        """
        with self._lock:
            now = self._read()
            *before, here = self._stretches
            told = [
                stamp + (here.offset - one.offset)
                for number, one in enumerate(before)
                if (number == 0 or one.begin <= stamp) and stamp <= one.end + JUMP
            ]
            known = [stamp] if stamp <= now + JUMP else []
            return min(max(told + known, default=here.begin), now)

    def cautious(self) -> datetime:
        """The earliest it may be: where the clock was set forward lately, what it said without that."""
        with self._lock:
            now = self._read()
            return now - (self._stretches[-1].offset - min(one.offset for one in self._stretches))

    def settled(self) -> bool:
        """Whether the clock is as it was before, or has stood for a while as it was set."""
        with self._lock:
            self._read()
            *before, here = self._stretches
            back = any(abs(one.offset - here.offset) < JUMP for one in before)
            return not before or back or self._seconds() - here.began >= SETTLED.total_seconds()

    def _read(self) -> datetime:
        now, passed = self._wall(), self._seconds()
        here, offset = self._stretches[-1], _offset(now, passed)
        if abs(offset - here.offset) < JUMP:
            here.end = now
        else:
            self._jumps.append(offset - here.offset)
            self._stretches.append(_Stretch(now, now, offset, passed))
        while len(self._stretches) > 1 and passed - self._stretches[1].began > BELIEVED.total_seconds():
            del self._stretches[0]
        return now


def _offset(now: datetime, passed: float) -> timedelta:
    return now - BEGINNING - timedelta(seconds=passed)


def parse_duration(text: str) -> timedelta:
    """Read "90s", "15m", "2h", "7d", "2w" or a run of them ("1d12h"). Raises ValueError."""
    if not _WHOLE.fullmatch(text):
        raise ValueError(f'{text!r} is not a duration, expected a number and one of s m h d w, such as "7d"')
    seconds = sum(float(n) * _UNITS[unit] for n, unit in _PART.findall(text))
    if seconds > LONGEST.total_seconds():
        raise ValueError(f"{text!r} is longer than 100 years, expected a shorter duration")
    return timedelta(seconds=seconds)


def format_duration(span: timedelta) -> str:
    """Write a duration as parse_duration reads it, largest units first ("1d12h"; "0s")."""
    rest = round(span.total_seconds(), 3)
    parts = []
    for unit, seconds in (("d", 86_400), ("h", 3600), ("m", 60)):
        count, rest = divmod(rest, seconds)
        if count:
            parts.append(f"{int(count)}{unit}")
    if rest or not parts:
        parts.append(f"{rest:g}s")
    return "".join(parts)


def parse_moment(text: str) -> datetime:
    """Read ISO 8601; a moment without offset is UTC. Raises ValueError."""
    moment = datetime.fromisoformat(text)
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def format_moment(moment: datetime) -> str:
    """Write ISO 8601 UTC with Z; microseconds only where there are any."""
    return moment.astimezone(UTC).isoformat().replace("+00:00", "Z")
