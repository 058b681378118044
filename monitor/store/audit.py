"""What was done, by whom and why: the audit, which is only ever added to."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from monitor.store.chain import DRIFTD, Verified, append, verify, write_head
from monitor.store.database import Database, stamp
from monitor.store.rows import records_of


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
