"""When something was last done that leaves no other trace."""

from datetime import datetime

from monitor.store.database import Database, stamp, sure
from monitor.times import utcnow

_TRY, _CHECK, _JUDGED = "try to write", "check of ", "judged "


class Moments:
    def __init__(self, database: Database) -> None:
        self._db = database

    def note_check(self, model: str, at: datetime) -> None:
        """A model with times of its own was checked, or is planned from now on."""
        self._note(_CHECK + model, at)

    def last_check(self, model: str) -> datetime | None:
        """What `note_check` noted last."""
        row = self._db.one("SELECT at FROM moments WHERE name = ?", _CHECK + model)
        return None if row is None else sure(row["at"])

    def note_judged(self, model: str, section: str, at: datetime) -> None:
        """The windows of a model were judged by a section of the configuration, given as a hash."""
        self._note(_JUDGED + model, at, section)

    def judged_by(self, model: str) -> str | None:
        """What `note_judged` noted last."""
        row = self._db.one("SELECT what FROM moments WHERE name = ?", _JUDGED + model)
        return None if row is None else str(row["what"])

    def try_to_write(self) -> None:
        """Write what means nothing. Raises StateError when the state still cannot be written."""
        self._note(_TRY, utcnow())

    def _note(self, name: str, at: datetime, what: str | None = None) -> None:
        self._db.insert(
            "moments", {"name": name, "at": stamp(at), "what": what},
            "ON CONFLICT (name) DO UPDATE SET at = excluded.at, what = excluded.what",
        )
