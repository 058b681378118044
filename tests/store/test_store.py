"""The store keeps checks whole, refuses what is stale, and hands each request to one sender."""

import json
import os
import sqlite3
import stat
import subprocess
import sys
import threading
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from monitor.errors import StateError, StateLocked, UsageError
from monitor.records import (
    Action,
    Dispatch,
    DispatchState,
    Episode,
    EpisodeState,
    Firing,
    Message,
    Reference,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.store import Store

T0 = datetime(2026, 1, 5, tzinfo=UTC)
WEEK = timedelta(days=7)
CLAIMER = """
import sys
from datetime import datetime, UTC
from pathlib import Path
from monitor.store import Store
with Store.open(Path(sys.argv[1]), exclusive=False) as store:
    while (claimed := store.claim(datetime(2027, 1, 1, tzinfo=UTC))) is not None:
        print(claimed.id)
"""
DAY = timedelta(days=1)


def window(n: int = 0, spec: str = "7d") -> Window:
    return Window(model="m", start=T0 + n * WEEK, end=T0 + (n + 1) * WEEK, spec=spec)


def snapshot(n: int = 0, revision: int = 0, reference: str = "r1", **changes: object) -> Snapshot:
    made = Snapshot(
        window=window(n), revision=revision, taken_at=T0 + (n + 1) * WEEK, reference_id=reference, model_version="1",
        config_hash="c", code_version="0", rows=1000 + revision, labelled=900, late=revision, sampled=1.0, mature=True,
        status=SnapshotStatus.OK, reason=None,
        scores=(
            Score(metric="drift", method="psi", column="x", value=0.3, threshold=0.2, status=ScoreStatus.DRIFTED, n=9),
            Score(metric="accuracy", value=0.81, reference=0.9, low=0.79, high=0.83, provisional=True),
            Score(metric="roc_auc", status=ScoreStatus.FAILED, reason="only one class"),
        ),
    )
    return replace(made, **changes)


def verdict(n: int = 0, revision: int = 0) -> Verdict:
    return Verdict(
        window=window(n), revision=revision, at=T0 + (n + 1) * WEEK, action=Action.RETRAIN, fired=("pays",),
        guards=(), reasons=("waiting costs: 3 > 2",),
    )


def episode(n: int = 0, state: EpisodeState = EpisodeState.REQUESTED, trigger: str = "pays") -> Episode:
    return Episode(
        id=Episode.new_id("m", "r1", trigger, window(n)), model="m", reference_id="r1", trigger=trigger,
        window=window(n), state=state, reason="waiting costs",
    )


def dispatch(of: Episode, attempt: int = 1, **changes: object) -> Dispatch:
    made = Dispatch(
        id=Dispatch.new_id(of.id, attempt), episode_id=of.id, attempt=attempt, model="m", pipeline="p",
        state=DispatchState.PENDING, body='{"id": "x"}', created_at=T0 + WEEK, next_try_at=T0 + WEEK,
    )
    return replace(made, **changes)


def reference(name: str = "r1") -> Reference:
    return Reference(model="m", id=name, model_version="1", origin="ref.csv", since=T0)


def requested(store: Store) -> Dispatch:
    """A store with one committed request."""
    if store.reference("m") is None:
        assert store.install_reference(reference(), None, T0)
    need = episode()
    assert store.commit(
        snapshot(), expected_reference="r1", verdict=verdict(), episode=need, dispatch=dispatch(need),
        firing=[Firing(model="m", trigger="pays", firing=True, since=T0 + WEEK, reason="3 > 2")],
        messages=[Message(id="a", model="m", kind="requested", title="t", body="b", created_at=T0)],
    )
    return dispatch(need)


@pytest.fixture
def store():
    with Store.memory() as made:
        yield made


def test_a_check_reads_back_as_it_was_written(store: Store) -> None:
    """Snapshot, verdict, firing, episode, dispatch and message come back equal, after one commit."""
    sent = requested(store)
    assert store.snapshots("m") == [snapshot()]
    assert store.verdicts("m") == [verdict()]
    assert store.verdict(window()) == verdict()
    assert [one.trigger for one in store.firing("m")] == ["pays"]
    assert store.episodes("m") == [episode()]
    assert store.open_episode("m") == episode()
    assert store.dispatches("m") == [sent]
    assert [one.id for one in store.due_messages(T0)] == ["a"]
    assert store.models() == ["m"]


def test_the_newest_revision_stands_for_its_window(store: Store) -> None:
    """History shows each window once, oldest first; the earlier revision stays readable."""
    store.install_reference(reference(), None, T0)
    for n, revision in ((1, 0), (0, 0), (1, 1)):
        assert store.commit(snapshot(n, revision), expected_reference="r1")
    assert [(s.window, s.revision) for s in store.snapshots("m")] == [(window(0), 0), (window(1), 1)]
    assert [s.revision for s in store.revisions("m", window(1))] == [0, 1]
    assert [(k.window, k.revision, k.rows) for k in store.known_windows("m", "7d")] == [
        (window(0), 0, 1000), (window(1), 1, 1001),
    ]
    assert [k.window for k in store.known_windows("m", "7d", since=window(0).end)] == [window(1)]
    assert store.last_window("m", "7d") == window(1)
    assert store.last_window("m", "1d") is None
    assert store.snapshots("m", limit=1)[0].window == window(1)
    assert [s.metric for s in store.snapshots("m", metrics={"accuracy"})[0].scores] == ["accuracy"]
    assert store.snapshots("m", metrics=())[0].scores == ()


def test_a_revision_is_written_once(store: Store) -> None:
    """A second commit of the same revision changes nothing and says so."""
    requested(store)
    assert not store.commit(snapshot(rows=1), expected_reference="r1", verdict=verdict())
    assert store.snapshots("m") == [snapshot()]


def test_a_new_reference_voids_the_verdict_but_keeps_the_snapshot(store: Store) -> None:
    """A check that began under the old reference keeps what it measured and loses what it concluded."""
    store.install_reference(reference(), None, T0)
    assert store.install_reference(reference("r2"), "r1", T0)
    need = episode()
    taken = store.commit(
        snapshot(), expected_reference="r1", verdict=verdict(), episode=need, dispatch=dispatch(need)
    )
    assert not taken
    assert len(store.snapshots("m")) == 1
    assert store.verdicts("m") == []
    assert store.episodes("m") == []
    assert store.dispatches("m") == []


def test_a_new_reference_supersedes_the_need_and_takes_its_unsent_request_back(store: Store) -> None:
    """Installing compares first, then ends the open episode and withdraws what was never sent."""
    sent = requested(store)
    assert not store.install_reference(reference("r2"), "other", T0)
    assert store.install_reference(reference("r2"), "r1", T0)
    assert store.episodes("m")[0].state == EpisodeState.SUPERSEDED
    assert store.dispatch(sent.id).state == DispatchState.WITHDRAWN
    assert [one.id for one in store.references("m")] == ["r1", "r2"]


def test_a_request_that_may_have_arrived_is_not_withdrawn(store: Store) -> None:
    """Clearing takes back only what the pipeline cannot have accepted."""
    sent = requested(store)
    claimed = store.claim(T0 + WEEK)
    store.record(replace(claimed, state=DispatchState.AMBIGUOUS, unclear=1), was=DispatchState.SENDING)
    cleared = replace(episode(), state=EpisodeState.CLEARED)
    store.commit(snapshot(1), expected_reference="r1", episode=cleared, withdraw=True)
    assert store.dispatch(sent.id).state == DispatchState.AMBIGUOUS


def test_a_withdrawn_request_comes_back_with_its_need(store: Store) -> None:
    """When the same window fires again in a later revision, the same id is due again."""
    sent = requested(store)
    store.commit(
        snapshot(0, 1), expected_reference="r1", episode=replace(episode(), state=EpisodeState.CLEARED), withdraw=True
    )
    assert store.claim(T0 + WEEK) is None
    store.commit(snapshot(0, 2), expected_reference="r1", episode=episode(), dispatch=sent)
    assert store.claim(T0 + WEEK).id == sent.id


def test_the_history_says_what_was_accepted_and_paid(store: Store) -> None:
    """An accepted request counts for cooldown and pays up to its window; a rejected one does not."""
    sent = requested(store)
    look = {"now": T0 + 2 * WEEK, "run_timeout": DAY}
    before = store.history("m", reference(), {"accuracy"}, **look)
    assert before.accepted == ()
    assert before.paid_until is None
    assert before.in_flight.id == sent.id
    claimed = store.claim(T0 + WEEK)
    store.record(replace(claimed, state=DispatchState.DELIVERED, accepted_at=T0 + WEEK), was=DispatchState.SENDING)
    store.pause("m", "ada", "holiday", T0)
    after = store.history("m", reference(), {"accuracy"}, **look)
    assert after.accepted == (T0 + WEEK,)
    assert after.paid_until == window().end
    assert after.in_flight is None                           # delivered longer ago than a run may take
    assert store.in_flight("m", T0 + WEEK, DAY).id == sent.id
    assert after.paused == "ada: holiday"
    assert after.episode == episode()
    assert [s.metric for s in after.snapshots[0].scores] == ["accuracy"]


def test_a_person_takes_the_place_of_a_suppressed_need(store: Store) -> None:
    """A retrain by hand supersedes the need that stands, unless a request is under way already."""
    store.install_reference(reference(), None, T0)
    store.commit(snapshot(), expected_reference="r1", episode=episode(state=EpisodeState.SUPPRESSED))
    by_hand = episode(trigger="person")
    store.add_dispatch(dispatch(by_hand), by_hand)
    assert [one.state for one in store.episodes("m")] == [EpisodeState.SUPERSEDED, EpisodeState.REQUESTED]
    with pytest.raises(UsageError, match="under way"):
        store.add_dispatch(dispatch(episode(trigger="again")), episode(trigger="again"))


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


def test_threads_never_claim_one_request_twice(tmp_path: Path) -> None:
    """Eight threads and one store: every request is claimed once."""
    with Store.open(tmp_path / "state") as store:
        wanted = _many(store, 20)
        got: list[str] = []
        threads = [threading.Thread(target=lambda: got.extend(_claim_all(store))) for _ in range(8)]
        for one in threads:
            one.start()
        for one in threads:
            one.join()
    assert sorted(got) == sorted(wanted)


def test_processes_never_claim_one_request_twice(tmp_path: Path) -> None:
    """Eight processes on one file: every request is claimed once."""
    with Store.open(tmp_path / "state") as store:
        wanted = _many(store, 20)
        senders = [
            subprocess.Popen(
                [sys.executable, "-c", CLAIMER, str(tmp_path / "state")], stdout=subprocess.PIPE, text=True
            )
            for _ in range(8)
        ]
        got = [line for sender in senders for line in sender.communicate(timeout=60)[0].split()]
    assert sorted(got) == sorted(wanted)


def test_an_ambiguous_request_is_looked_for_by_one(store: Store) -> None:
    """A claimed ambiguous request stays ambiguous and out of the others' sight for a while."""
    requested(store)
    assert store.claim(T0) is None
    claimed = store.claim(T0 + WEEK)
    assert (claimed.state, claimed.tries, claimed.sent_at) == (DispatchState.SENDING, 1, T0 + WEEK)
    lost = store.recover(T0 + WEEK)
    assert [(one.state, one.unclear) for one in lost] == [(DispatchState.AMBIGUOUS, 1)]
    assert store.claim(T0 + WEEK).state == DispatchState.AMBIGUOUS
    assert store.claim(T0 + WEEK) is None
    assert not store.record(claimed, was=DispatchState.SENDING)


def test_the_state_is_private(tmp_path: Path) -> None:
    """The folder is 0700 and every file in it 0600, whatever the umask."""
    old = os.umask(0)
    try:
        with Store.open(tmp_path / "state") as store:
            requested(store)
            modes = {p.name: stat.S_IMODE(p.stat().st_mode) for p in (tmp_path / "state").iterdir()}
    finally:
        os.umask(old)
    assert stat.S_IMODE((tmp_path / "state").stat().st_mode) == 0o700
    assert set(modes.values()) == {0o600}
    assert {"driftd.db", "driftd.db-wal", "driftd.lock"} <= set(modes)


def test_the_second_daemon_is_told_who_holds_the_state(tmp_path: Path) -> None:
    """A second exclusive opening names the first's process; a command beside it may still write."""
    with Store.open(tmp_path), pytest.raises(StateLocked, match=f"process {os.getpid()} on .* since 20"):
        Store.open(tmp_path)
    with Store.open(tmp_path) as daemon:
        with Store.open(tmp_path, exclusive=False) as beside:
            beside.pause("m", "ada", "x", T0)
        assert daemon.paused("m").by == "ada"
    Store.open(tmp_path).close()


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """After kill -9 the state opens again, and what was committed is there."""
    code = (
        "import os, signal, sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from monitor.store import Store\n"
        "store = Store.open(Path(sys.argv[1])); store.pause('m', 'ada', 'x', datetime.now(UTC))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with Store.open(tmp_path) as store:
        assert store.paused("m") is not None


def test_a_newer_state_is_refused(tmp_path: Path) -> None:
    """A state of a later version is left alone, with both versions named."""
    Store.open(tmp_path).close()
    _sql(tmp_path, "UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(StateError, match=r"schema version 99, this driftd knows up to \d"):
        Store.open(tmp_path)


@pytest.mark.parametrize("harm", ["garbage", "empty", "foreign", "page", "gone"])
def test_a_damaged_state_is_refused_and_left_as_it_is(tmp_path: Path, harm: str) -> None:
    """Whatever the damage, one sentence and no fresh start."""
    with Store.open(tmp_path) as store:
        requested(store)
    path = tmp_path / "driftd.db"
    whole = path.read_bytes()
    if harm == "foreign":
        path.unlink()
        _sql(tmp_path, "CREATE TABLE other (x)")
    elif harm == "gone":
        path.unlink()
        (tmp_path / "driftd.db-wal").write_bytes(b"x")
    else:
        page = whole[:4096] + b"\xff" * 4096 + whole[8192:]
        path.write_bytes({"garbage": b"no database at all" * 99, "empty": b"", "page": page}[harm])
    before = path.read_bytes() if path.exists() else None
    with pytest.raises(StateError, match="driftd"):
        Store.open(tmp_path)
    assert (path.read_bytes() if path.exists() else None) == before


def test_migrating_keeps_a_copy_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """An older state is brought up to date in place; the copy beside it is the old one, private."""
    from monitor.store import files

    with Store.open(tmp_path) as store:
        requested(store)
    later = tmp_path / "0002_more.sql"
    later.write_text("CREATE TABLE more (x TEXT); -- a comment\nINSERT INTO more VALUES ('y');")
    now = files._migrations()
    monkeypatch.setattr(files, "_migrations", lambda: [*now, (2, later)])
    with Store.open(tmp_path, exclusive=False) as store:
        assert store.snapshots("m") == [snapshot()]
    copy = tmp_path / "driftd.db.before-0002"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as old:
        assert old.execute("SELECT value FROM meta").fetchall() == [("1",)]
        assert old.execute("SELECT COUNT(*) FROM snapshots").fetchone() == (1,)
    old.close()


def test_scores_can_be_asked_for_in_sql(tmp_path: Path) -> None:
    """Every number is a row of its own that other tools can read."""
    with Store.open(tmp_path) as store:
        requested(store)
    with sqlite3.connect(tmp_path / "driftd.db") as found:
        rows = found.execute("SELECT column_name, value FROM scores WHERE metric = 'drift'").fetchall()
        reasons = json.loads(found.execute("SELECT reasons FROM verdicts").fetchone()[0])
    found.close()
    assert rows == [("x", 0.3)]
    assert reasons == ["waiting costs: 3 > 2"]


def _sql(folder: Path, statement: str) -> None:
    with sqlite3.connect(folder / "driftd.db") as connection:
        connection.execute(statement)
    connection.close()


def _many(store: Store, count: int) -> list[str]:
    requested(store)
    claimed = store.claim(T0 + WEEK)
    store.record(replace(claimed, state=DispatchState.FAILED), was=DispatchState.SENDING)
    need = episode()
    made = [dispatch(need, attempt) for attempt in range(2, count + 2)]
    with store.transaction():
        for one in made:
            store.add_dispatch(replace(one, state=DispatchState.FAILED))
    for one in made:
        store.record(one, was=DispatchState.FAILED)
    return [one.id for one in made]


def _claim_all(store: Store) -> list[str]:
    got = []
    while (claimed := store.claim(T0 + WEEK)) is not None:
        got.append(claimed.id)
    return got
