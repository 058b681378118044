"""What a format of files offers to who reads them, and how a changed file is told."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

import pyarrow as pa

from monitor.sources.timestamps import Bounds


@dataclass(frozen=True, slots=True)
class Stamp:
    """What changes about a file when it is written."""

    path: str
    size: int
    mtime_ns: int
    inode: int

    @classmethod
    def of(cls, path: Path) -> "Stamp":
        stat = path.stat()
        return cls(str(path), stat.st_size, stat.st_mtime_ns, stat.st_ino)


class Format(Protocol):
    """How one kind of file is read; `read` may yield more rows than the bounds, never fewer."""

    day_first: bool | None
    grows: bool                              # reads a steady copy of a file that is being appended to

    def guesses(self) -> dict[str, str]: ...
    def schema(self, path: Path) -> pa.Schema: ...
    def settle(self, table: pa.Table) -> pa.Table: ...
    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]: ...


@runtime_checkable
class Columnar(Format, Protocol):
    """A format that reads single columns of single row groups."""

    def count(self, path: Path, bounds: Bounds) -> int: ...
    def scan(self, path: Path, columns: Sequence[str], bounds: Bounds) -> Iterator[pa.Table]: ...
