"""The audit, what was done by whom and why: a chain of entries that are only ever added, each with the hash of the one
before, and the newest hash kept outside the database too.

An entry's hash is the SHA-256 of the JSON list [seq, at, actor, action, subject, details, prev], written without
spaces and with every letter as itself in UTF-8; `details` is in it as the text that is stored, `prev` of the first
entry is 64 zeros. So anybody can check an exported chain without driftd.
"""

import hashlib
import json
import logging
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, Literal

from monitor.store.database import Database, Row, stamp, sure
from monitor.store.rows import records_of
from monitor.untrusted import parse_json, read_bytes

HEAD = "audit.head"
FIRST = "0" * 64
LAG = 8             # entries one transaction may hold: by so many the head may be behind after a crash
DRIFTD = "driftd"   # the actor of what no person did
_AT_ONCE = 1000

# Whoever opens the database another way is refused too. (A trigger's body holds semicolons, so it is in no migration.)
_SAID = "'the audit is only ever added to'"
GUARDS = {
    "sqlite": tuple(
        f"CREATE TRIGGER audit_no_{what.lower()} BEFORE {what} ON audit "
        f"BEGIN SELECT RAISE(ABORT, {_SAID}); END"
        for what in ("UPDATE", "DELETE")
    ),
    "postgresql": (
        f"CREATE FUNCTION audit_grows() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE EXCEPTION {_SAID}; END $$",
        "CREATE TRIGGER audit_grows BEFORE UPDATE OR DELETE OR TRUNCATE ON audit EXECUTE FUNCTION audit_grows()",
    ),
}

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Verified:
    """What a look at the whole chain found: how many entries are sound, and the first that is not."""

    entries: int
    hash: str
    problem: str | None = None


def append(database: Database, at: datetime, actor: str, action: str, subject: str, details: Mapping[str, Any]) -> None:
    """Add one entry to the end of the chain; inside a transaction that writes, so that nobody comes between."""
    last = database.one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    row = {
        "seq": last["seq"] + 1 if last else 1, "at": stamp(at), "actor": actor, "action": action, "subject": subject,
        "details": json.dumps(details, ensure_ascii=False, sort_keys=True, default=str),
        "prev": last["hash"] if last else FIRST,
    }
    database.insert("audit", row | {"hash": entry_hash(row)})


def adopt(database: Database, dialect: Literal["sqlite", "postgresql"] = "sqlite") -> None:
    """Begin the chain with the lines of the time before there was one; from then on the table refuses changes."""
    for row in database.all("SELECT * FROM audit_before ORDER BY seq"):
        details = {"reason": row["reason"]} if row["reason"] else {}
        append(database, sure(row["at"]), row["actor"], row["action"], row["subject"], details)
    database.run("DROP TABLE audit_before")
    database.script(GUARDS[dialect])


def write_head(database: Database, folder: Path) -> None:
    """Keep the newest hash outside the database; a head that does not fit the chain is evidence, and stays."""
    place, old = folder / HEAD, _read_head(folder)
    newest = database.one("SELECT seq, hash FROM audit ORDER BY seq DESC LIMIT 1")
    if old is not None and not _holds(database, old):
        _log.error("%s does not fit the audit and is left as it is; see driftd audit verify", place)
    elif newest is not None:
        try:
            write_whole(place, json.dumps({"seq": newest["seq"], "hash": newest["hash"]}) + "\n")
        except OSError as error:             # committed is committed; the next entry writes it
            _log.error("%s cannot be written: %s", place, error.strerror)


def verify(database: Database, folder: Path | None) -> Verified:
    """Go along the whole chain, then hold it against the head in `folder`; stops at the first thing wrong."""
    seq, last = 0, FIRST
    head = _read_head(folder) if folder is not None else None     # before the entries, as it is written after them
    with database.reading():
        for row in _rows(database):
            problem = _wrong(row, seq, last)
            if problem is not None:
                return Verified(entries=seq, hash=last, problem=problem)
            seq, last = row["seq"], row["hash"]
        problem = _wrong_config(database) or (_wrong_head(database, folder, head, seq) if folder is not None else None)
        return Verified(entries=seq, hash=last, problem=problem)


def entry_hash(row: Mapping[str, Any] | Row) -> str:
    """The hash of an entry, as the top of this file says."""
    fields = [row[name] for name in ("seq", "at", "actor", "action", "subject", "details", "prev")]
    return text_hash(json.dumps(fields, ensure_ascii=False, separators=(",", ":")))


def text_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _rows(database: Database) -> Iterator[Row]:
    after = 0
    while found := database.all("SELECT * FROM audit WHERE seq > ? ORDER BY seq LIMIT ?", after, _AT_ONCE):
        yield from found
        after = found[-1]["seq"]


