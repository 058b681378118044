"""Windows and scores over time, as pages and the API show them: many windows with few scores each, quickly read."""

import json
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor.records import Action, Ledger, Score, ScoreStatus, SnapshotStatus, Window, from_json
from monitor.store.database import AMONG, Database, listed, marks, stamp
from monitor.store.rows import columns, record_of, records_of
from monitor.store.snapshots import BACKWARDS, NEWEST, WINDOW

_SCORE = columns(Score, "s")
_AT_ONCE = 500          # windows whose scores one query reads
# with the newest verdict: the newest revision has none where the reference changed while it was measured
_LOOKED = f"""
    SELECT s.*, v.action, v.fired, v.guards, v.reasons, {WINDOW} {NEWEST} LEFT JOIN verdicts v ON v.snapshot_id =
     (SELECT MAX(x.snapshot_id) FROM verdicts x JOIN snapshots y ON y.id = x.snapshot_id WHERE y.window_id = w.id)
"""
_NOTABLE = (ScoreStatus.DRIFTED, ScoreStatus.BREACHED, ScoreStatus.FAILED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """The newest revision of one window without its scores, and the newest verdict."""

    id: int                              # of the revision in the store, for `scores`
    window: Window
    revision: int
    taken_at: datetime
    reference_id: str
    model_version: str | None
    rows: int
    labelled: int
    late: int
    mature: bool
    status: SnapshotStatus
    reason: str | None
    action: Action | None                # None: there is no verdict on any revision
    fired: tuple[str, ...] | None
    guards: tuple[str, ...] | None
    reasons: tuple[str, ...] | None

    @property
    def label_coverage(self) -> float | None:
        return self.labelled / self.rows if self.rows else None


@dataclass(frozen=True, slots=True, kw_only=True)
class CellScore:
    """What one column's score comes to in one window."""

    snapshot_id: int
    column: str
    metric: str
    method: str | None
    status: ScoreStatus
    value: float | None
    threshold: float | None


class Trends:
    def __init__(self, database: Database) -> None:
        self._db = database

    def windows(
        self, model: str, *, limit: int, until: datetime | None = None, before: datetime | None = None
    ) -> list[Looked]:
        """The newest windows, oldest first; `until`: that ended by then, `before`: that began before."""
        found = self._db.all(
            f"""{_LOOKED} WHERE w.model = ? AND w.end_at <= ? AND w.start_at < ? {BACKWARDS} LIMIT ?""",
            model, stamp(until) or "9", stamp(before) or "9", limit,
        )
        return records_of(Looked, found[::-1])

    def count(self, model: str, until: datetime | None = None) -> int:
        """How many windows there are."""
        row = self._db.one(
            """SELECT COUNT(*) AS known FROM windows w WHERE w.model = ? AND w.end_at <= ?
               AND EXISTS (SELECT 1 FROM snapshots s WHERE s.window_id = w.id)""",
            model, stamp(until) or "9",
        )
        return int(row["known"]) if row else 0

    def starting(self, model: str, start: datetime, until: datetime | None = None) -> list[Looked]:
        """The windows that start at a moment, the one that ends last at the end."""
        found = self._db.all(
            f"""{_LOOKED} WHERE w.model = ? AND w.start_at = ? AND w.end_at <= ? {BACKWARDS}""",
            model, stamp(start), stamp(until) or "9",
        )
        return records_of(Looked, found[::-1])

    def of(self, window: Window) -> Looked:
        """What is known of a window that was looked at."""
        return next(one for one in self.starting(window.model, window.start) if one.window == window)

    def scores(
        self, ids: Sequence[int], metrics: Collection[str] | None = None, column: str | None = None, *,
        whole: bool = False,
    ) -> dict[int, list[Score]]:
        """The scores of these revisions: of these `metrics`, of one `column`, or all; `whole`: of the model as such."""
        found: dict[int, list[Score]] = {one: [] for one in ids}
        only, values = ("", ()) if metrics is None else (f"AND s.metric IN ({marks(metrics)})", tuple(metrics))
        if column is not None:
            only, values = only + " AND s.column_name = ?", (*values, column)
        if whole:
            only += " AND s.column_name IS NULL AND s.segment IS NULL"
        for begin in range(0, len(ids), _AT_ONCE):
            some = ids[begin:begin + _AT_ONCE]
            for row in self._db.all(
                f"""SELECT {_SCORE}, s.snapshot_id FROM scores s WHERE s.snapshot_id IN {AMONG} {only}
                    ORDER BY s.snapshot_id, s.position""",
                listed(some), *values,
            ):
                found[row["snapshot_id"]].append(record_of(Score, row))
        return found

    def cells(self, ids: Sequence[int], metrics: Collection[str]) -> list[CellScore]:
        """Each column's scores that are notable, and of these metrics those of which too little is known."""
        found: list[CellScore] = []
        for begin in range(0, len(ids), _AT_ONCE):
            some = ids[begin:begin + _AT_ONCE]
            found += records_of(CellScore, self._db.all(
                f"""SELECT snapshot_id, column_name, metric, method, status, value, threshold FROM scores
                    WHERE snapshot_id IN {AMONG} AND column_name IS NOT NULL
                    AND (status IN ({marks(_NOTABLE)}) OR (metric IN ({marks(metrics)}) AND status = ?))""",
                listed(some), *_NOTABLE, *metrics, ScoreStatus.INSUFFICIENT,
            ))
        return found

    def ledger(self, id: int) -> Ledger | None:
        """What became of the rows of this revision."""
        row = self._db.one("SELECT ledger FROM snapshots WHERE id = ?", id)
        kept = row["ledger"] if row else None
        return from_json(Ledger, json.loads(kept)) if kept else None
