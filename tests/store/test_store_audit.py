"""The audit is a chain that is only added to; what is changed, taken out or cut off is found."""

import hashlib
import json
import os
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.errors import StateError
from monitor.records import DispatchState
from monitor.store import Store
from monitor.store.audit import verify
from monitor.store.database import Database

T0 = datetime(2026, 1, 5, tzinfo=UTC)


def filled(folder: Path, entries: int = 5) -> None:
    with Store.open(folder) as store:
        for number in range(entries):
            store.pauses.begin(f"m{number}", "ada", "holiday", T0 + timedelta(hours=number))


def tampered(folder: Path, *statements: str) -> None:
    """Change the database as somebody would who knows how to take the triggers away, and how rows are added up."""
    with closing(Database(str(folder / "driftd.db"))) as database, database.transaction():
        database.script(["DROP TRIGGER audit_no_update", "DROP TRIGGER audit_no_delete", *statements])
        database.reseal()


def problem(folder: Path) -> str | None:
    """What is wrong with the audit, whether or not the state can be opened."""
    with closing(Database(str(folder / "driftd.db"))) as database:
        return verify(database, folder).problem


@pytest.mark.parametrize("statement", ["UPDATE audit SET actor = 'eve' WHERE seq = 1", "DELETE FROM audit"])
def test_the_table_refuses_changes(tmp_path: Path, statement: str) -> None:
    """Whoever opens the database by hand cannot change or remove an entry without taking the guard away."""
    filled(tmp_path)
    with sqlite3.connect(tmp_path / "driftd.db") as database, pytest.raises(sqlite3.IntegrityError, match="only ever"):
        database.execute(statement)
    database.close()
    assert problem(tmp_path) is None


@pytest.mark.parametrize(
    ("statement", "said"),
    [
        ("UPDATE audit SET actor = 'eve' WHERE seq = 2", "entry 2: was changed, its hash is another one"),
        ("UPDATE audit SET details = '{}' WHERE seq = 4", "entry 4: was changed, its hash is another one"),
        ("DELETE FROM audit WHERE seq = 3", "entry 3: is gone, the next one is 4"),
        ("DELETE FROM audit WHERE seq > 3", "entry 4: is gone"),
        ("DELETE FROM audit", "entry 1: is gone"),
    ],
)
def test_what_was_tampered_with_is_named(tmp_path: Path, statement: str, said: str) -> None:
    """A changed, a removed and a cut off entry are each found, with the first entry that is wrong."""
    filled(tmp_path)
    tampered(tmp_path, statement)
    assert said in str(problem(tmp_path))


def test_a_chain_written_anew_is_found(tmp_path: Path) -> None:
    """Hashes that fit each other again do not fit the head outside the database; such a state is refused."""
    filled(tmp_path)
    (tmp_path / "other").mkdir()
    filled(tmp_path / "other", 4)
    with Store.open(tmp_path / "other") as store:
        store.pauses.begin("forged", "eve", "nothing happened", T0)
    os.replace(tmp_path / "other" / "driftd.db", tmp_path / "driftd.db")
    assert "written anew" in str(problem(tmp_path))
    with pytest.raises(StateError, match="belongs to another state"):
        Store.open(tmp_path)


def test_a_head_may_be_one_transaction_behind(tmp_path: Path) -> None:
    """A crash between the commit and the head's file is no tampering; a head that is gone is said so."""
    filled(tmp_path, 3)
    head = tmp_path / "audit.head"
    assert stat.S_IMODE(head.stat().st_mode) == 0o600
    before = head.read_text()
    filled(tmp_path, 1)
    head.write_text(before)
    assert problem(tmp_path) is None
    head.unlink()
    assert "not there" in str(problem(tmp_path))


def test_what_root_writes_stays_the_services_own(tmp_path: Path) -> None:
    """A command of root's on the state of a service leaves every file to the owner of the folder, who must read it."""
    filled(tmp_path, 1)
    owner = 65534 if os.geteuid() == 0 else os.geteuid()
    for path in (tmp_path, *tmp_path.iterdir()):
        os.chown(path, owner, -1)
    filled(tmp_path, 1)
    assert {path.name: path.stat().st_uid for path in tmp_path.iterdir()} == {
        path.name: owner for path in tmp_path.iterdir()}


