"""The windows that were looked at, what was measured of them, and what each check concluded.

A window is known once by its bounds and its cut; each of its revisions is a snapshot with scores.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import groupby
from operator import itemgetter

from monitor.records import Action, Score, Snapshot, SnapshotStatus, Verdict, Window
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import AMONG, Database, Row, listed, marks, stamp
from monitor.store.rows import columns, record_of, records_of, row_of

WINDOW = columns(Window, "w", "window")
# the newest revision of each window
NEWEST = """
    FROM windows w JOIN snapshots s ON s.window_id = w.id
     AND s.revision = (SELECT MAX(t.revision) FROM snapshots t WHERE t.window_id = w.id)
"""
BACKWARDS = "ORDER BY w.end_at DESC, w.end_id DESC, w.start_at DESC"
_AT_ONCE = 500     # snapshots whose scores one query reads
_SCORE = columns(Score, "s")
_VERDICTS = f"""
    SELECT v.*, s.revision, {WINDOW} FROM verdicts v JOIN snapshots s ON s.id = v.snapshot_id
    JOIN windows w ON w.id = s.window_id
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """What the newest revision of a window counted."""

    window: Window
    revision: int
    rows: int
    labelled: int
    mature: bool
    reference_id: str
    first_rows: int                      # what revision 0 counted
    taken_at: datetime
    labels: str | None                   # a digest of the labels it saw
    status: SnapshotStatus
    reason: str | None
    sampled: float                       # 0: it could not be measured

    @property
    def unmeasured(self) -> bool:
        """Whether its rows could not be read or measured."""
        return self.status is SnapshotStatus.SOURCE_FAILED and self.sampled == 0.0


class Windows:
    def __init__(self, database: Database) -> None:
        self._db = database

    def known(self, model: str, spec: str, since: datetime | None = None) -> list[Known]:
        """What the newest revision of each window counted, oldest first.

        Of windows that end after `since`, and of those with rows whose source failed, however old.
        """
        found = self._db.all(
            f"""SELECT s.*, s.row_count - s.late AS first_rows, {WINDOW} {NEWEST}
                WHERE w.model = ? AND w.spec = ? AND (w.end_at > ? OR (s.status = ? AND s.row_count > 0))
                {BACKWARDS}""",
            model, spec, stamp(since) or "", SnapshotStatus.SOURCE_FAILED,
        )
        return records_of(Known, found[::-1])

    def newest(self, model: str, spec: str, *, filled: bool = False) -> Window | None:
        """The newest window of this cut that has a snapshot; `filled`: that also had rows."""
        row = self._db.one(
            f"SELECT w.* {NEWEST} WHERE w.model = ? AND w.spec = ? AND s.row_count >= ? {BACKWARDS} LIMIT 1",
            model, spec, int(filled),
        )
        return None if row is None else record_of(Window, row)

    def newest_row_id(self, model: str, until: datetime) -> int | None:
        """The row of the model's newest window, of any cut, that has a snapshot and ended by a moment."""
        row = self._db.one(
            """SELECT id FROM windows w
               WHERE model = ? AND end_at <= ? AND EXISTS (SELECT 1 FROM snapshots s WHERE s.window_id = w.id)
               ORDER BY end_at DESC, end_id DESC LIMIT 1""",
            model, stamp(until),
        )
        return None if row is None else int(row["id"])

    def row_id(self, window: Window) -> int | None:
        """The row of this window, None where there is none."""
        row = row_of(window)
        where = " AND ".join(f"{name} = ?" for name in row)
        found = self._db.one(f"SELECT id FROM windows WHERE {where}", *row.values())
        return None if found is None else int(found["id"])

    def add(self, window: Window) -> int:
        """The row of this window, made if need be."""
        self._db.insert("windows", row_of(window), "ON CONFLICT DO NOTHING")
        row_id = self.row_id(window)
        assert row_id is not None
        return row_id


