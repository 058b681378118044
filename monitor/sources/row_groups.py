"""Formats that keep rows in groups, each of which can be read alone, column by column: Parquet, ORC, Arrow IPC.

A subclass opens a file. Which groups have rows in a time range is worked out here, once for each state of a file.
"""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple, Protocol, Self
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources import extents
from monitor.sources.column_types import Bounds, flat, is_number, mask_of, require_distinct, tidy, unread
from monitor.sources.extents import Extent, Group, Span, Stamp, one_schema
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import Unit, in_utc, to_utc, unit_of
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.strays import Times

Part = tuple[int, "pa.ChunkedArray | None"]     # a group, and which of its rows are inside the bounds; None: all

_SLACK = timedelta(hours=3)      # naive times are not monotone when clocks are set back

# Of this process, by the identity of the schema that is stored: equal ones are one object, which stays.
_schemas: dict[tuple[int, frozenset[str]], pa.Schema] = {}
_unread: dict[int, dict[str, str]] = {}


class Told(NamedTuple):
    """What a file tells of the times in a group of rows."""

    rows: int
    ends: pa.ChunkedArray | None         # [min, max] in the column's type; None where it has no order of times
    nulls: int | None


class OpenedFile(Protocol):
    """A file that is open. Its methods raise ArrowException or OSError where it is damaged."""

    @property
    def schema(self) -> pa.Schema: ...

    @property
    def groups(self) -> int: ...

    @property
    def rows(self) -> int | None: ...    # as the file says

    def read(self, group: int, columns: Sequence[str] | None) -> pa.Table:
        """Return a group's rows with at least these columns (fields of structs are dotted; None: all), as they are
        stored, proven as far as the format allows.
        """

    def times(self, group: int, column: str) -> Told: ...


