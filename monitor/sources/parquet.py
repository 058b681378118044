"""Parquet: reads only the requested columns of the row groups whose statistics overlap the bounds.

What is read is held against what the footer says of it: rows, nulls, smallest and largest values. The checksum of a
page covers neither its header nor the footer, and most writers leave it out.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources import extents, footers
from monitor.sources.column_types import Bounds, flat, is_number, mask_of, require_distinct, tidy, unread
from monitor.sources.extents import Extent, Group, Span
from monitor.sources.footers import Footer, Stamp, ends_of, nulls_of, size_of
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import Unit, in_utc, to_utc, unit_of
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.strays import Times

Part = tuple[int, "pa.ChunkedArray | None"]     # a row group, and which of its rows are inside the bounds; None: all

_LITTLE = 256 * 1024             # bytes of a column that are read to prove what the footer says
_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_SLACK = timedelta(hours=3)      # naive times are not monotone when clocks are set back


# Of this process, by the identity of the schema that is stored: equal ones are one object, which stays.
_schemas: dict[tuple[int, frozenset[str]], pa.Schema] = {}
_unread: dict[int, dict[str, str]] = {}


class Parquet:
    """`stamp` tells a file's stamp as it was at a look: what is known of that file is not asked of it again."""

    day_first: bool | None = None
    grows = False

    def __init__(
        self, zone: ZoneInfo, known: KnownTypes = NOTHING, stamp: Callable[[Path], Stamp] = Stamp.of
    ) -> None:
        self._zone = zone
        self._exact = known.exact
        self._stamp = stamp
        self._parts: dict[tuple[Stamp, Bounds], list[Part]] = {}
        self._units: dict[tuple[Stamp, str], Unit | None] = {}

    def guesses(self) -> dict[str, str]:
        return {}

    def as_words(self, names: Collection[str]) -> Self:
        return self                # its columns have types

    def settle(self, table: pa.Table) -> pa.Table:
        return table

    def schema(self, path: Path) -> pa.Schema:
        stored = self._stored(path)
        key = (id(stored), self._exact)
        if key not in _schemas:
            _schemas[key] = tidy(stored.empty_table(), self._exact).schema
        return _schemas[key]

    def names(self, path: Path) -> list[str]:
        """Return the columns that the file has, as they are stored."""
        return list(self._stored(path).names)

    def as_stored(self, path: Path) -> Iterator[pa.Table]:
        """Yield all rows with all columns, as they are stored, one row group at a time."""
        with self._opened(path) as file:
            for group in range(file.num_row_groups):
                yield _checked(file, path, group, None)

    def left_out(self, path: Path) -> dict[str, str]:
        stored = self._stored(path)
        if id(stored) not in _unread:
            _unread[id(stored)] = unread(stored)
        return _unread[id(stored)]

    def is_known(self, path: Path, timestamp: str | None = None) -> bool:
        """Tell whether a file's columns are known without opening it; with a timestamp, its rows and times."""
        stamp = self._stamp(path)
        found = extents.columns_of(stamp) if timestamp is None else extents.known(stamp, timestamp, self._zone.key)
        return found is not None

    def lies_outside(self, path: Path, bounds: Bounds) -> bool:
        """Tell whether the footer shows that no row is in [start, end]."""
        return not self._overlapping(path, bounds)[1]

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield an empty table, for its schema, then the row groups that may have rows in [start, end]."""
        stamp, groups = self._overlapping(path, bounds)
        schema = self._stored(path)
        wanted = None if columns is None else _there(schema, columns, self._exact)
        yield _select(schema.empty_table(), wanted)
        if groups:
            with self._opened(path, stamp=stamp) as file:
                for group in groups:
                    yield _row_group(file, path, group, wanted)

    def scan(self, path: Path, columns: Sequence[str], bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the rows in [start, end], one row group at a time, with strings dictionary encoded."""
        stamp, groups = self._groups(path, bounds)
        wanted = _there(self._stored(path), columns, self._exact)
        repeating = [name for name in columns if name not in self._exact]       # an id would be its own code
        with self._opened(path, repeating, stamp) as file:
            for group, inside in groups:
                table = _row_group(file, path, group, wanted)
                yield table if inside is None else table.filter(inside)

    def count(self, path: Path, bounds: Bounds) -> int:
        """Count the rows in [start, end]."""
        rows = self._extent(path, bounds.timestamp).groups
        return sum(rows[group].rows if inside is None else pc.sum(inside).as_py()
                   for group, inside in self._groups(path, bounds)[1])

    def known_times(self, path: Path, timestamp: str) -> list[Times] | None:
        """Return the timestamps of each row group, if statistics that are known show that nothing is amiss."""
        extent = extents.known(self._stamp(path), timestamp, self._zone.key)
        if extent is None:
            return None
        close = [times for group in extent.groups if (times := _close(group)) is not None]
        return close if len(close) == len(extent.groups) else None

    def times(self, path: Path, timestamp: str) -> Iterator[Times]:
        """Yield the timestamps of each row group; statistics are enough where they show that nothing is amiss."""
        extent = self._extent(path, timestamp)
        for place, group in enumerate(extent.groups):
            if (close := _close(group)) is not None:
                yield close
                continue
            with self._opened(path, stamp=extent.stamp) as file:
                wanted = _there(extent.schema, [timestamp], self._exact)
                table = _select(file.read_row_group(place, columns=wanted), None)
            if timestamp in table.schema.names:
                yield Times.of(self._timed(table, timestamp, path)[timestamp])

    def units(self, path: Path, names: Sequence[str]) -> dict[str, Unit]:
        """Return what columns of numbers count, which all rows of the file decide together."""
        footer = self._footer(path)
        kinds = {name: footer.schema.field(name).type for name in names if name in footer.schema.names}
        numbers = [name for name, kind in kinds.items() if is_number(kind) or pa.types.is_decimal(kind)]
        for name in numbers:
            if (footer.stamp, name) not in self._units:
                with self._opened(path, stamp=footer.stamp) as file:
                    self._units[footer.stamp, name] = unit_of(file.read([name])[name])
        known = {name: self._units[footer.stamp, name] for name in numbers}
        return {name: unit for name, unit in known.items() if unit}

    def _moments(self, times: pa.ChunkedArray, path: Path, timestamp: str) -> pa.ChunkedArray:
        return to_utc(times, self._zone, where=timestamp, unit=self.units(path, [timestamp]).get(timestamp))

    def _timed(self, table: pa.Table, timestamp: str, path: Path) -> pa.Table:
        return in_utc(table, [timestamp], self._zone, path, units=self.units(path, [timestamp]))

    def _groups(self, path: Path, bounds: Bounds) -> tuple[Stamp, list[Part]]:
        """Return each row group with rows in [start, end], and which rows these are; found once per file."""
        extent = self._extent(path, bounds.timestamp)
        key = (extent.stamp, bounds)
        if key not in self._parts:
            self._parts[key] = list(self._search(extent, path, bounds))
        return extent.stamp, self._parts[key]

    def _search(self, extent: Extent, path: Path, bounds: Bounds) -> Iterator[Part]:
        for group in self._overlapping(path, bounds)[1]:
            if not extent.groups[group].rows:
                continue
            if bounds.timestamp is None or _lies_within(extent, group, bounds):
                yield group, None
                continue
            with self._opened(path, stamp=extent.stamp) as file:
                times = _row_group(file, path, group, [bounds.timestamp])
            inside = pc.fill_null(mask_of(self._timed(times, bounds.timestamp, path), bounds), False)
            if pc.any(inside).as_py():
                yield group, None if pc.all(inside).as_py() else inside

    def _overlapping(self, path: Path, bounds: Bounds) -> tuple[Stamp, list[int]]:
        """Return the row groups that may have rows in [start, end]."""
        extent = self._extent(path, bounds.timestamp)
        spans = ((place, _span(extent, place, bounds.timestamp)) for place in range(len(extent.groups)))
        return extent.stamp, [place for place, span in spans if span is None or bounds.overlaps(*span)]

    def _extent(self, path: Path, timestamp: str | None) -> Extent:
        """Return what the file holds, from its footer, unless it is known; without a timestamp no times.

        The times are held against the footer once, where that costs little: a flipped bit there would hide the rows
        of row groups that are not read.
        """
        stamp, column = self._stamp(path), timestamp or ""
        if (found := extents.known(stamp, column, self._zone.key)) is not None:
            return found
        with self._opened(path) as file:
            footer = footers.newest(path)
            ends = [ends_of(footer, group, column) for group in range(footer.metadata.num_row_groups)]
            for group, told in enumerate(ends):
                if told is not None and size_of(footer, group, column) <= _LITTLE:
                    _row_group(file, path, group, [column])
        groups = tuple(
            Group(footer.metadata.row_group(group).num_rows, self._told(told, path, column),
                  None if told is None else nulls_of(footer, group, column))
            for group, told in enumerate(ends)
        )
        return extents.keep(Extent(footer.stamp, footer.schema, groups), column, self._zone.key)

    def _told(self, ends: pa.ChunkedArray | None, path: Path, timestamp: str) -> Span | None:
        if ends is None:
            return None
        low, high = self._moments(ends, path, timestamp).to_pylist()
        return None if low is None or high is None else (low, high)

    def _stored(self, path: Path) -> pa.Schema:
        """Return the file's columns as they are stored."""
        found = extents.columns_of(self._stamp(path))
        return self._footer(path).schema if found is None else found

    def _footer(self, path: Path) -> Footer:
        """Return the file's footer; it is read again after the file has changed."""
        if (found := footers.known(path, self._stamp(path))) is not None:
            return found
        with self._opened(path):
            return footers.newest(path)

    @contextmanager
    def _opened(
        self, path: Path, dictionaries: Sequence[str] | None = None, stamp: Stamp | None = None
    ) -> Iterator[pq.ParquetFile]:
        """Open a file, reading its footer once. Strings of the columns `dictionaries` are dictionary encoded.

        Raises SourceError if it is no longer the file of the `stamp`.
        """
        try:
            now = Stamp.of(path)
            known = footers.known(path, now)
            if stamp is not None and stamp != now:
                raise SourceError(f"{path}: was written during the read; write to a name ending in .tmp, then rename")
            with pq.ParquetFile(
                path, page_checksum_verification=True, memory_map=False, read_dictionary=dictionaries,
                metadata=known.metadata if known else None,
            ) as file:
                if known is None:
                    _require_sums(file, path)
                    require_distinct(flat(file.schema_arrow.empty_table()).column_names, path)
                    footers.keep(path, now, file)
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:    # a column's name may be damaged
            if isinstance(error, FileNotFoundError | PermissionError | MemoryError):
                raise
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise SourceError(f"{path}: is not a complete Parquet file ({str(error).splitlines()[0][:160]}); "
                              "write it again, or move it away") from None


