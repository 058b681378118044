"""The guards: what may object to a retrain that is needed. Each has a name and, when it objects, a sentence.

Also the configured silences in force, since maintenance is a guard.
"""

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from zoneinfo import ZoneInfo

from monitor.config import cron
from monitor.config.sections import Config, ModelSection, SilenceSection
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN
from monitor.history import History, disjoint
from monitor.records import Silence, Snapshot, SnapshotStatus
from monitor.times import format_duration
from monitor.wording import day, several


@dataclass(frozen=True, slots=True)
class Moment:
    """What guards look at. `firing`: the triggers that fire now, each with its sentence."""

    model: ModelSection
    history: History
    snapshot: Snapshot
    now: datetime
    newest: bool
    firing: Mapping[str, str]


def speak(moment: Moment) -> dict[str, str]:
    """Return the guards that object, each with its sentence, in the order of GUARDS."""
    said = {name: guard(moment) for name, guard in GUARDS.items()}
    return {name: sentence for name, sentence in said.items() if sentence is not None}


def fresh_labels(history: History, snapshot: Snapshot) -> int:
    """Labelled rows since the reference or the last request, each window once."""
    fresh = (s for s in history.known(snapshot) if s.window.start >= history.since)
    return sum(s.labelled for s in disjoint(fresh))


def _observing(moment: Moment) -> str | None:
    if moment.model.mode == "act":
        return None
    section = moment.model.retrain
    asked = f" {section.pipeline}" if section else ""
    return f'the model only observes; with mode = "act" it would ask{asked}'


def _no_pipeline(moment: Moment) -> str | None:
    return None if moment.model.retrain else "no pipeline is configured; name one as pipeline in [retrain]"


def _paused(moment: Moment) -> str | None:
    return moment.history.paused


def _maintenance(moment: Moment) -> str | None:
    windows = [silence for silence in moment.history.silences if silence.maintenance]
    if not windows:
        return None
    last = max(windows, key=lambda one: one.until)
    return f"maintenance until {day(last.until, moment.model.timezone)}: {last.reason}"


def _catching_up(moment: Moment) -> str | None:
    return None if moment.newest else "newer windows have yet to be checked"


def _broken_data(moment: Moment) -> str | None:
    words = moment.firing.get(BROKEN_DATA)
    return None if words is None else f"the data are broken: {words}"


def _stale_source(moment: Moment) -> str | None:
    down = moment.history.firing.get(SOURCE_DOWN)
    return down.reason if down is not None and down.firing else moment.firing.get(SOURCE)


def _few_rows(moment: Moment) -> str | None:
    if moment.snapshot.status is not SnapshotStatus.INSUFFICIENT_DATA:
        return None
    rows = f"the window holds only {several(moment.snapshot.rows, 'row')}, too few to judge"
    return moment.snapshot.reason or rows


def _run_in_flight(moment: Moment) -> str | None:
    run = moment.history.in_flight
    if run is None:
        return None
    return f"{run.id} to {run.pipeline} is {run.state.value}, and only one run may be under way"


def _cooldown(moment: Moment) -> str | None:
    section, accepted = moment.model.retrain, moment.history.accepted
    if section is None or not accepted or moment.now >= accepted[-1] + section.cooldown:
        return None
    zone = moment.model.timezone
    return (
        f"the last request was accepted on {day(accepted[-1], zone)}; the cooldown of "
        f"{format_duration(section.cooldown)} lasts until {day(accepted[-1] + section.cooldown, zone)}"
    )


def _budget(moment: Moment) -> str | None:
    section = moment.model.retrain
    if section is None:
        return None
    count, span = section.budget.count, section.budget.span
    spent = [at for at in moment.history.accepted if at > moment.now - span]
    if len(spent) < count:
        return None
    again = f" until {day(spent[-count] + span, moment.model.timezone)}" if count else ""
    return f"the budget of {section.budget} is spent ({several(len(spent), 'request')} accepted){again}"


def _few_labels(moment: Moment) -> str | None:
    section = moment.model.retrain
    labels = fresh_labels(moment.history, moment.snapshot)
    if section is None or labels >= section.min_labels:
        return None
    first = moment.history.known(moment.snapshot)[0].window.start
    since = day(max(moment.history.since, first), moment.model.timezone)
    return f"{several(labels, 'labelled row')} since {since}, a retrain needs {section.min_labels}"


GUARDS: dict[str, Callable[[Moment], str | None]] = {
    "observing": _observing,
    "no-pipeline": _no_pipeline,
    "paused": _paused,
    "maintenance": _maintenance,
    "catching-up": _catching_up,
    "broken-data": _broken_data,
    "stale-source": _stale_source,
    "few-rows": _few_rows,
    "run-in-flight": _run_in_flight,
    "cooldown": _cooldown,
    "budget": _budget,
    "few-labels": _few_labels,
}


def in_force(config: Config, model: ModelSection, now: datetime) -> Iterator[Silence]:
    """Yield the silences that hold now for one model, in the order of the file."""
    for silence in config.silences:
        until = _until(silence, model, now) if silence.model in (None, model.name) else None
        if until is not None:
            yield Silence(
                model=model.name, until=until, reason=silence.reason, trigger=silence.trigger,
                maintenance=silence.maintenance,
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
