"""A person's hand on a retrain request: send it again, or say what became of it. Audited."""

from dataclasses import replace
from datetime import datetime, timedelta
from typing import Literal

from monitor.errors import UsageError
from monitor.records import Dispatch, DispatchState
from monitor.retrain.evidence import with_id
from monitor.retrain.outbox import ENDED
from monitor.store import Store
from monitor.times import utcnow

Outcome = Literal["sent", "not-sent", "succeeded", "failed"]
UNSETTLED = (DispatchState.PENDING, DispatchState.AMBIGUOUS, DispatchState.ABANDONED)


def retry(
    store: Store, dispatch_id: str, *, new_attempt: bool, by: str, reason: str = "", now: datetime | None = None
) -> Dispatch:
    """Send again: under the same id what was not accepted, or, as a new attempt, what has ended.

    Raises UsageError where that could start a second run of the same need.
    """
    now = now or utcnow()
    with store.transaction():
        old = _known(store, dispatch_id)
        _nothing_else_in_flight(store, old, now)
        store.audit.note(now, by, "retry --new-attempt" if new_attempt else "retry", old.id, reason)
        return _new_attempt(store, old, now) if new_attempt else _same_id(store, old, now)


def resolve(
    store: Store, dispatch_id: str, outcome: Outcome, *, by: str, reason: str, now: datetime | None = None
) -> Dispatch:
    """Say what became of a request driftd cannot find out about; `not-sent` sends it (again) under its id.

    Raises UsageError when its end is known.
    """
    now = now or utcnow()
    with store.transaction():
        old = _known(store, dispatch_id)
        if old.state in ENDED and old.state != DispatchState.UNKNOWN:
            raise UsageError(f"{old.id} has ended: {old.state}; nothing is left to resolve")
        if old.state == DispatchState.SENDING:
            raise UsageError(f"{old.id} is being sent at this moment; try again shortly")
        store.audit.note(now, by, f"resolve {outcome}", old.id, reason)
        return _swap(store, old, _resolved(old, outcome, f"{by}: {reason}", now), now)


def _resolved(old: Dispatch, outcome: Outcome, reason: str, now: datetime) -> Dispatch:
    if outcome == "not-sent":
        if old.accepted_at is not None:
            raise UsageError(f"{old.id} was accepted at {old.accepted_at}, so it was sent")
        return replace(old, state=DispatchState.PENDING, unclear=0, next_try_at=now, reason=reason)
    states = {
        "sent": DispatchState.DELIVERED, "succeeded": DispatchState.SUCCEEDED, "failed": DispatchState.FAILED,
    }
    return replace(
        old, state=states[outcome], next_try_at=None, reason=reason, accepted_at=old.accepted_at or now,
        ended_at=None if outcome == "sent" else now,
    )


def _same_id(store: Store, old: Dispatch, now: datetime) -> Dispatch:
    if old.state not in UNSETTLED:
        raise UsageError(f"{old.id} is {old.state}; expected retry --new-attempt once it has ended")
    return _swap(store, old, replace(old, state=DispatchState.PENDING, next_try_at=now, ended_at=None), now)


def _new_attempt(store: Store, old: Dispatch, now: datetime) -> Dispatch:
    if old.state not in (*ENDED, DispatchState.DELIVERED):
        raise UsageError(f"{old.id} is {old.state}; a new attempt needs its end, see driftd resolve")
    attempt = store.requests.next_attempt(old.episode_id)
    new_id = Dispatch.new_id(old.episode_id, attempt)
    new = Dispatch(
        id=new_id, episode_id=old.episode_id, attempt=attempt, model=old.model, pipeline=old.pipeline,
        state=DispatchState.PENDING, body=with_id(old.body, new_id), created_at=now, next_try_at=now,
    )
    store.requests.add(new)
    return new


def _nothing_else_in_flight(store: Store, old: Dispatch, now: datetime) -> None:
    other = store.requests.in_flight(old.model, now, timedelta(0))
    if other is not None and other.id != old.id:
        raise UsageError(f"{other.id} is under way ({other.state}); wait for its end, or resolve it")


def _known(store: Store, dispatch_id: str) -> Dispatch:
    found = store.requests.get(dispatch_id)
    if found is None:
        raise UsageError(f"no request has the id {dispatch_id}; driftd status lists them")
    return found


def _swap(store: Store, old: Dispatch, new: Dispatch, now: datetime) -> Dispatch:
    if not store.requests.record(new, was=old.state, at=now):
        raise UsageError(f"{old.id} changed in this moment; look again with driftd status")
    return new
