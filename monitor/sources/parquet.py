"""Parquet: only the columns asked for, only the row groups whose statistics can hold the bounds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources.moments import Bounds, in_utc, mask_of, to_utc
from monitor.sources.types import tidy

_SLACK = timedelta(hours=3)      # naive statistics are not monotone where clocks go back


class Parquet:
    day_first: bool | None = None
    grows = False

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone
        self._inside: dict[tuple[Path, int, Bounds], pa.ChunkedArray] = {}     # which rows of a row group are wanted

    def guesses(self) -> dict[str, str]:
        return {}

    def settle(self, table: pa.Table) -> pa.Table:
        return table

    def schema(self, path: Path) -> pa.Schema:
        with _opened(path) as file:
            return tidy(file.schema_arrow.empty_table()).schema

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield row groups that can hold rows of [start, end]; at least an empty table, for its schema."""
        with _opened(path) as file:
            wanted = None if columns is None else _there(file, columns)
            yield _select(file.schema_arrow.empty_table(), wanted)
            for group in range(file.num_row_groups):
                if self._can_hold(file, group, bounds):
                    yield file.read_row_group(group, columns=wanted)

    def scan(self, path: Path, columns: Sequence[str], bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the rows of [start, end] a row group at a time, strings as dictionaries."""
        with _opened(path, columns) as file:
            wanted = _there(file, columns)
            for group, inside in self._groups(file, path, bounds):
                table = file.read_row_group(group, columns=wanted)
                yield table if inside is None else table.filter(inside)

    def count(self, path: Path, bounds: Bounds) -> int:
        """Count the rows of [start, end]."""
        with _opened(path) as file:
            return sum(
                file.metadata.row_group(group).num_rows if inside is None else pc.sum(inside).as_py()
                for group, inside in self._groups(file, path, bounds)
            )

    def _groups(
        self, file: pq.ParquetFile, path: Path, bounds: Bounds
    ) -> Iterator[tuple[int, pa.ChunkedArray | None]]:
        """Yield each row group with rows of [start, end], and which they are; None where all of them are."""
        for group in range(file.num_row_groups):
            if not self._can_hold(file, group, bounds) or not file.metadata.row_group(group).num_rows:
                continue
            if bounds.timestamp is None or self._lies_within(file, group, bounds):
                yield group, None
                continue
            key = (path, group, bounds)
            if key not in self._inside:
                times = file.read_row_group(group, columns=[bounds.timestamp])
                self._inside[key] = mask_of(in_utc(times, [bounds.timestamp], self._zone, path), bounds)
            if pc.any(self._inside[key]).as_py():
                yield group, self._inside[key]

    def _lies_within(self, file: pq.ParquetFile, group: int, bounds: Bounds) -> bool:
        """Whether the statistics say that every row is of [start, end]."""
        if bounds.start is None and bounds.end is None:
            return True
        limits = _limits(file, group, bounds.timestamp)
        if limits is None or _nulls(file, group, bounds.timestamp) != 0:
            return False
        low, high = to_utc(limits, self._zone, where=str(bounds.timestamp)).to_pylist()
        return bounds.holds(low - _SLACK, high + _SLACK)

    def _can_hold(self, file: pq.ParquetFile, group: int, bounds: Bounds) -> bool:
        limits = _limits(file, group, bounds.timestamp)
        if limits is None:
            return True
        low, high = to_utc(limits, self._zone, where=str(bounds.timestamp)).to_pylist()
        return bounds.meets(low - _SLACK, high + _SLACK)


def _limits(file: pq.ParquetFile, group: int, timestamp: str | None) -> pa.ChunkedArray | None:
    """Return [min, max] of a row group in the column's type; None where statistics do not order moments."""
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


def _there(file: pq.ParquetFile, columns: Sequence[str]) -> list[str]:
    """Those of the columns that the file has, parts of structs included."""
    names = set(file.schema_arrow.names)
    if not names.issuperset(columns):
        names = set(tidy(file.schema_arrow.empty_table()).schema.names)
    return [name for name in columns if name in names]


def _select(table: pa.Table, columns: list[str] | None) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table if columns is None else table.select(columns)


@contextmanager
def _opened(path: Path, dictionaries: Sequence[str] | None = None) -> Iterator[pq.ParquetFile]:
    """Open a file; `dictionaries` are columns whose strings come as dictionaries."""
    try:
        with pq.ParquetFile(
            path, page_checksum_verification=True, memory_map=False, read_dictionary=dictionaries
        ) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise SourceError(f"{path}: is no complete Parquet file ({str(error).splitlines()[0][:160]}); "
                          "write it again, or move it away") from None


