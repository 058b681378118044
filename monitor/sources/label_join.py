"""Labels from a place of their own, joined to the log on the id."""

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.column_types import as_text


def join_labels(
    log: pa.Table, labels: pa.Table, id: str, label: str, label_timestamp: str | None
) -> pa.Table:
    """Return the log with the newest label of each id, and when it became known; null where there is none.

    Rows and their order stay; a repeated id gets the same label in each row. The newest label is the one with
    the latest label_timestamp, else the last row; null labels are none. Id 17 and "17" are one.
    """
    wanted = [label, *([label_timestamp] if label_timestamp else [])]
    _require(log, [id], "the log")
    _require(labels, [id, *wanted], "the labels")
    newest = _newest(labels.select([id, *wanted]), id, label, label_timestamp)
    found = pc.index_in(as_text(log[id]), value_set=newest[id].combine_chunks())
    kept = log.select([name for name in log.schema.names if name not in wanted])
    for name in wanted:
        kept = kept.append_column(name, newest[name].take(found))
    return kept


def _newest(labels: pa.Table, id: str, label: str, label_timestamp: str | None) -> pa.Table:
    labels = labels.set_column(labels.schema.get_field_index(id), id, as_text(labels[id]))
    labels = labels.filter(pc.and_(pc.is_valid(labels[label]), pc.is_valid(labels[id])))
    if label_timestamp:
        places = pa.array(np.arange(labels.num_rows))
        at = labels[label_timestamp]
        keys = pa.table({"known": pc.cast(pc.is_valid(at), pa.int8()), "at": at, "place": places})
        labels = labels.take(pc.sort_indices(keys, [(name, "ascending") for name in keys.schema.names]))
    return labels.take(_last_places(labels[id]))


def _last_places(ids: pa.ChunkedArray) -> pa.Array:
    numbered = pa.table({"id": ids, "place": pa.array(np.arange(len(ids)))})
    return numbered.group_by("id").aggregate([("place", "max")])["place_max"]


def _require(table: pa.Table, names: list[str], place: str) -> None:
    for name in names:
        if name not in table.schema.names:
            there = quoted(", ".join(table.schema.names[:20]))
            raise SourceError(f"{place}: has no column {name}, which joining labels needs; it has {there}")
