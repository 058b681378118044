"""Parquet: reads only the requested columns of the row groups whose statistics overlap the bounds.

What is read is held against what the footer says of it: rows, nulls, smallest and largest values. The checksum of a
page covers neither its header nor the footer, and most writers leave it out.
"""

import json
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.sources.extents import Stamp
from monitor.sources.row_groups import RowGroups, Told, damaged, holds_times

_LITTLE = 256 * 1024             # bytes of a column that are read to prove what the footer says
_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_MOST = 256                      # footers that are kept; one takes some kilobytes for each column of a row group


class _Footer(NamedTuple):
    stamp: Stamp
    metadata: pq.FileMetaData


_footers: OrderedDict[Path, _Footer] = OrderedDict()       # of this process, as long as the files are as they were


class Parquet(RowGroups):
    _NAME = "Parquet"

    @contextmanager
    def _open(self, path: Path, stamp: Stamp, coded: Sequence[str]) -> Iterator["_Opened"]:
        """Open a file, reading its footer once."""
        known = _footers.get(path)
        metadata = known.metadata if known and known.stamp == stamp else None
        with pq.ParquetFile(
            path, page_checksum_verification=True, memory_map=False, read_dictionary=coded, metadata=metadata,
        ) as file:
            if metadata is None:
                _footers[path] = _Footer(stamp, file.metadata)
                _footers.move_to_end(path)
                while len(_footers) > _MOST:
                    _footers.popitem(last=False)
            yield _Opened(file, path)


class _Opened:
    def __init__(self, file: pq.ParquetFile, path: Path) -> None:
        self._file, self._path = file, path
        self.groups: int = file.num_row_groups
        self.rows: int = file.metadata.num_rows

    @property
    def schema(self) -> pa.Schema:
        return self._file.schema_arrow

    def read(self, group: int, columns: Sequence[str] | None) -> pa.Table:
        table = self._file.read_row_group(group, columns=columns, use_threads=False)
        return _require_as_said(self._file, group, table, self._path)

    def times(self, group: int, column: str) -> Told:
        """Return what the footer tells. It is held against the times once, where that costs little: a flipped bit there
        would hide the rows of row groups that are not read.
        """
        said, names = self._file.metadata.row_group(group), self._file.metadata.schema.names
        if column not in names or column not in self.schema.names:
            return Told(said.num_rows, None, None)
        chunk = said.column(names.index(column))
        ends = _ends_of(chunk.statistics, self.schema.field(column).type)
        if ends is None:
            return Told(said.num_rows, None, None)
        if chunk.total_compressed_size <= _LITTLE:
            self.read(group, [column])
        return Told(said.num_rows, ends, chunk.statistics.null_count if chunk.statistics.has_null_count else None)


def _ends_of(statistics: pq.Statistics | None, kind: pa.DataType) -> pa.ChunkedArray | None:
    """Return [min, max] of a row group in the column's type; None if the statistics do not order times."""
    if statistics is None or not statistics.has_min_max or not holds_times(kind):
        return None
    try:
        return pa.chunked_array([pa.array([statistics.min, statistics.max], kind)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _require_as_said(file: pq.ParquetFile, group: int, table: pa.Table, path: Path) -> pa.Table:
    """Return the table, some columns of a row group, unless it is not what the footer says of them: SourceError."""
    said = file.metadata.row_group(group)
    if table.num_columns and len(table) != said.num_rows:
        raise damaged(path, f"row group {group} has {len(table)} rows, its footer names {said.num_rows}")
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise damaged(path, str(error).splitlines()[0][:160]) from None
    places = {name: place for place, name in enumerate(file.schema.names)}
    for name in table.column_names:
        place = places.get(name)
        if place is None or file.schema.column(place).path != name or file.schema.column(place).max_repetition_level:
            continue                     # of structs and lists the footer counts other things
        if what := _differs(file.schema.column(place), said.column(place), table[name], said.num_rows):
            raise damaged(path, f"column {name!r} of row group {group} {what}")
    return table


def _differs(
    leaf: pq.ColumnSchema, said: pq.ColumnChunkMetaData, values: pa.ChunkedArray, rows: int
) -> str | None:
    """What of a column is not as its footer says; None where nothing is."""
    if said.path_in_schema != leaf.path or said.num_values != rows:
        return "is not the one its footer describes"
    statistics = said.statistics
    if statistics is None:
        return None
    if statistics.has_null_count and statistics.null_count != values.null_count:
        return f"has {values.null_count} nulls, its footer names {statistics.null_count}"
    if not statistics.has_min_max or not _comparable(leaf, values.type):
        return None
    low, high, found = statistics.min_raw, statistics.max_raw, _extremes(values)
    if found is None or (pa.types.is_unsigned_integer(values.type) and min(low, high) < 0):
        return None                      # large unsigned numbers are stored as negative ones
    if _as_told(found, low, high):
        return None
    if pa.types.is_dictionary(values.type):          # which may hold words that none of these rows has
        used = pa.chunked_array([chunk.dictionary.take(chunk.indices.unique()) for chunk in values.chunks])
        if (found := _extremes(used)) is None or _as_told(found, low, high):
            return None
    return "holds other values than its footer says"


def _as_told(found: tuple[Any, Any], low: Any, high: Any) -> bool:
    loose = isinstance(low, bytes)       # of long texts a writer may cut the limits short
    return found == (low, high) or (loose and low <= found[0] and found[1] <= high)


def _comparable(leaf: pq.ColumnSchema, kind: pa.DataType) -> bool:
    """Whether values of this type are kept as the footer keeps their limits."""
    if pa.types.is_timestamp(kind):
        return bool(_UNITS.get(json.loads(leaf.logical_type.to_json()).get("timeUnit")) == kind.unit)
    text = kind.value_type if pa.types.is_dictionary(kind) else kind
    number = pa.types.is_integer(kind) or pa.types.is_float32(kind) or pa.types.is_float64(kind)
    return bool(number or pa.types.is_boolean(kind) or pa.types.is_date32(kind) or pa.types.is_string(text))


def _extremes(values: pa.ChunkedArray) -> tuple[Any, Any] | None:
    """The smallest and the largest value, in the form of the footer; None where no value has an order."""
    if pa.types.is_dictionary(values.type):
        values = pa.chunked_array([chunk.dictionary for chunk in values.chunks], values.type.value_type)
    if pa.types.is_temporal(values.type):
        values = values.cast(pa.int32() if pa.types.is_date32(values.type) else pa.int64())
    ends = pc.min_max(values)
    low, high = ends["min"].as_py(), ends["max"].as_py()
    if low is None or low != low or high != high:        # nulls, NaN
        return None
    return (low.encode(), high.encode()) if isinstance(low, str) else (low, high)
