"""The windows that were looked at, each known once by its bounds and its cut."""

from dataclasses import dataclass
from datetime import datetime

from monitor.records import Window
from monitor.store.database import Database, stamp
from monitor.store.rows import columns, record_of, records_of, row_of

WINDOW = columns(Window, "w", "window")
# the newest revision of each window
NEWEST = """
    FROM windows w JOIN snapshots s ON s.window_id = w.id
     AND s.revision = (SELECT MAX(t.revision) FROM snapshots t WHERE t.window_id = w.id)
"""
BACKWARDS = "ORDER BY w.end_at DESC, w.end_id DESC, w.start_at DESC"


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


class Windows:
    def __init__(self, database: Database) -> None:
        self._db = database

    def known(self, model: str, spec: str, since: datetime | None = None) -> list[Known]:
        """What the newest revision of each window counted, oldest first; windows that end after `since`."""
        found = self._db.all(
            f"""SELECT s.*, s.row_count - s.late AS first_rows, {WINDOW} {NEWEST}
                WHERE w.model = ? AND w.spec = ? AND w.end_at > ? {BACKWARDS}""",
            model, spec, stamp(since) or "",
        )
        return records_of(Known, found[::-1])

    def newest(self, model: str, spec: str, *, filled: bool = False) -> Window | None:
        """The newest window of this cut that has a snapshot; `filled`: that also had rows."""
        row = self._db.one(
            f"SELECT w.* {NEWEST} WHERE w.model = ? AND w.spec = ? AND s.row_count >= ? {BACKWARDS} LIMIT 1",
            model, spec, int(filled),
        )
        return None if row is None else record_of(Window, row)

    def newest_row_id(self, model: str) -> int | None:
        """The row of the model's newest window, of any cut, that has a snapshot."""
        row = self._db.one(
            """SELECT id FROM windows w
               WHERE model = ? AND EXISTS (SELECT 1 FROM snapshots s WHERE s.window_id = w.id)
               ORDER BY end_at DESC, end_id DESC LIMIT 1""",
            model,
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
