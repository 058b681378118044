"""The state folder: private, held by one, refused when damaged or newer, copied before it is migrated."""

import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from monitor.config import Config
from monitor.errors import StateError, StateLocked
from monitor.store import Store, state_folder

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def test_the_state_is_private(tmp_path: Path, made: Any) -> None:
    """The folder is 0700 and every file in it 0600, whatever the umask."""
    old = os.umask(0)
    try:
        with Store.open(tmp_path / "state") as store:
            made.requested(store)
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
            beside.pauses.begin("m", "ada", "x", T0)
        assert daemon.pauses.current("m").by == "ada"
    Store.open(tmp_path).close()


def test_a_killed_holder_leaves_no_lock(tmp_path: Path) -> None:
    """After kill -9 the state opens again, and what was committed is there."""
    code = (
        "import os, signal, sys; from pathlib import Path; from datetime import datetime, UTC\n"
        "from monitor.store import Store\n"
        "store = Store.open(Path(sys.argv[1])); store.pauses.begin('m', 'ada', 'x', datetime.now(UTC))\n"
        "os.kill(os.getpid(), signal.SIGKILL)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], check=False)
    with Store.open(tmp_path) as store:
        assert store.pauses.current("m") is not None


def test_a_newer_state_is_refused(tmp_path: Path) -> None:
    """A state of a later version is left alone, with both versions named."""
    Store.open(tmp_path).close()
    _sql(tmp_path, "UPDATE meta SET value = '99' WHERE name = 'schema_version'")
    with pytest.raises(StateError, match=r"schema version 99, this driftd knows up to \d"):
        Store.open(tmp_path)


@pytest.mark.parametrize("harm", ["garbage", "empty", "foreign", "page", "gone"])
def test_a_damaged_state_is_refused_and_left_as_it_is(tmp_path: Path, harm: str, made: Any) -> None:
    """Whatever the damage, one sentence and no fresh start."""
    with Store.open(tmp_path) as store:
        made.requested(store)
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


def test_versions_of_the_schema_follow_one_another() -> None:
    """Two migrations of one number, or a gap, would leave a state half migrated."""
    numbers = [number for number, _ in state_folder._migrations()]
    assert numbers == list(range(1, len(numbers) + 1))


def test_migrating_keeps_a_copy_of_before(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    """An older state is brought up to date in place; the copy beside it is the old one, private."""
    with Store.open(tmp_path) as store:
        made.requested(store)
    later = tmp_path / "more.sql"
    later.write_text("CREATE TABLE more (x TEXT); -- a comment\nINSERT INTO more VALUES ('y');")
    now = state_folder._migrations()
    newest = now[-1][0]
    monkeypatch.setattr(state_folder, "_migrations", lambda: [*now, (newest + 1, later)])
    with Store.open(tmp_path, exclusive=False) as store:
        assert store.snapshots.newest_revisions("m") == [made.snapshot()]
    copy = tmp_path / f"driftd.db.before-{newest + 1:04}"
    assert stat.S_IMODE(copy.stat().st_mode) == 0o600
    with sqlite3.connect(copy) as old:
        assert old.execute("SELECT value FROM meta").fetchall() == [(str(newest),)]
        assert old.execute("SELECT COUNT(*) FROM snapshots").fetchone() == (1,)
    old.close()


def test_a_state_of_the_first_version_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, made: Any) -> None:
    """Scores and messages of before read as they did; what people say can be kept from now on."""
    from monitor.store import state_folder

    prepare = state_folder._migrations()
    monkeypatch.setattr(state_folder, "_migrations", lambda: prepare[:1])
    Store.open(tmp_path).close()
    _sql(tmp_path, "INSERT INTO messages (id, model, kind, title, body, created_at, tries) "
                   "VALUES ('1', 'm', 'firing', 't', 'b', '2026-01-05T00:00:00.000000+00:00', 0)")
    monkeypatch.setattr(state_folder, "_migrations", lambda: prepare)
    with Store.open(tmp_path) as store:
        (message,) = store.messages.all("m")
        assert (message.title, message.trigger) == ("t", None)
        made.requested(store)
        assert store.silences.in_force(Config(models={}), "m", made.snapshot().taken_at) == ()


def test_scores_can_be_asked_for_in_sql(tmp_path: Path, made: Any) -> None:
    """Every number is a row of its own that other tools can read."""
    with Store.open(tmp_path) as store:
        made.requested(store)
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


@pytest.mark.parametrize("file", ["driftd.db", "driftd.db-wal", ""])
@pytest.mark.parametrize("replaced", [False, True])
def test_a_state_that_is_taken_away_is_missed_at_once(tmp_path: Path, file: str, replaced: bool) -> None:
    """Nothing is written to files that have no name any more, though SQLite would; put back, all goes on."""
    state, aside = tmp_path / "state", tmp_path / "aside"
    with Store.open(state) as store:
        faults: list[str | None] = []
        store.on_fault(faults.append)
        (state / file).rename(aside)
        if replaced:
            shutil.copytree(aside, state) if aside.is_dir() else shutil.copy(aside, state / file)
        for write in (store.require_whole, store.moments.try_to_write):
            with pytest.raises(StateError, match="was removed or replaced while driftd used it"):
                write()
        if replaced:
            shutil.rmtree(state) if aside.is_dir() else (state / file).unlink()
        aside.rename(state / file)
        store.moments.try_to_write()
        assert (faults[0] is None, faults[-1], store.fault) == (False, None, None)


STATE = ("driftd.db", "driftd.db-wal", "driftd.db-shm", "state.head", "audit.head")


def _older(older: Path, state: Path, *names: str) -> None:
    for name in names:
        _overwrite(state / name, (older / name).read_bytes())


def _overwrite(path: Path, data: bytes) -> None:
    """In its place: it stays the same file."""
    with path.open("r+b") as file:
        file.write(data)
        file.truncate()


def _scribble(path: Path) -> None:
    data = bytearray(path.read_bytes())
    data[-4096:-96] = bytes(4000)
    _overwrite(path, bytes(data))


IN_PLACE: dict[str, Callable[[Path, Path], None]] = {
    "an older database": lambda older, state: _older(older, state, "driftd.db"),
    "an older database and log": lambda older, state: _older(older, state, *STATE[:2]),
    "an older index of the log": lambda older, state: _older(older, state, "driftd.db-shm"),
    "all of an older state": lambda older, state: _older(older, state, *STATE),
    "an empty database": lambda older, state: _overwrite(state / "driftd.db", b""),
    "zeros": lambda older, state: _overwrite(state / "driftd.db", bytes((state / "driftd.db").stat().st_size)),
    "a page of zeros": lambda older, state: _scribble(state / "driftd.db"),
    "an empty log": lambda older, state: _overwrite(state / "driftd.db-wal", b""),
    "a log with zeros": lambda older, state: _scribble(state / "driftd.db-wal"),
    "another file": lambda older, state: _overwrite(state / "driftd.db", b"SQLite format 3\0" * 1000),
}


@pytest.mark.parametrize("harm", IN_PLACE)
@pytest.mark.parametrize("scrubbed", [False, True])
def test_a_state_that_is_overwritten_in_its_place_is_missed_at_once(
    tmp_path: Path, made: Any, harm: str, scrubbed: bool
) -> None:
    """SQLite would write on into files that are no longer what was written; here nothing is acknowledged any more."""
    state, older = tmp_path / "state", tmp_path / "older"
    with Store.open(state) as store:
        made.requested(store)
        store._db.scrub()
        store.configurations.accept("older", "text", T0)
        shutil.copytree(state, older)
        store.configurations.accept("lost", "text" * 3000, T0)
        if scrubbed:
            store._db.scrub()
        store.configurations.accept("newest", "text", T0)
        before = {name: (state / name).read_bytes() for name in STATE}
        IN_PLACE[harm](older, state)
        if all((state / name).read_bytes() == data for name, data in before.items()):
            return                                       # no harm was done
        for write in (store.require_whole, store.moments.try_to_write, store.require_whole):
            with pytest.raises(StateError, match=r"while driftd used it|disk I/O error|is damaged"):
                write()
        assert store.fault is not None


def test_what_other_processes_commit_is_no_harm(tmp_path: Path, made: Any) -> None:
    """Commands write beside a daemon, bring the log home, change modes: both go on."""
    with Store.open(tmp_path) as daemon:
        made.requested(daemon)
        before = daemon.seal().commits
        for number in range(3):
            with Store.open(tmp_path, exclusive=False) as command:
                command.configurations.accept(f"of a command {number}", "text", T0)
                daemon.require_whole()
                daemon.configurations.accept(f"of the daemon {number}", "text", T0)
                command._db.scrub()
                command.configurations.accept(f"once more {number}", "text", T0)
            (tmp_path / "driftd.db").chmod(0o600)
            daemon.require_whole()
        assert (daemon.fault, daemon.seal().commits) == (None, before + 9)


def test_own_commits_and_readers_cost_no_proof(
    tmp_path: Path, made: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The files are proved again only where somebody else wrote them: not after commits, nor beside who reads them."""
    with Store.open(tmp_path) as daemon:
        proofs: list[None] = []
        monkeypatch.setattr(daemon._db, "_prove", lambda: proofs.append(None))
        made.requested(daemon)
        for number in range(30):
            daemon.configurations.accept(f"{number}", "text" * 4000, T0)
            if number % 10 == 0:
                with Store.open(tmp_path, exclusive=False) as command:
                    assert command.seal() == daemon.seal()
            daemon.require_whole()
        daemon._db.scrub()
        daemon.require_whole()
    assert proofs == []


def test_a_lock_without_its_file_still_holds(tmp_path: Path) -> None:
    """Whoever removes the lock's file does not let a second daemon in."""
    with Store.open(tmp_path):
        (tmp_path / "driftd.lock").unlink()
        with pytest.raises(StateLocked, match="is held by another process"):
            Store.open(tmp_path)
