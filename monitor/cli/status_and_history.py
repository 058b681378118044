"""`driftd status` and `driftd history`: the current state, and past decisions with reasons. Both only read."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, tzinfo
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from monitor.cli.fired_words import fired_words, telling
from monitor.cli.gate_table import print_gate
from monitor.cli.options import chosen, config_option, json_option, known, load_config, model_option, open_state
from monitor.cli.terminal import Cell, in_zone, moment, print_json, print_table, say, span
from monitor.config import Loaded
from monitor.config.sections import TriggerSection
from monitor.decide.episodes import is_open
from monitor.decide.guards import silence_words
from monitor.decide.messages import need_words, since_then, standing
from monitor.decide.particulars import now_and_before
from monitor.decide.triggers import REFERENCE_GONE, SOURCE_DOWN
from monitor.decide.why_it_fell import why_it_fell
from monitor.errors import UsageError
from monitor.expose.documents import explained, gates_of, history_document
from monitor.expose.status_document import status_document, under_way
from monitor.expose.view import ModelView, read_view
from monitor.gate_result import ShadowState
from monitor.ledger import unusual
from monitor.records import (
    Dispatch,
    Episode,
    EpisodeState,
    Promotion,
    Recovery,
    Score,
    ScoreStatus,
    Snapshot,
    Verdict,
)
from monitor.store import Store
from monitor.times import parse_moment, utcnow
from monitor.wording import several, shown, spark

_BAD = (ScoreStatus.DRIFTED, ScoreStatus.BREACHED, ScoreStatus.FAILED)
_WORST = 10   # scores shown with one window


@click.command()
@config_option
@model_option
@json_option
def status(config_file: Path | None, model: str | None, as_json: bool) -> None:
    """Show the current state of each model: the newest window, the triggers that fire, the last request."""
    loaded = load_config(config_file)
    with open_state(loaded) as store:
        names = chosen(loaded, model)
        view = read_view(store, loaded.config, utcnow())
    view = replace(view, models=tuple(one for one in view.models if one.name in names))
    if as_json:
        print_json(**status_document(view))
        return
    rows = [_status_row(one, loaded.config.models[one.name].timezone) for one in view.models]
    zones = {str(one.zone) for one in view.models}
    print_table(("model", "mode", in_zone("window", *zones), "verdict", "firing", "request"), rows)
    for one in view.models:
        _print_notes(one, loaded.config.models[one.name].timezone)


def _status_row(one: ModelView, zone: tzinfo) -> list[Cell]:
    request = _request(one)
    return [
        one.name,
        one.mode,
        span(one.newest.window, zone) if one.newest else "none yet",
        standing(one.verdict, one.firing) or "",
        [f"{f.trigger} since {moment(f.since, zone)}" for f in one.firing if f.firing],
        request.state if request else "",
    ]


def _request(one: ModelView) -> Dispatch | None:
    """The newest request that has not ended, else the last one."""
    return under_way(one.dispatches) or next(reversed(one.dispatches), None)


def _print_notes(one: ModelView, zone: ZoneInfo) -> None:
    """Print what does not fit a row: the metric, what fires and why, pauses, silences, the need, the request."""
    notes = [*_metric_notes(one)]
    if one.newest and one.newest.status != "ok":
        notes.append(f"{one.newest.status.replace('_', ' ')}: {one.newest.reason or 'no reason given'}")
    notes += [firing.reason if firing.trigger in (SOURCE_DOWN, REFERENCE_GONE) else f"{firing.trigger}: {firing.reason}"
              for firing in one.firing if firing.firing]
    if realised := one.gain_realised:
        notes.append(str(realised.reason))
    if pause := one.paused:
        notes.append(f"paused by {pause.by} since {moment(pause.at, zone)}: {pause.reason}")
    notes += [silence_words(silence, zone) for silence in one.silences]
    notes += _version_notes(one, zone)
    if episode := one.episode:
        notes.append(f"need {episode.state}: {need_words(episode, one.firing)}")
        notes += ["`driftd approve` or `driftd reject` answers it"] if episode.state == "awaiting_approval" else []
    if request := _request(one):
        without_reason = "no answer yet" if request is under_way(one.dispatches) else "no more is known"
        notes.append(f"request {request.id} {request.state}: {request.reason or without_reason}")
    for note in notes:
        say(f"{one.name}: {note}")


def _metric_notes(one: ModelView) -> list[str]:
    """The metric the model is judged by, its reference, and its course over the newest windows."""
    if not one.trend:
        return []
    values = [point.score.value for point in one.trend if point.score.value is not None]
    ends = [*values, *(point.score.reference for point in one.trend if point.score.reference is not None)]
    course = f"  {spark(values, min(ends), max(ends))} ({several(len(values), 'window')})" if len(values) > 1 else ""
    return [f"{now_and_before(one.trend[-1].score)}{course}"]


def _version_notes(one: ModelView, zone: ZoneInfo) -> list[str]:
    """Return sentences about the version in service, its recovery, and the version that waits for approval."""
    notes = []
    if promotion := one.promotion:
        notes.append(promotion_words(promotion, zone))
    if waiting := one.waiting:
        notes.append(f"version {waiting.version} waits: `driftd approve --promotion` or `driftd reject --promotion`")
    if one.shadow is not None and one.shadow.state is not ShadowState.SUPERSEDED:
        notes.append(one.shadow.sentence)
    if move := one.alias_move:
        notes.append(f"the alias is being moved to version {move.to_version}: {move.answer or 'no answer yet'}")
    return notes


def promotion_words(one: Promotion, zone: tzinfo) -> str:
    """Return a sentence about one version: its origin, and whether the need that led to it has gone."""
    by = f", {one.decided_by}: {one.reason}" if one.decided_by else ""
    head = f"version {one.version} {one.state} {moment(one.at, zone)} ({one.origin}{by})"
    if one.recovery is None or one.need is None:
        return head
    words = {Recovery.AWAITED: "recovery is awaited", Recovery.RECOVERED: "recovered", Recovery.MISSING: "no recovery"}
    return f"{head}, need {one.need}: {words[one.recovery]}" + (f": {one.recovery_reason}" * bool(one.recovery_reason))


@click.command()
@config_option
@model_option
@click.option("--limit", "-n", default=20, show_default=True, type=click.IntRange(1), help="Number of windows.")
@click.option("--explain", metavar="WINDOW", help="Explain one window: the date of its start, or `newest`.")
@json_option
def history(
    config_file: Path | None, model: str | None, limit: int, explain: str | None, as_json: bool
) -> None:
    """Show what was decided for each window, newest last; with --explain one window in full."""
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    zone, triggers = loaded.config.models[name].timezone, loaded.config.models[name].triggers
    with open_state(loaded) as store:
        if explain is not None:
            _explain(store, find_window(store, name, explain, zone), zone, as_json)
            return
        snapshots = store.snapshots.newest_revisions(name, limit=limit, metrics=telling(triggers))
        found = [(snapshot, store.verdicts.newest_on(snapshot.window)) for snapshot in snapshots]
        shown = {entry.window for entry, _ in found}
        approvals = [episode for episode in store.episodes.all(name) if episode.approval and episode.window in shown]
        since = min((entry.taken_at for entry, _ in found), default=None)
        document = history_document(store, name, store.trends.windows(name, limit=limit)) if as_json else {}
        promotions = [promotion for promotion in store.promotions.all(name) if since is None or promotion.at >= since]
    if as_json:
        print_json(**document)
        return
    rows = [_row(*pair, zone, triggers) for pair in found]
    print_table((in_zone("window", zone), "rows", "data", "verdict", "fired", "guards"), rows, right=("rows",))
    for approval in approvals:
        say(_approval(approval, zone))
    for came in promotions:
        say(promotion_words(came, zone))


def _approval(episode: Episode, zone: tzinfo) -> str:
    """Return a sentence about a retrain that needed approval: who asked, who answered, and why."""
    asked = episode.approval
    assert asked is not None
    head = f"{span(episode.window, zone)}: {asked.asked_by or episode.trigger} asked on {moment(asked.asked_at, zone)}"
    if asked.decision is None:
        return f"{head}, {'waits for an answer' if episode.state == 'awaiting_approval' else episode.state}"
    words = {EpisodeState.REQUESTED: "approved"}.get(asked.decision, asked.decision.value)
    by = f" by {asked.decided_by}" if asked.decided_by else ""
    return f"{head}, {words}{by} on {moment(asked.decided_at, zone)}: {asked.reason}"


def the_model(loaded: Loaded, model: str | None) -> str:
    """Return the given model, or the only one there is. Raises UsageError."""
    names = list(loaded.config.models)
    if model is None and len(names) != 1:
        raise UsageError(f"several models are configured, expected --model with one of: {', '.join(names)}")
    return known(model or names[0], names, "model")


def _row(
    snapshot: Snapshot, verdict: Verdict | None, zone: tzinfo, triggers: Sequence[TriggerSection]
) -> Sequence[Cell]:
    return (
        span(snapshot.window, zone),
        str(snapshot.rows),
        "" if snapshot.status == "ok" else snapshot.status.replace("_", " "),
        _action(snapshot, verdict),
        fired_words(triggers, verdict, snapshot.scores) if verdict else "",
        ", ".join(verdict.guards) if verdict else "",
    )


def _action(snapshot: Snapshot, verdict: Verdict | None) -> str:
    """Return the action; with ~ while labels are still maturing."""
    if verdict is None:
        return "none"
    return str(verdict.action) if snapshot.mature else f"{verdict.action} ~"


def find_window(store: Store, model: str, text: str, zone: tzinfo) -> Snapshot:
    """Return the newest revision of the window that starts at, or contains, `text`. Raises UsageError."""
    if text == "newest":
        found = store.snapshots.newest_revisions(model, limit=1)
    else:
        start = _start(text, zone)
        found = store.snapshots.newest_revisions(model, window_start=start) or [
            snapshot for snapshot in store.snapshots.newest_revisions(model, metrics=())
            if snapshot.window.start <= start < snapshot.window.end
        ][-1:]
    if not found and text == "newest":
        raise UsageError(f"{model}: no window has been checked yet; `driftd check` checks those that are due")
    if not found:
        raise UsageError(f"{model}: no window {text} has been checked; `driftd history` lists them")
    return store.snapshots.newest_revisions(model, window_start=found[-1].window.start)[-1]


def _start(text: str, zone: tzinfo) -> datetime:
    try:
        local = datetime.fromisoformat(text)
    except ValueError:
        expected = "expected the date of its start, such as 2013-05-06, or newest"
        raise UsageError(f"{text!r} is not a window, {expected}") from None
    return local.replace(tzinfo=zone) if local.tzinfo is None else parse_moment(text)


def _explain(store: Store, snapshot: Snapshot, zone: ZoneInfo, as_json: bool) -> None:
    verdict = store.verdicts.newest_on(snapshot.window)
    newest = store.snapshots.newest(snapshot.window.model)
    firing = store.firings.all(snapshot.window.model)
    if verdict is not None and newest is not None and newest.window == snapshot.window:
        verdict = since_then(verdict, firing, zone)
    if as_json:
        print_json(**explained(store, store.trends.of(snapshot.window)))
        return
    _print_head(snapshot, verdict, zone)
    needs = _needs(store, snapshot)
    for need in needs:
        why = need_words(need, firing if is_open(need) else ())
        say(f"  the need of {need.trigger} that began here is {need.state}: {why}")
        if need.approval is not None:
            say(f"  {_approval(need, zone)}")
    for request, gated in gates_of(store, needs).items():
        say(f"  the gate of {request}, {moment(gated.at, zone)}: {gated.result.sentence}", "")
        print_gate(gated.result)
    whole = [score for score in snapshot.scores if score.column is None]
    bad = [score for score in snapshot.scores if score.column is not None and score.status in _BAD]
    _print_scores(("metric",), [((_subject(score),), score) for score in whole])
    _print_scores(("metric", "column", "method"),
                  [((score.metric, score.column, score.method), score) for score in bad[:_WORST]])


def _subject(score: Score) -> str:
    """Return the metric with its method and the segment it is of, where it has them."""
    method = f" ({score.method})" if score.method else ""
    return f"{score.metric}{method}{f' of {score.segment}' if score.segment else ''}"


def _needs(store: Store, snapshot: Snapshot) -> list[Episode]:
    """Return the needs to retrain that began with this window."""
    return [episode for episode in store.episodes.all(snapshot.window.model) if episode.window == snapshot.window]


def _print_head(snapshot: Snapshot, verdict: Verdict | None, zone: tzinfo) -> None:
    labels = "labels mature" if snapshot.mature else "labels still maturing: performance is provisional (~)"
    say(f"{snapshot.window.model}, window {span(snapshot.window, zone)} ({zone}), revision {snapshot.revision}")
    say(f"{snapshot.rows} rows ({snapshot.late} late), {snapshot.labelled} labelled, {labels}")
    for text in unusual(snapshot.ledger):
        say(f"  {text}")
    if snapshot.reason:
        say(f"{snapshot.status}: {snapshot.reason}")
    if verdict is None:
        say("no verdict: the reference changed while this was checked")
        return
    say(f"verdict: {verdict.action}, reached {moment(verdict.at, zone)}")
    for reason in verdict.reasons:
        say(f"  {reason}")
    if fell := why_it_fell(snapshot.scores):
        say(f"  {fell}")


def _print_scores(headings: Sequence[str], scores: Sequence[tuple[Sequence[str | None], Score]]) -> None:
    """Print a table of scores, each row begun by its own cells; nothing if there are none."""
    if not scores:
        return
    say()
    numbers = [name for name in ("value", "reference", "threshold")
               if name == "value" or any(getattr(score, name) is not None for _, score in scores)]
    rows = [(*cells, *(shown(score.metric, getattr(score, name)) for name in numbers), _standing(score))
            for cells, score in scores]
    print_table((*headings, *numbers, "status"), rows, right=numbers)


def _standing(score: Score) -> str:
    return f"{score.status}{' ~' if score.provisional else ''}"
