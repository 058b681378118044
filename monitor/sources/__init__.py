"""Rows in: files (Parquet, CSV, JSON lines) and read-only PostgreSQL tables, as Arrow tables.

This module and `windows` are light; everything else here imports pyarrow and belongs in a worker.
"""

from collections.abc import Iterator, Sequence
from datetime import datetime
from importlib import import_module
from typing import TYPE_CHECKING, Protocol
from zoneinfo import ZoneInfo

from monitor.config.model import SourceSection

if TYPE_CHECKING:
    import pyarrow as pa

_KINDS = {
    "files": ("monitor.sources.files", "FileSource"),
    "postgres": ("monitor.sources.postgres", "PostgresSource"),
}


class Source(Protocol):
    """A place rows come from. Every method raises SourceError with one sentence when the place fails."""

    origin: str                              # the place, in words; never a secret

    def fingerprint(self) -> str:
        """Return a text that changes whenever the content may have changed; cheap."""

    def content_id(self) -> str:
        """Return the SHA-256 of the content; reads everything."""

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

    def batches(
        self,
        columns: Sequence[str],
        *,
        timestamp: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
    ) -> "Iterator[pa.Table]":
        """Yield the same rows in the same order, a part at a time: strings perhaps as dictionaries, times as stored.

        Parquet comes a row group at a time, so that a few columns of many rows take little memory.
        """


def open_source(section: SourceSection, timezone: ZoneInfo) -> Source:
    """Return the source a section describes; nothing is opened yet. Naive times are read in `timezone`."""
    module, name = _KINDS["postgres" if section.database is not None else "files"]
    source: Source = getattr(import_module(module), name)(section, timezone)
    return source
