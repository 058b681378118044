"""What the governance report says of one model, gathered from the store; how it looks is `html` and `markdown`."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.config import ModelSection
from monitor.govern.version_history import Version, versions
from monitor.metric_catalogue import CATALOGUE, OF_GROUPS, PERFORMANCE, Group, Use, names_for, place
from monitor.records import Action, Dispatch, Episode, Firing, Reference, Score, Snapshot, SnapshotStatus, Verdict
from monitor.store import Store
from monitor.store.gates import Gated

WHOLE = names_for(Use.REPORT)
_FIRST = (Group.PERFORMANCE, Group.DECISION, Group.DRIFT, Group.ESTIMATE)
PICTURES = 8      # at most, the model's own metric first
BEFORE = 26       # windows before a need that its report shows …
AROUND = 100      # … and in all


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One metric of one window."""

    at: datetime                         # the window's end
    value: float
    reference: float | None
    low: float | None
    high: float | None
    threshold: float | None
    status: str
    provisional: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """One window as it was judged last."""

    start: datetime
    end: datetime
    revision: int
    rows: int
    labelled: int
    mature: bool
    status: SnapshotStatus
    model_version: str | None
    action: Action | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Condition:
    """One trigger as configured, and whether it fires."""

    name: str
    metric: str
    action: str
    firing: bool
    since: datetime | None
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hand:
    """What a person did, and why."""

    at: datetime
    by: str
    action: str
    subject: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """One retrain request, and what became of it."""

    id: str
    at: datetime
    pipeline: str
    state: str
    ended_at: datetime | None
    url: str | None
    made: str | None                     # the version it made
    outcome: str | None                  # the last answer, in words
    gate: str | None                     # what the gate said of the candidate


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """Everything there is to say of one model, oldest first."""

    model: str
    at: datetime
    mode: str
    metric: str | None
    reference: Reference | None
    private: tuple[str, ...]
    windows: tuple[Look, ...]
    metrics: dict[str, tuple[Point, ...]]
    fairness: tuple[Score, ...]          # of the newest window that has any
    triggers: tuple[Condition, ...]
    decisions: tuple[Verdict, ...]       # all but those that hold
    needs: tuple[Episode, ...]
    requests: tuple[Request, ...]
    hands: tuple[Hand, ...]
    versions: tuple[Version, ...]
    audit_entries: int
    audit_problem: str | None            # None: the chain is whole


def gather(store: Store, model: ModelSection, now: datetime, windows: int | None = None) -> Report:
    """Gather the report of a model from everything the store still holds, or of the newest so many windows."""
    snapshots = store.snapshots.newest_revisions(model.name, limit=windows, metrics={*WHOLE, *OF_GROUPS})
    held = {snapshot.window for snapshot in snapshots}
    verdicts = [verdict for verdict in store.verdicts.all(model.name) if windows is None or verdict.window in held]
    newest = {verdict.window: verdict for verdict in verdicts}
    requests = store.requests.all(model.name)
    gates = store.gates.of([one.id for one in requests])
    verified = store.audit.verify()
    metrics = _metrics(snapshots)
    judged = model.metric or next((name for name in metrics if name in PERFORMANCE), None)
    return Report(
        model=model.name, at=now, mode=model.mode, metric=judged, reference=store.references.current(model.name),
        private=model.columns.private,
        windows=tuple(_look(snapshot, newest.get(snapshot.window)) for snapshot in snapshots),
        metrics=_chosen(metrics, judged),
        fairness=next(filter(None, map(_fairness, reversed(snapshots))), ()),
        triggers=tuple(_conditions(model, store.firings.all(model.name))),
        decisions=tuple(verdict for verdict in verdicts if verdict.action is not Action.HOLD),
        needs=tuple(store.episodes.all(model.name)),
        requests=tuple(_request(one, gates.get(one.id)) for one in requests),
        hands=tuple(Hand(at=entry.at, by=entry.actor, action=entry.action, subject=entry.subject, reason=entry.reason)
                    for entry in store.audit.about(model.name) if entry.actor != "driftd"),
        versions=tuple(versions(store, model.name)),
        audit_entries=verified.entries, audit_problem=verified.problem,
    )


