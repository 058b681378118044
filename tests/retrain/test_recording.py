"""The state cannot be written while an answer is to be recorded: nothing is sent twice, nothing waits for a restart."""

import random
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest

from monitor.config.sections import NotifySection
from monitor.errors import StateError
from monitor.notify.notifier import Notifier
from monitor.records import Dispatch, DispatchState
from monitor.retrain.outbox import Outbox, message
from monitor.retrain.pipelines import Answer, Key
from monitor.store import LEASE, Store

S = DispatchState
SECOND = timedelta(seconds=1)


def writable(store: Store, yes: bool) -> None:
    """SQLite itself refuses to write, from now on or no more."""
    store._db._connection.execute(f"PRAGMA query_only = {not yes:d}")


class Place:
    """A pipeline that does something as it takes a request."""

    def __init__(self, meanwhile: Callable[[], None], key: Key = "native", found: Answer | None = None) -> None:
        self.meanwhile, self._key, self.found = meanwhile, key, found
        self.ids: list[str] = []

    def key(self) -> Key:
        return self._key

    def submit(self, dispatch: Dispatch) -> Answer:
        self.ids.append(dispatch.id)
        self.meanwhile()
        return Answer(state=S.DELIVERED, reason="accepted", url="https://runs/1")

    def find(self, dispatch: Dispatch) -> Answer | None:
        return self.found

    def follow(self, dispatch: Dispatch) -> Answer:
        return Answer(state=dispatch.state)

    def check(self) -> list[str]:
        return []


def outbox(store: Store, clock: Any, place: Place) -> Outbox:
    return Outbox(store, {"p": place}, clock, random.Random(1))


def unrecorded(store: Store, clock: Any, kit: Any, **place: Any) -> tuple[Outbox, Place]:
    """A request that was taken while its answer could not be recorded."""
    kit.request_in(store)
    taken = Place(lambda: writable(store, False), **place)
    box = outbox(store, clock, taken)
    with pytest.raises(StateError):
        box.send_due()
    assert (store.requests.all()[0].state, taken.ids) == (S.SENDING, [store.requests.all()[0].id])
    return box, taken


def test_an_answer_that_could_not_be_recorded_is_recorded_later(store: Store, clock: Any, kit: Any) -> None:
    """As soon as the state can be written the answer is in it; nothing was sent a second time, however long it took."""
    box, place = unrecorded(store, clock, kit)
    clock.forward(3 * LEASE)
    with pytest.raises(StateError):
        box.send_due()
    writable(store, True)
    (sent,) = box.send_due()
    assert (sent.state, sent.url, len(place.ids)) == (S.DELIVERED, "https://runs/1", 1)
    assert (store.requests.all(), box.send_due()) == ([sent], [])


FOUND = Answer(state=S.RUNNING, reason="found", handle="7")


@pytest.mark.parametrize(
    ("key", "found", "state", "sent", "told"),
    [
        ("native", None, S.DELIVERED, 2, []),
        ("blind", None, S.AMBIGUOUS, 1, ["held"]),
        ("findable", FOUND, S.RUNNING, 1, []),
    ],
)
def test_a_lease_ends_by_the_pipelines_own_rule(
    store: Store, clock: Any, kit: Any, key: Any, found: Answer | None, state: DispatchState, sent: int, told: list[str]
) -> None:
    """Where the answer is lost, the running daemon clears it up within five minutes, as after a crash."""
    _, place = unrecorded(store, clock, kit, key=key, found=found)
    writable(store, True)
    place.meanwhile = lambda: None
    other = outbox(store, clock, place)             # after a reload: the answer is forgotten
    clock.forward(LEASE - SECOND)
    assert other.send_due() == []
    clock.forward(SECOND)
    other.send_due()
    (now,) = store.requests.all()
    assert (now.state, now.unclear, len(place.ids)) == (state, 1, sent)
    assert [message.kind for message in store.messages.all()] == told


def test_every_claim_ends(store: Store, clock: Any, kit: Any) -> None:
    """A request sent again in doubt is claimed for as long, and comes back as well."""
    _, place = unrecorded(store, clock, kit)
    for _ in range(3):
        writable(store, True)
        other = outbox(store, clock, place)         # its answers are lost too
        clock.forward(LEASE)
        with pytest.raises(StateError):
            other.send_due()
    assert (store.requests.all()[0].state, len(place.ids), len(set(place.ids))) == (S.SENDING, 4, 1)


def test_nothing_is_sent_that_cannot_be_claimed(store: Store, clock: Any, kit: Any) -> None:
    """While the state refuses even the claim, nothing leaves."""
    kit.request_in(store)
    place = Place(lambda: None)
    writable(store, False)
    with pytest.raises(StateError):
        outbox(store, clock, place).send_due()
    assert (place.ids, store.requests.all()[0].state) == ([], S.PENDING)


def test_a_message_that_was_sent_is_not_sent_again(
    store: Store, clock: Any, kit: Any, server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While it cannot be recorded that everybody has a message, nobody gets it again."""
    monkeypatch.setenv("PEOPLE", server.url.replace("http", "json"))
    section = NotifySection.model_validate({"urls": [{"env": "PEOPLE"}]})
    store.messages.add(message(kit.request_in(store), "held", clock.now))
    box = Notifier(store.messages, section, clock)
    writable(store, False)
    for _ in range(3):
        with pytest.raises(StateError):
            box.send_due()
    writable(store, True)
    assert (box.send_due(), box.send_due(), len(server.seen)) == (1, 0, 1)


def written_and_rolled_back(store: Store) -> None:
    with store.transaction():
        store.moments.try_to_write()
        raise ZeroDivisionError


def test_a_fault_is_over_when_a_write_is_on_disk(store: Store, clock: Any, kit: Any) -> None:
    """Reading, and a transaction that was rolled back, do not end a fault; a write that was committed does."""
    heard: list[str | None] = []
    store.on_fault(heard.append)
    kit.request_in(store)
    assert (store.fault, heard) == (None, [])
    writable(store, False)
    for _ in range(2):
        with pytest.raises(StateError):
            store.moments.try_to_write()
    assert "readonly" in str(store.fault)
    assert heard == [store.fault] * 2
    writable(store, True)
    store.requests.all()
    with pytest.raises(ZeroDivisionError):
        written_and_rolled_back(store)
    with store.transaction():
        store.requests.all()
    assert store.fault is not None
    store.moments.try_to_write()
    assert (store.fault, heard[-1]) == (None, None)
