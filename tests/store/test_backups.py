"""Backups of a state in use, and putting one back: whole or not at all, nothing doubled in silence."""

import shutil
import sqlite3
import threading
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import StateError, StateLocked, UsageError
from monitor.records import DispatchState, EpisodeState
from monitor.store import Store, backups

T0 = datetime(2026, 1, 5, tzinfo=UTC)
NOW = T0 + timedelta(days=8)


def content(path: Path) -> list[str]:
    with sqlite3.connect(path) as database:
        rows = list(database.iterdump())
    database.close()
    return rows


@pytest.fixture
def backup(tmp_path: Path, made: Any) -> Path:
    """A backup of a state with one request that waits, beside the state in tmp_path/state, which sent it since."""
    with Store.open(tmp_path / "state") as store:
        made.requested(store)
        (tmp_path / "state/profiles/0").mkdir(parents=True)
        (tmp_path / "state/profiles/0/x.json").write_text("{}")
        backups.back_up(tmp_path / "state", tmp_path / "backup", NOW)
        claimed = store.requests.claim(NOW)
        assert claimed is not None
        store.pauses.begin("m", "ada", "x", NOW)
    return tmp_path / "backup"


def test_a_backup_of_a_state_in_use_is_one_moment_of_it(tmp_path: Path, made: Any) -> None:
    """While another thread writes, a copy holds whole transactions only, and its heads fit it."""
    with Store.open(tmp_path / "state") as store:
        made.requested(store)
        stop = threading.Event()

        def write() -> None:
            while not stop.is_set():
                with store.transaction():
                    store.pauses.begin("a", "ada", "x", T0)
                    store.pauses.begin("b", "ada", "x", T0)
                    store.pauses.end("a", "ada", "x", T0)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            for number in range(5):
                backups.back_up(tmp_path / "state", tmp_path / f"b{number}", NOW)
        finally:
            stop.set()
            writer.join()
    for number in range(5):
        copy = tmp_path / f"b{number}"
        backups.check_backup(copy)
        assert {path.stat().st_mode & 0o077 for path in [copy, *copy.rglob("*")]} == {0}
        with Store.open(copy) as store:          # a backup is a state itself
            assert store.audit.verify().problem is None
            assert store.pauses.current("a") is None


def test_a_backup_never_replaces_anything(tmp_path: Path, backup: Path) -> None:
    """A path that is there is refused; one that cannot be written leaves nothing behind."""
    with pytest.raises(UsageError, match="exists"):
        backups.back_up(tmp_path / "state", backup, NOW)
    (tmp_path / "file").write_text("")
    with pytest.raises(UsageError, match="cannot be written"):
        backups.back_up(tmp_path / "state", tmp_path / "file/deep", NOW)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["backup", "file", "state"]


def test_restoring_keeps_what_was_there_and_says_what_is_lost(tmp_path: Path, backup: Path) -> None:
    """The replaced state is kept whole; the request that was sent since is named, and ambiguous."""
    state = tmp_path / "state"
    before = content(state / "driftd.db")
    shutil.rmtree(state / "profiles")
    put = backups.restore(state, backup, "ada", NOW)
    assert put.kept is not None
    assert content(put.kept / "driftd.db") == before
    assert put.lost_commits == 2
    assert put.lost_requests == put.unsure
    assert (state / "profiles/0/x.json").exists()
    with Store.open(state) as store:
        (request,) = store.requests.all()
        assert (request.id, request.state, request.unclear) == (put.unsure[0], DispatchState.AMBIGUOUS, 1)
        assert store.audit.verify().problem is None
        last = store.audit.by_people()[-1]
        assert (last.actor, last.action, last.details["lost_commits"]) == ("ada", "state restored", 2)
        assert store.pauses.current("m") is None
    shutil.copy(put.kept / "driftd.db", state / "driftd.db")
    with pytest.raises(StateError, match="another state"):      # the files of before do not come back by accident
        Store.open(state)


def test_a_need_of_before_a_restore_is_not_sent_as_if_it_were_new(tmp_path: Path, made: Any) -> None:
    """The state that was lost may have sent it: the request is ambiguous. One of a later window is not."""
    state = tmp_path / "state"
    with Store.open(state) as store:
        assert store.references.install(made.reference(), None, T0)
    backups.back_up(state, tmp_path / "backup", T0)
    backups.restore(state, tmp_path / "backup", "ada", NOW)
    with Store.open(state) as store:
        first = made.requested(store)
        assert store.requests.get(first.id).state == DispatchState.AMBIGUOUS
        assert store.requests.claim(NOW).state == DispatchState.AMBIGUOUS
        later = made.episode(5)
        store.requests.record(
            made.dispatch(made.episode(), state=DispatchState.WITHDRAWN), was=DispatchState.AMBIGUOUS, at=NOW
        )
        assert store.checks.commit(
            made.snapshot(5), expected_reference="r1", episode=later, dispatch=made.dispatch(later),
            ended=made.episode(state=EpisodeState.CLEARED),
        )
        assert store.requests.get(made.dispatch(later).id).state == DispatchState.PENDING