def _look(snapshot: Snapshot, verdict: Verdict | None) -> Look:
    return Look(
        start=snapshot.window.start, end=snapshot.window.end, revision=snapshot.revision, rows=snapshot.rows,
        labelled=snapshot.labelled, mature=snapshot.mature, status=snapshot.status,
        model_version=snapshot.model_version, action=verdict.action if verdict else None,
    )


def _metrics(snapshots: Sequence[Snapshot]) -> dict[str, tuple[Point, ...]]:
    """The numbers of the model as a whole, window by window."""
    found: dict[str, list[Point]] = {}
    for snapshot in snapshots:
        for score in snapshot.scores:
            if score.metric in WHOLE and score.column is None and score.segment is None and score.value is not None:
                found.setdefault(score.metric, []).append(Point(
                    at=snapshot.window.end, value=score.value, reference=score.reference, low=score.low,
                    high=score.high, threshold=score.threshold, status=score.status, provisional=score.provisional,
                ))
    return {name: tuple(points) for name, points in found.items()}


def _chosen(metrics: dict[str, tuple[Point, ...]], first: str | None) -> dict[str, tuple[Point, ...]]:
    order = sorted(metrics, key=lambda name: (name != first, *_rank(name)))
    return {name: metrics[name] for name in order[:PICTURES]}


def _rank(metric: str) -> tuple[int, int]:
    """How the model did comes first, how whole its data were last."""
    group = CATALOGUE[metric].group
    return _FIRST.index(group) if group in _FIRST else len(_FIRST), place(metric)


def _fairness(snapshot: Snapshot) -> tuple[Score, ...]:
    return tuple(score for score in snapshot.scores if score.metric in OF_GROUPS and score.value is not None)


def _conditions(model: ModelSection, firing: Iterable[Firing]) -> Iterable[Condition]:
    """The triggers of the file, then those that are always there and have something to say."""
    states = {firing.trigger: firing for firing in firing}
    for trigger in model.triggers:
        yield _condition(trigger.name, trigger.metric, trigger.action, states.pop(trigger.name, None))
    for name, state in states.items():
        yield _condition(name, "", "alert", state)


def _condition(name: str, metric: str, action: str, state: Firing | None) -> Condition:
    return Condition(
        name=name, metric=metric, action=action, firing=bool(state and state.firing),
        since=state.since if state else None, reason=state.reason if state else "",
    )


def of_need(report: Report, need: Episode) -> Report:
    """What a report says of one need: windows from some before it until the next one, and what was done for it."""
    begun = need.window.start
    before = [window.start for window in report.windows if window.start < begun][-BEFORE:]
    since = before[0] if before else begun
    later = [one.window.start for one in report.needs if one.window.start > begun]
    until = min(later, default=None)
    own = tuple(one for one in report.requests if one.id.startswith(f"driftd-{need.id}-"))

    def holds(start: datetime) -> bool:
        return since <= start and (until is None or start < until)

    windows = tuple(window for window in report.windows if holds(window.start))[:AROUND]
    until = windows[-1].end if windows else until
    held = {window.end for window in windows}
    return replace(
        report, windows=windows,
        metrics={name: kept for name, points in report.metrics.items()
                 if (kept := tuple(point for point in points if point.at in held))},
        decisions=tuple(verdict for verdict in report.decisions if holds(verdict.window.start)),
        needs=(need,), requests=own,
        hands=tuple(hand for hand in report.hands if hand.subject in (need.id, *(one.id for one in own))),
    )


def _request(one: Dispatch, gated: Gated | None) -> Request:
    return Request(
        gate=gated.result.sentence if gated else None,
        id=one.id, at=one.created_at, pipeline=one.pipeline, state=one.state, ended_at=one.ended_at, url=one.url,
        made=one.new_version, outcome=one.reason,
    )
