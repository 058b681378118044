"""Stamps from the future: written while the clock was ahead, they are in the way of what is compared with now."""

import logging
from datetime import datetime

from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import Database, stamp, sure
from monitor.store.requests import LEASE
from monitor.times import JUMP, format_moment

_NEWEST = 10_000     # snapshots that are looked at: a clock is not ahead for longer unnoticed

# table → its moments that have passed, when they are right. Not the audit's: nothing of it ever changes.
PASSED = {
    "dispatches": ("created_at", "sent_at", "accepted_at", "running_at", "ended_at"),
    "messages": ("created_at", "sent_at"),
    "promotions": ("at", "decided_at"),
    "approvals": ("asked_at", "decided_at"),
    "alias_moves": ("created_at",),
    "registries": ("read_at", "down_since"),
    "firings": ("since",),
    "pauses": ("paused_at",),
    "callbacks": ("at",),
    "configs": ("accepted_at",),
    "version_facts": ("at",),
    "data_seen": ("seen_at",),
    "moments": ("at",),
    "gates": ("at",),
    "shadows": ("began_at", "looked_at"),
}


_log = logging.getLogger(__name__)


class Future:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def restamp(self, now: datetime) -> int:
        """Set every stamp of what has happened that is later than now to now; return how many were. Audited."""
        limit, latest = now + JUMP, self._latest()
        if latest is None or latest <= limit:
            return 0
        with self._db.transaction():
            self._resume(now, limit)
            count = self._shift(now, limit) + self._measured(now, limit)
            for table, names in PASSED.items():
                for name in names:
                    count += self._db.run(
                        f"UPDATE {table} SET {name} = ? WHERE {name} > ?", stamp(now), stamp(limit)
                    )
            if count:
                self.wake(now)
                details = {"stamps": count, "latest": stamp(latest), "now": stamp(now)}
                self._audit.note(now, DRIFTD, "clock", "state", details=details)
        if count:
            _log.warning(
                "%d moments in the state were in the future, up to %s: the clock was ahead. They count from now on.",
                count, format_moment(latest),
            )
        return count

    def wake(self, now: datetime) -> None:
        """The clock was set back: what waits for a moment that may be far away now is tried at once."""
        with self._db.transaction():
            self._resume(now, now + JUMP)
            self._db.run(
                "UPDATE dispatches SET next_try_at = ? WHERE state = 'ambiguous' AND next_try_at > ?",
                stamp(now), stamp(now),
            )
            for table, waits in (("messages", "sent_at IS NULL"), ("alias_moves", "state IN ('pending', 'sending')")):
                self._db.run(
                    f"UPDATE {table} SET next_try_at = ? WHERE {waits} AND next_try_at > ?", stamp(now), stamp(now)
                )

    def _resume(self, now: datetime, limit: datetime) -> None:
        """Let what was tried in the future be tried now; a lease is no longer than it may be."""
        self._db.run(
            """UPDATE dispatches SET next_try_at = ? WHERE state IN ('pending', 'ambiguous') AND next_try_at > ?
               AND COALESCE(sent_at, created_at) > ?""",
            stamp(now), stamp(now), stamp(limit),
        )
        self._db.run(
            "UPDATE dispatches SET next_try_at = ? WHERE state = 'sending' AND next_try_at > ?",
            stamp(now + LEASE), stamp(now + LEASE),
        )
        for table in ("messages", "alias_moves"):
            self._db.run(
                f"UPDATE {table} SET next_try_at = ? WHERE next_try_at > ? AND created_at > ?",
                stamp(now), stamp(now), stamp(limit),
            )

    def _shift(self, now: datetime, limit: datetime) -> int:
        """What began in the future and lasts: it begins now and lasts as long."""
        count = 0
        for table, key, began, ends in (
            ("silences", "id", "since", "until"), ("model_references", "rowid", "installed_at", "since"),
        ):
            found = f"SELECT {key} AS key, {began}, {ends} FROM {table} WHERE {began} > ?"
            for row in self._db.all(found, stamp(limit)):
                end = sure(row[ends]) - (sure(row[began]) - now) if sure(row[ends]) > limit else sure(row[ends])
                count += self._db.run(
                    f"UPDATE {table} SET {began} = ?, {ends} = ? WHERE {key} = ?", stamp(now), stamp(end), row["key"]
                )
        return count

    def _measured(self, now: datetime, limit: datetime) -> int:
        """Windows measured in the future: their labels were not all known, whatever the clock said."""
        newest = f"(SELECT MAX(id) - {_NEWEST} FROM snapshots)"
        return self._db.run(
            f"UPDATE snapshots SET taken_at = ?, mature = 0 WHERE id > {newest} AND taken_at > ?",
            stamp(now), stamp(limit),
        ) + self._db.run(
            f"UPDATE verdicts SET at = ? WHERE snapshot_id > {newest} AND at > ?", stamp(now), stamp(limit)
        )

    def _latest(self) -> datetime | None:
        newest = f"(SELECT MAX(id) - {_NEWEST} FROM snapshots)"
        found = [f"SELECT MAX({name}) AS at FROM {table}" for table, names in PASSED.items() for name in names]
        found += ["SELECT MAX(since) FROM silences", "SELECT MAX(installed_at) FROM model_references",
                  f"SELECT MAX(taken_at) FROM snapshots WHERE id > {newest}"]
        row = self._db.one(f"SELECT MAX(at) AS at FROM ({' UNION ALL '.join(found)})")
        return sure(row["at"]) if row is not None and row["at"] is not None else None
