"""What windows are compared with: the references, of which the newest of each model is the current one."""

from collections.abc import Collection
from dataclasses import replace
from datetime import datetime

from monitor.decide.episodes import supersede
from monitor.records import Reference
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import Database, stamp, sure
from monitor.store.episodes import Episodes
from monitor.store.promotions import Promotions
from monitor.store.requests import Requests
from monitor.store.rows import record_of, records_of, row_of
from monitor.times import JUMP


class References:
    def __init__(
        self, database: Database, audit: Audit, episodes: Episodes, requests: Requests, promotions: Promotions
    ) -> None:
        self._db = database
        self._audit = audit
        self._episodes = episodes
        self._requests = requests
        self._promotions = promotions

    def models(self) -> list[str]:
        """Names of all models that have, or were measured against, a reference, sorted."""
        found = self._db.all("SELECT model FROM model_references UNION SELECT model FROM windows ORDER BY 1")
        return [row["model"] for row in found]

    def current(self, model: str) -> Reference | None:
        """The reference windows are compared with now."""
        row = self._db.one("SELECT * FROM model_references WHERE model = ? ORDER BY seq DESC LIMIT 1", model)
        if row is None:
            return None
        found, installed = record_of(Reference, row), sure(row["installed_at"])
        ahead = installed - self._db.as_of_now(installed)
        return replace(found, since=found.since - ahead) if ahead > JUMP else found

    def all(self, model: str) -> list[Reference]:
        """All references there have been, oldest first; a rollback shows as the same one again."""
        return records_of(
            Reference, self._db.all("SELECT * FROM model_references WHERE model = ? ORDER BY seq", model)
        )

    def install(
        self, ref: Reference, expected: str | None, at: datetime, *,
        needs: Collection[str] = (), configured: str | None = None,
    ) -> bool:
        """Make `ref` the current reference if that is still `expected`; else change nothing and return False.

        The need that stood against the old one is superseded, what was not sent of it withdrawn. With another version
        of the model a promotion has come: whether the need it answers goes away is awaited, where that is among
        `needs`. `configured` is the version in the configuration.
        """
        with self._db.transaction():
            current = self.current(ref.model)
            if (current.id if current else None) != expected:
                return False
            self._add(ref, expected, at)
            self._promotions.come_into_service(ref, current, needs, configured, at)
            standing = self._episodes.standing(ref.model)
            if standing is not None:
                self._requests.end_need(supersede(standing), at)
            return True

    def pin(self, ref: Reference, rows: int) -> Reference:
        """Note with how many rows a reference was taken, where that was not known when it was installed."""
        where = "model = ? AND id = ? AND row_count IS NULL"
        self._db.run(f"UPDATE model_references SET row_count = ? WHERE {where}", rows, ref.model, ref.id)
        return replace(ref, rows=rows)

    def _add(self, ref: Reference, before: str | None, at: datetime) -> None:
        self._db.insert("model_references", row_of(ref) | {
            "seq": len(self.all(ref.model)) + 1, "installed_at": stamp(at),
        })
        self._audit.note(at, DRIFTD, "reference", ref.model, details={
            "id": ref.id, "before": before, "model_version": ref.model_version, "origin": ref.origin,
            "since": stamp(ref.since),
        })
