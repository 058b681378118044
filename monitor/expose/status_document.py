"""The one document on what is going on, for `/api/status` and `driftd status --json`."""

from collections.abc import Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from monitor.decide.messages import need_words, standing
from monitor.expose.view import ModelView, View
from monitor.ledger import unusual
from monitor.records import Dispatch, DispatchState, Episode, Firing, Json, Snapshot, to_json

STATUS_VERSION = 2      # of this document: 1 were two, one over HTTP and one of the command
_ENDED = (DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.CANCELLED, DispatchState.ABANDONED,
          DispatchState.WITHDRAWN, DispatchState.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A dispatch without its body."""

    id: str
    attempt: int
    pipeline: str
    state: DispatchState
    created_at: datetime
    tries: int
    next_try_at: datetime | None
    accepted_at: datetime | None
    running_at: datetime | None
    ended_at: datetime | None
    handle: str | None
    url: str | None
    reason: str | None

    @classmethod
    def of(cls, dispatch: Dispatch) -> "Request":
        return cls(**{field.name: getattr(dispatch, field.name) for field in fields(cls)})


def under_way(dispatches: Sequence[Dispatch]) -> Dispatch | None:
    """Return the newest dispatch that has not ended."""
    return next((dispatch for dispatch in reversed(dispatches) if dispatch.state not in _ENDED), None)


def status_document(view: View) -> Json:
    """Return the view as JSON, without scores and request bodies."""
    return {
        "schema_version": STATUS_VERSION,
        "models": [_model(model) for model in view.models],
        "messages_pending": view.messages_pending,
    }


def _model(model: ModelView) -> Json:
    requests = [to_json(Request.of(dispatch)) for dispatch in model.dispatches]
    running = under_way(model.dispatches)
    firing = [one for one in model.firing if one.firing]
    return {
        "model": model.name,
        "mode": model.mode,
        "window": model.newest and _window(model.newest),
        "metric": _metric(model),
        "action": standing(model.verdict, firing),
        "verdict": model.verdict and _chosen(model.verdict, "action", "at", "fired", "guards", "reasons"),
        "firing": [_chosen(one, "trigger", "since", "reason") for one in firing],
        "gain_realised": model.gain_realised and to_json(model.gain_realised),
        "reference": model.reference and _chosen(model.reference, "id", "model_version", "origin", "since"),
        "episode": model.episode and _episode(model.episode, firing),
        "dispatch": running and to_json(Request.of(running)),
        "last_dispatch": requests[-1] if requests else None,
        "dispatches": requests,
        "promotion": model.promotion and _chosen(
            model.promotion, "version", "replaces", "origin", "state", "at", "decided_by", "reason", "need", "recovery",
            "recovery_at", "recovery_reason",
        ),
        "waiting": model.waiting and _chosen(model.waiting, "version", "replaces", "origin", "at"),
        "alias_move": model.alias_move and to_json(model.alias_move),
        "shadow": model.shadow and model.shadow.to_json(),
        "paused": model.paused and _chosen(model.paused, "by", "reason", "at"),
        "silences": [_chosen(silence, "trigger", "until", "maintenance", "reason", "by") for silence in model.silences],
    }


def _episode(episode: Episode, firing: Sequence[Firing]) -> Json:
    window = to_json(episode.window)
    told = _chosen(episode, "id", "trigger", "state", "approval")
    return told | {
        "reason": need_words(episode, firing), "window": {name: window[name] for name in ("start", "end")},
    }


def _metric(model: ModelView) -> Json | None:
    """The metric the model is judged by: its value in the newest window that has one, and that of the reference."""
    if not model.trend:
        return None
    newest = model.trend[-1]
    told = _chosen(newest.score, "metric", "value", "reference", "low", "high", "status", "provisional", "n")
    return told | {"window_end": to_json(newest.end)}


def _window(snapshot: Snapshot) -> Json:
    facts = ("revision", "taken_at", "rows", "labelled", "late", "mature", "status", "reason")
    said = {"unusual": list(unusual(snapshot.ledger))}
    return _chosen(snapshot.window, "start", "end") | _chosen(snapshot, *facts) | said


def _chosen(record: Any, *names: str) -> Json:
    data = to_json(record)
    return {name: data[name] for name in names}
