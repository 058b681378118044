"""Whether a state is whole and the newest: its rows add up, and no head beside it knows more than it does."""

import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from monitor.errors import StateError
from monitor.store import audit
from monitor.store.database import Database
from monitor.store.head_file import REMEDY, STATE_HEAD, read_state_head
from monitor.store.sums import wrong
from monitor.untrusted import parse_json, read_bytes

BUDGET = 100_000     # rows of each large table that every opening looks at; about a second


@dataclass(frozen=True, slots=True)
class Heads:
    """What the files beside the database know: read before it, as they are written after it."""

    folder: Path
    state: tuple[str, int] | None            # its name and its commits
    audit: tuple[int, str] | None            # entries, and the newest one's hash

    @classmethod
    def of(cls, folder: Path) -> "Heads":
        """Raises StateError where one is there and cannot be understood."""
        return cls(folder, read_state_head(folder), _audit_head(folder))

    @property
    def commits(self) -> int:
        return self.state[1] if self.state else 0


def prove(database: Database, heads: Heads | None) -> None:
    """Raises StateError when the state is damaged or older than its heads, and says what to do."""
    for problem in damages(database, BUDGET):
        raise StateError(f"the state {database.where} is damaged: {problem}{_entry(database, problem)}; {REMEDY}")
    if heads is not None:
        for problem in older(database, heads):
            raise StateError(f"the state {database.where} is not the newest: {problem}; {REMEDY}")


def damages(database: Database, budget: int | None = None) -> list[str]:
    """What is wrong inside; with `budget` only the newest rows of large tables are looked at."""
    found: list[str] = []
    try:
        with database.reading() as connection:
            if budget is None or _rows(connection) <= budget:
                budget = None
                said = [str(row[0]) for row in connection.execute("PRAGMA integrity_check(3)")]
                found += [problem.replace("\n", "; ") for problem in said if problem != "ok"]
            found += wrong(connection, budget)
    except (StateError, sqlite3.Error, ValueError, TypeError, OverflowError) as error:   # whatever a damage looks like
        found.append(_first_line(error))
    return found


def older(database: Database, heads: Heads) -> Iterator[str]:
    """What the heads know that the database does not."""
    seal = database.seal()
    if seal is None:
        return
    place = heads.folder / STATE_HEAD
    if heads.state is None:
        if seal.commits:
            yield f"{place} is gone, so nothing shows that it is"
    elif heads.commits and heads.state[0] != seal.state:
        yield f"{place} belongs to another state"
    elif heads.commits > seal.commits:
        yield f"{place} knows {heads.commits} commits, it has {seal.commits} (its {database.where}-wal may be missing)"
    yield from _older_audit(database, heads)


def _older_audit(database: Database, heads: Heads) -> Iterator[str]:
    if heads.audit is None:
        return
    seq, digest = heads.audit
    newest = database.one("SELECT MAX(seq) AS top FROM audit")
    entries = (newest["top"] if newest else None) or 0
    place = heads.folder / audit.HEAD
    if seq > entries:
        yield f"{place} knows {seq} entries of the audit, it has {entries} (its {database.where}-wal may be missing)"
    elif not database.all("SELECT 1 FROM audit WHERE seq = ? AND hash = ?", seq, digest):
        yield f"{place} knows another entry {seq} of the audit"


def _audit_head(folder: Path) -> tuple[int, str] | None:
    place = folder / audit.HEAD
    try:
        head = parse_json(read_bytes(place))
        return int(head["seq"]), str(head["hash"])
    except FileNotFoundError:
        return None
    except OSError as error:
        raise StateError(f"{place} cannot be read: {error.strerror}") from None
    except (ValueError, KeyError, TypeError):
        raise StateError(f"{place} is damaged, so nothing shows that the state is the newest; {REMEDY}") from None


def _entry(database: Database, problem: str) -> str:
    """Which entry of the audit is wrong, where it is the audit."""
    said = audit.verify(database, None).problem if problem.startswith("rows of audit ") else None
    return f" ({said})" if said else ""


def _rows(connection: sqlite3.Connection) -> int:
    found = connection.execute("SELECT SUM(row_count) FROM sums").fetchone()[0]
    return int(found or 0)


def _first_line(error: Exception) -> str:
    said = str(error) or type(error).__name__
    return "some text is no text" if "decode" in said.lower() else said.splitlines()[0]
