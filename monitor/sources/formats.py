"""What each format of files can do."""

from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Protocol

import pyarrow as pa

from monitor.sources.column_types import Bounds
from monitor.sources.moments import Unit
from monitor.sources.strays import Times


class Format(Protocol):
    """How one file format is read. `read` may yield rows outside the bounds, and leaves out none inside."""

    day_first: bool | None
    grows: bool                              # reads a consistent copy of a file while rows are appended to it

    def guesses(self) -> dict[str, str]: ...
    def schema(self, path: Path) -> pa.Schema: ...
    def left_out(self, path: Path) -> dict[str, str]: ...
    def as_words(self, names: Collection[str]) -> "Format": ...
    def settle(self, table: pa.Table) -> pa.Table: ...
    def units(self, path: Path, names: Sequence[str]) -> dict[str, Unit]: ...
    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]: ...
    def times(self, path: Path, timestamp: str) -> Iterator[Times]: ...