def _wrong(row: Row, seq: int, last: str) -> str | None:
    if row["seq"] != seq + 1:
        return f"entry {seq + 1}: is gone, the next one is {row['seq']}"
    if row["prev"] != last:
        return f"entry {row['seq']}: does not follow the one before it"
    if row["hash"] != entry_hash(row):
        return f"entry {row['seq']}: was changed, its hash is another one"
    return None


def _wrong_config(database: Database) -> str | None:
    """A configuration whose text is not the one that was accepted."""
    texts = {row["hash"]: row["text"] for row in database.all("SELECT hash, text FROM configs")}
    for row in database.all("SELECT seq, details FROM audit WHERE subject = 'configuration' ORDER BY seq"):
        said = json.loads(row["details"])
        if said.get("sha256") not in (None, text_hash(texts.get(said["hash"], ""))):
            return f"entry {row['seq']}: the text of the configuration {said['hash']} is not the one accepted then"
    return None


def _wrong_head(database: Database, folder: Path, head: Mapping[str, Any] | None, entries: int) -> str | None:
    place = folder / HEAD
    if head is None:
        return None if entries == 0 else f"{place} is not there or not whole, expected the hash of the newest entry"
    if head["seq"] > entries:
        return f"entry {entries + 1}: is gone; {place} knows {head['seq']} entries, the database has {entries}"
    if not _holds(database, head):
        return f"entry {head['seq']}: is not the one {place} knows: the chain was written anew"
    if entries - head["seq"] > LAG:
        return f"{place} stands at entry {head['seq']} of {entries}, expected it near the end"
    return None


def _holds(database: Database, head: Mapping[str, Any]) -> bool:
    return bool(database.all("SELECT 1 FROM audit WHERE seq = ? AND hash = ?", head["seq"], head["hash"]))


def _read_head(folder: Path) -> dict[str, Any] | None:
    try:
        head = parse_json(read_bytes(folder / HEAD))
        return {"seq": int(head["seq"]), "hash": str(head["hash"])}
    except (OSError, ValueError, KeyError, TypeError):
        return None


def write_whole(path: Path, text: str) -> None:
    """Put a file in place whole, readable by its owner alone, on the disk before its name is.

    The owner is that of the folder, also where root writes: a command of root's must not shut the service out.
    """
    draft = path.with_name(f".{path.name}.{os.getpid()}.new")
    with os.fdopen(os.open(draft, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
        if os.geteuid() == 0:
            folder = path.parent.stat()
            with suppress(OSError):              # in some containers and file systems root may not
                os.fchown(file.fileno(), folder.st_uid, folder.st_gid)
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    draft.replace(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class AuditEntry:
    """What was done, by whom, and why."""

    seq: int
    at: datetime
    actor: str
    action: str
    subject: str
    details: dict[str, Any]
    prev: str
    hash: str

    @property
    def reason(self) -> str:
        return str(self.details.get("reason", ""))


class Audit:
    def __init__(self, database: Database, folder: Path | None) -> None:
        self._db = database
        self._folder = folder                    # where the newest hash is kept; None in memory

    def note(
        self, at: datetime, actor: str, action: str, subject: str, reason: str = "",
        details: Mapping[str, Any] | None = None,
    ) -> None:
        """Add an entry, in the transaction under way; nothing ever changes or removes one. No personal values."""
        told = ({"reason": reason} if reason else {}) | dict(details or {})
        with self._db.transaction():
            append(self._db, at, actor, action, subject, told)
            self._db.afterwards(self._write_head)

    def by_people(self, limit: int = 100) -> list[AuditEntry]:
        """The newest entries of what people did, oldest first."""
        found = self._db.all("SELECT * FROM audit WHERE actor != ? ORDER BY seq DESC LIMIT ?", DRIFTD, limit)
        return records_of(AuditEntry, found[::-1])

    def between(self, start: datetime | None, end: datetime | None) -> list[AuditEntry]:
        """Entries from `start` on and before `end`, oldest first."""
        return records_of(AuditEntry, self._db.all(
            "SELECT * FROM audit WHERE at >= ? AND at < ? ORDER BY seq", stamp(start) or "", stamp(end) or "9"
        ))

    def about(self, model: str) -> list[AuditEntry]:
        """Every entry about a model, its needs and its requests, oldest first."""
        return records_of(AuditEntry, self._db.all(
            """SELECT * FROM audit WHERE subject = ? OR subject IN (SELECT id FROM dispatches WHERE model = ?)
               OR subject IN (SELECT id FROM episodes WHERE model = ?) ORDER BY seq""",
            model, model, model,
        ))

    def verify(self) -> Verified:
        """Go along the whole chain, then hold it against the head outside; stops at the first thing wrong."""
        return verify(self._db, self._folder)

    def _write_head(self) -> None:
        if self._folder is not None:
            write_head(self._db, self._folder)
