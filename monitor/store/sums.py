"""Sums over the rows of every table, kept as rows are written: what a disk, a copy or a hand changed does not add up.

A row's digest is a number, and a table's sum is that of its rows modulo 2^128, with their count. So a write costs the
digests of its own rows, in whatever order they come. Triggers that only our connections have call `Sums.add`; the sums
are written before the COMMIT, in the same transaction. SQLite's own check looks at the structure of pages, this one at
what is in them.

Large tables are added up in parts, of rows with neighbouring keys, so that the newest can be checked alone.
"""

import sqlite3
import uuid
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

MODULUS = 1 << 128
# Of tables with parts: the column that says in which part a row is, and how many bits of it do not.
PARTS = {"scores": ("snapshot_id", 6), "snapshots": ("id", 12), "windows": ("id", 12), "verdicts": ("snapshot_id", 12),
         "audit": ("seq", 12)}
_OWN = ("meta", "sums", "seal")     # covered by the seal, or what is compared
Part = tuple[str, int]
Sum = tuple[int, int]               # rows, digest


@dataclass(frozen=True, slots=True)
class Seal:
    """Which state this is, after how many commits."""

    state: str
    commits: int
    restored_at: str | None
    digest: str


class Sums:
    """What the transaction under way has added to the sums of one connection."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self.pending: dict[Part, Sum] = {}
        self._schema = _schema(connection)
        connection.create_function("add_to_sum", -1, self.add)
        connection.execute("PRAGMA temp_store = MEMORY")
        for table in tables(connection):
            for statement in _triggers(table, _columns(connection, table)):
                connection.execute(statement)

    def add(self, table: str, sign: int, part: int, *row: Any) -> None:
        """Count a row in (1) or out (-1)."""
        count, total = self.pending.get((table, part), (0, 0))
        self.pending[table, part] = count + sign, total + sign * row_digest(row)

    def write(self) -> bool:
        """Write what the transaction added, and one commit more; False when it wrote nothing."""
        if not self.pending:
            return False
        for (table, part), (rows, total) in self.pending.items():
            _add(self._connection, table, part, rows, total)
        self.pending = {}
        self._connection.execute("UPDATE seal SET commits = commits + 1")
        write_digest(self._connection, self._schema)
        return True


def row_digest(row: Iterable[Any]) -> int:
    """A row's digest, the same in every version of Python; its values are str, int, float, bytes or None."""
    return int.from_bytes(blake2b(ascii(row).encode(), digest_size=16).digest(), "big")


def tables(connection: sqlite3.Connection) -> list[str]:
    """The tables whose rows are added up."""
    found = connection.execute("SELECT name FROM sqlite_master WHERE type = 'table' ORDER BY name")
    return [row[0] for row in found if row[0] not in _OWN and not row[0].startswith("sqlite_")]


def reseal(connection: sqlite3.Connection, *, anew: bool = False, restored_at: str | None = None) -> None:
    """Work all sums out from the rows as they are; `anew`: from now on this is another state."""
    connection.execute("DELETE FROM sums")
    for table in tables(connection):
        for part, (rows, total) in added_up(connection, table).items():
            _add(connection, table, part, rows, total)
    name = "INSERT INTO seal (id, state, commits, digest) VALUES (1, ?, 0, '') ON CONFLICT DO NOTHING"
    connection.execute(name, (uuid.uuid4().hex,))
    if anew:
        connection.execute("UPDATE seal SET state = ?, restored_at = ?", (uuid.uuid4().hex, restored_at))
    write_digest(connection, _schema(connection))


def added_up(connection: sqlite3.Connection, table: str, since: int = 0) -> dict[int, Sum]:
    """By part, from `since` on, what the rows of a table add up to."""
    column, bits = PARTS.get(table, (None, 0))
    names = _columns(connection, table)
    at = names.index(column) if column else None
    where = f"WHERE {column} >= {since << bits}" if column and since else ""
    found: dict[int, Sum] = {}
    for row in connection.cursor().execute(f"SELECT {', '.join(names)} FROM {table} NOT INDEXED {where}"):
        values = tuple(row)
        part = 0 if at is None else values[at] >> bits
        rows, total = found.get(part, (0, 0))
        found[part] = rows + 1, total + row_digest(values)
    return {part: (rows, total % MODULUS) for part, (rows, total) in found.items()}


