"""Parquet: reads only the requested columns of the row groups whose statistics overlap the bounds.

What is read is held against what the footer says of it: rows, nulls, smallest and largest values. The checksum of a
page covers neither its header nor the footer, and most writers leave it out.
"""

import json
from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources import footers
from monitor.sources.column_types import UTC_US, Bounds, flat, is_number, mask_of, require_distinct, tidy, unread
from monitor.sources.footers import Footer, Stamp, ends_of, nulls_of, size_of
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import Unit, in_utc, to_utc, unit_of
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.strays import CLOSE, Times

Span = tuple[datetime, datetime]                # between which a row group's rows lie
Part = tuple[int, "pa.ChunkedArray | None"]     # a row group, and which of its rows are inside the bounds; None: all

_LITTLE = 256 * 1024             # bytes of a column that are read to prove what the footer says
_UNITS = {"milliseconds": "ms", "microseconds": "us", "nanoseconds": "ns"}
_SLACK = timedelta(hours=3)      # naive times are not monotone when clocks are set back


# Of this process: what its footer says of a file holds as long as the file is as it was.
_schemas: dict[tuple[pa.Schema, str], pa.Schema] = {}
_spans: OrderedDict[tuple[Stamp, str, str], tuple["Span | None", ...]] = OrderedDict()
_proven: set[tuple[Stamp, int]] = set()          # row groups whose times are as the footer says
MOST_SPANS = 100_000


