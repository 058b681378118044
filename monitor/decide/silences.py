"""Which silences of the configuration are in force at a moment."""

from collections.abc import Iterator
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.config import cron
from monitor.config.sections import Config, ModelSection, SilenceSection
from monitor.records import Silence
from monitor.wording import day


def in_force(config: Config, model: ModelSection, now: datetime) -> Iterator[Silence]:
    """Yield the silences that hold now for one model, in the order of the file."""
    for one in config.silences:
        until = _until(one, model, now) if one.model in (None, model.name) else None
        if until is not None:
            yield Silence(
                model=model.name, until=until, reason=one.reason, trigger=one.trigger, maintenance=one.maintenance
            )


def silence_words(silence: Silence, zone: ZoneInfo) -> str:
    """What is silent until when, and why, in a line."""
    what = "maintenance" if silence.maintenance else f"{silence.trigger or 'messages'} silenced"
    who = f", says {silence.by}" if silence.by else ""
    return f"{what} until {day(silence.until.replace(second=0, microsecond=0), zone)}: {silence.reason}{who}"


def _until(silence: SilenceSection, model: ModelSection, now: datetime) -> datetime | None:
    """When it ends; None where it is not in force."""
    if silence.cron is not None and silence.duration is not None:
        began = cron.last_time(silence.cron, model.timezone, now - silence.duration, now)
        return None if began is None else began + silence.duration
    over = silence.until is None or now >= silence.until
    early = silence.since is not None and now < silence.since
    return None if over or early else silence.until
