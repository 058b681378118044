"""Replay of a log by the daemon's code with another clock: what would have fired, when, and why.

Time advances from one due moment to the next: a window closes, or its labels mature, if they do before now. A label is
known from the time in the log. An accepted request is taken to bring a new model with the next window
(`assumed_models.py`). Nothing is judged that lies behind the log's newest row.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from statistics import median
from typing import cast

from monitor.backtest.assumed_models import AssumedModels
from monitor.backtest.simulation import World, disjoint_windows, rehearse
from monitor.calibration.outlook import Expected, Outlook
from monitor.check.checker import Checker
from monitor.check.requests import EXTENT, RESOLVE, SURVEY, Look, SurveyRequest
from monitor.config import Loaded, ModelSection
from monitor.config.sections import ApprovalSection, RetrainSection, TriggerSection
from monitor.errors import CannotJudge, SourceError, UsageError
from monitor.records import (
    SCHEMA_VERSION,
    Action,
    DispatchState,
    Json,
    Score,
    Snapshot,
    Survey,
    Tally,
    Verdict,
    Window,
    to_json,
)
from monitor.store import Store
from monitor.times import BEGINNING, utcnow
from monitor.workers.task import Req, Res, Runner, Task

Progress = Callable[[int, int], None]
_NEARLY = 0.9       # of its time, or of the rows of the others: so much of a window the log must hold


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """A retrain that would have been asked for, or was suppressed by the guards named."""

    window: Window
    at: datetime
    trigger: str
    why: str                                 # what the trigger showed then
    suppressed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Summary:
    """How many windows a trigger fired in, how often it asked for a retrain, how often each guard held it back."""

    trigger: str
    action: str
    fired: int
    asked: int
    suppressed_by: dict[str, int]
    false_alarms: Expected | None            # to be expected in a year in which nothing changes; None: it is built in


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Verdicts in the order they were reached, and the needs to retrain among them."""

    model: str
    verdicts: tuple[Verdict, ...]
    retrains: tuple[Retrain, ...]
    triggers: tuple[Summary, ...]
    snapshots: tuple[Snapshot, ...]          # every revision of every window, as measured
    world: World | None = None               # what other models would have had, where retrains were rehearsed
    played: ModelSection                     # the model as it was played
    assumes: str                             # what accepted requests are taken to bring, in a sentence

    def to_json(self) -> Json:
        """The document of `driftd backtest --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "assumes": self.assumes,
            "triggers": [to_json(trigger) for trigger in self.triggers],
            "windows": [_row(verdict) for verdict in self.verdicts],
            "retrains": [
                _interval(retrain.window) | {
                    "at": to_json(retrain.at),
                    "trigger": retrain.trigger,
                    "why": retrain.why,
                    "suppressed_by": list(retrain.suppressed_by) or None,
                }
                for retrain in self.retrains
            ],
        }


def backtest(
    loaded: Loaded, name: str, workers: Runner, progress: Progress | None = None, *, rehearsed: bool = False,
    store: Store | None = None,
) -> Backtest:
    """Replay the whole log of one model; with `rehearsed`, also fit the challenger of each possible retrain.

    `store` remembers what happened, where somebody wants to look at it afterwards; it must be empty.
    Raises SourceError, UsageError, and CannotJudge when nothing in it can be judged.
    """
    if name not in loaded.config.models:
        raise UsageError(f"there is no model {name}, expected one of: {', '.join(loaded.config.models)}")
    model = _as_if_acting(loaded.config.models[name])
    if rehearsed and not model.rehearsal.enabled:
        raise UsageError(f"models.{name}.rehearsal.enabled is false, so nothing may be fitted, and nothing rehearsed")
    watched = _Watched(workers)
    watched.span = span = _span(model, watched)
    world = None
    if rehearsed:
        windows = disjoint_windows(span.windows)
        world = rehearse(model, watched, windows, span.moments[-1], span.stretch, progress)
        watched.world = world if windows == span.windows else None
    watched.assumed = AssumedModels(model, watched, span.windows, span.moments[-1], span.stretch, watched.world)
    with nullcontext(store) if store else Store.memory() as kept:
        verdicts, said = _replay(loaded, model, watched, span.moments, kept, progress)
    retrains = tuple(_retrains(model.triggers, verdicts, said))
    expected = {trigger.trigger: trigger for trigger in _outlook(model, watched, span).triggers}
    return Backtest(
        model=name, verdicts=tuple(verdicts), retrains=retrains,
        triggers=tuple(_summaries(model.triggers, verdicts, retrains, expected)), snapshots=tuple(watched.snapshots),
        world=world, played=model, assumes=watched.assumed.sentence,
    )


class _Watched:
    """Workers that keep the log in memory and record every snapshot of the model in the log.

    If retrains were rehearsed, a check uses those challengers instead of fitting again. A check sees each window as
    the model served it that is `assumed` to be in service, and nothing behind the end of the log.
    """

    def __init__(self, workers: Runner) -> None:
        self._workers = workers
        self.world: World | None = None
        self.assumed: AssumedModels | None = None
        self.span: _Span | None = None
        self.snapshots: list[Snapshot] = []

    def run(self, task: Task[Req, Res], request: Req) -> Res:
        if isinstance(request, Look):
            request = replace(request, model=self._asked_of(request.model), hold=True)
        answer = self._workers.run(task, request)
        if isinstance(answer, Snapshot):
            answer = replace(answer, scores=(*answer.scores, *self._rehearsed(answer)))
            self.snapshots.append(answer)
            return cast(Res, self.assumed.as_served(answer)) if self.assumed else answer
        if isinstance(answer, Survey) and isinstance(request, Look) and self.span:
            return cast(Res, _within(answer, self.span, request.as_of))
        return answer

    def _asked_of(self, model: ModelSection) -> ModelSection:
        if self.world is None:
            return model
        return model.model_copy(update={"rehearsal": model.rehearsal.model_copy(update={"enabled": False})})

    def _rehearsed(self, snapshot: Snapshot) -> tuple[Score, ...]:
        if self.world is None or not snapshot.mature or snapshot.window not in self.world.windows:
            return ()
        return self.world.rehearsal(self.world.windows.index(snapshot.window))


def _within(survey: Survey, span: "_Span", as_of: datetime) -> Survey:
    """Leave out what lies behind the end of the log: windows it does not fill, and its silence since."""
    tallies = tuple(tally for tally in survey.tallies if tally.window.start <= span.last)
    newest = as_of if survey.newest == span.newest else survey.newest
    return replace(survey, tallies=tallies, newest=newest)


def _replay(
    loaded: Loaded, model: ModelSection, workers: _Watched, moments: Sequence[datetime], store: Store,
    progress: Progress | None,
) -> tuple[list[Verdict], dict[datetime, dict[str, str]]]:
    """Return the verdicts, and by moment what the triggers that fired then showed."""
    played = replace(loaded, config=loaded.config.model_copy(update={"models": {model.name: model}}))
    now = BEGINNING
    verdicts: list[Verdict] = []
    said: dict[datetime, dict[str, str]] = {}
    checker = Checker(played, store, workers, lambda: now)
    for done, now in enumerate(moments, 1):
        verdicts += _round(checker, model.name)
        said[now] = {one.trigger: one.reason for one in store.firings.all(model.name) if one.firing}
        if _deliver(store, now) and workers.assumed:
            workers.assumed.accepted(store.requests.accepted(model.name)[-1][1])
        if progress:
            progress(done, len(moments))
    if not verdicts:
        raise CannotJudge(f"{model.name}: no window of the log could be judged; is the log longer than the reference?")
    return verdicts, said


def _as_if_acting(model: ModelSection) -> ModelSection:
    """Return the model in `mode = "act"`, checked from the first row on, with every need approved at once.

    Cooldown, budget and the other limits have their defaults if no `retrain` is configured.
    """
    limits = (model.retrain or RetrainSection(pipeline="-")).model_copy(update={"approval": ApprovalSection()})
    asked = {"mode": "act", "since": model.since or BEGINNING, "retrain": limits}
    return model.model_copy(update=asked)


@dataclass(frozen=True, slots=True)
class _Span:
    """When something is due, the windows there will be, and where a reference of the form "first 90d" begins.

    `newest`: the timestamp of the log's newest row; `last`: the start of the last window that the log fills.
    """

    moments: Sequence[datetime]
    windows: Sequence[Window]
    stretch: datetime | None
    newest: datetime
    last: datetime


def _span(model: ModelSection, workers: Runner) -> _Span:
    """Survey the log for the moments when a window closes or its labels mature."""
    now = utcnow()
    extent = workers.run(EXTENT, Look(model=model, as_of=now))
    if extent.first is None or extent.newest is None:
        raise CannotJudge(f"{model.name}: the log holds no rows, expected some to replay")
    section, newest = model.window, extent.newest
    size = timedelta(0) if isinstance(section.size, int) else section.size
    end, since = newest + size + section.lateness, model.since or extent.first
    survey = workers.run(SURVEY, SurveyRequest(model=model, as_of=end, since=since))
    windows = _filled([tally for tally in survey.tallies if tally.window.start <= newest], newest)
    ages = {section.lateness, max(survey.maturity, section.lateness)}
    first = survey.stretch + model.reference.first if survey.stretch and model.reference.first else BEGINNING
    judged = sorted((w for w in windows if w.start >= first), key=lambda w: (w.start, w.start_id))
    last = max((window.start for window in windows), default=newest)
    moments = {w.end + age for w in windows for age in ages if age == section.lateness or w.end + age <= now}
    return _Span(sorted(moments), judged, survey.stretch, newest, last)


def _filled(tallies: Sequence[Tally], newest: datetime) -> list[Window]:
    """Return the windows without those at the log's end that are cut off there: neither nearly over nor nearly full."""
    over = [tally for tally in tallies if _share_reached(tally.window, newest) >= _NEARLY]
    usual = median(tally.rows for tally in over) if over else 0
    return [tally.window for tally in tallies if tally in over or tally.rows >= max(1, _NEARLY * usual)]


