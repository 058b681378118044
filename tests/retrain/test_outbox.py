"""Requests are retried, followed and told; a person's hand settles what cannot be found out."""

import random
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from monitor.errors import ConfigError, UsageError
from monitor.records import Dispatch, DispatchState
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import Answer, Key, Result
from monitor.retrain.requests_by_hand import resolve, retry
from monitor.store import Store

S = DispatchState
HOUR = timedelta(hours=1)


class Place:
    """A pipeline that answers from lists, and counts."""

    def __init__(self, *answers: Any, key: Key = "native") -> None:
        self.answers, self.known, self.followed = list(answers), key, [Answer(state=S.RUNNING)]
        self.found: Answer | None = None
        self.ids: list[str] = []

    def key(self) -> Key:
        return self.known

    def submit(self, dispatch: Dispatch) -> Answer:
        self.ids.append(dispatch.id)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer if isinstance(answer, Answer) else Answer(state=answer, reason=str(answer))

    def find(self, dispatch: Dispatch) -> Answer | None:
        return self.found

    def follow(self, dispatch: Dispatch) -> Answer:
        answer = self.followed.pop(0) if len(self.followed) > 1 else self.followed[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    def check(self) -> list[str]:
        return []


def outbox(store: Store, clock: Any, **places: Any) -> Outbox:
    return Outbox(store, places, clock, random.Random(1), queue_timeout={"m": 2 * HOUR}, run_timeout={"m": 5 * HOUR})


def only(store: Store) -> Dispatch:
    (one,) = store.requests.all()
    return one


def test_retries_follow_the_ladder_under_one_id(store, clock, kit) -> None:
    """Tries wait 5 s, 5 min, 30 min, … 24 h and then 24 h for ever, up to a fifth longer."""
    kit.request_in(store)
    place = Place(S.PENDING)
    box, waits = outbox(store, clock, p=place), []
    for _ in range(12):
        (sent,) = box.send_due()
        waits.append((sent.next_try_at - clock.now).total_seconds())
        assert box.send_due() == []
        clock.now = sent.next_try_at
    steps = [5, 300, 1800, 7200, 18_000, 36_000, 50_400, 72_000, 86_400, 86_400, 86_400, 86_400]
    assert all(step <= wait <= 1.2 * step for step, wait in zip(steps, waits, strict=True))
    assert len(set(place.ids)) == 1
    assert only(store).accepted_at is None


@pytest.mark.parametrize(("heard", "at"), [(True, [2, 5]), (False, [5])])
def test_people_hear_soon_of_what_is_refused(store, clock, kit, heard: bool, at: list[int]) -> None:
    """A refusal that is heard twice is told, and once more at the fifth; where nobody answers, at the fifth."""
    made = kit.request_in(store)
    box = outbox(store, clock, p=Place(Answer(state=S.PENDING, reason="its door is shut", heard=heard)))
    for _ in range(7):
        clock.now = box.send_due()[0].next_try_at
    assert [one.id for one in store.messages.all()] == [f"{made.id}:held:pending:{tries}" for tries in at]
    assert all("its door is shut" in one.body for one in store.messages.all())


def test_a_place_that_asks_to_wait_is_obeyed(store, clock, kit) -> None:
    """retry_after replaces the ladder's step."""
    kit.request_in(store)
    outbox(store, clock, p=Place(Answer(state=S.PENDING, retry_after=timedelta(minutes=42)))).send_due()
    assert only(store).next_try_at == clock.now + timedelta(minutes=42)


def test_a_place_that_asks_to_be_asked_at_once_is_asked_seldom(store, clock, kit) -> None:
    """A server that answers "Retry-After: 0" for a day gets no request a second."""
    kit.request_in(store)
    box = outbox(store, clock, p=Place(Answer(state=S.PENDING, retry_after=timedelta(seconds=1))))
    began, tries = clock.now, 0
    while clock.now < began + 24 * HOUR:
        clock.now = box.send_due()[0].next_try_at
        tries += 1
    assert 200 < tries < 300


def test_a_rejected_request_is_told_and_costs_nothing(store, clock, kit) -> None:
    """Rejected is final, told once, and not accepted, so that neither cooldown nor budget counts it."""
    kit.request_in(store)
    box = outbox(store, clock, p=Place(S.ABANDONED))
    box.send_due()
    clock.forward(48 * HOUR)
    assert box.send_due() == []
    assert only(store).accepted_at is None
    assert only(store).ended_at is not None
    assert [(one.kind, "rejected" in one.title) for one in store.messages.all()] == [("outcome", True)]


def test_one_bad_pipeline_does_not_stop_the_others(store, clock, kit) -> None:
    """A bug, a missing secret and a missing pipeline each leave their request for later; the next one goes out."""
    first = kit.request_in(store)
    places = {"bug": S.AMBIGUOUS, "secret": S.PENDING, "gone": S.PENDING, "p": S.DELIVERED}
    store.requests.record(replace(first, state=S.FAILED), was=S.PENDING)
    made = {
        name: replace(first, id=Dispatch.new_id(first.episode_id, n), attempt=n, pipeline=name)
        for n, name in enumerate(places, start=2)
    }
    for one in made.values():
        store.requests.add(replace(one, state=S.FAILED))
    for one in made.values():
        store.requests.record(one, was=S.FAILED)
    outbox(
        store, clock, bug=Place(ZeroDivisionError()), secret=Place(ConfigError(["X is not set"])),
        p=Place(S.DELIVERED),
    ).send_due()
    assert {name: store.requests.get(one.id).state for name, one in made.items()} == places
    assert store.requests.get(made["secret"].id).reason == "X is not set"


@pytest.mark.parametrize(("key", "state", "sends"), [("native", S.DELIVERED, 2), ("blind", S.AMBIGUOUS, 1)])
def test_an_unclear_answer_depends_on_the_key(store, clock, kit, key: Key, state: Any, sends: int) -> None:
    """Native: the same id again. Blind: held, and people are told how to resolve it."""
    kit.request_in(store)
    place = Place(S.AMBIGUOUS, S.DELIVERED, key=key)
    box = outbox(store, clock, p=place)
    for _ in range(4):
        box.send_due()
        clock.forward(HOUR)
    assert (only(store).state, len(place.ids), len(set(place.ids))) == (state, sends, 1)
    assert [one.kind for one in store.messages.all()] == ([] if key == "native" else ["held"])


def test_an_unclear_request_stays_unclear_while_later_tries_fail(store, clock, kit) -> None:
    """A try that was surely not taken says nothing about the one before it."""
    kit.request_in(store)
    box = outbox(store, clock, p=Place(S.AMBIGUOUS, S.PENDING))
    box.send_due()
    clock.forward(HOUR)
    box.send_due()
    assert (only(store).state, only(store).unclear) == (S.AMBIGUOUS, 1)


def test_a_run_is_followed_to_its_outcome(store, clock, kit) -> None:
    """Running, trouble in asking, then success with what was made; accepted once, told once."""
    kit.request_in(store)
    place = Place(S.QUEUED)
    box = outbox(store, clock, p=place)
    box.send_due()
    accepted = clock.now
    place.followed = [
        Answer(state=S.RUNNING, handle="7"), RuntimeError("boom"), Answer(state=S.RUNNING),
        Answer(state=S.SUCCEEDED, result=Result(model_version="2", reference="/r.csv")),
    ]
    states = []
    for _ in range(4):
        clock.forward(timedelta(minutes=1))
        states += [one.state for one in box.follow()]
    assert states == [S.RUNNING, S.SUCCEEDED]
    done = only(store)
    assert (done.handle, done.accepted_at, done.ended_at) == ("7", accepted, clock.now)
    assert (done.new_version, done.new_reference) == ("2", "/r.csv")
    assert [one.kind for one in store.messages.all()] == ["outcome"]
    assert box.follow() == []


def test_runs_are_not_asked_after_too_often(store, clock, kit) -> None:
    """A question is put at most every 15 s, or when the other side allows."""
    kit.request_in(store)
    place = Place(S.RUNNING)
    place.followed = [Answer(state=S.RUNNING, reason="1", retry_after=HOUR), Answer(state=S.FAILED)]
    box = outbox(store, clock, p=place)
    box.send_due()
    box.follow()
    clock.forward(timedelta(minutes=30))
    assert box.follow() == []
    clock.forward(HOUR)
    assert box.follow()[0].state == S.FAILED


def test_a_run_without_end_becomes_unknown(store, clock, kit) -> None:
    """After run_timeout, from its beginning, it is no longer in flight, and people hear of it; it has not failed."""
    kit.request_in(store)
    place = Place(S.QUEUED)
    box = outbox(store, clock, p=place)
    box.send_due()
    clock.forward(HOUR)
    place.followed = [Answer(state=S.RUNNING, reason="the run is running")]
    box.follow()
    clock.forward(4.9 * HOUR)
    assert (box.follow(), only(store).state) == ([], S.RUNNING)
    clock.forward(0.1 * HOUR)
    assert box.follow()[0].state == S.UNKNOWN
    assert only(store).reason == "it has not ended within 5h; last: the run is running"
    assert store.requests.in_flight("m", clock.now, HOUR) is None
    assert "no longer followed" in store.messages.all()[0].title


@pytest.mark.parametrize("state", [S.QUEUED, S.BLOCKED])
def test_a_run_that_never_begins_becomes_unknown(store, clock, kit, state: Any) -> None:
    """After queue_timeout, from the accepted request: people hear which deadline it was."""
    kit.request_in(store)
    place = Place(S.QUEUED)
    place.followed = [Answer(state=state, reason="no worker is free")]
    box = outbox(store, clock, p=place)
    box.send_due()
    clock.forward(1.9 * HOUR)
    box.follow()
    assert only(store).state == state
    clock.forward(0.1 * HOUR)
    assert box.follow()[0].state == S.UNKNOWN
    assert only(store).ended_at == clock.now
    assert "it has not begun within 2h; last: no worker is free" in store.messages.all()[-1].body


def test_days_offline_cost_a_run_nothing(store, clock, kit) -> None:
    """While nobody answers no deadline is over: back online after a week, the end is read. Two weeks more end it."""
    made = kit.request_in(store)
    place = Place(S.RUNNING)
    place.followed = [Answer(state=S.RUNNING, heard=False)]
    box = outbox(store, clock, p=place)
    box.send_due()
    clock.forward(7 * 24 * HOUR)
    box.follow()
    assert only(store).state == S.RUNNING
    place.followed = [OSError("no network")]
    clock.forward(HOUR)
    box.follow()
    assert only(store).state == S.RUNNING
    clock.forward(8 * 24 * HOUR)
    assert [(one.id, one.state) for one in box.follow()] == [(made.id, S.UNKNOWN)]


def test_the_end_of_a_run_counts_however_late_it_is_read(store, clock, kit) -> None:
    """A daemon that was off for a month reads what became of the run before it looks at the clock."""
    kit.request_in(store)
    place = Place(S.QUEUED)
    box = outbox(store, clock, p=place)
    box.send_due()
    clock.forward(30 * 24 * HOUR)
    place.followed = [Answer(state=S.SUCCEEDED, result=Result(model_version="2"))]
    assert [(one.state, one.new_version) for one in box.follow()] == [(S.SUCCEEDED, "2")]


@pytest.mark.parametrize(("outcome", "state"), [
    ("sent", S.DELIVERED), ("succeeded", S.SUCCEEDED), ("failed", S.FAILED), ("not-sent", S.PENDING),
])
def test_a_person_resolves_what_is_held(store, clock, kit, outcome: Any, state: Any) -> None:
    """What a person says counts, is audited, and not-sent goes out under the same id."""
    made = kit.request_in(store)
    place = Place(S.AMBIGUOUS, S.DELIVERED, key="blind")
    box = outbox(store, clock, p=place)
    box.send_due()
    clock.forward(HOUR)
    box.send_due()
    said = resolve(store, made.id, outcome, by="ada", reason="looked", now=clock.now)
    assert (said.state, said.accepted_at is None) == (state, state == S.PENDING)
    assert [(line.actor, line.action) for line in store.audit.by_people()] == [("ada", f"resolve {outcome}")]
    box.send_due()
    assert place.ids == [made.id] * (2 if outcome == "not-sent" else 1)


def test_retry_keeps_the_id_and_a_new_attempt_has_its_own(store, clock, kit) -> None:
    """A rejected request goes again under its id; one whose run failed only as a new attempt."""
    made = kit.request_in(store)
    place = Place(S.ABANDONED, S.FAILED, S.DELIVERED)
    box = outbox(store, clock, p=place)
    box.send_due()
    retry(store, made.id, new_attempt=False, by="ada", now=clock.now)
    box.send_due()
    with pytest.raises(UsageError, match="--new-attempt"):
        retry(store, made.id, new_attempt=False, by="ada", now=clock.now)
    second = retry(store, made.id, new_attempt=True, by="ada", now=clock.now)
    box.send_due()
    assert place.ids == [made.id, made.id, second.id]
    assert second.id == made.id[:-1] + "2"
    assert f'"id":"{second.id}"' in second.body
    assert store.requests.get(second.id).state == S.DELIVERED


def test_a_hand_cannot_start_two_runs(store, clock, kit) -> None:
    """While a request is under way no other attempt of the model is written; unknown ids are named."""
    made = kit.request_in(store)
    with pytest.raises(UsageError, match="is pending"):
        retry(store, made.id, new_attempt=True, by="ada", now=clock.now)
    with pytest.raises(UsageError, match="no request has the id nonsense"):
        resolve(store, "nonsense", "sent", by="ada", reason="")
    assert store.audit.by_people() == []
