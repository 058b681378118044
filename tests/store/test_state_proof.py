"""A state proves that it is whole and the newest: what was lost, swapped or changed is refused with one sentence."""

import os
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import StateError
from monitor.records import Message
from monitor.store import Store
from monitor.store.head_file import STATE_HEAD
from monitor.store.sums import row_digest

T0 = datetime(2026, 1, 5, tzinfo=UTC)
HEADS = ("audit.head", STATE_HEAD)


def killed(folder: Path, write: Callable[[Store], object], into: Path) -> Path:
    """A copy of the state as a kill leaves it: with what was written since the last checkpoint in the log only."""
    with Store.open(folder) as store:
        write(store)
        shutil.copytree(folder, into)
    return into


def message(name: str) -> Message:
    return Message(id=name, model="m", kind="firing", title="t", body="b", created_at=T0)


@pytest.fixture
def state(tmp_path: Path, made: Any) -> Path:
    """A state with a request in the database, and a pause and a message in its log."""
    with Store.open(tmp_path / "whole") as store:
        made.requested(store)

    def write(store: Store) -> None:
        store.pauses.begin("m", "ada", "holiday", T0)
        store.messages.add(message("z"))

    return killed(tmp_path / "whole", write, tmp_path / "state")


def dump(folder: Path) -> list[str]:
    with sqlite3.connect(folder / "driftd.db") as database:
        rows = list(database.iterdump())
    database.close()
    return rows


def refused(folder: Path) -> str:
    """What is said to whoever opens the state, with and without the lock."""
    said = set()
    for exclusive in (True, False):
        with pytest.raises(StateError) as error:
            Store.open(folder, exclusive=exclusive)
        said.add(str(error.value))
    (sentence,) = said
    assert "\n" not in sentence
    return sentence


def test_what_a_kill_leaves_is_whole(state: Path) -> None:
    """The log is read again; nothing of it is lost, and the state goes on."""
    with Store.open(state) as store:
        assert store.pauses.current("m") is not None
        assert [one.id for one in store.messages.all()] == ["a", "z"]
        store.pauses.end("m", "ada", "back", T0)
    with Store.open(state) as store:
        assert store.pauses.current("m") is None


@pytest.mark.parametrize("kept", [HEADS, ("audit.head",), (STATE_HEAD,)])
def test_a_state_without_its_log_is_refused(state: Path, kept: tuple[str, ...]) -> None:
    """Either head shows that the database is older than what was acknowledged."""
    (state / "driftd.db-wal").unlink()
    for name in set(HEADS) - set(kept):
        (state / name).unlink()
    said = refused(state)
    assert "is not the newest" in said
    assert "driftd state restore" in said


def test_what_no_audit_tells_is_missed_too(state: Path, tmp_path: Path) -> None:
    """A message that is lost with the log is noticed, though the audit is complete."""
    shutil.copytree(state, tmp_path / "older")
    later = killed(state, lambda store: store.messages.add(message("y")), tmp_path / "later")
    for name in ("driftd.db", "driftd.db-wal"):
        shutil.copy(tmp_path / "older" / name, later / name)
    assert "knows 5 commits, it has 4" in refused(later)


def test_the_database_of_another_state_is_refused(state: Path, tmp_path: Path, made: Any) -> None:
    """Another state's database beside these heads is not taken for this one, however much it knows."""
    with Store.open(tmp_path / "other") as store:
        made.requested(store)
        for number in range(9):
            store.pauses.begin(f"m{number}", "eve", "x", T0)
    (state / "driftd.db-wal").unlink()
    shutil.copy(tmp_path / "other/driftd.db", state / "driftd.db")
    assert "belongs to another state" in refused(state)


def test_a_state_that_is_gone_never_begins_afresh(state: Path) -> None:
    """Without the database, but with a head, nothing new is made."""
    for name in ("driftd.db", "driftd.db-wal", "driftd.db-shm"):
        (state / name).unlink()
    for name in HEADS:
        assert "is gone" in refused(state)
        (state / name).unlink()
    assert not (state / "driftd.db").exists()
    with Store.open(state) as store:             # all of it was taken away: that is how one begins anew
        assert store.requests.all() == []


@pytest.mark.parametrize("name", HEADS)
@pytest.mark.parametrize("content", [b"", b"\xff\xfe", b"{}", b"[" * 100_000, b"a b c\n", b"0" * 71])
def test_a_head_that_cannot_be_understood_is_refused(state: Path, name: str, content: bytes) -> None:
    """A damaged head shows nothing, so the state is not taken on trust."""
    (state / name).write_bytes(content)
    assert f"{name} is damaged" in refused(state)