def test_the_hash_can_be_worked_out_by_anybody(tmp_path: Path) -> None:
    """Each hash is that of the documented list, each entry names the one before."""
    filled(tmp_path)
    with Store.open(tmp_path) as store:
        entries = store.audit.between(None, None)
    before = "0" * 64
    for one in entries:
        at = one.at.isoformat(timespec="microseconds")
        details = json.dumps(one.details, ensure_ascii=False, sort_keys=True)
        text = json.dumps([one.seq, at, one.actor, one.action, one.subject, details, before], ensure_ascii=False,
                          separators=(",", ":"))
        assert (one.prev, one.hash) == (before, hashlib.sha256(text.encode()).hexdigest())
        before = one.hash
    assert json.loads((tmp_path / "audit.head").read_text()) == {"seq": 5, "hash": before}


def test_what_driftd_does_is_in_the_same_transaction(store: Store, made: Any) -> None:
    """References, configurations, verdicts about retraining and every step of a request leave an entry."""
    store.configurations.accept("c", "[models.m]", T0)
    store.configurations.accept("c", "[models.m]", T0)
    sent = made.requested(store)
    claimed = store.requests.claim(T0 + timedelta(days=8))
    store.requests.record(claimed, was=DispatchState.SENDING)
    assert [one.action for one in store.audit.between(None, None)] == [
        "configuration accepted", "reference", "verdict retrain", "request pending", "request sending",
    ]
    assert [one.subject for one in store.audit.about("m")] == ["m", "m", sent.id, sent.id]
    assert store.audit.verify().problem is None


def test_a_text_that_was_exchanged_is_found(tmp_path: Path) -> None:
    """The text of a configuration is the one that was accepted."""
    with Store.open(tmp_path) as store:
        store.configurations.accept("c", "[models.m]", T0)
        assert store.audit.verify().problem is None
    tampered(tmp_path, "UPDATE configs SET text = '[models.n]'")
    assert problem(tmp_path) == "entry 1: the text of the configuration c is not the one accepted then"


def test_lines_of_before_begin_the_chain(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A state of the time before there was a chain keeps its lines, now with hashes and a head."""
    from monitor.store import state_folder

    migrations = state_folder._migrations()
    chained = next(number for number, path in migrations if path.name.endswith(state_folder.CHAINS))
    monkeypatch.setattr(state_folder, "_migrations", lambda: [one for one in migrations if one[0] < chained])
    Store.open(tmp_path).close()
    with sqlite3.connect(tmp_path / "driftd.db") as database:
        database.execute(
            "INSERT INTO audit (at, actor, action, subject, reason) VALUES (?, 'ada', 'pause', 'm', 'why')",
            (T0.isoformat(timespec="microseconds"),),
        )
    database.close()
    monkeypatch.setattr(state_folder, "_migrations", lambda: migrations)
    with Store.open(tmp_path) as store:
        (line,) = store.audit.by_people()
        assert (line.at, line.actor, line.reason) == (T0, "ada", "why")
        assert store.audit.verify().problem is None


WRITER = """
import sys
from datetime import UTC, datetime
from pathlib import Path
from monitor.store import Store
with Store.open(Path(sys.argv[1])) as store:
    while True:
        store.pauses.begin("m", "ada", "holiday", datetime(2026, 1, 5, tzinfo=UTC))
        print("one more", flush=True)
"""


def test_killing_at_any_moment_breaks_no_chain(tmp_path: Path) -> None:
    """After kill -9 in the middle of writing, time and again, the chain is whole and no entry that was told is lost."""
    told = 0
    for lines in (1, 8, 4):
        with subprocess.Popen([sys.executable, "-c", WRITER, tmp_path], stdout=subprocess.PIPE, text=True) as writer:
            assert writer.stdout
            for _ in range(lines):
                assert writer.stdout.readline() == "one more\n"
            writer.kill()
            told += lines
        with Store.open(tmp_path) as store:
            found = store.audit.verify()
        assert found.problem is None
        assert found.entries >= told
