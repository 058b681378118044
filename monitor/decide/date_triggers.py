"""Reasons that lie in no window: a date, and new rows to learn from. Both count from where the model's data ended."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.config import cron
from monitor.config.rules import NEW_ROWS
from monitor.config.sections import ModelSection, TriggerSection
from monitor.history import History, disjoint, is_broken
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.times import format_duration
from monitor.wording import day, several


def data_ended(history: History, known: Sequence[Snapshot]) -> datetime:
    """Where dates and new rows count from: the last request or the reference, and not before the first window."""
    return max(history.since, known[0].window.start)


def due(trigger: TriggerSection, since: datetime, until: datetime, zone: ZoneInfo) -> tuple[bool, str]:
    """Whether a date of the trigger lies in (since, until], and what that says in words."""
    if trigger.every is not None:
        date = since + trigger.every
        over = "were over on" if date <= until else "last until"
        return date <= until, f"{format_duration(trigger.every)} since {day(since, zone)} {over} {day(date, zone)}"
    last = cron.last_time(trigger.cron or "", zone, since, until)
    if last is None:
        return False, f'no date of "{trigger.cron}" since {day(since, zone)}'
    return True, f'{day(last, zone)} is a date of "{trigger.cron}"'


def wanted(trigger: TriggerSection, since: datetime, zone: ZoneInfo) -> str:
    """What would make it due, in words."""
    if trigger.every is not None:
        return f"a window that ends on {day(since + trigger.every, zone)} or later"
    return f'a date of "{trigger.cron}"'


def new_rows(known: Sequence[Snapshot], since: datetime, snapshot: Snapshot) -> int | None:
    """Mature labelled rows from `since` up to this window, each once; None where the window adds none."""
    total = 0
    for one in disjoint(s for s in known if s.window.start >= since and _counts(s)):
        total += one.labelled
        if one is snapshot:
            return total
    return None


def rows_words(count: int, since: datetime, zone: ZoneInfo) -> str:
    return f"{several(count, 'new mature row')} since {day(since, zone)}"


def rows_score(
    model: ModelSection, known: Sequence[Snapshot], since: datetime, declined: Mapping[str, datetime]
) -> Score | None:
    """The Score `new_rows`, where a trigger asks for it."""
    trigger = next((one for one in model.triggers if one.metric == NEW_ROWS and one.above is not None), None)
    if trigger is None or trigger.above is None:
        return None
    since = max(since, declined.get(trigger.name, since))
    threshold = trigger.above.number
    counts = [count for s in reversed(known) if (count := new_rows(known, since, s)) is not None]
    if not counts:
        lack = f"no window begun since {day(since, model.timezone)} is mature yet"
        return Score(metric=NEW_ROWS, threshold=threshold, status=ScoreStatus.INSUFFICIENT, reason=lack)
    words = rows_words(counts[0], since, model.timezone)
    return Score(metric=NEW_ROWS, value=counts[0], threshold=threshold, n=counts[0], reason=words)


def _counts(snapshot: Snapshot) -> bool:
    return snapshot.mature and snapshot.status is SnapshotStatus.OK and not is_broken(snapshot)
