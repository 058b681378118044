"""The memory of triggers: which fire, and since when."""

from collections.abc import Iterable

from monitor.records import Firing
from monitor.store.database import Database
from monitor.store.rows import records_of, row_of


class Firings:
    def __init__(self, database: Database) -> None:
        self._db = database

    def all(self, model: str | None = None) -> list[Firing]:
        """The memory of every trigger (of one model), by model and name."""
        return records_of(Firing, self._db.all(
            "SELECT * FROM firings WHERE model = COALESCE(?, model) ORDER BY model, trigger_name", model
        ))

    def save(self, firings: Iterable[Firing]) -> None:
        """Write what triggers do now, in place of what they did."""
        for firing in firings:
            self._db.insert(
                "firings", row_of(firing),
                """ON CONFLICT (model, trigger_name) DO UPDATE
                   SET firing = excluded.firing, since = excluded.since, reason = excluded.reason""",
            )
