"""The store keeps checks whole, and refuses what is stale."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from monitor.errors import UsageError
from monitor.history import Remembered
from monitor.records import DispatchState, EpisodeState, Message, Score, ScoreStatus
from monitor.store import Store

T0 = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
DAY = timedelta(days=1)


def test_a_check_reads_back_as_it_was_written(store: Store, made: Any) -> None:
    """Snapshot, verdict, firing, episode, dispatch and message come back equal, after one commit."""
    sent = made.requested(store)
    assert store.snapshots.newest_revisions("m") == [made.snapshot()]
    assert store.verdicts.all("m") == [made.verdict()]
    assert store.verdicts.newest_on(made.window()) == made.verdict()
    assert [one.trigger for one in store.firings.all("m")] == ["pays"]
    assert store.episodes.all("m") == [made.episode()]
    assert store.episodes.standing("m") == made.episode()
    assert store.requests.all("m") == [sent]
    assert [one.id for one in store.messages.due(T0)] == ["a"]
    assert store.references.models() == ["m"]


def test_the_newest_revision_stands_for_its_window(store: Store, made: Any) -> None:
    """History shows each window once, oldest first; the earlier revision stays readable."""
    store.references.install(made.reference(), None, T0)
    for n, revision in ((1, 0), (0, 0), (1, 1)):
        assert store.checks.commit(made.snapshot(n, revision), expected_reference="r1")
    newest = store.snapshots.newest_revisions("m")
    assert [(s.window, s.revision) for s in newest] == [(made.window(0), 0), (made.window(1), 1)]
    assert [s.revision for s in store.snapshots.revisions(made.window(1))] == [0, 1]
    assert [(k.window, k.revision, k.rows) for k in store.windows.known("m", "7d")] == [
        (made.window(0), 0, 1000), (made.window(1), 1, 1001),
    ]
    assert [k.window for k in store.windows.known("m", "7d", since=made.window(0).end)] == [made.window(1)]
    assert store.windows.newest("m", "7d") == made.window(1)
    assert store.windows.newest("m", "1d") is None
    assert store.snapshots.newest("m").window == made.window(1)
    assert [s.metric for s in store.snapshots.newest_revisions("m", metrics={"accuracy"})[0].scores] == ["accuracy"]
    assert store.snapshots.newest_revisions("m", metrics=())[0].scores == ()


def test_a_revision_is_written_once(store: Store, made: Any) -> None:
    """A second commit of the same revision changes nothing and says so."""
    made.requested(store)
    assert not store.checks.commit(made.snapshot(rows=1), expected_reference="r1", verdict=made.verdict())
    assert store.snapshots.newest_revisions("m") == [made.snapshot()]


def test_a_new_reference_voids_the_verdict_but_keeps_the_snapshot(store: Store, made: Any) -> None:
    """A check that began under the old reference keeps what it measured and loses what it concluded."""
    store.references.install(made.reference(), None, T0)
    assert store.references.install(made.reference("r2"), "r1", T0)
    need = made.episode()
    taken = store.checks.commit(
        made.snapshot(), expected_reference="r1", verdict=made.verdict(), episode=need, dispatch=made.dispatch(need)
    )
    assert not taken
    assert len(store.snapshots.newest_revisions("m")) == 1
    assert store.verdicts.all("m") == []
    assert store.episodes.all("m") == []
    assert store.requests.all("m") == []


def test_a_new_reference_supersedes_the_need_and_takes_its_unsent_request_back(store: Store, made: Any) -> None:
    """Installing compares first, then ends the open episode and withdraws what was never sent."""
    sent = made.requested(store)
    assert not store.references.install(made.reference("r2"), "other", T0)
    assert store.references.install(made.reference("r2"), "r1", T0)
    assert store.episodes.all("m")[0].state == EpisodeState.SUPERSEDED
    assert store.requests.get(sent.id).state == DispatchState.WITHDRAWN
    assert [one.id for one in store.references.all("m")] == ["r1", "r2"]


def test_a_request_that_may_have_arrived_is_not_withdrawn(store: Store, made: Any) -> None:
    """Clearing takes back only what the pipeline cannot have accepted."""
    sent = made.requested(store)
    claimed = store.requests.claim(T0 + WEEK)
    store.requests.record(replace(claimed, state=DispatchState.AMBIGUOUS, unclear=1), was=DispatchState.SENDING)
    cleared = replace(made.episode(), state=EpisodeState.CLEARED)
    store.checks.commit(made.snapshot(1), expected_reference="r1", episode=cleared, withdraw=True)
    assert store.requests.get(sent.id).state == DispatchState.AMBIGUOUS


def test_a_withdrawn_request_comes_back_with_its_need(store: Store, made: Any) -> None:
    """When the same window fires again in a later revision, the same id is due again."""
    sent = made.requested(store)
    store.checks.commit(
        made.snapshot(0, 1), expected_reference="r1", withdraw=True,
        episode=replace(made.episode(), state=EpisodeState.CLEARED),
    )
    assert store.requests.claim(T0 + WEEK) is None
    store.checks.commit(made.snapshot(0, 2), expected_reference="r1", episode=made.episode(), dispatch=sent)
    assert store.requests.claim(T0 + WEEK).id == sent.id


def test_the_history_says_what_was_accepted_and_paid(store: Store, made: Any) -> None:
    """An accepted request counts for cooldown and pays up to its window; a rejected one does not."""
    sent = made.requested(store)
    look = {"now": T0 + 2 * WEEK, "run_timeout": DAY}
    only = Remembered(frozenset({"accuracy"}), frozenset({"missing_share"}))
    before = store.checks.history("m", made.reference(), only, **look)
    assert before.accepted == ()
    assert before.paid_until is None
    assert before.in_flight.id == sent.id
    claimed = store.requests.claim(T0 + WEEK)
    delivered = replace(claimed, state=DispatchState.DELIVERED, accepted_at=T0 + WEEK)
    store.requests.record(delivered, was=DispatchState.SENDING)
    store.pauses.begin("m", "ada", "holiday", T0)
    after = store.checks.history("m", made.reference(), only, **look)
    assert after.accepted == (T0 + WEEK,)
    assert after.paid_until == made.window().end
    assert after.in_flight is None                           # delivered longer ago than a run may take
    assert store.requests.in_flight("m", T0 + WEEK, DAY).id == sent.id
    assert after.paused == "ada: holiday"
    assert after.episode == made.episode()
    assert [s.metric for s in after.snapshots[0].scores] == ["accuracy"]


def test_the_history_keeps_quality_where_it_was_breached(store: Store, made: Any) -> None:
    """Of a metric that matters only where it is breached those scores alone are read, in their places."""
    held = [Score(metric="missing_share", column=name, value=0.0) for name in "ab"]
    worse = Score(metric="missing_share", column="c", value=1.0, status=ScoreStatus.BREACHED)
    other = Score(metric="late_rows", value=3.0, status=ScoreStatus.BREACHED)
    accuracy = Score(metric="accuracy", value=0.9)
    store.references.install(made.reference(), None, T0)
    store.snapshots.add(made.snapshot(scores=(held[0], worse, accuracy, held[1], other)))
    look = Remembered(frozenset({"accuracy"}), frozenset({"missing_share"}))
    found = store.checks.history("m", made.reference(), look, now=T0 + 2 * WEEK, run_timeout=DAY)
    assert found.snapshots[0].scores == (worse, accuracy)
    assert all(look.keeps(score) for score in (worse, accuracy))
    assert not any(look.keeps(score) for score in (*held, other))


def test_the_history_keeps_the_rehearsals_of_earlier_references(store: Store, made: Any) -> None:
    """What rehearsals said and the spread of the metric outlive a reference, and no more of its windows."""
    told = tuple(Score(metric=name, value=1.0) for name in ("challenger_placebo", "challenger_gain", "metric_sd"))
    first = made.snapshot(scores=(*told, Score(metric="accuracy", value=0.9)))
    assert store.references.install(made.reference(), None, T0)
    assert store.checks.commit(first, expected_reference="r1")
    assert store.references.install(made.reference("r2"), "r1", T0)
    assert store.checks.commit(made.snapshot(1, reference="r2"), expected_reference="r2")
    found = store.checks.history("m", made.reference("r2"), None, now=T0 + 21 * DAY, run_timeout=DAY)
    assert [one.window for one in found.snapshots] == [made.window(1)]
    assert [(one.window, set(one.scores)) for one in found.before] == [(made.window(0), set(told))]


def test_a_person_takes_the_place_of_a_suppressed_need(store: Store, made: Any) -> None:
    """A retrain by hand supersedes the need that stands, unless a request is under way already."""
    store.references.install(made.reference(), None, T0)
    store.checks.commit(made.snapshot(), expected_reference="r1", episode=made.episode(state=EpisodeState.SUPPRESSED))
    by_hand = made.episode(trigger="person")
    store.requests.add(made.dispatch(by_hand), by_hand)
    assert [one.state for one in store.episodes.all("m")] == [EpisodeState.SUPERSEDED, EpisodeState.REQUESTED]
    with pytest.raises(UsageError, match="under way"):
        store.requests.add(made.dispatch(made.episode(trigger="again")), made.episode(trigger="again"))


def test_pauses_and_hands_are_audited(store: Store) -> None:
    """Pausing and resuming leave a line each; resuming what runs says so."""
    store.pauses.begin("m", "ada", "holiday", T0)
    assert store.pauses.current("m").by == "ada"
    assert store.pauses.end("m", "bob", "back", T0 + DAY)
    assert not store.pauses.end("m", "bob", "back", T0 + DAY)
    assert [(line.actor, line.action) for line in store.audit.by_people()] == [("ada", "pause"), ("bob", "resume")]


def test_messages_go_once(store: Store) -> None:
    """The same event is told once, and is due until it was sent."""
    told = Message(id="a", model="m", kind="firing", title="t", body="b", created_at=T0)
    assert store.messages.add(told)
    assert not store.messages.add(told)
    store.messages.record(replace(told, tries=1, next_try_at=T0 + DAY, reason="refused"))
    assert store.messages.due(T0) == []
    assert store.messages.due(T0 + DAY)[0].tries == 1
    store.messages.record(replace(told, sent_at=T0))
    assert store.messages.due(T0 + WEEK) == []


def test_accepted_configurations_are_kept(store: Store) -> None:
    """The one in force comes last, also when an older one is taken up again."""
    for name, at in (("a", T0), ("b", T0 + DAY), ("a", T0 + WEEK)):
        store.configurations.accept(name, name, at)
    assert [one.hash for one in store.configurations.accepted()] == ["b", "a"]


def test_an_unfinished_transaction_leaves_nothing(store: Store) -> None:
    """What fails in the middle is undone, inner steps included."""
    def half() -> None:
        with store.transaction():
            store.pauses.begin("m", "ada", "x", T0)
            raise RuntimeError

    with pytest.raises(RuntimeError):
        half()
    assert store.pauses.current("m") is None
    assert store.audit.by_people() == []