class RowGroups:
    """`stamp` tells a file's stamp as it was at a look: what is known of that file is not asked of it again."""

    day_first: bool | None = None
    grows = False
    _NAME: str                   # of the format, in messages

    def __init__(
        self, zone: ZoneInfo, known: KnownTypes = NOTHING, stamp: Callable[[Path], Stamp] = Stamp.of
    ) -> None:
        self._zone = zone
        self._exact = known.exact
        self._stamp = stamp
        self._parts: dict[tuple[Stamp, Bounds], list[Part]] = {}
        self._units: dict[tuple[Stamp, str], Unit | None] = {}

    def _open(self, path: Path, stamp: Stamp, coded: Sequence[str]) -> AbstractContextManager[OpenedFile]:
        """Open a file, which has this stamp. Strings of the columns `coded` may be dictionary encoded."""
        raise NotImplementedError

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
        """Yield all rows with all columns, as they are stored, one group at a time."""
        with self._opened(path) as file:
            rows = 0
            for group in range(file.groups):
                yield (table := file.read(group, None))
                rows += len(table)
            _require_all(file, rows, path)

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
        """Tell whether what is known of the groups' times shows that no row is in [start, end]."""
        return not self._overlapping(path, bounds)[1]

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield an empty table, for its schema, then the groups that may have rows in [start, end]."""
        stamp, groups = self._overlapping(path, bounds)
        schema = self._stored(path)
        wanted = self.schema(path).names if columns is None else _there(schema, columns, self._exact)
        yield _chosen(schema.empty_table(), wanted)
        if groups:
            with self._opened(path, stamp=stamp) as file:
                for group in groups:
                    yield _read(file, group, wanted)

    def scan(self, path: Path, columns: Sequence[str], bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the rows in [start, end], one group at a time; strings may be dictionary encoded."""
        stamp, groups = self._groups(path, bounds)
        wanted = _there(self._stored(path), columns, self._exact)
        repeating = [name for name in columns if name not in self._exact]       # an id would be its own code
        with self._opened(path, repeating, stamp) as file:
            for group, inside in groups:
                table = _read(file, group, wanted)
                yield table if inside is None else table.filter(inside)

    def count(self, path: Path, bounds: Bounds) -> int:
        """Count the rows in [start, end]."""
        rows = self._extent(path, bounds.timestamp).groups
        return sum(rows[group].rows if inside is None else pc.sum(inside).as_py()
                   for group, inside in self._groups(path, bounds)[1])

    def known_times(self, path: Path, timestamp: str) -> list[Times] | None:
        """Return the timestamps of each group, if ends that are known show that nothing is amiss."""
        extent = extents.known(self._stamp(path), timestamp, self._zone.key)
        if extent is None:
            return None
        close = [times for group in extent.groups if (times := _close(group)) is not None]
        return close if len(close) == len(extent.groups) else None

    def times(self, path: Path, timestamp: str) -> Iterator[Times]:
        """Yield the timestamps of each group; its ends are enough where they show that nothing is amiss."""
        extent = self._extent(path, timestamp)
        for place, group in enumerate(extent.groups):
            if (close := _close(group)) is not None:
                yield close
                continue
            with self._opened(path, stamp=extent.stamp) as file:
                table = _read(file, place, _there(extent.schema, [timestamp], self._exact))
            if timestamp in table.schema.names:
                yield Times.of(self._timed(table, timestamp, path)[timestamp])

    def units(self, path: Path, names: Sequence[str]) -> dict[str, Unit]:
        """Return what columns of numbers count, which all rows of the file decide together."""
        stored = self._stored(path)
        kinds = {name: stored.field(name).type for name in names if name in stored.names}
        numbers = [name for name, kind in kinds.items() if is_number(kind) or pa.types.is_decimal(kind)]
        stamp = self._stamp(path)
        for name in numbers:
            if (stamp, name) not in self._units:
                with self._opened(path, stamp=stamp) as file:
                    parts = [file.read(group, [name])[name] for group in range(file.groups)]
                whole = pa.chunked_array([chunk for part in parts for chunk in part.chunks], kinds[name])
                self._units[stamp, name] = unit_of(whole)
        known = {name: self._units[stamp, name] for name in numbers}
        return {name: unit for name, unit in known.items() if unit}

    def _moments(self, times: pa.ChunkedArray, path: Path, timestamp: str) -> pa.ChunkedArray:
        return to_utc(times, self._zone, where=timestamp, unit=self.units(path, [timestamp]).get(timestamp))

    def _timed(self, table: pa.Table, timestamp: str, path: Path) -> pa.Table:
        return in_utc(table, [timestamp], self._zone, path, units=self.units(path, [timestamp]))

    def _groups(self, path: Path, bounds: Bounds) -> tuple[Stamp, list[Part]]:
        """Return each group with rows in [start, end], and which rows these are; found once per file."""
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
                times = _read(file, group, [bounds.timestamp])
            inside = pc.fill_null(mask_of(self._timed(times, bounds.timestamp, path), bounds), False)
            if pc.any(inside).as_py():
                yield group, None if pc.all(inside).as_py() else inside

    def _overlapping(self, path: Path, bounds: Bounds) -> tuple[Stamp, list[int]]:
        """Return the groups that may have rows in [start, end]."""
        extent = self._extent(path, bounds.timestamp)
        spans = ((place, _span(extent, place, bounds.timestamp)) for place in range(len(extent.groups)))
        return extent.stamp, [place for place, span in spans if span is None or bounds.overlaps(*span)]

    def _extent(self, path: Path, timestamp: str | None) -> Extent:
        """Return what the file holds, unless it is known; without a timestamp no times."""
        stamp, column = self._stamp(path), timestamp or ""
        if (found := extents.known(stamp, column, self._zone.key)) is not None:
            return found
        stamp = Stamp.of(path)
        with self._opened(path, stamp=stamp) as file:
            schema = one_schema(file.schema)
            told = [file.times(group, column) for group in range(file.groups)]
            _require_all(file, sum(each.rows for each in told), path)
        groups = tuple(Group(each.rows, self._ends(each.ends, path, column), each.nulls) for each in told)
        return extents.keep(Extent(stamp, schema, groups), column, self._zone.key)

    def _ends(self, ends: pa.ChunkedArray | None, path: Path, timestamp: str) -> Span | None:
        if ends is None:
            return None
        low, high = self._moments(ends, path, timestamp).to_pylist()
        return None if low is None or high is None else (low, high)

    def _stored(self, path: Path) -> pa.Schema:
        """Return the file's columns as they are stored."""
        if (found := extents.columns_of(self._stamp(path))) is not None:
            return found
        with self._opened(path) as file:
            return one_schema(file.schema)

    @contextmanager
    def _opened(self, path: Path, coded: Sequence[str] = (), stamp: Stamp | None = None) -> Iterator[OpenedFile]:
        """Open a file. Strings of the columns `coded` may be dictionary encoded.

        Raises SourceError if it is damaged, or no longer the file of the `stamp`.
        """
        try:
            now = Stamp.of(path)
            if stamp is not None and stamp != now:
                raise SourceError(f"{path}: was written during the read; write to a name ending in .tmp, then rename")
            with self._open(path, now, coded) as file:
                if extents.columns_of(now) is None:
                    _require_known(file.schema, path)
                    require_distinct(flat(file.schema.empty_table()).column_names, path)
                    extents.keep_columns(now, one_schema(file.schema))
                yield file
        except (pa.ArrowException, OSError, UnicodeDecodeError) as error:    # a column's name may be damaged
            if isinstance(error, FileNotFoundError | PermissionError | MemoryError):
                raise
            if is_out_of_memory(error):
                raise MemoryError(str(error)) from None
            raise SourceError(f"{path}: is not a complete {self._NAME} file ({str(error).splitlines()[0][:160]}); "
                              "write it again, or move it away") from None


