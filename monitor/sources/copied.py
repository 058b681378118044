"""What sources share whose rows are read from local copies."""

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import TYPE_CHECKING

from monitor.errors import SourceError
from monitor.sources import Scan, Source

if TYPE_CHECKING:
    import pyarrow as pa

    from monitor.sources.column_types import Bounds
    from monitor.sources.strays import Strays


class CopiedSource:
    """A subclass gives the source of the copies, up to date, and what is said instead of the folder of the copies."""

    each_once = False
    costs = False
    origin: str

    def _local(self) -> AbstractContextManager[Source]:
        raise NotImplementedError

    def _there(self, text: str) -> str:
        raise NotImplementedError

    def guesses(self) -> dict[str, str]:
        with self._local() as source:
            return source.guesses()

    def schema(self) -> "pa.Schema":
        with self._local() as source:
            return source.schema()

    def left_out(self) -> dict[str, str]:
        with self._local() as source:
            return source.left_out()

    def read(
        self,
        columns: Sequence[str] | None,
        *,
        timestamp: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        moments: Sequence[str] = (),
    ) -> "pa.Table":
        with self._local() as source:
            return source.read(columns, timestamp=timestamp, start=start, end=end, moments=moments)

    def strays(self, timestamp: str) -> "Strays":
        with self._local() as source:
            return source.strays(timestamp)

    def head(self, values: int) -> "pa.Table":
        with self._local() as source:
            return source.head(values)

    def stamp(self, columns: Sequence[str], bounds: "Bounds") -> None:
        return None

    def scan(
        self, timestamp: str, start: datetime | None, end: datetime | None, columns: Collection[str] | None = None
    ) -> Scan | None:
        with self._local() as source:
            found = source.scan(timestamp, start, end, columns)
            return _Scan(found, self._there) if found else None


class _Scan:
    """A reader of the copies, which names the origin where something is wrong."""

    def __init__(self, scan: Scan, there: Callable[[str], str]) -> None:
        self.schema, self.rows = scan.schema, scan.rows
        self._scan, self._there = scan, there

    def parts(self, columns: Sequence[str]) -> "Iterator[pa.Table]":
        try:
            yield from self._scan.parts(columns)
        except SourceError as error:
            raise SourceError(self._there(str(error))) from None

    def at_hand(self, columns: Sequence[str], moments: Sequence[str]) -> None:
        return None