class Parquet:
    day_first: bool | None = None
    grows = False

    def __init__(self, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        self._zone = zone
        self._exact = known.exact
        self._parts: dict[tuple[Stamp, Bounds], list[Part]] = {}
        self._units: dict[tuple[Stamp, str], Unit | None] = {}

    def guesses(self) -> dict[str, str]:
        return {}

    def as_words(self, names: Collection[str]) -> Self:
        return self                # its columns have types

    def settle(self, table: pa.Table) -> pa.Table:
        return table

    def schema(self, path: Path) -> pa.Schema:
        stored = self._footer(path).schema
        key = (stored, repr(sorted(self._exact)))
        if key not in _schemas:
            _schemas[key] = tidy(stored.empty_table(), self._exact).schema
        return _schemas[key]

    def left_out(self, path: Path) -> dict[str, str]:
        return unread(self._footer(path).schema)

    def lies_outside(self, path: Path, bounds: Bounds) -> bool:
        """Tell whether the footer shows that no row is in [start, end]."""
        return not self._overlapping(self._footer(path), path, bounds)

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield an empty table, for its schema, then the row groups that may have rows in [start, end]."""
        footer = self._footer(path)
        wanted = None if columns is None else _there(footer.schema, columns, self._exact)
        yield _select(footer.schema.empty_table(), wanted)
        if groups := self._overlapping(footer, path, bounds):
            with self._opened(path, footer=footer) as file:
                for group in groups:
                    yield _row_group(file, path, group, wanted)

    def scan(self, path: Path, columns: Sequence[str], bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the rows in [start, end], one row group at a time, with strings dictionary encoded."""
        footer = self._footer(path)
        wanted, groups = _there(footer.schema, columns, self._exact), self._groups(footer, path, bounds)
        with self._opened(path, columns, footer) as file:
            for group, inside in groups:
                table = _row_group(file, path, group, wanted)
                yield table if inside is None else table.filter(inside)

    def count(self, path: Path, bounds: Bounds) -> int:
        """Count the rows in [start, end]."""
        footer = self._footer(path)
        return sum(
            footer.metadata.row_group(group).num_rows if inside is None else pc.sum(inside).as_py()
            for group, inside in self._groups(footer, path, bounds)
        )

    def times(self, path: Path, timestamp: str) -> Iterator[Times]:
        """Yield the timestamps of each row group; statistics are enough where they show that nothing is amiss."""
        footer = self._footer(path)
        for group, ends in enumerate(self._limits(footer, path, timestamp)):
            rows = footer.metadata.row_group(group).num_rows
            if rows and ends is not None and nulls_of(footer, group, timestamp) == 0:
                low, high = pa.array(ends, UTC_US).cast(pa.int64()).to_pylist()
                if high - low <= CLOSE:
                    yield Times(rows, low, high, None)
                    continue
            with self._opened(path, footer=footer) as file:
                wanted = _there(footer.schema, [timestamp], self._exact)
                table = _select(file.read_row_group(group, columns=wanted), None)
            if timestamp in table.schema.names:
                yield Times.of(self._timed(table, timestamp, path)[timestamp])

    def units(self, path: Path, names: Sequence[str]) -> dict[str, Unit]:
        """Return what columns of numbers count, which all rows of the file decide together."""
        footer = self._footer(path)
        kinds = {name: footer.schema.field(name).type for name in names if name in footer.schema.names}
        numbers = [name for name, kind in kinds.items() if is_number(kind) or pa.types.is_decimal(kind)]
        for name in numbers:
            if (footer.stamp, name) not in self._units:
                with self._opened(path, footer=footer) as file:
                    self._units[footer.stamp, name] = unit_of(file.read([name])[name])
        known = {name: self._units[footer.stamp, name] for name in numbers}
        return {name: unit for name, unit in known.items() if unit}

    def _moments(self, times: pa.ChunkedArray, path: Path, timestamp: str) -> pa.ChunkedArray:
        return to_utc(times, self._zone, where=timestamp, unit=self.units(path, [timestamp]).get(timestamp))

    def _timed(self, table: pa.Table, timestamp: str, path: Path) -> pa.Table:
        return in_utc(table, [timestamp], self._zone, path, units=self.units(path, [timestamp]))

    def _groups(self, footer: Footer, path: Path, bounds: Bounds) -> list[Part]:
        """Return each row group with rows in [start, end], and which rows these are; found once per file."""
        key = (footer.stamp, bounds)
        if key not in self._parts:
            self._parts[key] = list(self._search(footer, path, bounds))
        return self._parts[key]

    def _search(self, footer: Footer, path: Path, bounds: Bounds) -> Iterator[Part]:
        for group in self._overlapping(footer, path, bounds):
            if not footer.metadata.row_group(group).num_rows:
                continue
            if bounds.timestamp is None or self._lies_within(footer, path, group, bounds):
                yield group, None
                continue
            with self._opened(path, footer=footer) as file:
                times = _row_group(file, path, group, [bounds.timestamp])
            inside = pc.fill_null(mask_of(self._timed(times, bounds.timestamp, path), bounds), False)
            if pc.any(inside).as_py():
                yield group, None if pc.all(inside).as_py() else inside

    def _lies_within(self, footer: Footer, path: Path, group: int, bounds: Bounds) -> bool:
        """Tell whether the statistics show that every row is in [start, end]."""
        if bounds.start is None and bounds.end is None:
            return True
        limits = self._span(footer, path, group, bounds.timestamp)
        return limits is not None and nulls_of(footer, group, str(bounds.timestamp)) == 0 and bounds.covers(*limits)

    def _overlapping(self, footer: Footer, path: Path, bounds: Bounds) -> list[int]:
        """Return the row groups that may have rows in [start, end]."""
        limits = [self._span(footer, path, group, bounds.timestamp)
                  for group in range(footer.metadata.num_row_groups)]
        overlap = [span is None or bounds.overlaps(*span) for span in limits]
        self._prove(footer, path, [group for group, may in enumerate(overlap) if not may], str(bounds.timestamp))
        return [group for group, may in enumerate(overlap) if may]

    def _prove(self, footer: Footer, path: Path, groups: Sequence[int], timestamp: str) -> None:
        """Hold the times of row groups that will not be read against the footer, once and where that costs little:
        a flipped bit there would hide their rows."""
        unproven = [group for group in groups if (footer.stamp, group) not in _proven]
        cheap = [group for group in unproven if size_of(footer, group, timestamp) <= _LITTLE]
        if not cheap:
            return
        with self._opened(path, footer=footer) as file:
            for group in cheap:
                _row_group(file, path, group, [timestamp])
        if len(_proven) > MOST_SPANS:
            _proven.clear()
        _proven.update((footer.stamp, group) for group in cheap)

    def _span(self, footer: Footer, path: Path, group: int, timestamp: str | None) -> Span | None:
        """Return times between which a row group's rows lie; None if the statistics do not tell."""
        limits = None if timestamp is None else self._limits(footer, path, timestamp)[group]
        if limits is None:
            return None
        naive = not getattr(footer.schema.field(str(timestamp)).type, "tz", None)
        return (limits[0] - _SLACK, limits[1] + _SLACK) if naive else limits

    def _limits(self, footer: Footer, path: Path, timestamp: str) -> tuple[Span | None, ...]:
        """Return the oldest and newest time of each row group; None where the statistics do not tell."""
        key = (footer.stamp, timestamp, self._zone.key)
        if key not in _spans:
            _spans[key] = tuple(self._told(ends_of(footer, group, timestamp), path, timestamp)
                                for group in range(footer.metadata.num_row_groups))
            while len(_spans) > MOST_SPANS:
                _spans.popitem(last=False)
        return _spans[key]

    def _told(self, ends: pa.ChunkedArray | None, path: Path, timestamp: str) -> Span | None:
        if ends is None:
            return None
        low, high = self._moments(ends, path, timestamp).to_pylist()
        return None if low is None or high is None else (low, high)

    def _footer(self, path: Path) -> Footer:
        """Return the file's footer; it is read again after the file has changed."""
        if (found := footers.known(path, Stamp.of(path))) is not None:
            return found
        with self._opened(path):
            return footers.newest(path)

    @contextmanager
    def _opened(
        self, path: Path, dictionaries: Sequence[str] | None = None, footer: Footer | None = None
    ) -> Iterator[pq.ParquetFile]:
        """Open a file, reading its footer once. Strings of the columns `dictionaries` are dictionary encoded.

        Raises SourceError if it is no longer the file of the `footer`.
        """
        try:
            stamp = Stamp.of(path)
            known = footers.known(path, stamp)
            if footer is not None and footer.stamp != stamp:
                raise SourceError(f"{path}: was written during the read; write to a name ending in .tmp, then rename")
            with pq.ParquetFile(
                path, page_checksum_verification=True, memory_map=False, read_dictionary=dictionaries,
                metadata=known.metadata if known else None,
            ) as file:
                if known is None:
                    _require_sums(file, path)
                    require_distinct(flat(file.schema_arrow.empty_table()).column_names, path)
                    footers.keep(path, stamp, file)
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
