"""Models for which nothing is requested until a person resumes them."""

from dataclasses import dataclass
from datetime import datetime

from monitor.store.audit import Audit
from monitor.store.database import Database, stamp
from monitor.store.rows import record_of


@dataclass(frozen=True, slots=True, kw_only=True)
class Pause:
    """No retrain request for this model until somebody resumes it."""

    model: str
    by: str
    reason: str
    at: datetime


class Pauses:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def begin(self, model: str, by: str, reason: str, at: datetime) -> None:
        """No retrain requests for the model from now on; audited."""
        row = {"model": model, "by_whom": by, "reason": reason, "paused_at": stamp(at)}
        with self._db.transaction():
            self._db.run("DELETE FROM pauses WHERE model = ?", model)
            self._db.insert("pauses", row)
            self._audit.note(at, by, "pause", model, reason)

    def end(self, model: str, by: str, reason: str, at: datetime) -> bool:
        """End a pause; False when there was none. Audited."""
        with self._db.transaction():
            if not self._db.run("DELETE FROM pauses WHERE model = ?", model):
                return False
            self._audit.note(at, by, "resume", model, reason)
            return True

    def current(self, model: str) -> Pause | None:
        """The pause the model is in."""
        row = self._db.one("SELECT *, paused_at AS at FROM pauses WHERE model = ?", model)
        return None if row is None else record_of(Pause, row)