def test_nothing_is_restored_while_a_daemon_runs(tmp_path: Path, backup: Path) -> None:
    """The lock of a running daemon is respected."""
    with Store.open(tmp_path / "state") as store:
        with pytest.raises(StateLocked):
            backups.restore(tmp_path / "state", backup, "ada", NOW)
        assert store.pauses.current("m") is not None


@pytest.mark.parametrize(("name", "gone"), [
    ("driftd.db", True), ("driftd.db", False), ("audit.head", True), ("audit.head", False), ("backup.json", False),
    ("profiles/0/x.json", True), ("profiles/0/x.json", False),
])
def test_a_damaged_backup_is_refused_and_changes_nothing(tmp_path: Path, backup: Path, name: str, gone: bool) -> None:
    """A file of it that is gone or has a flipped bit; the state stays as it was."""
    path = backup / name
    data = bytearray(path.read_bytes())
    data[len(data) // 2] ^= 4
    path.write_bytes(data)
    if gone:
        path.unlink()
    before = content(tmp_path / "state/driftd.db")
    with pytest.raises((StateError, UsageError), match="backup"):
        backups.restore(tmp_path / "state", backup, "ada", NOW)
    assert content(tmp_path / "state/driftd.db") == before
    assert not list((tmp_path / "state").glob("replaced-*"))


def test_a_plain_copy_of_the_database_can_be_restored(tmp_path: Path, backup: Path) -> None:
    """What SQLite's own backup wrote, into a folder where nothing is."""
    with sqlite3.connect(tmp_path / "state/driftd.db") as source, sqlite3.connect(tmp_path / "copy.db") as target:
        source.backup(target)
    source.close()
    target.close()
    put = backups.restore(tmp_path / "new", tmp_path / "copy.db", "ada", NOW)
    assert (put.kept, put.lost_requests) == (None, ())
    with Store.open(tmp_path / "new") as store:
        assert store.pauses.current("m") is not None
    assert (tmp_path / "backup").is_dir()


def test_a_restore_that_is_killed_begins_nothing_anew(tmp_path: Path, backup: Path, monkeypatch: Any) -> None:
    """Stopped between any two steps the state is refused or whole, and a second restore succeeds."""
    steps = ["_keep", "_lost", "_begin_again", "_replace", "_write_heads", "_copy_missing"]
    for step in steps:
        state = tmp_path / step
        shutil.copytree(tmp_path / "state", state)

        def killed(*_: object) -> None:
            raise InterruptedError

        with monkeypatch.context() as patch:
            patch.setattr(backups, step, killed)
            with pytest.raises(InterruptedError):
                backups.restore(state, backup, "ada", NOW)
        with suppress(StateError), Store.open(state) as store:       # refused, or with all that it had
            assert store.requests.all()
        backups.restore(state, backup, "ada", NOW + timedelta(seconds=1))
        with Store.open(state) as store:
            assert len(store.requests.all()) == 1


@pytest.mark.parametrize("harm", ["log", "head", "row"])
def test_a_state_without_a_backup_can_be_accepted_aloud(tmp_path: Path, backup: Path, harm: str) -> None:
    """What is refused is gone on with when a person says so, with what was wrong in the audit; it is kept beside."""
    state = tmp_path / "state"
    if harm == "log":
        shutil.copy(backup / "driftd.db", state / "driftd.db")
    elif harm == "head":
        (state / "state.head").unlink()
    else:
        with sqlite3.connect(state / "driftd.db") as database:
            database.execute("UPDATE scores SET value = 7")
        database.close()
    with pytest.raises(StateError, match="driftd state accept"):
        Store.open(state)
    put = backups.accept(state, "ada", "no backup", NOW)
    assert put.kept is not None
    with Store.open(state) as store:
        last = store.audit.by_people()[-1]
        assert (last.action, last.reason, len(last.details["problems"]) > 0) == ("state accepted", "no backup", True)
        assert store.audit.verify().problem is None
        assert store.requests.all()[0].state == DispatchState.AMBIGUOUS
