"""What was measured: references, windows, snapshots with their scores, verdicts, firing states."""

from collections.abc import Collection, Iterable
from datetime import datetime
from itertools import groupby
from typing import Any

from monitor.records import Firing, Reference, Score, Snapshot, Verdict, Window
from monitor.store import row_mapping
from monitor.store.database import Database, marks, stamp
from monitor.store.row_mapping import Known

# the newest revision of each window
NEWEST = """
    FROM windows w JOIN snapshots s ON s.window_id = w.id
     AND s.revision = (SELECT MAX(t.revision) FROM snapshots t WHERE t.window_id = w.id)
"""
BACKWARDS = "ORDER BY w.end_at DESC, w.end_id DESC, w.start_at DESC"


class Measured:
    _db: Database

    def models(self) -> list[str]:
        """Names of all models the store knows anything measured or referenced of, sorted."""
        found = self._db.all("SELECT model FROM model_references UNION SELECT model FROM windows ORDER BY 1")
        return [row["model"] for row in found]

    def reference(self, model: str) -> Reference | None:
        """The current reference."""
        row = self._db.one("SELECT * FROM model_references WHERE model = ? ORDER BY seq DESC LIMIT 1", model)
        return None if row is None else row_mapping.reference_of(row)

    def references(self, model: str) -> list[Reference]:
        """All references there have been, oldest first; a rollback shows as the same one again."""
        found = self._db.all("SELECT * FROM model_references WHERE model = ? ORDER BY seq", model)
        return [row_mapping.reference_of(row) for row in found]

    def known_windows(self, model: str, spec: str, since: datetime | None = None) -> list[Known]:
        """What the newest revision of each window counted, oldest first; windows that end after `since`."""
        found = self._db.all(
            f"""SELECT s.*, {row_mapping.WINDOW} {NEWEST}
                WHERE w.model = ? AND w.spec = ? AND w.end_at > ? {BACKWARDS}""",
            model, spec, stamp(since) or "",
        )
        return [row_mapping.known_of(row) for row in reversed(found)]

    def last_window(self, model: str, spec: str, *, filled: bool = False) -> Window | None:
        """The newest window of this cut that has a snapshot; `filled`: that also had rows."""
        row = self._db.one(
            f"SELECT {row_mapping.WINDOW} {NEWEST} "
            f"WHERE w.model = ? AND w.spec = ? AND s.row_count >= ? {BACKWARDS} LIMIT 1",
            model, spec, int(filled),
        )
        return None if row is None else row_mapping.window_of(row)

    def snapshots(
        self,
        model: str,
        *,
        limit: int | None = None,
        metrics: Collection[str] | None = None,
        reference_id: str | None = None,
        window_start: datetime | None = None,
        spec: str | None = None,
    ) -> list[Snapshot]:
        """The newest revision of each window, oldest first; with `limit` the newest so many.

        `metrics` keeps only those scores; `reference_id`, `window_start` and `spec` keep only those windows.
        """
        wanted = {
            "w.model": model, "w.spec": spec, "w.start_at": stamp(window_start),
            "s.reference_id": reference_id,
        }
        given = {name: value for name, value in wanted.items() if value is not None}
        where = " AND ".join(f"{name} = ?" for name in given)
        found = self._db.all(
            f"SELECT s.*, {row_mapping.WINDOW} {NEWEST} WHERE {where} {BACKWARDS} LIMIT ?",
            *given.values(), 2**62 if limit is None else limit,
        )
        return self._with_scores(found[::-1], metrics)

    def revisions(self, model: str, window: Window) -> list[Snapshot]:
        """Every revision of one window, first to newest."""
        found = self._db.all(
            f"""SELECT s.*, {row_mapping.WINDOW} FROM snapshots s JOIN windows w ON w.id = s.window_id
                WHERE w.model = ? AND w.id = ? ORDER BY s.revision""",
            model, self._find_window(window),
        )
        return self._with_scores(found, None)

    def verdicts(self, model: str, limit: int | None = None) -> list[Verdict]:
        """Verdicts on all revisions, in the order they were reached; with `limit` the newest so many."""
        found = self._db.all(
            f"""SELECT v.*, s.revision, {row_mapping.WINDOW} FROM verdicts v JOIN snapshots s ON s.id = v.snapshot_id
                JOIN windows w ON w.id = s.window_id WHERE w.model = ? ORDER BY v.snapshot_id DESC LIMIT ?""",
            model, 2**62 if limit is None else limit,
        )
        return [row_mapping.verdict_of(row) for row in reversed(found)]

    def verdict(self, window: Window) -> Verdict | None:
        """The newest verdict on this window."""
        row = self._db.one(
            f"""SELECT v.*, s.revision, {row_mapping.WINDOW} FROM verdicts v JOIN snapshots s ON s.id = v.snapshot_id
                JOIN windows w ON w.id = s.window_id WHERE w.id = ? ORDER BY s.revision DESC LIMIT 1""",
            self._find_window(window),
        )
        return None if row is None else row_mapping.verdict_of(row)

    def firing(self, model: str | None = None) -> list[Firing]:
        """The memory of every trigger (of one model), by model and name."""
        found = self._db.all(
            "SELECT * FROM firings WHERE model = COALESCE(?, model) ORDER BY model, trigger_name", model
        )
        return [row_mapping.firing_of(row) for row in found]

    def untracked(self, model: str, limit: int) -> list[Snapshot]:
        """The newest revisions that were not logged elsewhere, oldest first, so many of them."""
        found = self._db.all(
            f"""SELECT s.*, {row_mapping.WINDOW} {NEWEST} LEFT JOIN tracked t ON t.window_id = w.id
                WHERE w.model = ? AND COALESCE(t.revision, -1) < s.revision
                ORDER BY w.end_at, w.end_id, w.start_at LIMIT ?""",
            model, limit,
        )
        return self._with_scores(found, None)

    def note_tracked(self, snapshot: Snapshot, run: str) -> None:
        """This revision was logged elsewhere, as `run`."""
        row = {"window_id": self._find_window(snapshot.window), "revision": snapshot.revision, "run": run}
        self._db.insert("tracked", row, """ON CONFLICT (window_id) DO UPDATE SET revision = excluded.revision,
                        run = excluded.run""")

    def _with_scores(self, found: list[Any], metrics: Collection[str] | None) -> list[Snapshot]:
        scores: dict[int, tuple[Score, ...]] = {}
        for chunk in (found[i:i + 500] for i in range(0, len(found), 500)):
            scores |= self._scores([row["id"] for row in chunk], metrics)
        return [row_mapping.snapshot_of(row, scores.get(row["id"], ())) for row in found]

    def _scores(self, ids: list[int], metrics: Collection[str] | None) -> dict[int, tuple[Score, ...]]:
        only = "" if metrics is None else f"AND metric IN ({marks(metrics)})"
        found = self._db.all(
            f"SELECT * FROM scores WHERE snapshot_id IN ({marks(ids)}) {only} ORDER BY snapshot_id, position",
            *ids, *(metrics or ()),
        )
        grouped = groupby(found, key=lambda row: row["snapshot_id"])
        return {key: tuple(map(row_mapping.score_of, group)) for key, group in grouped}

    def _save_snapshot(self, snapshot: Snapshot) -> int | None:
        """Write snapshot and scores; None when this revision of the window is there already."""
        row = row_mapping.snapshot_row(snapshot, self._window_id(snapshot.window))
        if not self._db.insert("snapshots", row, "ON CONFLICT DO NOTHING"):
            return None
        found = self._db.one(
            "SELECT id FROM snapshots WHERE window_id = ? AND revision = ?",
            row["window_id"], snapshot.revision,
        )
        assert found is not None
        scores = (row_mapping.score_row(found["id"], i, score) for i, score in enumerate(snapshot.scores))
        self._db.insert_many("scores", row_mapping.SCORE_COLUMNS, scores)
        return int(found["id"])

    def _save_firing(self, firing: Iterable[Firing]) -> None:
        for one in firing:
            self._db.insert(
                "firings", row_mapping.firing_row(one),
                """ON CONFLICT (model, trigger_name) DO UPDATE
                   SET firing = excluded.firing, since = excluded.since, reason = excluded.reason""",
            )

    def _window_id(self, window: Window) -> int:
        """The row of this window, made if need be."""
        self._db.insert("windows", row_mapping.window_row(window), "ON CONFLICT DO NOTHING")
        found = self._find_window(window)
        assert found is not None
        return found

    def _find_window(self, window: Window) -> int | None:
        row = row_mapping.window_row(window)
        where = " AND ".join(f"{name} = ?" for name in row)
        found = self._db.one(f"SELECT id FROM windows WHERE {where}", *row.values())
        return None if found is None else int(found["id"])