def test_a_head_that_is_behind_is_no_fault(state: Path, tmp_path: Path) -> None:
    """After a loss of power the heads may be older than the database; they are brought up to date."""
    later = killed(state, lambda store: store.pauses.begin("n", "ada", "x", T0), tmp_path / "later")
    for name in HEADS:
        shutil.copy(state / name, later / name)
    with Store.open(later) as store:
        assert store.pauses.current("n") is not None
        store.pauses.begin("o", "ada", "x", T0)
        assert store.audit.verify().problem is None
    assert (later / STATE_HEAD).read_text() > (state / STATE_HEAD).read_text()


CHANGES = [
    "UPDATE dispatches SET body = '{}'",
    "DELETE FROM scores WHERE position = 1",
    "UPDATE scores SET value = value + 1e-9",
    "UPDATE scores SET metric = CAST(x'ff' AS TEXT)",
    "UPDATE verdicts SET action = 'hold'",
    "INSERT INTO pauses VALUES ('n', 'eve', 'x', 'y')",
    "UPDATE windows SET end_id = 'x'",
    "UPDATE episodes SET state = 'cleared'",
    "DELETE FROM firings",
    "UPDATE snapshots SET row_count = 7",
    "UPDATE model_references SET id = 'r2'",
    "UPDATE meta SET value = '6' WHERE name = 'schema_version'",
    "UPDATE seal SET commits = commits + 1",
    "DELETE FROM seal",
    "UPDATE sums SET row_count = 2 WHERE name = 'scores'",
    "DROP TABLE sums",
    "DROP TRIGGER audit_no_delete",
]


@pytest.mark.parametrize("change", CHANGES)
def test_a_row_that_is_not_as_it_was_written_is_refused(state: Path, change: str) -> None:
    """Whatever table it is in, and although SQLite's own check finds nothing."""
    with sqlite3.connect(state / "driftd.db") as database:
        database.execute(change)
        assert database.execute("PRAGMA integrity_check").fetchall() == [("ok",)]
    database.close()
    assert "is damaged" in refused(state)


def test_rows_of_all_kinds_of_writing_add_up(tmp_path: Path, made: Any) -> None:
    """Updates, upserts, deletions, roll-backs, refused statements and other processes leave sums that fit."""
    with Store.open(tmp_path) as store, Store.open(tmp_path, exclusive=False) as beside:
        made.requested(store)
        with suppress(ZeroDivisionError), store.transaction():
            store.pauses.begin("n", "ada", "x", T0)
            raise ZeroDivisionError
        with store.transaction(), pytest.raises(sqlite3.IntegrityError):
            store._db.insert("verdicts", {"snapshot_id": 99, "at": "", "action": "", "fired": "", "guards": "",
                                          "reasons": ""})
        rows = [{"model": "m", "by_whom": str(n), "reason": "é☃", "paused_at": ""} for n in range(2)]
        with store.transaction(), pytest.raises(sqlite3.IntegrityError):
            store._db.insert_many("pauses", rows)
        beside.pauses.begin("m", "ada", "☃", T0)
        store.pauses.begin("m", "bob", "\x00", T0)
        beside.pauses.end("m", "ada", "x", T0)
        store.checks.commit(made.snapshot(1), expected_reference="r1")
        assert store.tidy.remove_windows(T0 + timedelta(days=400)) == 1
    with Store.open(tmp_path) as store:
        assert store.pauses.current("m") is None


def test_a_row_has_the_same_digest_for_ever() -> None:
    """Another version of Python, or of driftd, computes the same: else every state would read as damaged."""
    row = ("a\n", "é☃\U0001fae8", None, 1, -2, 0.1, 1e300, -0.0)
    assert row_digest(row) == 0xbcb1ee19e02d1a618231e5b8ec931c1e


def test_the_newest_rows_of_a_large_state_are_looked_at(tmp_path: Path, made: Any, monkeypatch: Any) -> None:
    """Opening looks at the newest parts of large tables only; the whole check finds what is older."""
    from monitor.store import proof

    with Store.open(tmp_path) as store:
        assert store.references.install(made.reference(), None, T0)
        for number in range(70):
            assert store.checks.commit(made.snapshot(number), expected_reference="r1")
    monkeypatch.setattr(proof, "BUDGET", 3)
    for snapshot, seen in ((1, False), (70, True)):
        copy = tmp_path.with_name(f"{tmp_path.name}-{snapshot}")
        shutil.copytree(tmp_path, copy)
        with sqlite3.connect(copy / "driftd.db") as database:
            database.execute("UPDATE scores SET value = 7 WHERE snapshot_id = ?", (snapshot,))
        database.close()
        if seen:
            assert "rows of scores" in refused(copy)
        else:
            with Store.open(copy) as store:
                assert any("rows of scores" in problem for problem in proof.damages(store._db))
    assert os.path.exists(tmp_path / STATE_HEAD)
