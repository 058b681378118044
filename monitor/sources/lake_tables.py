"""Tables of a lake as a source: Delta and Iceberg folders, by the list of files that the table itself keeps.

The folder alone does not tell which files count: deleted and replaced rows stay in it until they are cleaned away.
"""

import hashlib
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, partial
from importlib import import_module
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.records import Content
from monitor.sources import copies
from monitor.sources.column_types import Bounds, in_shared_type, tidy, union, unread
from monitor.sources.extents import Stamp
from monitor.sources.files import FileSource, steady_digest
from monitor.sources.known_types import KnownTypes
from monitor.sources.listing import TABLES
from monitor.sources.parquet import Parquet
from monitor.sources.partitions import Partitions

_READERS = {"Delta": "monitor.sources.delta", "Iceberg": "monitor.sources.iceberg"}    # of Hudi there is none


@dataclass(frozen=True, slots=True)
class DataFile:
    """A Parquet file of a table. `name` is its path within the table."""

    name: str
    path: Path
    size: int
    values: Mapping[str, Any] = field(default_factory=dict)     # of columns that stand in the table's log alone
    deleted: str = ""                            # says which of its rows are deleted; another one for other rows
    rows: Callable[[], Iterator[pa.RecordBatch]] | None = None  # the table's rows of it, where these are not the file's


@dataclass(frozen=True, slots=True)
class Snapshot:
    """A table at one moment."""

    version: str                                 # such as "Delta version 12"
    schema: pa.Schema
    files: tuple[DataFile, ...]


Bring = Callable[[Collection[Path]], None]


def are_there(paths: Collection[Path]) -> None:
    """Local files need not be brought."""


def lake_table(
    section: SourceSection, zone: ZoneInfo, known: KnownTypes, bring: Bring = are_there
) -> "LakeTable | None":
    """Return the source of a table, if the path is the folder of one. `bring` is given files before they are read."""
    folder = Path(section.path or "")
    for kind, is_table in TABLES.items():
        if is_table(folder):
            return LakeTable(section, zone, known, kind, bring)
    return None


class LakeTable(FileSource):
    """The newest snapshot of a table when it is first read, until the next `fingerprint`."""

    def __init__(
        self, section: SourceSection, zone: ZoneInfo, known: KnownTypes, kind: str, bring: Bring = are_there
    ) -> None:
        super().__init__(section, zone, known)
        self._kind, self._bring = kind, bring

    def fingerprint(self) -> str:
        self.__dict__.pop("_snapshot", None)
        self.__dict__.pop("_added", None)
        self._stamps.clear()
        self._forget()
        return self._mark()

    def _mark(self) -> str:
        now = self._snapshot
        return hashlib.sha256(repr((self.origin, now.version, str(now.schema))).encode()).hexdigest()

    def content_id(self) -> str:
        whole = hashlib.sha256()
        for file in self._snapshot.files:
            whole.update(steady_digest(file.path))
            whole.update(repr((sorted(file.values.items()), file.deleted)).encode())
        return whole.hexdigest()

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        """Yield each file, then the table with its version, whose hash is that of the list of its files."""
        inside = set(self._that_may_hold(during))
        for file in (file for file in self._snapshot.files if file.path in inside):
            was = Stamp.of(file.path)
            stamp = f"{was.size}-{was.mtime_ns}"
            if (str(file.path), stamp) not in known:
                yield Content(place=place, name=str(file.path), stamp=stamp, hash=steady_digest(file.path).hex(),
                              bytes=was.size)
        files, version = self._snapshot.files, self._snapshot.version
        if (self.origin, version) not in known:
            listed = [(file.name, file.size, sorted(file.values.items()), file.deleted) for file in files]
            yield Content(place=place, name=self.origin, stamp=version, bytes=sum(file.size for file in files),
                          hash=hashlib.sha256(repr(listed).encode()).hexdigest())

    def schema(self) -> pa.Schema:
        return union([(self.origin, tidy(self._snapshot.schema.empty_table(), self._known.exact).schema)])

    @cached_property
    def _snapshot(self) -> Snapshot:
        if self._kind not in _READERS:
            raise SourceError(f"{self.origin}: is a {self._kind} table, which this version does not read, expected "
                              "Delta, Iceberg or files")
        module = import_module(_READERS[self._kind])
        snapshot: Snapshot = module.snapshot(Path(self.origin), self._bring)
        if not snapshot.files:
            raise SourceError(f"{self.origin}: {snapshot.version} has no rows, expected some")
        if gone := [file.name for file in snapshot.files if not file.path.exists()]:
            raise SourceError(f"{self.origin}: {len(gone)} of {len(snapshot.files)} files of {snapshot.version} are "
                              f"not there (such as {gone[0]}); restore them, or repair the table's list of files")
        return snapshot

    def names(self) -> list[str]:
        """Return the table's columns, as they are stored."""
        return list(self._snapshot.schema.names)

    def files(self) -> list[Path]:
        """Return the Parquet files that hold the rows of the newest snapshot."""
        self.fingerprint()
        return self._files()

    def _files(self) -> list[Path]:
        return list(self._paths)

    @property
    def _paths(self) -> dict[Path, DataFile]:
        """The files to read: those of the table, or a copy of the table's rows in one."""
        snapshot = self._snapshot
        if not any(file.rows for file in snapshot.files):
            return {file.path: file for file in snapshot.files}
        folder = copies.folder_of("tables") / hashlib.sha256(self.origin.encode()).hexdigest()[:32]
        found = {_copy(folder, file) if file.rows else file.path: file for file in snapshot.files}
        copies.forget_others(folder, found)
        return found

    def _partitions(self) -> Partitions:
        return self._added

    @cached_property
    def _added(self) -> Partitions:
        """The columns that no file has: partition values, and columns that the table got after its last row."""
        files = self._paths
        there = {name for path in files for name in self._schema_of(path).names}
        shared = tidy(self._snapshot.schema.empty_table(), self._known.exact).schema
        named = {name for file in files.values() for name in file.values}
        kinds = {f.name: f.type for f in shared if f.name in named or f.name not in there}
        return Partitions(kinds, {path: self._plain(file, kinds) for path, file in files.items()})

    def _plain(self, file: DataFile, kinds: Mapping[str, pa.DataType]) -> dict[str, Any]:
        """Return a file's partition values in the shared types, such as a number of a decimal."""
        stored = self._snapshot.schema
        return {name: in_shared_type(pa.chunked_array([[value]], stored.field(name).type), kinds[name])[0].as_py()
                for name, value in file.values.items() if name in kinds}

    @cached_property
    def _format(self) -> "TableParquet":
        return TableParquet(self._zone, self._known, self._snapshot.schema, self._stamp)


