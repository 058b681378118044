"""Rows and their windows: sorted keys for cutting, and the rows a window holds."""

from collections.abc import Sequence
from datetime import datetime
from typing import overload

import pyarrow as pa
import pyarrow.compute as pc

from monitor.records import Window
from monitor.sources.timestamps import UTC_US
from monitor.sources.windows import Key


class RowKeys(Sequence[Key]):
    """The (timestamp, id) of every row that has a timestamp, in order; made only when asked for."""

    def __init__(self, table: pa.Table, timestamp: str, ids: pa.Array) -> None:
        keys = pa.table({"at": table[timestamp], "id": ids})
        keys = keys.filter(pc.is_valid(keys["at"])).combine_chunks()
        self._keys = keys.sort_by([("at", "ascending"), ("id", "ascending")]).combine_chunks()

    def __len__(self) -> int:
        return int(self._keys.num_rows)

    @overload
    def __getitem__(self, place: int) -> Key: ...
    @overload
    def __getitem__(self, place: slice) -> list[Key]: ...
    def __getitem__(self, place: int | slice) -> Key | list[Key]:
        if isinstance(place, slice):
            return [self[one] for one in range(*place.indices(len(self)))]
        return self._keys["at"][place].as_py(), self._keys["id"][place].as_py()


def contains(table: pa.Table, timestamp: str, ids: pa.Array | None, window: Window) -> pa.Array:
    """Tell for each row whether (start, start_id) ≤ (timestamp, id) < (end, end_id). Windows of time need no ids."""
    at = table[timestamp]
    not_early = pc.invert(_before(at, ids, window.start, window.start_id))
    mask = pc.and_(not_early, _before(at, ids, window.end, window.end_id)).fill_null(False)
    return mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask


def trim(table: pa.Table, timestamp: str, ids: pa.Array, window: Window) -> pa.Table:
    """Return the rows the window holds."""
    return table.filter(contains(table, timestamp, ids, window))


def _before(at: pa.ChunkedArray, ids: pa.Array | None, moment: datetime, id: str) -> pa.ChunkedArray:
    limit = pa.scalar(moment, UTC_US)
    earlier = pc.less(at, limit)
    return pc.or_(earlier, pc.and_(pc.equal(at, limit), pc.less(ids, id))) if id else earlier
