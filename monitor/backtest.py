"""The log through the same code as the daemon's, with another clock: what would have fired, when, and why.

Time jumps from one moment at which something is due to the next: a window closes, a window's labels mature. Labels
are known when the log says they became known. An accepted request changes nothing but cooldown and budget: the model
in service stays, so the rows after it are those it really answered.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import Any

from monitor.check import BEGINNING, Checker, Runner
from monitor.config import Loaded, ModelSection
from monitor.config.model import ApprovalSection, RetrainSection
from monitor.errors import CannotJudge, SourceError, UsageError
from monitor.records import SCHEMA_VERSION, Action, DispatchState, Survey, Verdict, Window, from_json, to_json
from monitor.store import Store
from monitor.times import utcnow

Progress = Callable[[int, int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Retrain:
    """A retrain that would have been asked for, or was suppressed by the guards named."""

    window: Window
    at: datetime
    trigger: str
    suppressed_by: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Backtest:
    """Verdicts in the order they were reached, and the needs to retrain among them."""

    model: str
    verdicts: tuple[Verdict, ...]
    retrains: tuple[Retrain, ...]

    def to_json(self) -> dict[str, Any]:
        """The document of `driftd backtest --json`."""
        return {
            "schema_version": SCHEMA_VERSION,
            "model": self.model,
            "windows": [_row(verdict) for verdict in self.verdicts],
            "retrains": [
                _interval(one.window) | {
                    "at": to_json(one.at),
                    "trigger": one.trigger,
                    "suppressed_by": list(one.suppressed_by) or None,
                }
                for one in self.retrains
            ],
        }


def backtest(loaded: Loaded, name: str, workers: Runner, progress: Progress | None = None) -> Backtest:
    """Replay the whole log of one model. Raises SourceError, and CannotJudge when nothing in it can be judged."""
    if name not in loaded.config.models:
        raise UsageError(f"there is no model {name}, expected one of: {', '.join(loaded.config.models)}")
    model = _as_if_acting(loaded.config.models[name])
    played = replace(loaded, config=loaded.config.model_copy(update={"models": {name: model}}))
    moments = _moments(model, workers)
    now = BEGINNING
    verdicts: list[Verdict] = []
    with Store.memory() as store:
        checker = Checker(played, store, workers, lambda: now)
        for done, now in enumerate(moments, 1):
            verdicts += _round(checker, name)
            _deliver(store, now)
            if progress:
                progress(done, len(moments))
    if not verdicts:
        raise CannotJudge(f"{name}: no window of the log could be judged; is the log longer than the reference?")
    return Backtest(model=name, verdicts=tuple(verdicts), retrains=tuple(_retrains(model, verdicts)))


def _as_if_acting(model: ModelSection) -> ModelSection:
    """Ask as `mode = "act"` would, from the first row on, as if every need were approved at once.

    With default limits where nothing is configured.
    """
    limits = (model.retrain or RetrainSection(pipeline="-")).model_copy(update={"approval": ApprovalSection()})
    asked = {"mode": "act", "since": model.since or BEGINNING, "retrain": limits}
    return model.model_copy(update=asked)


def _moments(model: ModelSection, workers: Runner) -> list[datetime]:
    """When something is due: each window's closing, and the maturity of its labels."""
    look: dict[str, Any] = {"model": model.model_dump(mode="json"), "stretch": None, "recount": [], "last": None}
    extent = workers.run("monitor.observe:extent", look | {"as_of": utcnow().isoformat()})
    if extent["newest"] is None:
        raise CannotJudge(f"{model.name}: the log holds no rows, expected some to replay")
    section, newest = model.window, datetime.fromisoformat(extent["newest"])
    size = timedelta(0) if isinstance(section.size, int) else section.size
    end = (newest + size + section.lateness).isoformat()
    since = (model.since or datetime.fromisoformat(extent["first"])).isoformat()
    survey = from_json(Survey, workers.run("monitor.observe:survey", look | {"as_of": end, "since": since}))
    ends = {tally.window.end for tally in survey.tallies if tally.window.start <= newest}
    ages = {section.lateness, max(survey.maturity, section.lateness)}
    return sorted({end + age for end in ends for age in ages})


def _round(checker: Checker, name: str) -> list[Verdict]:
    try:
        return checker.check(name)
    except SourceError:
        raise
    except CannotJudge:          # "first 90d" is not over yet
        return []


def _deliver(store: Store, now: datetime) -> None:
    """Stand in for the pipeline: every request is accepted at once and changes nothing."""
    while (dispatch := store.claim(now)) is not None:
        ended = replace(dispatch, state=DispatchState.SUCCEEDED, accepted_at=now, ended_at=now)
        store.record(ended, was=dispatch.state)


def _retrains(model: ModelSection, verdicts: list[Verdict]) -> Iterator[Retrain]:
    """Every request; of a suppressed need the first window, and each in which other guards speak."""
    asking = {trigger.name for trigger in model.triggers if trigger.action == "retrain"}
    before: Retrain | None = None
    for verdict in verdicts:
        fired = [name for name in verdict.fired if name in asking]
        if not fired or verdict.action not in (Action.RETRAIN, Action.SUPPRESS):
            before = None
            continue
        guards = verdict.guards if verdict.action is Action.SUPPRESS else ()
        one = Retrain(window=verdict.window, at=verdict.at, trigger=fired[0], suppressed_by=guards)
        if before is None or not guards or (before.trigger, before.suppressed_by) != (one.trigger, guards):
            yield one
        before = one


def _row(verdict: Verdict) -> dict[str, Any]:
    return _interval(verdict.window) | {
        "revision": verdict.revision,
        "at": to_json(verdict.at),
        "verdict": verdict.action.value,
        "triggers": list(verdict.fired),
        "guards": list(verdict.guards),
        "reasons": list(verdict.reasons),
    }


def _interval(window: Window) -> dict[str, Any]:
    return {"window": {"start": to_json(window.start), "end": to_json(window.end)}}