def written(connection: sqlite3.Connection) -> dict[str, dict[int, Sum]]:
    """By table and part, what was written as its sum."""
    found: dict[str, dict[int, Sum]] = {table: {} for table in tables(connection)}
    for table, part, rows, digest in connection.execute("SELECT name, part, row_count, digest FROM sums"):
        found.setdefault(table, {})[part] = rows, int(digest, 16)
    return found


def read_seal(connection: sqlite3.Connection) -> Seal | None:
    """The seal; None where there is none."""
    row = connection.execute("SELECT state, commits, restored_at, digest FROM seal").fetchone()
    return None if row is None else Seal(*row)


def wrong(connection: sqlite3.Connection, budget: int | None = None) -> Iterator[str]:
    """What does not add up, in words; with `budget`, only so many of the newest rows of a table are looked at."""
    seal = read_seal(connection)
    if seal is None or seal.digest != _seal_digest(connection, seal, _schema(connection)):
        yield "its seal does not fit its schema"
        return
    for table, sums in written(connection).items():
        since = _since(sums, budget)
        found = added_up(connection, table, since)
        expected = {part: one for part, one in sums.items() if part >= since}
        bad = [part for part in sorted(found.keys() | expected.keys()) if found.get(part) != expected.get(part)]
        if bad:
            yield f"rows of {table} are not those that were written" + (f" (part {bad[0]})" if table in PARTS else "")


def write_digest(connection: sqlite3.Connection, schema: str) -> None:
    """Bring the seal's digest up to date."""
    seal = read_seal(connection)
    assert seal is not None
    connection.execute("UPDATE seal SET digest = ?", (_seal_digest(connection, seal, schema),))


def _since(sums: dict[int, Sum], budget: int | None) -> int:
    """The first part to look at so that about `budget` rows are."""
    left = budget
    for part in sorted(sums, reverse=True):
        if left is not None and left <= 0:
            return part + 1
        if left is not None:
            left -= sums[part][0]
    return 0


def _add(connection: sqlite3.Connection, table: str, part: int, rows: int, total: int) -> None:
    row = connection.execute("SELECT row_count, digest FROM sums WHERE name = ? AND part = ?", (table, part)).fetchone()
    rows, total = (rows + row[0], total + int(row[1], 16)) if row else (rows, total)
    if rows == 0:
        connection.execute("DELETE FROM sums WHERE name = ? AND part = ?", (table, part))
        return
    connection.execute(
        "INSERT INTO sums VALUES (?, ?, ?, ?) ON CONFLICT (name, part) DO UPDATE SET row_count = excluded.row_count, "
        "digest = excluded.digest", (table, part, rows, f"{total % MODULUS:032x}"),
    )


def _triggers(table: str, names: list[str]) -> Iterator[str]:
    column, bits = PARTS.get(table, (None, 0))

    def call(row: str, sign: int) -> str:
        part = f"{row}.{column} >> {bits}" if column else "0"
        return f"SELECT add_to_sum('{table}', {sign}, {part}, {', '.join(f'{row}.{name}' for name in names)});"

    for event, body in (("INSERT", call("new", 1)), ("DELETE", call("old", -1)),
                        ("UPDATE", call("old", -1) + call("new", 1))):
        yield f"CREATE TEMP TRIGGER sum_{table}_{event.lower()} AFTER {event} ON main.{table} BEGIN {body} END"


def _columns(connection: sqlite3.Connection, table: str) -> list[str]:
    return [row[1] for row in connection.execute(f"PRAGMA table_info({table})")]


def _schema(connection: sqlite3.Connection) -> str:
    rows = connection.execute(
        "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite%' ORDER BY type, name"
    )
    return _text_digest([tuple(row) for row in rows])


def _seal_digest(connection: sqlite3.Connection, seal: Seal, schema: str) -> str:
    meta = [tuple(row) for row in connection.execute("SELECT name, value FROM meta ORDER BY name")]
    return _text_digest([seal.state, seal.commits, seal.restored_at, schema, meta])


def _text_digest(what: object) -> str:
    return blake2b(ascii(what).encode(), digest_size=16).hexdigest()
