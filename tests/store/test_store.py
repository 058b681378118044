"""The store keeps checks whole, and refuses what is stale."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.errors import UsageError
from monitor.records import DispatchState, EpisodeState, Message, Score
from monitor.store import Store

T0 = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
DAY = timedelta(days=1)


def test_a_check_reads_back_as_it_was_written(store: Store, made: Any) -> None:
    """Snapshot, verdict, firing, episode, dispatch and message come back equal, after one commit."""
    sent = made.requested(store)
    assert store.snapshots("m") == [made.snapshot()]
    assert store.verdicts("m") == [made.verdict()]
    assert store.verdict(made.window()) == made.verdict()
    assert [one.trigger for one in store.firing("m")] == ["pays"]
    assert store.episodes("m") == [made.episode()]
    assert store.open_episode("m") == made.episode()
    assert store.dispatches("m") == [sent]
    assert [one.id for one in store.due_messages(T0)] == ["a"]
    assert store.models() == ["m"]


def test_the_newest_revision_stands_for_its_window(store: Store, made: Any) -> None:
    """History shows each window once, oldest first; the earlier revision stays readable."""
    store.install_reference(made.reference(), None, T0)
    for n, revision in ((1, 0), (0, 0), (1, 1)):
        assert store.commit(made.snapshot(n, revision), expected_reference="r1")
    assert [(s.window, s.revision) for s in store.snapshots("m")] == [(made.window(0), 0), (made.window(1), 1)]
    assert [s.revision for s in store.revisions("m", made.window(1))] == [0, 1]
    assert [(k.window, k.revision, k.rows) for k in store.known_windows("m", "7d")] == [
        (made.window(0), 0, 1000), (made.window(1), 1, 1001),
    ]
    assert [k.window for k in store.known_windows("m", "7d", since=made.window(0).end)] == [made.window(1)]
    assert store.last_window("m", "7d") == made.window(1)
    assert store.last_window("m", "1d") is None
    assert store.snapshots("m", limit=1)[0].window == made.window(1)
    assert [s.metric for s in store.snapshots("m", metrics={"accuracy"})[0].scores] == ["accuracy"]
    assert store.snapshots("m", metrics=())[0].scores == ()


def test_a_revision_is_written_once(store: Store, made: Any) -> None:
    """A second commit of the same revision changes nothing and says so."""
    made.requested(store)
    assert not store.commit(made.snapshot(rows=1), expected_reference="r1", verdict=made.verdict())
    assert store.snapshots("m") == [made.snapshot()]


def test_a_new_reference_voids_the_verdict_but_keeps_the_snapshot(store: Store, made: Any) -> None:
    """A check that began under the old reference keeps what it measured and loses what it concluded."""
    store.install_reference(made.reference(), None, T0)
    assert store.install_reference(made.reference("r2"), "r1", T0)
    need = made.episode()
    taken = store.commit(
        made.snapshot(), expected_reference="r1", verdict=made.verdict(), episode=need, dispatch=made.dispatch(need)
    )
    assert not taken
    assert len(store.snapshots("m")) == 1
    assert store.verdicts("m") == []
    assert store.episodes("m") == []
    assert store.dispatches("m") == []


def test_a_new_reference_supersedes_the_need_and_takes_its_unsent_request_back(store: Store, made: Any) -> None:
    """Installing compares first, then ends the open episode and withdraws what was never sent."""
    sent = made.requested(store)
    assert not store.install_reference(made.reference("r2"), "other", T0)
    assert store.install_reference(made.reference("r2"), "r1", T0)
    assert store.episodes("m")[0].state == EpisodeState.SUPERSEDED
    assert store.dispatch(sent.id).state == DispatchState.WITHDRAWN
    assert [one.id for one in store.references("m")] == ["r1", "r2"]


def test_a_request_that_may_have_arrived_is_not_withdrawn(store: Store, made: Any) -> None:
    """Clearing takes back only what the pipeline cannot have accepted."""
    sent = made.requested(store)
    claimed = store.claim(T0 + WEEK)
    store.record(replace(claimed, state=DispatchState.AMBIGUOUS, unclear=1), was=DispatchState.SENDING)
    cleared = replace(made.episode(), state=EpisodeState.CLEARED)
    store.commit(made.snapshot(1), expected_reference="r1", episode=cleared, withdraw=True)
    assert store.dispatch(sent.id).state == DispatchState.AMBIGUOUS


def test_a_withdrawn_request_comes_back_with_its_need(store: Store, made: Any) -> None:
    """When the same window fires again in a later revision, the same id is due again."""
    sent = made.requested(store)
    store.commit(
        made.snapshot(0, 1), expected_reference="r1", withdraw=True,
        episode=replace(made.episode(), state=EpisodeState.CLEARED),
    )
    assert store.claim(T0 + WEEK) is None
    store.commit(made.snapshot(0, 2), expected_reference="r1", episode=made.episode(), dispatch=sent)
    assert store.claim(T0 + WEEK).id == sent.id


def test_the_history_says_what_was_accepted_and_paid(store: Store, made: Any) -> None:
    """An accepted request counts for cooldown and pays up to its window; a rejected one does not."""
    sent = made.requested(store)
    look = {"now": T0 + 2 * WEEK, "run_timeout": DAY}
    before = store.history("m", made.reference(), {"accuracy"}, **look)
    assert before.accepted == ()
    assert before.paid_until is None
    assert before.in_flight.id == sent.id
    claimed = store.claim(T0 + WEEK)
    store.record(replace(claimed, state=DispatchState.DELIVERED, accepted_at=T0 + WEEK), was=DispatchState.SENDING)
    store.pause("m", "ada", "holiday", T0)
    after = store.history("m", made.reference(), {"accuracy"}, **look)
    assert after.accepted == (T0 + WEEK,)
    assert after.paid_until == made.window().end
    assert after.in_flight is None                           # delivered longer ago than a run may take
    assert store.in_flight("m", T0 + WEEK, DAY).id == sent.id
    assert after.paused == "ada: holiday"
    assert after.episode == made.episode()
    assert [s.metric for s in after.snapshots[0].scores] == ["accuracy"]


def test_the_history_keeps_the_rehearsals_of_earlier_references(store: Store, made: Any) -> None:
    """How noisy a gain is and what was predicted outlive the reference; no more of those windows is looked back on."""
    told = (Score(metric="challenger_placebo", value=0.1), Score(metric="challenger_gain", value=1.0))
    first = made.snapshot(scores=(*told, Score(metric="accuracy", value=0.9)))
    assert store.install_reference(made.reference(), None, T0)
    assert store.commit(first, expected_reference="r1")
    assert store.install_reference(made.reference("r2"), "r1", T0)
    assert store.commit(made.snapshot(1, reference="r2"), expected_reference="r2")
    found = store.history("m", made.reference("r2"), None, now=T0, run_timeout=DAY)
    assert [one.window for one in found.snapshots] == [made.window(1)]
    assert [(one.window, set(one.scores)) for one in found.before] == [(made.window(0), set(told))]


def test_a_person_takes_the_place_of_a_suppressed_need(store: Store, made: Any) -> None:
    """A retrain by hand supersedes the need that stands, unless a request is under way already."""
    store.install_reference(made.reference(), None, T0)
    store.commit(made.snapshot(), expected_reference="r1", episode=made.episode(state=EpisodeState.SUPPRESSED))
    by_hand = made.episode(trigger="person")
    store.add_dispatch(made.dispatch(by_hand), by_hand)
    assert [one.state for one in store.episodes("m")] == [EpisodeState.SUPERSEDED, EpisodeState.REQUESTED]
    with pytest.raises(UsageError, match="under way"):
        store.add_dispatch(made.dispatch(made.episode(trigger="again")), made.episode(trigger="again"))


def test_pauses_and_hands_are_audited(store: Store) -> None:
    """Pausing and resuming leave a line each; resuming what runs says so."""
    store.pause("m", "ada", "holiday", T0)
    assert store.paused("m").by == "ada"
    assert store.resume("m", "bob", "back", T0 + DAY)
    assert not store.resume("m", "bob", "back", T0 + DAY)
    assert [(line.actor, line.action) for line in store.audit_log()] == [("ada", "pause"), ("bob", "resume")]


def test_messages_go_once(store: Store) -> None:
    """The same event is told once, and is due until it was sent."""
    told = Message(id="a", model="m", kind="firing", title="t", body="b", created_at=T0)
    assert store.add_message(told)
    assert not store.add_message(told)
    store.record_message(replace(told, tries=1, next_try_at=T0 + DAY, reason="refused"))
    assert store.due_messages(T0) == []
    assert store.due_messages(T0 + DAY)[0].tries == 1
    store.record_message(replace(told, sent_at=T0))
    assert store.due_messages(T0 + WEEK) == []


def test_accepted_configurations_are_kept(store: Store) -> None:
    """The one in force comes last, also when an older one is taken up again."""
    for name, at in (("a", T0), ("b", T0 + DAY), ("a", T0 + WEEK)):
        store.accept_config(name, name, at)
    assert [one.hash for one in store.configs()] == ["b", "a"]


def test_an_unfinished_transaction_leaves_nothing(store: Store) -> None:
    """What fails in the middle is undone, inner steps included."""
    def half() -> None:
        with store.transaction():
            store.pause("m", "ada", "x", T0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert store.paused("m") is None
    assert store.audit_log() == []
