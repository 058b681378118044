"""The service, the one-shot check, and the demo."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Any

import click

from monitor.calibration.outlook import uncalibrated
from monitor.cli.fired_words import fired_words, telling
from monitor.cli.options import (
    MOMENT,
    chosen,
    config_option,
    json_option,
    load_config,
    model_option,
    open_state,
    open_workers,
    quiet_logs,
)
from monitor.cli.terminal import in_zone, print_json, print_table, progress, say, span
from monitor.config import Config, Loaded, ModelSection
from monitor.decide.triggers import REFERENCE_GONE, SOURCE, SOURCE_DOWN
from monitor.errors import CannotJudge, DriftdError
from monitor.expose.status_document import Request
from monitor.ledger import unusual_rows
from monitor.metric_catalogue import DRIFT
from monitor.records import Action, DispatchState, Json, Message, Snapshot, SnapshotStatus, Verdict
from monitor.store import Store
from monitor.times import utcnow

YES, UNJUDGED = 3, CannotJudge.exit_code
UNENDED = (DispatchState.PENDING, DispatchState.SENDING, DispatchState.AMBIGUOUS, DispatchState.QUEUED,
           DispatchState.RUNNING, DispatchState.BLOCKED)
UNTAKEN = (DispatchState.PENDING, DispatchState.AMBIGUOUS, DispatchState.ABANDONED)
POWER = "smallest_shift"
JUDGED = (SnapshotStatus.OK, SnapshotStatus.SCHEMA_CHANGED)
SILENT = {SOURCE, SOURCE_DOWN}    # these triggers say that nothing could be judged, not that anything drifted


@click.command()
@config_option
def run(config_file: Path | None) -> int:
    """Run the service until it is stopped: check models, send messages and requests, serve metrics."""
    from monitor.daemon.first_process import reap_as_first

    reap_as_first()
    from monitor.config import find_config
    from monitor.daemon.service import run as serve

    return serve(find_config(config_file))


@click.command()
@click.option("--keep/--no-keep", default=None, help="Keep running as a daemon at the end; default: on a terminal.")
def demo(keep: bool | None) -> int:
    """Play two years of a watched model on bundled real data, in under a minute."""
    from monitor.demo import run as play

    return play(keep)


@dataclass(frozen=True, slots=True, kw_only=True)
class Checked:
    """The result of one check of one model."""

    model: str
    verdicts: Sequence[Verdict] = ()
    firing: frozenset[str] = frozenset()     # triggers that fire now, not only those that began in this check
    judged: bool = True                      # the newest window could be judged
    error: DriftdError | None = None
    fired: Sequence[Sequence[str]] = ()      # of each verdict the triggers, with the columns and segments they fire for
    unusual: tuple[str, ...] = ()            # why it could not be judged, and what is unusual in rows and labels
    power: str | None = None                 # which moves of columns the newest window would have shown

    @property
    def exit_code(self) -> int:
        if self.error is not None and not isinstance(self.error, CannotJudge):
            return self.error.exit_code
        asked = any(verdict.action == Action.RETRAIN for verdict in self.verdicts)
        if asked or self.firing - SILENT:
            return YES
        return 0 if self.judged and self.error is None else UNJUDGED


@click.command()
@config_option
@model_option
@click.option("--at", type=MOMENT, metavar="TIME", help="Dry run as of this time: nothing is recorded or sent.")
@json_option
def check(config_file: Path | None, model: str | None, at: datetime | None, as_json: bool) -> int:
    """Do the checks that are due, send the requests and messages that are due, then stop.

    Ends with 3 if a trigger fires or a retrain was asked for, with 4 if a window could not be judged, with 1 if a
    request was rejected for good.
    """
    quiet_logs()
    loaded = load_config(config_file)
    names = chosen(loaded, model)
    done, sent = _check_dry(loaded, names, at) if at else _check_due(loaded, names)
    for checked in done:
        if checked.error is not None:
            say(*f"{checked.model}: {checked.error}".split("\n"), err=True)
    if as_json:
        print_json(windows=[_json(v) for checked in done for v in checked.verdicts],
                   unusual=[{"model": checked.model, "says": text} for checked in done for text in checked.unusual],
                   power=[{"model": checked.model, "says": checked.power} for checked in done if checked.power],
                   errors=[{"model": checked.model, "error": str(checked.error)} for checked in done if checked.error],
                   dispatches=sent)
    else:
        _print(loaded, done, sent)
    rejected = [dispatch.id for dispatch in sent if dispatch.state == DispatchState.ABANDONED]
    return worst([*(checked.exit_code for checked in done), *(DriftdError.exit_code for _ in rejected)])


def worst(codes: Sequence[int]) -> int:
    """Return one exit code for several models: an error before yes (3), yes before not judged (4)."""
    order = (1, 5, 2, YES, UNJUDGED, 0)
    return min(codes, key=order.index, default=0)


def _check_due(loaded: Loaded, names: Sequence[str]) -> tuple[list[Checked], list[Request]]:
    from monitor.check.checker import Checker
    from monitor.govern.retention import tidy
    from monitor.promotion.registry import Registries

    with open_state(loaded, exclusive=True) as store, open_workers(loaded) as workers:
        store.future.restamp(utcnow())
        store.configurations.accept(loaded.hash, loaded.text, utcnow())
        checker, registries = Checker(loaded, store, workers), Registries(loaded.config, store)
        registries.move()
        registries.look()
        done = []
        with progress("checking") as report:
            for index, name in enumerate(names):
                report(index, len(names))
                done.append(_check_one(checker, store, loaded.config.models[name]))
        sent = _send(loaded, store)
        registries.track()
        tidy(store, loaded.config.daemon.retention, utcnow())
        return done, sent


def _check_one(checker: Any, store: Store, model: ModelSection) -> Checked:
    name = model.name
    try:
        verdicts, error = checker.check(name), None
    except DriftdError as failure:
        verdicts, error = [], failure
    newest = store.snapshots.newest(name, metrics=())
    firing = {firing.trigger: firing.reason for firing in store.firings.all(name) if firing.firing}
    unjudged = (firing.get(SOURCE_DOWN), firing.get(REFERENCE_GONE), _unjudged(newest)) if error is None else ()
    return Checked(
        model=name, verdicts=verdicts, error=error, firing=frozenset(firing),
        judged=newest is None or newest.status in JUDGED,
        fired=[_fired(store, model, verdict) for verdict in verdicts],
        unusual=(*(text for text in unjudged if text), *_unusual(store, verdicts)),
        power=_power(store, verdicts),
    )


def _fired(store: Store, model: ModelSection, verdict: Verdict) -> list[str]:
    found = store.snapshots.newest_revisions(
        model.name, metrics=telling(model.triggers), window_start=verdict.window.start, spec=verdict.window.spec)
    scores = next((snapshot.scores for snapshot in found if snapshot.window == verdict.window), ())
    return fired_words(model.triggers, verdict, scores)


def _unjudged(newest: Snapshot | None) -> str | None:
    """Say why the newest window could not be judged; None where it was."""
    if newest is None or newest.status in JUDGED:
        return None
    return f"the newest window could not be judged: {newest.reason or newest.status.replace('_', ' ')}"


def _unusual(store: Store, verdicts: Sequence[Verdict]) -> tuple[str, ...]:
    """Return sentences on the rows and thresholds of the windows of these verdicts, each sentence once."""
    snapshots = [snapshot for verdict in verdicts for snapshot in store.snapshots.newest_revisions(
        verdict.window.model, metrics=DRIFT if verdict is verdicts[-1] else (),
        window_start=verdict.window.start, spec=verdict.window.spec)]
    texts = (text for snapshot in snapshots for text in unusual_rows(snapshot.ledger))
    return tuple(dict.fromkeys([*texts, *(text for snapshot in snapshots[-1:] for text in _uncalibrated(snapshot))]))


def _power(store: Store, verdicts: Sequence[Verdict]) -> str | None:
    """Return which moves of columns the newest of these windows would have shown."""
    if not verdicts:
        return None
    window = verdicts[-1].window
    found = store.snapshots.newest_revisions(
        window.model, metrics=(POWER,), window_start=window.start, spec=window.spec)
    return next((text for snapshot in found if snapshot.window == window and (text := _power_of(snapshot))), None)


def _power_of(snapshot: Snapshot) -> str | None:
    return next((score.reason for score in snapshot.scores if score.metric == POWER), None)


def _uncalibrated(snapshot: Snapshot) -> Iterator[str]:
    """Yield why columns of this window had no calibrated threshold."""
    return uncalibrated({
        score.column: str(score.reason).rpartition("uncalibrated: ")[2]
        for score in snapshot.scores if score.uncalibrated and score.column
    })


def _check_dry(
    loaded: Loaded, names: Sequence[str], at: datetime
) -> tuple[list[Checked], list[Request]]:
    with open_workers(loaded) as workers:
        return [_dry_one(loaded, name, at, workers) for name in names], []


def _dry_one(loaded: Loaded, name: str, at: datetime, workers: Any) -> Checked:
    from monitor.check.checker import dry_run

    try:
        judged = dry_run(loaded, name, at, workers)
    except DriftdError as failure:
        return Checked(model=name, error=failure)
    newest = judged[-1:]
    unjudged = (_unjudged(snapshot) for snapshot, _ in newest)
    return Checked(
        model=name, verdicts=[verdict for _, verdict in judged],
        firing=frozenset(trigger for _, verdict in newest for trigger in verdict.fired),
        judged=all(snapshot.status in JUDGED for snapshot, _ in newest),
        fired=[fired_words(loaded.config.models[name].triggers, verdict, snapshot.scores)
               for snapshot, verdict in judged],
        unusual=(*(text for text in unjudged if text),
                 *(text for snapshot, _ in newest for text in unusual_rows(snapshot.ledger)),
                 *(text for snapshot, _ in newest for text in _uncalibrated(snapshot))),
        power=next((_power_of(snapshot) for snapshot, _ in newest), None),
    )


def _json(verdict: Verdict) -> Json:
    return {
        "model": verdict.window.model,
        "window": verdict.window,
        "revision": verdict.revision,
        "at": verdict.at,
        "verdict": verdict.action,
        "triggers": verdict.fired,
        "guards": verdict.guards,
        "reasons": verdict.reasons,
    }


def _print(loaded: Loaded, done: Sequence[Checked], sent: Sequence[Request]) -> None:
    zones = {name: model.timezone for name, model in loaded.config.models.items()}
    rows = [
        (checked.model, span(verdict.window, zones[checked.model]), verdict.action, fired, ", ".join(verdict.guards))
        for checked in done for verdict, fired in zip(checked.verdicts, checked.fired, strict=True)
    ]
    if rows:
        named = {str(zones[checked.model]) for checked in done if checked.verdicts}
        print_table(("model", in_zone("window", *named), "verdict", "fired", "guards"), rows)
    for checked in done:
        if not checked.verdicts and checked.error is None:
            still = f"; firing: {', '.join(sorted(checked.firing))}" if checked.firing else ""
            say(f"{checked.model}: nothing due{still}")
        for text in (*checked.unusual, *([checked.power] if checked.power else [])):
            say(f"{checked.model}: {text}")
    for dispatch in sent:
        why = f": {dispatch.reason}" if dispatch.state in UNTAKEN and dispatch.reason else ""
        say(f"request {dispatch.id}: {dispatch.state} at {dispatch.pipeline}{why}")


def _picture(store: Store, config: Config, message: Message) -> bytes | None:
    from monitor.expose.model_charts import message_picture  # most checks have nothing to tell

    return message_picture(store, config, message)


def _send(loaded: Loaded, store: Store) -> list[Request]:
    """Send the outbox and the messages once; return the requests that were unfinished before, as they are now."""
    from monitor.notify.heartbeat import heartbeat
    from monitor.notify.notifier import Notifier
    from monitor.retrain.outbox import Outbox

    outbox = Outbox.of(loaded.config, store)
    outbox.recover()
    before = {request.id for request in store.requests.all(states=UNENDED)}
    outbox.send_due()
    outbox.follow()
    silences = partial(store.silences.in_force, loaded.config)
    picture = partial(_picture, store, loaded.config)
    Notifier(store.messages, loaded.config.notify, utcnow, silences, loaded.config.daemon.url, picture).send_due()
    if loaded.config.daemon.heartbeat is not None:
        heartbeat(loaded.config.daemon.heartbeat)
    return [Request.of(request) for request in store.requests.all() if request.id in before]
