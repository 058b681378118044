"""Rows in: files (Parquet, CSV, JSON lines) and read-only PostgreSQL tables, as Arrow tables.

This module and `windows` are light; everything else here imports pyarrow and belongs in a worker.
"""

from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from monitor.config.sections import SourceSection
from monitor.records import Content

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = {
    "files": ("monitor.sources.files", "FileSource"),
    "postgres": ("monitor.sources.postgres", "PostgresSource"),
}


class Source(Protocol):
    """A place rows come from. Every method raises SourceError with one sentence when the place fails."""

    origin: str                              # the place, in words; never a secret
    each_once: bool                          # no row is there twice, as at-least-once logging may write them

    def fingerprint(self) -> str:
        """Return a text that changes whenever the content may have changed; cheap."""

    def content_id(self) -> str:
        """Return the SHA-256 of the content; reads everything."""

    def contents(self, place: str, known: Collection[tuple[str, str]]) -> Iterator[Content]:
        """Yield what the source consists of now, but those whose (name, stamp) are `known`; reads the rest whole."""

    def schema(self) -> "pa.Schema":
        """Return every column with its type over all files; timestamps as they are stored."""

    def guesses(self) -> dict[str, str]:
        """Return how the text is read, as found or configured: delimiter, decimal, encoding, day_first."""

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

        `timestamp` and the further `moments` come as timestamp[us, UTC]; `timestamp` is always in the result.
        """

    def scan(self, timestamp: str, start: datetime | None, end: datetime | None) -> "Scan | None":
        """Return a way to the columns of the same rows one by one; None where rows can only be read whole."""


class Scan(Protocol):
    """The columns of some rows, a part of the rows at a time, so that a few columns of many rows take little memory."""

    schema: "pa.Schema"
    rows: int

    def parts(self, columns: Sequence[str]) -> "Iterator[pa.Table]":
        """Yield the rows in the order of `Source.read`: strings perhaps as dictionaries, times as stored.

        Raises SourceError where they cannot be read, or were written meanwhile.
        """


def open_source(section: SourceSection, timezone: ZoneInfo) -> Source:
    """Return the source a section describes; nothing is opened yet. Naive times are read in `timezone`."""
    module, name = _KINDS["postgres" if section.database is not None else "files"]
    source: Source = getattr(import_module(module), name)(section, timezone)
    return source
