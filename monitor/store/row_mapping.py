"""Records to rows and back."""

import json
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from monitor.records import (
    Action,
    Approval,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Firing,
    Message,
    Reference,
    Score,
    ScoreStatus,
    Silence,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store.database import Row, moment, stamp, sure

SCORE_COLUMNS = (
    "snapshot_id", "position", "metric", "method", "column_name", "segment", "value", "reference", "low",
    "high", "threshold", "status", "provisional", "n", "reason", "uncalibrated",
)
APPROVAL = "a.asked_at, a.asked_by, a.decision, a.decided_at, a.decided_by, a.reason AS answer"
WINDOW = "w.model, w.spec, w.start_at, w.start_id, w.end_at, w.end_id"


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the newest revision of a window counted."""

    window: Window
    revision: int
    rows: int
    labelled: int
    mature: bool
    reference_id: str
    first_rows: int                      # what revision 0 counted
    taken_at: datetime
    labels: str | None                   # a digest of the labels it saw


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """No retrain request for this model until somebody resumes it."""

    model: str
    by: str
    reason: str
    at: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A configuration that was in force, as redacted text."""

    hash: str
    text: str
    at: datetime


def window_row(window: Window) -> dict[str, Any]:
    return {
        "model": window.model, "spec": window.spec,
        "start_at": stamp(window.start), "start_id": window.start_id,
        "end_at": stamp(window.end), "end_id": window.end_id,
    }


def window_of(row: Row) -> Window:
    return Window(
        model=row["model"], spec=row["spec"], start=sure(row["start_at"]), start_id=row["start_id"],
        end=sure(row["end_at"]), end_id=row["end_id"],
    )


def known_of(row: Row) -> Known:
    return Known(
        window=window_of(row), revision=row["revision"], rows=row["row_count"], labelled=row["labelled"],
        mature=bool(row["mature"]), reference_id=row["reference_id"], first_rows=row["row_count"] - row["late"],
        taken_at=sure(row["taken_at"]), labels=row["labels"],
    )


def snapshot_row(snapshot: Snapshot, window_id: int) -> dict[str, Any]:
    return {
        "window_id": window_id, "revision": snapshot.revision, "taken_at": stamp(snapshot.taken_at),
        "reference_id": snapshot.reference_id, "model_version": snapshot.model_version,
        "config_hash": snapshot.config_hash, "code_version": snapshot.code_version,
        "row_count": snapshot.rows,
        "labelled": snapshot.labelled, "late": snapshot.late, "sampled": snapshot.sampled,
        "mature": int(snapshot.mature), "status": snapshot.status, "reason": snapshot.reason,
        "labels": snapshot.labels,
    }


def snapshot_of(row: Row, scores: tuple[Score, ...]) -> Snapshot:
    return Snapshot(
        window=window_of(row), revision=row["revision"], taken_at=sure(row["taken_at"]),
        reference_id=row["reference_id"], model_version=row["model_version"], config_hash=row["config_hash"],
        code_version=row["code_version"], rows=row["row_count"], labelled=row["labelled"], late=row["late"],
        sampled=row["sampled"], mature=bool(row["mature"]), status=SnapshotStatus(row["status"]),
        reason=row["reason"], scores=scores, labels=row["labels"],
    )


def score_row(snapshot_id: int, position: int, s: Score) -> tuple[Any, ...]:
    return (
        snapshot_id, position, s.metric, s.method, s.column, s.segment, s.value, s.reference, s.low, s.high,
        s.threshold, s.status, int(s.provisional), s.n, s.reason, int(s.uncalibrated),
    )


def score_of(row: Row) -> Score:
    return Score(
        metric=row["metric"], method=row["method"], column=row["column_name"], segment=row["segment"],
        value=row["value"], reference=row["reference"], low=row["low"], high=row["high"],
        threshold=row["threshold"], status=ScoreStatus(row["status"]), provisional=bool(row["provisional"]),
        n=row["n"], reason=row["reason"], uncalibrated=bool(row["uncalibrated"]),
    )


def verdict_row(snapshot_id: int, verdict: Verdict) -> dict[str, Any]:
    return {
        "snapshot_id": snapshot_id, "at": stamp(verdict.at), "action": verdict.action,
        "fired": json.dumps(verdict.fired), "guards": json.dumps(verdict.guards),
        "reasons": json.dumps(verdict.reasons, ensure_ascii=False),
    }


def verdict_of(row: Row) -> Verdict:
    return Verdict(
        window=window_of(row), revision=row["revision"], at=sure(row["at"]), action=Action(row["action"]),
        fired=tuple(json.loads(row["fired"])), guards=tuple(json.loads(row["guards"])),
        reasons=tuple(json.loads(row["reasons"])),
    )


def firing_row(firing: Firing) -> dict[str, Any]:
    return {
        "model": firing.model, "trigger_name": firing.trigger, "firing": int(firing.firing),
        "since": stamp(firing.since), "reason": firing.reason,
    }


def firing_of(row: Row) -> Firing:
    return Firing(
        model=row["model"], trigger=row["trigger_name"], firing=bool(row["firing"]), since=sure(row["since"]),
        reason=row["reason"],
    )


def episode_of(row: Row) -> Episode:
    return Episode(
        id=row["id"], model=row["model"], reference_id=row["reference_id"], trigger=row["trigger_name"],
        window=window_of(row), state=EpisodeState(row["state"]), reason=row["reason"],
        approval=None if row["asked_at"] is None else _approval_of(row),
    )


def approval_row(episode_id: str, a: Approval) -> dict[str, Any]:
    return {
        "episode_id": episode_id, "asked_at": stamp(a.asked_at), "asked_by": a.asked_by, "decision": a.decision,
        "decided_at": stamp(a.decided_at), "decided_by": a.decided_by, "reason": a.reason,
    }


def _approval_of(row: Row) -> Approval:
    decision = row["decision"]
    return Approval(
        asked_at=sure(row["asked_at"]), asked_by=row["asked_by"], decided_at=moment(row["decided_at"]),
        decision=None if decision is None else EpisodeState(decision), decided_by=row["decided_by"],
        reason=row["answer"],
    )


def silence_of(row: Row) -> Silence:
    return Silence(
        model=row["model"], until=sure(row["until"]), reason=row["reason"], trigger=row["trigger_name"],
        maintenance=bool(row["maintenance"]), by=row["by_whom"],
    )


def dispatch_row(d: Dispatch) -> dict[str, Any]:
    return {
        "id": d.id, "episode_id": d.episode_id, "attempt": d.attempt, "model": d.model,
        "pipeline": d.pipeline, "state": d.state, "body": d.body, "created_at": stamp(d.created_at),
        "tries": d.tries, "next_try_at": stamp(d.next_try_at), "accepted_at": stamp(d.accepted_at),
        "ended_at": stamp(d.ended_at), "handle": d.handle, "url": d.url, "reason": d.reason,
        "sent_at": stamp(d.sent_at), "unclear": d.unclear,
        "new_version": d.new_version, "new_reference": d.new_reference, "running_at": stamp(d.running_at),
    }


def dispatch_of(row: Row) -> Dispatch:
    return Dispatch(
        id=row["id"], episode_id=row["episode_id"], attempt=row["attempt"], model=row["model"],
        pipeline=row["pipeline"], state=DispatchState(row["state"]), body=row["body"],
        created_at=sure(row["created_at"]), tries=row["tries"], next_try_at=moment(row["next_try_at"]),
        accepted_at=moment(row["accepted_at"]), ended_at=moment(row["ended_at"]), handle=row["handle"],
        url=row["url"], reason=row["reason"], sent_at=moment(row["sent_at"]), unclear=row["unclear"],
        new_version=row["new_version"], new_reference=row["new_reference"], running_at=moment(row["running_at"]),
    )


def message_row(m: Message) -> dict[str, Any]:
    return {
        "id": m.id, "model": m.model, "kind": m.kind, "title": m.title, "body": m.body,
        "created_at": stamp(m.created_at), "tries": m.tries, "next_try_at": stamp(m.next_try_at),
        "sent_at": stamp(m.sent_at), "reason": m.reason, "trigger_name": m.trigger,
    }


def message_of(row: Row) -> Message:
    return Message(
        id=row["id"], model=row["model"], kind=row["kind"], title=row["title"], body=row["body"],
        created_at=sure(row["created_at"]), tries=row["tries"], next_try_at=moment(row["next_try_at"]),
        sent_at=moment(row["sent_at"]), reason=row["reason"],
        trigger=row["trigger_name"],
    )


def reference_of(row: Row) -> Reference:
    return Reference(
        model=row["model"], id=row["id"], model_version=row["model_version"], origin=row["origin"],
        since=sure(row["since"]),
    )