class TableParquet(Parquet):
    """Files of a table; columns that the table has no more are not read."""

    def __init__(
        self, zone: ZoneInfo, known: KnownTypes, schema: pa.Schema, stamp: Callable[[Path], Stamp]
    ) -> None:
        super().__init__(zone, known, stamp)
        self._columns = tidy(schema.empty_table(), known.exact).schema.names
        self._unread = unread(schema)

    def schema(self, path: Path) -> pa.Schema:
        return pa.schema([field for field in super().schema(path) if field.name in self._columns])

    def left_out(self, path: Path) -> dict[str, str]:
        return self._unread

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        return super().read(path, self._columns if columns is None else columns, bounds)


def _copy(folder: Path, file: DataFile) -> Path:
    """Return a copy of the table's rows in a file."""
    key = hashlib.sha256(repr((file.name, file.size, file.deleted)).encode()).hexdigest()[:32]
    return copies.written(folder / f"{key}.parquet", partial(_write, file))


def _write(file: DataFile, path: Path) -> None:
    assert file.rows is not None
    batches = file.rows()
    first = next(batches)
    with pq.ParquetWriter(path, first.schema, write_page_checksum=True) as writer:
        writer.write_batch(first)
        for batch in batches:
            writer.write_batch(batch)


def inside(folder: Path, path: str, what: str) -> Path:
    """Return the path of a table's file. Raises SourceError where it leads out of the table's folder."""
    found = (folder / path).resolve()
    if not found.is_relative_to(folder.resolve()):
        raise SourceError(f"{folder}: {what} names a file outside of the table's folder ({path}), which is not read; "
                          "copy the table as a whole")
    return folder / path


def missing_package(folder: Path, kind: str, extra: str) -> SourceError:
    """What is said where the library that reads a kind of table is not installed."""
    return SourceError(f"{folder}: holds a table ({kind}), which needs a package that is "
                       f"not installed; pip install 'driftd[{extra}]'")


def require_known(folder: Path, what: str, found: Iterable[str], known: Collection[str]) -> None:
    """Raise SourceError where a table uses features that would change which rows it has."""
    if unknown := sorted(set(found) - set(known)):
        raise SourceError(f"{folder}: the table uses {what} {', '.join(unknown)}, which this version does not read; "
                          "write it again without")