def _require_known(schema: pa.Schema, path: Path) -> None:
    """Raise SourceError for a column that Arrow reads and can do nothing with."""
    if union := next((field.name for field in schema if pa.types.is_union(field.type)), None):
        raise SourceError(f"{path}: column {quoted(escape.name(union))} is a union of types, which is not read; "
                          "write it as one type")


def holds_times(kind: pa.DataType) -> bool:
    """Tell whether the smallest and the largest value of such a column are its first and last time."""
    return bool(pa.types.is_temporal(kind) or pa.types.is_integer(kind))


def _require_all(file: OpenedFile, rows: int, path: Path) -> None:
    """Raise SourceError unless the groups add up to the rows that the file says it has."""
    if file.rows not in (None, rows):
        raise damaged(path, f"it names {file.rows} rows, and has {rows}")


def damaged(path: Path, what: str) -> SourceError:
    return SourceError(f"{path}: is damaged ({what}); write it again, or move it away")


def _read(file: OpenedFile, group: int, columns: list[str]) -> pa.Table:
    return _chosen(file.read(group, columns), columns)


def _chosen(table: pa.Table, columns: list[str]) -> pa.Table:
    return flat(table).select(columns)


def _close(group: Group) -> Times | None:
    """Return the times of a group, if its ends show that every row has one, close to the others."""
    if not group.rows or group.span is None or group.nulls != 0:
        return None
    return Times.between(group.rows, *group.span)


def _lies_within(extent: Extent, place: int, bounds: Bounds) -> bool:
    """Tell whether the ends show that every row of a group is in [start, end]."""
    if bounds.start is None and bounds.end is None:
        return True
    span = _span(extent, place, bounds.timestamp)
    return span is not None and extent.groups[place].nulls == 0 and bounds.covers(*span)


def _span(extent: Extent, place: int, timestamp: str | None) -> Span | None:
    """Return times between which a group's rows lie; None if they are not known."""
    span = extent.groups[place].span
    if span is None:
        return None
    naive = not getattr(extent.schema.field(str(timestamp)).type, "tz", None)
    return (span[0] - _SLACK, span[1] + _SLACK) if naive else span


def _there(schema: pa.Schema, columns: Sequence[str], exact: Collection[str]) -> list[str]:
    """Return the columns that a file has, including fields of structs."""
    names = set(schema.names)
    if not names.issuperset(columns):
        names = set(tidy(schema.empty_table(), exact).schema.names)
    return [name for name in columns if name in names]
