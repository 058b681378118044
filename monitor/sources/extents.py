"""What files hold, known without opening them: their columns, and rows and times of each group of rows.

It is true as long as a file is as it was. This process knows it, and can tell it to the next one.
"""

from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from os import stat_result
from pathlib import Path

import pyarrow as pa

Span = tuple[datetime, datetime]                # between which a row group's rows lie
MOST = 100_000                                  # files that are known


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


@dataclass(frozen=True, slots=True)
class Group:
    """A row group, stripe or record batch."""

    rows: int
    span: Span | None                    # None where it is not known
    nulls: int | None = None             # rows without a timestamp


@dataclass(frozen=True, slots=True)
class Extent:
    """What a file holds; `schema` is one object for all files with the same columns."""

    stamp: Stamp
    schema: pa.Schema
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class ToldFile:
    timestamp: str
    zone: str
    stamp: Stamp
    schema: int                          # its place among the schemas
    groups: tuple[Group, ...]


@dataclass(frozen=True, slots=True)
class Told:
    """Extents as one process tells them to the next one."""

    schemas: tuple[str, ...]             # as Arrow writes them, in base 64
    files: tuple[ToldFile, ...]


@dataclass(slots=True)
class Learnt:
    """What one task asked of files, and whether some of it was not known before."""

    asked: dict[tuple[str, str, str], Extent] = field(default_factory=dict)
    new: bool = False

    def told(self) -> Told:
        schemas = {id(extent.schema): extent.schema for extent in self.asked.values()}
        places = {key: place for place, key in enumerate(schemas)}
        return Told(
            tuple(b64encode(schema.serialize()).decode() for schema in schemas.values()),
            tuple(ToldFile(timestamp, zone, extent.stamp, places[id(extent.schema)], extent.groups)
                  for (_, timestamp, zone), extent in self.asked.items()),
        )


_known: OrderedDict[tuple[str, str, str], Extent] = OrderedDict()       # by path, timestamp column and time zone
_columns: OrderedDict[str, tuple[Stamp, pa.Schema]] = OrderedDict()     # by path
_learning: list[Learnt] = []
_schemas: dict[pa.Schema, pa.Schema] = {}


def one_schema(schema: pa.Schema) -> pa.Schema:
    """Return the same object for all schemas with the same columns; without metadata, which pyarrow 18 cannot hash."""
    bare = schema.remove_metadata()
    return _schemas.setdefault(bare, bare)


def known(stamp: Stamp, timestamp: str, zone: str) -> Extent | None:
    """Return the extent of a file that is as it was; None if it is not known."""
    key = (stamp.path, timestamp, zone)
    found = _known.get(key)
    if found is None or found.stamp != stamp:
        return None
    for learnt in _learning:
        learnt.asked[key] = found
    return found


def columns_of(stamp: Stamp) -> pa.Schema | None:
    """Return the columns of a file that is as it was, with the types that are stored; None if they are not known."""
    found = _columns.get(stamp.path)
    return found[1] if found is not None and found[0] == stamp else None


def keep_columns(stamp: Stamp, schema: pa.Schema) -> None:
    """Know the columns of a file; `schema` is that of `one_schema`."""
    _columns[stamp.path] = (stamp, schema)
    _columns.move_to_end(stamp.path)
    while len(_columns) > MOST:
        _columns.popitem(last=False)


def keep(extent: Extent, timestamp: str, zone: str) -> Extent:
    """Know the extent of a file that was just opened."""
    for learnt in _learning:
        learnt.asked[extent.stamp.path, timestamp, zone], learnt.new = extent, True
    _know(extent, timestamp, zone)
    return extent


def recall(told: Told) -> None:
    """Know what another process told."""
    schemas = [one_schema(pa.ipc.read_schema(pa.py_buffer(b64decode(text)))) for text in told.schemas]
    for file in told.files:
        _know(Extent(file.stamp, schemas[file.schema], file.groups), file.timestamp, file.zone)


@contextmanager
def learning() -> Iterator[Learnt]:
    """Note of which files an extent is asked for meanwhile."""
    learnt = Learnt()
    _learning.append(learnt)
    try:
        yield learnt
    finally:
        _learning.remove(learnt)


def _know(extent: Extent, timestamp: str, zone: str) -> None:
    key = (extent.stamp.path, timestamp, zone)
    _known[key] = extent
    _known.move_to_end(key)
    while len(_known) > MOST:
        _known.popitem(last=False)
    keep_columns(extent.stamp, extent.schema)
