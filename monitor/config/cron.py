"""Cron expressions of five fields: whether one is well formed, the last time it matched, and the next time.

Where clocks go forward, a local time that does not exist is the moment it would be without the change (2:30 is 3:30).
Where they go back, a time comes once, at its first hour; only an expression for every hour goes on through both.
"""

import re
from collections.abc import Iterator
from datetime import UTC, date, datetime, time, timedelta, tzinfo
from functools import cache

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
_HOURS = 24                  # of an expression for every hour
_FAR = 366 * 41              # days: within them every weekday is once a leap day


def wrong(expression: str) -> str | None:
    """Return what is wrong with a cron expression, None if it is well formed and ever comes."""
    fields = expression.split()
    if len(fields) != 5:
        return f"has {len(fields)} fields, not 5 (minute hour day month weekday)"
    for text, (name, low, high, names) in zip(fields, _FIELDS, strict=True):
        if name == "weekday" and re.search(r"\d", text.split("/")[0]):
            return "numbers its weekdays, which programs count differently: write mon to sun"
        if not all(_part(part, low, high, names) for part in text.lower().split(",")):
            return f"has a wrong {name}"
    return None if _ever(expression) else "is no date of any year"


def last_time(expression: str, zone: tzinfo, after: datetime, until: datetime) -> datetime | None:
    """Return the last time in (after, until] that a well-formed expression matches, None if there is none.

    A day must fit both, day and weekday, as in `models.*.cron`.
    """
    last, first = until.astimezone(zone).date(), after.astimezone(zone).date()
    for back in range((last - first).days + 1):
        found = [at for at in _times(expression, zone, last - timedelta(days=back)) if after < at <= until]
        if found:
            return max(found)
    return None


def next_time(expression: str, zone: tzinfo, after: datetime) -> datetime | None:
    """Return the first time after a moment that a well-formed expression matches, None if none ever does."""
    first = after.astimezone(zone).date()
    for ahead in range(min(_FAR, (date.max - first).days)):
        found = [at for at in _times(expression, zone, first + timedelta(days=ahead)) if at > after]
        if found:
            return min(found)
    return None


def _times(expression: str, zone: tzinfo, day: date) -> Iterator[datetime]:
    """Yield the moments (UTC) at which an expression matches on one local day."""
    minutes, hours, days, months, weekdays = _sets(expression)
    if day.day not in days or day.month not in months or day.weekday() not in weekdays:
        return
    for hour in hours:
        for minute in minutes:
            local = datetime.combine(day, time(hour, minute), zone)
            yield local.astimezone(UTC)
            if len(hours) == _HOURS:
                yield local.replace(fold=1).astimezone(UTC)


def _ever(expression: str) -> bool:
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
