"""Moments from the future, written while the clock was ahead, are set to now; everything else stays."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.records import AliasSeen, DispatchState, Firing, Message, Silence
from monitor.store import LEASE, Store

T0 = datetime(2026, 1, 5, tzinfo=UTC)
HOUR, DAY = timedelta(hours=1), timedelta(days=1)
AHEAD = T0 + 3650 * DAY


def rows(store: Store) -> dict[str, list[tuple[Any, ...]]]:
    tables = [row[0] for row in store._db.all("SELECT name FROM sqlite_master WHERE type = 'table'")]
    own = {"sums", "seal", "sqlite_sequence"}
    return {name: [tuple(row) for row in store._db.all(f"SELECT * FROM {name}")] for name in tables if name not in own}


def filled(store: Store, made: Any, now: datetime) -> None:
    """One of all that is stamped."""
    made.requested(store)
    claimed = store.requests.claim(now + 10 * DAY)
    taken = replace(claimed, state=DispatchState.DELIVERED, accepted_at=now, sent_at=now, next_try_at=None)
    store.requests.record(taken, was=DispatchState.SENDING, at=now)
    store.messages.add(Message(id="x", model="m", kind="k", title="t", body="b", created_at=now, next_try_at=now))
    store.firings.save([Firing(model="m", trigger="t", firing=True, since=now, reason="r")])
    store.pauses.begin("m", "ann", "why", now)
    store.silences.add(Silence(model="m", until=now + HOUR, reason="r", by="ann"), now)
    store.aliases.note_seen(AliasSeen(model="m", version="1", read_at=now, down_since=now))
    store.callbacks.take("m", "1", now, T0 - DAY)
    store.configurations.accept("h", "text", now)
    store.moments.note_check("m", now)


def test_what_is_right_is_left_alone(store: Store, made: Any) -> None:
    """Nothing is changed or audited while no moment is in the future; a few seconds are none."""
    filled(store, made, T0)
    before = rows(store)
    assert store.future.restamp(T0 + 30 * DAY) == 0
    assert rows(store) == before


def test_every_moment_of_the_future_becomes_now(store: Store, made: Any) -> None:
    """No column holds a moment far from now afterwards, what lasts lasts as long, and the audit says how many."""
    filled(store, made, AHEAD)
    now = T0 + 30 * DAY
    assert store.future.restamp(now) > 8
    left = {name: found for name, found in rows(store).items() if name != "audit" and "2036" in str(found)}
    assert left == {}
    (silence,) = store._db.all("SELECT since, until FROM silences")
    assert datetime.fromisoformat(silence["until"]) - datetime.fromisoformat(silence["since"]) == HOUR
    assert [entry.action for entry in store.audit.about("state")] == ["clock"]
    assert store.future.restamp(now) == 0


def test_windows_measured_in_the_future_are_not_mature(store: Store, made: Any) -> None:
    """Whether their labels were all known is judged again; the windows themselves stay."""
    store.references.install(made.reference(), None, T0)
    store.checks.commit(replace(made.snapshot(), taken_at=AHEAD, mature=True), expected_reference="r1")
    store.future.restamp(T0 + 30 * DAY)
    (known,) = store.windows.known("m", "7d")
    assert (known.mature, known.taken_at) == (False, T0 + 30 * DAY)


@pytest.mark.parametrize("ahead", [timedelta(minutes=1), DAY, 3650 * DAY])
def test_what_waits_for_the_future_is_tried_when_the_clock_is_back(store: Store, made: Any, ahead: timedelta) -> None:
    """A request tried while the clock was ahead is due at once, and a lease of then is no longer than a lease."""
    made.requested(store)
    now = T0 + 30 * DAY
    claimed = store.requests.claim(now + ahead)
    store.future.wake(now)
    assert store.requests.get(claimed.id).next_try_at <= now + LEASE
    store.requests.record(
        replace(claimed, state=DispatchState.PENDING, next_try_at=now + ahead + 5 * DAY), was=DispatchState.SENDING
    )
    store.future.wake(now)
    assert store.requests.claim(now).id == claimed.id


def test_a_wait_from_before_is_kept(store: Store, made: Any) -> None:
    """A request that was tried when the clock was right waits as long as it was to."""
    made.requested(store)
    now = T0 + 30 * DAY
    claimed = store.requests.claim(now)
    later = replace(claimed, state=DispatchState.PENDING, next_try_at=now + DAY)
    store.requests.record(later, was=DispatchState.SENDING)
    store.future.wake(now)
    assert store.requests.get(claimed.id).next_try_at == now + DAY
