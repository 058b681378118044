"""The configurations that were in force, as redacted text."""

from dataclasses import dataclass
from datetime import datetime

from monitor.store.audit import DRIFTD, Audit, text_hash
from monitor.store.database import Database, stamp
from monitor.store.rows import records_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Accepted:
    """A configuration that was in force, as redacted text."""

    hash: str
    text: str
    at: datetime


class Configurations:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def accept(self, config_hash: str, text: str, at: datetime) -> None:
        """Keep the (redacted) text of an accepted configuration, once; its latest acceptance counts. Audited."""
        row = {"hash": config_hash, "text": text, "accepted_at": stamp(at)}
        with self._db.transaction():
            last = self._db.one("SELECT hash FROM configs ORDER BY accepted_at DESC, hash DESC LIMIT 1")
            self._db.insert("configs", row, "ON CONFLICT (hash) DO UPDATE SET accepted_at = excluded.accepted_at")
            if last is None or last["hash"] != config_hash:
                kept = self._db.all("SELECT text FROM configs WHERE hash = ?", config_hash)[0]["text"]
                self._audit.note(at, DRIFTD, "configuration accepted", "configuration",
                                 details={"hash": config_hash, "sha256": text_hash(kept)})

    def accepted(self) -> list[Accepted]:
        """Accepted configurations, the one in force last."""
        found = self._db.all("SELECT hash, text, accepted_at AS at FROM configs ORDER BY accepted_at, hash")
        return records_of(Accepted, found)
