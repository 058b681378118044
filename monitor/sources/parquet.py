"""Parquet: only the columns asked for, only the row groups whose statistics can hold the bounds."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.errors import SourceError
from monitor.sources.moments import Bounds, to_utc
from monitor.sources.types import tidy

_SLACK = timedelta(hours=3)      # naive statistics are not monotone where clocks go back


class Parquet:
    day_first: bool | None = None
    grows = False

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

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
            wanted = None if columns is None else [c for c in columns if c in _names(file)]
            yield _select(file.schema_arrow.empty_table(), wanted)
            for group in range(file.num_row_groups):
                if self._can_hold(file, group, bounds):
                    yield file.read_row_group(group, columns=wanted)

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


def _names(file: pq.ParquetFile) -> set[str]:
    return set(tidy(file.schema_arrow.empty_table()).schema.names)


def _select(table: pa.Table, columns: list[str] | None) -> pa.Table:
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table if columns is None else table.select(columns)


@contextmanager
def _opened(path: Path) -> Iterator[pq.ParquetFile]:
    try:
        with pq.ParquetFile(path, page_checksum_verification=True, memory_map=False) as file:
            yield file
    except (pa.ArrowException, OSError) as error:
        if isinstance(error, FileNotFoundError | PermissionError):
            raise
        raise SourceError(f"{path}: is no complete Parquet file ({str(error).splitlines()[0][:160]}); "
                          "write it again, or move it away") from None