def _share_reached(window: Window, newest: datetime) -> float:
    whole = window.end - window.start
    return (newest - window.start) / whole if whole else 1.0


def _round(checker: Checker, name: str) -> list[Verdict]:
    try:
        return checker.check(name)
    except SourceError:
        raise
    except CannotJudge:          # "first 90d" is not over yet
        return []


def _deliver(store: Store, now: datetime) -> bool:
    """Stand in for the pipeline: every request is accepted, and its run ends well, at once. Returns whether one was."""
    delivered = False
    while (dispatch := store.requests.claim(now)) is not None:
        ended = replace(dispatch, state=DispatchState.SUCCEEDED, accepted_at=now, ended_at=now)
        delivered = store.requests.record(ended, was=dispatch.state) or delivered
    return delivered


def _retrains(
    triggers: Sequence[TriggerSection], verdicts: list[Verdict], said: Mapping[datetime, Mapping[str, str]]
) -> Iterator[Retrain]:
    """Yield every request; for a suppressed need its first window, and each window in which its guards change."""
    asking = {trigger.name for trigger in triggers if trigger.action == "retrain"}
    before: Retrain | None = None
    for verdict in verdicts:
        fired = [name for name in verdict.fired if name in asking]
        if not fired or verdict.action not in (Action.RETRAIN, Action.SUPPRESS):
            before = None
            continue
        guards = verdict.guards if verdict.action is Action.SUPPRESS else ()
        why = said.get(verdict.at, {}).get(fired[0], "")
        one = Retrain(window=verdict.window, at=verdict.at, trigger=fired[0], why=why, suppressed_by=guards)
        if before is None or not guards or (before.trigger, before.suppressed_by) != (one.trigger, guards):
            yield one
        before = one