class Snapshots:
    def __init__(self, database: Database, windows: Windows) -> None:
        self._db = database
        self._windows = windows

    def newest(
        self, model: str, metrics: Collection[str] | None = None, until: datetime | None = None,
        known: Collection[Snapshot] = (),
    ) -> Snapshot | None:
        """The newest revision of the newest window (that ended by `until`); the rest as for `newest_revisions`."""
        found = self.newest_revisions(model, limit=1, metrics=metrics, until=until, known=known)
        return next(iter(found), None)

    def newest_revisions(
        self,
        model: str,
        *,
        limit: int | None = None,
        metrics: Collection[str] | None = None,
        if_breached: Collection[str] = (),
        reference_id: str | None = None,
        window_start: datetime | None = None,
        spec: str | None = None,
        until: datetime | None = None,
        known: Collection[Snapshot] = (),
    ) -> list[Snapshot]:
        """The newest revision of each window, oldest first; with `limit` of the newest so many windows.

        `metrics` keeps only those scores, and of `if_breached` those in breach; `reference_id`, `window_start` and
        `spec` keep only those windows, `until` those that ended by then: others were measured while the clock was
        ahead. Of those `known`, which were read whole, the scores are not read again.
        """
        wanted = {
            "w.model": model, "w.spec": spec, "w.start_at": stamp(window_start),
            "s.reference_id": reference_id,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given)
        found = self._db.all(
            f"SELECT s.*, {WINDOW} {NEWEST} WHERE {where} AND w.end_at <= ? {BACKWARDS} LIMIT ?",
            *given.values(), stamp(until) or "9", 2**62 if limit is None else limit,
        )
        return self._with_scores(found[::-1], metrics, if_breached, known)

    def revisions(self, window: Window) -> list[Snapshot]:
        """Every revision of one window, first to newest."""
        found = self._db.all(
            f"""SELECT s.*, {WINDOW} FROM snapshots s JOIN windows w ON w.id = s.window_id
                WHERE w.id = ? ORDER BY s.revision""",
            self._windows.row_id(window),
        )
        return self._with_scores(found, None)

    def add(self, snapshot: Snapshot) -> int | None:
        """Write snapshot and scores and return the snapshot's row; None when this revision is there already."""
        window = self._windows.add(snapshot.window)
        if not self._db.insert("snapshots", {"window_id": window, **row_of(snapshot)}, "ON CONFLICT DO NOTHING"):
            return None
        found = self._db.one(
            "SELECT id FROM snapshots WHERE window_id = ? AND revision = ?", window, snapshot.revision
        )
        assert found is not None
        self._db.insert_many("scores", [
            {"snapshot_id": found["id"], "position": i, **row_of(score)} for i, score in enumerate(snapshot.scores)
        ])
        return int(found["id"])

    def unlogged(self, model: str, limit: int) -> list[Snapshot]:
        """The newest revisions that were not logged in the registry, oldest first, so many of them."""
        found = self._db.all(
            f"""SELECT s.*, {WINDOW} {NEWEST} LEFT JOIN tracked t ON t.window_id = w.id
                WHERE w.model = ? AND COALESCE(t.revision, -1) < s.revision
                ORDER BY w.end_at, w.end_id, w.start_at LIMIT ?""",
            model, limit,
        )
        return self._with_scores(found, None)

    def note_logged(self, snapshot: Snapshot, run: str) -> None:
        """This revision was logged in the registry, as `run`."""
        row = {"window_id": self._windows.row_id(snapshot.window), "revision": snapshot.revision, "run": run}
        self._db.insert("tracked", row, """ON CONFLICT (window_id) DO UPDATE SET revision = excluded.revision,
                        run = excluded.run""")

    def _with_scores(
        self, found: Sequence[Row], metrics: Collection[str] | None, if_breached: Collection[str] = (),
        known: Collection[Snapshot] = (),
    ) -> list[Snapshot]:
        bare = {row["id"]: record_of(Snapshot, row, scores=()) for row in found}
        scores = {id: one.scores for id, new in bare.items() for one in known if replace(one, scores=()) == new}
        unread = [id for id in bare if id not in scores]
        for chunk in (unread[i:i + _AT_ONCE] for i in range(0, len(unread), _AT_ONCE)):
            scores |= self._scores(chunk, metrics, if_breached)
        return [replace(new, scores=scores.get(id, ())) for id, new in bare.items()]

    def _scores(
        self, ids: list[int], metrics: Collection[str] | None, if_breached: Collection[str]
    ) -> dict[int, tuple[Score, ...]]:
        found = self._read_scores(ids, metrics)
        if if_breached:
            found += self._read_scores(ids, if_breached, "AND s.status = 'breached'")
            found.sort(key=itemgetter("snapshot_id", "position"))
        grouped = groupby(found, key=itemgetter("snapshot_id"))
        return {key: tuple(records_of(Score, list(group))) for key, group in grouped}

    def _read_scores(self, ids: list[int], metrics: Collection[str] | None, only: str = "") -> list[Row]:
        named = "" if metrics is None else f"AND s.metric IN ({marks(metrics)})"
        return self._db.all(
            f"""SELECT {_SCORE}, s.snapshot_id, s.position FROM scores s
                WHERE s.snapshot_id IN {AMONG} {named} {only} ORDER BY s.snapshot_id, s.position""",
            listed(ids), *(metrics or ()),
        )


class Verdicts:
    def __init__(self, database: Database, audit: Audit, windows: Windows) -> None:
        self._db = database
        self._audit = audit
        self._windows = windows

    def all(self, model: str) -> list[Verdict]:
        """Verdicts on all revisions, in the order they were reached."""
        return records_of(Verdict, self._db.all(f"{_VERDICTS} WHERE w.model = ? ORDER BY v.snapshot_id", model))

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
