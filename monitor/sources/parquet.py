"""Parquet: reads only the requested columns of the row groups whose statistics overlap the bounds.

What is read is held against what the footer says of it: rows, nulls, smallest and largest values. The checksum of a
page covers neither its header nor the footer, and most writers leave it out.
"""

import json
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources.column_types import Bounds, flat, is_number, mask_of, require_distinct, tidy, unread
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import Unit, in_utc, to_utc, unit_of
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.strays import CLOSE, Times

Part = tuple[int, "pa.ChunkedArray | None"]     # a row group, and which of its rows are inside the bounds; None: all

_LITTLE = 256 * 1024             # bytes of a column that are read to prove what the footer says
_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_SLACK = timedelta(hours=3)      # naive times are not monotone when clocks are set back


@dataclass(frozen=True, slots=True)
class Stamp:
    """The properties of a file that change when it is written."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        stat = path.stat()
        return cls(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


_proven: set[tuple[Stamp, int]] = set()          # row groups whose times are as the footer says, in this process


class Parquet:
    day_first: bool | None = None
    grows = False

    def __init__(self, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        self._zone = zone
        self._exact = known.exact
        self._footers: dict[Path, tuple[Stamp, pq.FileMetaData]] = {}
        self._parts: dict[tuple[Stamp, Bounds], list[Part]] = {}
        self._units: dict[tuple[Stamp, str], Unit | None] = {}

    def guesses(self) -> dict[str, str]:
        return {}

    def as_words(self, names: Collection[str]) -> Self:
        return self                # its columns have types

    def settle(self, table: pa.Table) -> pa.Table:
        return table

    def schema(self, path: Path) -> pa.Schema:
        with self._opened(path) as file:
            return tidy(file.schema_arrow.empty_table(), self._exact).schema

    def left_out(self, path: Path) -> dict[str, str]:
        with self._opened(path) as file:
            return unread(file.schema_arrow)

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield an empty table, for its schema, then the row groups that may have rows in [start, end]."""
        with self._opened(path) as file:
            wanted = None if columns is None else _there(file, columns, self._exact)
            yield _select(file.schema_arrow.empty_table(), wanted)
            for group in range(file.num_row_groups):
                if self._may_overlap(file, path, group, bounds):
                    yield _row_group(file, path, group, wanted)

    def scan(self, path: Path, columns: Sequence[str], bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the rows in [start, end], one row group at a time, with strings dictionary encoded."""
        with self._opened(path, columns) as file:
            wanted = _there(file, columns, self._exact)
            for group, inside in self._groups(file, path, bounds):
                table = _row_group(file, path, group, wanted)
                yield table if inside is None else table.filter(inside)

    def count(self, path: Path, bounds: Bounds) -> int:
        """Count the rows in [start, end]."""
        with self._opened(path) as file:
            return sum(
                file.metadata.row_group(group).num_rows if inside is None else pc.sum(inside).as_py()
                for group, inside in self._groups(file, path, bounds)
            )

    def times(self, path: Path, timestamp: str) -> Iterator[Times]:
        """Yield the timestamps of each row group; statistics are enough where they show that nothing is amiss."""
        with self._opened(path) as file:
            for group in range(file.num_row_groups):
                rows, ends = file.metadata.row_group(group).num_rows, _ends(file, group, timestamp)
                if rows and ends is not None and _nulls(file, group, timestamp) == 0:
                    low, high = self._moments(ends, path, timestamp).cast(pa.int64()).to_pylist()
                    if low is not None and high is not None and high - low <= CLOSE:
                        yield Times(rows, low, high, None)
                        continue
                table = _select(file.read_row_group(group, columns=_there(file, [timestamp], self._exact)), None)
                if timestamp in table.schema.names:
                    yield Times.of(self._timed(table, timestamp, path)[timestamp])

    def units(self, path: Path, names: Sequence[str]) -> dict[str, Unit]:
        """Return what columns of numbers count, which all rows of the file decide together."""
        with self._opened(path) as file:
            stamp, schema = self._footers[path][0], file.schema_arrow
            for name in names:
                if name in schema.names and (stamp, name) not in self._units:
                    numbers = is_number(schema.field(name).type) or pa.types.is_decimal(schema.field(name).type)
                    self._units[stamp, name] = unit_of(file.read([name])[name]) if numbers else None
            known = {name: self._units.get((stamp, name)) for name in names}
        return {name: unit for name, unit in known.items() if unit}

    def _moments(self, times: pa.ChunkedArray, path: Path, timestamp: str) -> pa.ChunkedArray:
        return to_utc(times, self._zone, where=timestamp, unit=self.units(path, [timestamp]).get(timestamp))

    def _timed(self, table: pa.Table, timestamp: str, path: Path) -> pa.Table:
        return in_utc(table, [timestamp], self._zone, path, units=self.units(path, [timestamp]))

    def _groups(self, file: pq.ParquetFile, path: Path, bounds: Bounds) -> "list[Part]":
        """Return each row group with rows in [start, end], and which rows these are; found once per file."""
        key = (self._footers[path][0], bounds)
        if key not in self._parts:
            self._parts[key] = list(self._search(file, path, bounds))
        return self._parts[key]

    def _search(self, file: pq.ParquetFile, path: Path, bounds: Bounds) -> "Iterator[Part]":
        for group in range(file.num_row_groups):
            if not self._may_overlap(file, path, group, bounds) or not file.metadata.row_group(group).num_rows:
                continue
            if bounds.timestamp is None or self._lies_within(file, path, group, bounds):
                yield group, None
                continue
            times = _row_group(file, path, group, [bounds.timestamp])
            inside = pc.fill_null(mask_of(self._timed(times, bounds.timestamp, path), bounds), False)
            if pc.any(inside).as_py():
                yield group, None if pc.all(inside).as_py() else inside

    def _lies_within(self, file: pq.ParquetFile, path: Path, group: int, bounds: Bounds) -> bool:
        """Tell whether the statistics show that every row is in [start, end]."""
        if bounds.start is None and bounds.end is None:
            return True
        limits = self._limits(file, path, group, bounds.timestamp)
        return limits is not None and _nulls(file, group, bounds.timestamp) == 0 and bounds.covers(*limits)

    def _may_overlap(self, file: pq.ParquetFile, path: Path, group: int, bounds: Bounds) -> bool:
        limits = self._limits(file, path, group, bounds.timestamp)
        if limits is None or bounds.overlaps(*limits):
            return True
        self._prove(file, path, group, str(bounds.timestamp))
        return False

    def _prove(self, file: pq.ParquetFile, path: Path, group: int, timestamp: str) -> None:
        """Hold the times of a row group that will not be read against the footer, once and where that costs little:
        a flipped bit there would hide its rows."""
        key = (self._footers[path][0], group)
        column = file.metadata.row_group(group).column(file.schema.names.index(timestamp))
        if key in _proven or column.total_compressed_size > _LITTLE:
            return
        _row_group(file, path, group, [timestamp])
        if len(_proven) > 100_000:
            _proven.clear()
        _proven.add(key)

    def _limits(
        self, file: pq.ParquetFile, path: Path, group: int, timestamp: str | None
    ) -> tuple[datetime, datetime] | None:
        """Return times between which a row group's rows lie; None if the statistics do not tell."""
        ends = _ends(file, group, timestamp)
        if ends is None:
            return None
        low, high = self._moments(ends, path, str(timestamp)).to_pylist()
        if low is None or high is None:
            return None
        slack = timedelta(0) if getattr(ends.type, "tz", None) else _SLACK
        return low - slack, high + slack

    @contextmanager
    def _opened(self, path: Path, dictionaries: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
        """Open a file, reading its footer once. Strings of the columns `dictionaries` are dictionary encoded."""
        try:
            stamp = Stamp.of(path)
            known, footer = self._footers.get(path, (None, None))
            with pq.ParquetFile(
                path, page_checksum_verification=True, memory_map=False, read_dictionary=dictionaries,
                metadata=footer if known == stamp else None,
            ) as file:
                if known != stamp:
                    _require_sums(file, path)
                    require_distinct(flat(file.schema_arrow.empty_table()).column_names, path)
                self._footers[path] = (stamp, file.metadata)
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:    # a column's name may be damaged
            if isinstance(error, FileNotFoundError | PermissionError | MemoryError):
                raise
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise SourceError(f"{path}: is not a complete Parquet file ({str(error).splitlines()[0][:160]}); "
                              "write it again, or move it away") from None


def _row_group(file: pq.ParquetFile, path: Path, group: int, columns: list[str] | None) -> pa.Table:
    return _require_as_said(file, group, file.read_row_group(group, columns=columns, use_threads=False), path)


def _ends(file: pq.ParquetFile, group: int, timestamp: str | None) -> pa.ChunkedArray | None:
    """Return [min, max] of a row group in the column's type; None if the statistics do not order times."""
    names = file.schema.names
    if timestamp not in names or timestamp not in file.schema_arrow.names:
        return None
    statistics = file.metadata.row_group(group).column(names.index(timestamp)).statistics
    kind = file.schema_arrow.field(timestamp).type
    ordered = pa.types.is_temporal(kind) or pa.types.is_integer(kind)
    if statistics is None or not statistics.has_min_max or not ordered:
        return None
    try:
        return pa.chunked_array([pa.array([statistics.min, statistics.max], kind)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def _nulls(file: pq.ParquetFile, group: int, timestamp: str | None) -> int | None:
    statistics = file.metadata.row_group(group).column(file.schema.names.index(timestamp)).statistics
    return statistics.null_count if statistics.has_null_count else None


def _there(file: pq.ParquetFile, columns: Sequence[str], exact: Collection[str]) -> list[str]:
    """Return the columns that the file has, including fields of structs."""
    names = set(file.schema_arrow.names)
    if not names.issuperset(columns):
        names = set(tidy(file.schema_arrow.empty_table(), exact).schema.names)
    return [name for name in columns if name in names]


def _select(table: pa.Table, columns: list[str] | None) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table if columns is None else table.select(columns)


def _require_sums(file: pq.ParquetFile, path: Path) -> None:
    """Raise SourceError unless the footer's row groups add up to the rows of the file."""
    groups = sum(file.metadata.row_group(group).num_rows for group in range(file.num_row_groups))
    if groups != file.metadata.num_rows:
        raise _damaged(path, f"its footer names {file.metadata.num_rows} rows, its row groups have {groups}")


def _require_as_said(file: pq.ParquetFile, group: int, table: pa.Table, path: Path) -> pa.Table:
    """Return the table, some columns of a row group, unless it is not what the footer says of them: SourceError."""
    said = file.metadata.row_group(group)
    if table.num_columns and len(table) != said.num_rows:
        raise _damaged(path, f"row group {group} has {len(table)} rows, its footer names {said.num_rows}")
    try:
        table.validate(full=True)
    except pa.ArrowException as error:
        raise _damaged(path, str(error).splitlines()[0][:160]) from None
    places = {name: place for place, name in enumerate(file.schema.names)}
    for name in table.column_names:
        place = places.get(name)
        if place is None or file.schema.column(place).path != name or file.schema.column(place).max_repetition_level:
            continue                     # of structs and lists the footer counts other things
        if what := _differs(file.schema.column(place), said.column(place), table[name], said.num_rows):
            raise _damaged(path, f"column {name!r} of row group {group} {what}")
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
    loose = isinstance(low, bytes)       # of long texts a writer may cut the limits short
    if found == (low, high) or (loose and low <= found[0] and found[1] <= high):
        return None
    return "holds other values than its footer says"


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


def _damaged(path: Path, what: str) -> SourceError:
    return SourceError(f"{path}: is damaged ({what}); write it again, or move it away")
