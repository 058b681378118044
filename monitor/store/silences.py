"""When people are not told, and models for which nothing is requested until a person resumes them."""

from dataclasses import dataclass
from datetime import datetime

from monitor.config import Config
from monitor.decide.guards import in_force
from monitor.records import Silence
from monitor.store.audit import Audit
from monitor.store.database import Database, stamp
from monitor.store.rows import record_of, records_of, row_of


class Silences:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def add(self, silence: Silence, at: datetime) -> None:
        """No message about it until then, by a person's hand; audited."""
        by = silence.by or ""
        with self._db.transaction():
            self._db.insert("silences", row_of(silence) | {"by_whom": by, "since": stamp(at)})
            action = "maintenance" if silence.maintenance else "silence"
            self._audit.note(at, by, action, silence.model, silence.reason)

    def end(self, model: str, by: str, reason: str, at: datetime) -> bool:
        """End every silence of the model set by hand; False when there was none. Audited."""
        with self._db.transaction():
            end = "UPDATE silences SET until = ? WHERE model = ? AND until > ?"
            if not self._db.run(end, stamp(at), model, stamp(at)):
                return False
            self._audit.note(at, by, "end silence", model, reason)
            return True

    def in_force(self, config: Config, model: str, now: datetime) -> tuple[Silence, ...]:
        """The silences of a model that hold now: of the configuration, then those set by hand."""
        section = config.models.get(model)
        found = self._db.all("SELECT * FROM silences WHERE model = ? AND until > ? ORDER BY id", model, stamp(now))
        return (*(in_force(config, section, now) if section else ()), *records_of(Silence, found))


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
