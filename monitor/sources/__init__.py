"""Rows in: files (Parquet, ORC, Arrow, CSV, JSON lines) and tables of databases, as Arrow tables.

This module, `known_types` and `windows` are light; everything else here imports pyarrow and belongs in a worker.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from monitor.config.sections import SourceSection
from monitor.records import Content
from monitor.sources.known_types import NOTHING, KnownTypes

if TYPE_CHECKING:
    import pyarrow as pa

    from monitor.sources.column_types import Bounds
    from monitor.sources.strays import Strays

_KINDS = {
    "files": ("monitor.sources.file_places", "open_place"),
    "database": ("monitor.sources.databases.source", "DatabaseSource"),
}


class Source(Protocol):
    """A place rows come from. Every method raises SourceError with one sentence when the place fails."""

    origin: str                              # a description of the place for messages; holds no secret
    each_once: bool                          # no row occurs twice (at-least-once logging may repeat rows)
    costs: bool                              # somebody else's machine reads the rows: those of a reference are kept

    def fingerprint(self) -> str:
        """Return a string that changes whenever the content may have changed; cheap to compute."""

    def content_id(self) -> str:
        """Return the SHA-256 of the content; reads everything."""

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: "Sequence[Bounds]" = ()
    ) -> Iterator[Content]:
        """Yield each file or table of the source, except those whose (name, stamp) is in `known`, and except files
        of which it is known that no row is in one of the time ranges `during`, if there are any.

        Each one that is yielded is read completely for its hash.
        """

    def schema(self) -> "pa.Schema":
        """Return every column with its type over all files; timestamps as they are stored."""

    def guesses(self) -> dict[str, str]:
        """Return how text files are read, as guessed or configured: delimiter, decimal, encoding, day_first."""

    def left_out(self) -> dict[str, str]:
        """Return the columns that are not read, each with its kind and what to do to have it watched."""

    def read(
        self,
        columns: Sequence[str] | None,
        *,
        timestamp: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        moments: Sequence[str] = (),
    ) -> "pa.Table":
        """Return `columns` (None: all) of the rows whose `timestamp` lies in [start, end], both included.

        `timestamp` and the other time columns, `moments`, are returned as timestamp[us, UTC]; `timestamp` is always
        in the result.
        """

    def strays(self, timestamp: str) -> "Strays":
        """Return the rows that no window holds, of all times."""

    def head(self, values: int) -> "pa.Table":
        """Return the first rows in the order in which they are stored, as many as hold about so many values; all rows
        of a smaller source. The same rows come first each time, however many are added.
        """

    def stamp(self, columns: Sequence[str], bounds: "Bounds") -> str | None:
        """Return what changes whenever these columns of the rows within the bounds may have; None where only reading
        the rows can tell.
        """

    def scan(
        self, timestamp: str, start: datetime | None, end: datetime | None, columns: Collection[str] | None = None
    ) -> "Scan | None":
        """Return a reader of single columns of the same rows; None where rows can only be read whole. No other than
        `columns` (None: all) will be asked for.
        """


class Scan(Protocol):
    """Reads single columns of some rows, one part of the rows at a time, so that many rows take little memory."""

    schema: "pa.Schema"
    rows: int

    def parts(self, columns: Sequence[str]) -> "Iterator[pa.Table]":
        """Yield the rows in the order of `Source.read`. Strings may be dictionary encoded, times are as stored.

        Raises SourceError if they cannot be read, or if they were written during the read.
        """

    def at_hand(self, columns: Sequence[str], moments: Sequence[str]) -> "pa.Table | None":
        """Return what `Source.read` would; None where that reads it as well. A database does not: its rows have an
        order in one answer only.
        """


def open_source(section: SourceSection, timezone: ZoneInfo, known: KnownTypes = NOTHING) -> Source:
    """Return the source a section describes, without opening it. Naive times are read in `timezone`."""
    module, name = _KINDS["database" if section.database is not None else "files"]
    source: Source = getattr(import_module(module), name)(section, timezone, known)
    return source