def _outlook(model: ModelSection, workers: Runner, span: "_Span") -> Outlook:
    """Return the false alarms to expect, estimated from the reference."""
    look = Look(model=model, as_of=span.moments[-1], stretch=span.stretch)
    return workers.run(RESOLVE, look).outlook


def _summaries(
    triggers: Sequence[TriggerSection], verdicts: list[Verdict], retrains: Sequence[Retrain],
    expected: Mapping[str, Expected],
) -> Iterator[Summary]:
    """Yield a summary of every trigger that fired or is configured; a window counts once for all its revisions."""
    actions = {trigger.name: str(trigger.action) for trigger in triggers}
    names = [*actions, *dict.fromkeys(name for verdict in verdicts for name in verdict.fired if name not in actions)]
    for name in names:
        mine = [one for one in retrains if one.trigger == name]
        guards = Counter(guard for window in mine for guard in window.suppressed_by)
        yield Summary(
            trigger=name, action=actions.get(name, "alert"),
            fired=len({verdict.window for verdict in verdicts if name in verdict.fired}),
            asked=sum(not window.suppressed_by for window in mine), suppressed_by=dict(guards),
            false_alarms=expected.get(name),
        )


def _row(verdict: Verdict) -> Json:
    return _interval(verdict.window) | {
        "revision": verdict.revision,
        "at": to_json(verdict.at),
        "verdict": verdict.action.value,
        "triggers": list(verdict.fired),
        "guards": list(verdict.guards),
        "reasons": list(verdict.reasons),
    }


def _interval(window: Window) -> Json:
    return {"window": {"start": to_json(window.start), "end": to_json(window.end)}}
