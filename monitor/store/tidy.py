"""Taking things out of the store: what has grown old, and ids of people. Never the audit, never the lineage."""

from collections.abc import Collection
from datetime import datetime

from monitor.store.database import AMONG, Database, Row, listed, stamp

AT_ONCE = 50     # windows a transaction removes, so that nobody waits long

# Old windows that nothing goes on from: not the newest of a cut (with rows, or at all), not one of a need or a request.
_OLD = """
    SELECT w.id FROM windows w WHERE w.end_at < ?
    AND EXISTS (SELECT 1 FROM windows o JOIN snapshots s ON s.window_id = o.id
                WHERE o.model = w.model AND o.spec = w.spec AND s.row_count > 0
                AND (o.end_at, o.end_id, o.start_at) > (w.end_at, w.end_id, w.start_at))
    AND EXISTS (SELECT 1 FROM snapshots s WHERE s.window_id = w.id) LIMIT ?
"""
_UNUSED = """
    DELETE FROM windows WHERE id IN (
        SELECT w.id FROM windows w WHERE w.end_at < ?
        AND NOT EXISTS (SELECT 1 FROM snapshots s WHERE s.window_id = w.id)
        AND NOT EXISTS (SELECT 1 FROM episodes e WHERE e.window_id = w.id)
        AND NOT EXISTS (SELECT 1 FROM dispatches d WHERE d.window_id = w.id))
"""


class Tidy:
    def __init__(self, database: Database) -> None:
        self._db = database

    def remove_windows(self, before: datetime) -> int:
        """Remove some windows that ended before a moment, with their scores and verdicts; return how many went.

        Call it again until nothing goes. The newest window of each cut stays, so that checks go on from it, and where
        a need or a request began stays known.
        """
        with self._db.transaction():
            ids = [row["id"] for row in self._db.all(_OLD, stamp(before), AT_ONCE)]
            among = listed(ids)
            those = f"SELECT id FROM snapshots WHERE window_id IN {AMONG}"
            self._db.run(f"DELETE FROM scores WHERE snapshot_id IN ({those})", among)
            self._db.run(f"DELETE FROM verdicts WHERE snapshot_id IN ({those})", among)
            self._db.run(f"DELETE FROM snapshots WHERE window_id IN {AMONG}", among)
            self._db.run(f"DELETE FROM tracked WHERE window_id IN {AMONG}", among)
            self._db.run(_UNUSED, stamp(before))
        return len(ids)

    def remove_messages(self, before: datetime) -> int:
        """Remove messages of before a moment that were sent, or that nobody tries to send any more."""
        return self._db.run(
            "DELETE FROM messages WHERE created_at < ? AND (sent_at IS NOT NULL OR next_try_at IS NULL)", stamp(before)
        )

    def remove_silences(self, before: datetime) -> int:
        """Remove silences set by hand that ended before a moment."""
        return self._db.run("DELETE FROM silences WHERE until < ?", stamp(before))

    def forget_ids(self, model: str, ids: Collection[str]) -> tuple[int, int]:
        """Take ids of rows out of the bounds of windows; return how many were, and how many could not be, taken out.

        A bound without its id begins with the first row of that moment. It cannot be where two windows, which only
        the id tells apart, would become one.
        """
        with self._db.transaction():
            taken = [
                self._blank(row, end, other)
                for end, other in (("start_id", "end_id"), ("end_id", "start_id"))
                for row in self._db.all(f"SELECT * FROM windows WHERE model = ? AND {end} <> ''", model)
                if row[end] in ids
            ]
        return sum(taken), len(taken) - sum(taken)

    def _blank(self, row: Row, end: str, other: str) -> bool:
        """Take the id out of one end of a window; False where there is such a window already."""
        twin = self._db.all(
            f"""SELECT 1 FROM windows WHERE model = ? AND spec = ? AND start_at = ? AND end_at = ?
                AND {other} = (SELECT {other} FROM windows WHERE id = ?) AND {end} = ''""",
            row["model"], row["spec"], row["start_at"], row["end_at"], row["id"],
        )
        return not twin and self._db.run(f"UPDATE windows SET {end} = '' WHERE id = ?", row["id"]) == 1

    def scrub(self) -> None:
        """Overwrite on the disk what was removed."""
        self._db.scrub()
