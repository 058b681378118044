"""What each check concluded."""

from monitor.records import Action, Snapshot, Verdict, Window
from monitor.store.audit import Audit
from monitor.store.chain import DRIFTD
from monitor.store.database import Database, stamp
from monitor.store.rows import record_of, records_of, row_of
from monitor.store.windows import WINDOW, Windows

_VERDICTS = f"""
    SELECT v.*, s.revision, {WINDOW} FROM verdicts v JOIN snapshots s ON s.id = v.snapshot_id
    JOIN windows w ON w.id = s.window_id
"""


class Verdicts:
    def __init__(self, database: Database, audit: Audit, windows: Windows) -> None:
        self._db = database
        self._audit = audit
        self._windows = windows

    def all(self, model: str) -> list[Verdict]:
        """Verdicts on all revisions, in the order they were reached."""
        return records_of(Verdict, self._db.all(f"{_VERDICTS} WHERE w.model = ? ORDER BY v.snapshot_id", model))

    def newest(self, model: str) -> Verdict | None:
        """The verdict that was reached last."""
        row = self._db.one(f"{_VERDICTS} WHERE w.model = ? ORDER BY v.snapshot_id DESC LIMIT 1", model)
        return None if row is None else record_of(Verdict, row)

    def newest_on(self, window: Window) -> Verdict | None:
        """The verdict on the newest revision of this window that has one."""
        row_id = self._windows.row_id(window)
        row = self._db.one(f"{_VERDICTS} WHERE w.id = ? ORDER BY s.revision DESC LIMIT 1", row_id)
        return None if row is None else record_of(Verdict, row)

    def add(self, snapshot_id: int, snapshot: Snapshot, verdict: Verdict) -> None:
        """Write the verdict on a snapshot. One about retraining is audited, by names alone: no sentences."""
        row = row_of(verdict)
        del row["revision"]                      # the snapshot's
        self._db.insert("verdicts", {"snapshot_id": snapshot_id, **row})
        if verdict.action not in (Action.RETRAIN, Action.SUPPRESS):
            return
        self._audit.note(verdict.at, DRIFTD, f"verdict {verdict.action}", verdict.window.model, details={
            "window": [stamp(verdict.window.start), stamp(verdict.window.end)], "revision": verdict.revision,
            "fired": verdict.fired, "guards": verdict.guards, "reference": snapshot.reference_id,
            "model_version": snapshot.model_version, "config": snapshot.config_hash,
        })
