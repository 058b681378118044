"""Cron expressions of five fields: whether one is well formed, and the last time it matched."""

import re
from datetime import UTC, datetime, time, timedelta
from functools import cache
from zoneinfo import ZoneInfo

_DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_LONGEST = (31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)      # days of each month
_FIELDS = (
    ("minute", 0, 59, ()),
    ("hour", 0, 23, ()),
    ("day", 1, 31, ()),
    ("month", 1, 12, _MONTHS),
    ("weekday", 0, 6, _DAYS),
)


def wrong(expression: str) -> str | None:
    """Return what is wrong with a cron expression, None if it is well formed."""
    fields = expression.split()
    if len(fields) != 5:
        return f"has {len(fields)} fields, not 5 (minute hour day month weekday)"
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        if name == "weekday" and re.search(r"\d", text.split("/")[0]):
            return "numbers its weekdays, which programs count differently: write mon to sun"
        if not all(_part(part, low, high, names) for part in text.lower().split(",")):
            return f"has a wrong {name}"
    return None


def last_time(expression: str, zone: ZoneInfo, after: datetime, until: datetime) -> datetime | None:
    """Return the last time in (after, until] that a well-formed expression matches, None if there is none.

    A day must fit both, day and weekday, as in `models.*.cron`.
    """
    minutes, hours, days, months, weekdays = _sets(expression)
    day = until.astimezone(zone).date()
    while datetime.combine(day, time(), zone) + timedelta(days=1) > after:
        if day.day in days and day.month in months and day.weekday() in weekdays:
            local = (datetime.combine(day, time(hour, minute), zone) for hour in hours for minute in minutes)
            found = [at for part in local if after < (at := part.astimezone(UTC)) <= until]
            if found:
                return max(found)
        day -= timedelta(days=1)
    return None


def ever(expression: str) -> bool:
    """Tell whether a well-formed expression has any date: the 31st of February has none."""
    _, _, days, months, _ = _sets(expression)
    return any(min(days) <= _LONGEST[month - 1] for month in months)


@cache
def _sets(expression: str) -> tuple[frozenset[int], ...]:
    """Return the numbers that each field allows."""
    fields = zip(expression.lower().split(), _FIELDS, strict=True)
    return tuple(
        frozenset(n for part in text.split(",") for n in _part(part, low, high, names))
        for text, (_, low, high, names) in fields
    )


def _part(part: str, low: int, high: int, names: tuple[str, ...]) -> range:
    """Return the numbers that one part of a field allows; an empty range if it is malformed."""
    match = re.fullmatch(r"(?:\*|(\w+)(?:-(\w+))?)(?:/0*([1-9]\d*))?", part)
    if match is None:
        return range(0)
    ends = [low + names.index(end) if end in names else int(end) if end.isdecimal() else -1
            for end in match.groups()[:2] if end is not None]
    step = int(match[3] or 1)
    if not all(low <= end <= high for end in ends) or ends != sorted(ends) or step > high - low + 1:
        return range(0)
    first = ends[0] if ends else low
    last = ends[-1] if len(ends) == 2 or (ends and not match[3]) else high
    return range(first, last + 1, step)
