"""Durations and moments. All moments are aware UTC; this is the only module that reads the clock."""

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

BEGINNING = datetime(1970, 1, 1, tzinfo=UTC)    # before every row
LONGEST = timedelta(days=36_525)                # of a duration: a moment less it is still a date

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86_400, "w": 604_800}
_PART = re.compile(r"(\d+(?:\.\d+)?)\s*([smhdw])")
_WHOLE = re.compile(r"\s*(?:\d+(?:\.\d+)?\s*[smhdw]\s*)+")


def utcnow() -> datetime:
    """Return the present moment, aware, UTC."""
    return datetime.now(UTC)


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
