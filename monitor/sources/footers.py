"""The footers of Parquet files, kept in this process as long as the files are as they were."""

from collections import OrderedDict
from dataclasses import dataclass
from os import stat_result
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

MOST = 256      # footers that are kept; one takes some kilobytes for each column of a row group


@dataclass(frozen=True, slots=True)
class Stamp:
    """The properties of a file that change when it is written."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        return cls.seen(path, path.stat())

    @classmethod
    def seen(cls, path: Path, stat: stat_result) -> "Stamp":
        """Return the stamp of a file with these properties."""
        return cls(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


@dataclass(frozen=True, slots=True, eq=False)
class Footer:
    """What a file's footer says; `schema` is one object for all files with the same columns."""

    stamp: Stamp
    metadata: pq.FileMetaData
    schema: pa.Schema


_footers: OrderedDict[Path, Footer] = OrderedDict()
_schemas: dict[pa.Schema, pa.Schema] = {}


def known(path: Path, stamp: Stamp) -> Footer | None:
    """Return the footer of a file that is as it was; None where it is to be read."""
    found = _footers.get(path)
    return found if found is not None and found.stamp == stamp else None


def newest(path: Path) -> Footer:
    """Return the footer of a file as it was when it was last opened."""
    return _footers[path]


def keep(path: Path, stamp: Stamp, file: pq.ParquetFile) -> None:
    """Keep the footer of a file that was just opened."""
    _footers[path] = Footer(stamp, file.metadata, one_schema(file.schema_arrow))
    _footers.move_to_end(path)
    while len(_footers) > MOST:
        _footers.popitem(last=False)


def one_schema(schema: pa.Schema) -> pa.Schema:
    """Return the same object for all schemas that are equal."""
    return _schemas.setdefault(schema, schema)


def ends_of(footer: Footer, group: int, timestamp: str) -> pa.ChunkedArray | None:
    """Return [min, max] of a row group in the column's type; None if the statistics do not order times."""
    names = footer.metadata.schema.names
    if timestamp not in names or timestamp not in footer.schema.names:
        return None
    statistics = footer.metadata.row_group(group).column(names.index(timestamp)).statistics
    kind = footer.schema.field(timestamp).type
    ordered = pa.types.is_temporal(kind) or pa.types.is_integer(kind)
    if statistics is None or not statistics.has_min_max or not ordered:
        return None
    try:
        return pa.chunked_array([pa.array([statistics.min, statistics.max], kind)])
    except (pa.ArrowException, TypeError, ValueError, OverflowError):
        return None


def size_of(footer: Footer, group: int, timestamp: str) -> int:
    """Return how many bytes of the file the times of a row group take."""
    place = footer.metadata.schema.names.index(timestamp)
    size: int = footer.metadata.row_group(group).column(place).total_compressed_size
    return size


def nulls_of(footer: Footer, group: int, timestamp: str) -> int | None:
    statistics = footer.metadata.row_group(group).column(footer.metadata.schema.names.index(timestamp)).statistics
    return statistics.null_count if statistics.has_null_count else None
