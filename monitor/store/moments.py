"""When something was last done that leaves no other trace."""

from datetime import datetime

from monitor.store.database import Database, stamp, sure
from monitor.times import utcnow

_TRY, _CHECK = "try to write", "check of "


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

    def try_to_write(self) -> None:
        """Write what means nothing. Raises StateError when the state still cannot be written."""
        self._note(_TRY, utcnow())

    def _note(self, name: str, at: datetime) -> None:
        self._db.insert(
            "moments", {"name": name, "at": stamp(at)}, "ON CONFLICT (name) DO UPDATE SET at = excluded.at"
        )