def _close(group: Group) -> Times | None:
    """Return the times of a row group, if statistics show that every row has one, close to the others."""
    if not group.rows or group.span is None or group.nulls != 0:
        return None
    return Times.between(group.rows, *group.span)


def _lies_within(extent: Extent, place: int, bounds: Bounds) -> bool:
    """Tell whether the statistics show that every row of a row group is in [start, end]."""
    if bounds.start is None and bounds.end is None:
        return True
    span = _span(extent, place, bounds.timestamp)
    return span is not None and extent.groups[place].nulls == 0 and bounds.covers(*span)


def _span(extent: Extent, place: int, timestamp: str | None) -> Span | None:
    """Return times between which a row group's rows lie; None if the statistics do not tell."""
    span = extent.groups[place].span
    if span is None:
        return None
    naive = not getattr(extent.schema.field(str(timestamp)).type, "tz", None)
    return (span[0] - _SLACK, span[1] + _SLACK) if naive else span


def _row_group(file: pq.ParquetFile, path: Path, group: int, columns: list[str] | None) -> pa.Table:
    return flat(_checked(file, path, group, columns))


def _checked(file: pq.ParquetFile, path: Path, group: int, columns: list[str] | None) -> pa.Table:
    return _require_as_said(file, group, file.read_row_group(group, columns=columns, use_threads=False), path)


def _there(schema: pa.Schema, columns: Sequence[str], exact: Collection[str]) -> list[str]:
    """Return the columns that a file has, including fields of structs."""
    names = set(schema.names)
    if not names.issuperset(columns):
        names = set(tidy(schema.empty_table(), exact).schema.names)
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


def _damaged(path: Path, what: str) -> SourceError:
    return SourceError(f"{path}: is damaged ({what}); write it again, or move it away")
