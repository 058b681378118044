"""What was measured: the revisions of windows with their scores."""

from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby

from monitor.records import Score, Snapshot, Window
from monitor.store.database import Database, Row, marks, stamp
from monitor.store.rows import columns, record_of, records_of, row_of
from monitor.store.windows import BACKWARDS, NEWEST, WINDOW, Windows

_AT_ONCE = 500     # snapshots whose scores one query reads
_SCORE = columns(Score, "s")


class Snapshots:
    def __init__(self, database: Database, windows: Windows) -> None:
        self._db = database
        self._windows = windows

    def newest(self, model: str, metrics: Collection[str] | None = None) -> Snapshot | None:
        """The newest revision of the newest window; `metrics` keeps only those scores."""
        return next(iter(self.newest_revisions(model, limit=1, metrics=metrics)), None)

    def newest_revisions(
        self,
        model: str,
        *,
        limit: int | None = None,
        metrics: Collection[str] | None = None,
        reference_id: str | None = None,
        window_start: datetime | None = None,
        spec: str | None = None,
    ) -> list[Snapshot]:
        """The newest revision of each window, oldest first; with `limit` of the newest so many windows.

        `metrics` keeps only those scores; `reference_id`, `window_start` and `spec` keep only those windows.
        """
        wanted = {
            "w.model": model, "w.spec": spec, "w.start_at": stamp(window_start),
            "s.reference_id": reference_id,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given)
        found = self._db.all(
            f"SELECT s.*, {WINDOW} {NEWEST} WHERE {where} {BACKWARDS} LIMIT ?",
            *given.values(), 2**62 if limit is None else limit,
        )
        return self._with_scores(found[::-1], metrics)

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

    def _with_scores(self, found: Sequence[Row], metrics: Collection[str] | None) -> list[Snapshot]:
        scores: dict[int, tuple[Score, ...]] = {}
        for chunk in (found[i:i + _AT_ONCE] for i in range(0, len(found), _AT_ONCE)):
            scores |= self._scores([row["id"] for row in chunk], metrics)
        return [record_of(Snapshot, row, scores=scores.get(row["id"], ())) for row in found]

    def _scores(self, ids: list[int], metrics: Collection[str] | None) -> dict[int, tuple[Score, ...]]:
        only = "" if metrics is None else f"AND s.metric IN ({marks(metrics)})"
        found = self._db.all(
            f"""SELECT {_SCORE}, s.snapshot_id FROM scores s WHERE s.snapshot_id IN ({marks(ids)}) {only}
                ORDER BY s.snapshot_id, s.position""",
            *ids, *(metrics or ()),
        )
        grouped = groupby(found, key=lambda row: row["snapshot_id"])
        return {key: tuple(records_of(Score, list(group))) for key, group in grouped}
