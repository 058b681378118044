"""A log that is read once and kept in memory, for a backtest's worker, which reads it many times."""

from collections import OrderedDict
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.records import Content
from monitor.sources import Source, open_source
from monitor.sources.column_types import Bounds
from monitor.sources.files import FileSource
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.rows import once_each
from monitor.sources.strays import Strays

MOST_MB = 256       # total size of the files; a larger log is read from disk each time
KEPT = 2            # logs kept in this worker's memory
_open: OrderedDict[tuple[str, str, str, tuple[str, ...], str | None, str], "SourceInMemory"] = OrderedDict()


class SourceInMemory:
    """A source whose rows are in memory. If they are sorted by time, a time range is a view."""

    costs = False

    def __init__(self, source: Source, timestamp: str, moments: Sequence[str], id: str | None) -> None:
        self.origin, self._source = source.origin, source
        self._schema = source.schema()
        self._table = source.read(None, timestamp=timestamp, moments=moments)
        self.each_once = bool(once_each(self._table, id, timestamp).all())
        self._times = self._table[timestamp].to_numpy().astype("datetime64[us]").view(np.int64)
        self._ordered = bool((np.diff(self._times) >= 0).all()) and not self._table[timestamp].null_count

    def fingerprint(self) -> str:
        return self._source.fingerprint()

    def content_id(self) -> str:
        return self._source.content_id()

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        return self._source.contents(place, known, during)

    def guesses(self) -> dict[str, str]:
        return self._source.guesses()

    def left_out(self) -> dict[str, str]:
        return self._source.left_out()

    def schema(self) -> pa.Schema:
        return self._schema

    def read(
        self,
        columns: Sequence[str] | None,
        *,
        timestamp: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        moments: Sequence[str] = (),
    ) -> pa.Table:
        table = self._table
        if columns is not None:
            table = table.select(list(dict.fromkeys([*columns, *([timestamp] if timestamp else []), *moments])))
        if start is None and end is None:
            return table
        assert timestamp is not None
        if self._ordered:
            first = 0 if start is None else int(np.searchsorted(self._times, _micros(start), "left"))
            last = len(table) if end is None else int(np.searchsorted(self._times, _micros(end), "right"))
            return table.slice(first, max(0, last - first))
        return table.filter(_between(table[timestamp], start, end))

    def strays(self, timestamp: str) -> Strays:
        return self._source.strays(timestamp)

    def head(self, values: int) -> pa.Table:
        return self._source.head(values)

    def stamp(self, columns: Sequence[str], bounds: Bounds) -> None:
        return None

    def scan(
        self, timestamp: str, start: datetime | None, end: datetime | None, columns: Collection[str] | None = None
    ) -> None:
        return None


def open_in_memory(
    section: SourceSection, timezone: ZoneInfo, timestamp: str, moments: Sequence[str], id: str | None,
    known: KnownTypes = NOTHING,
) -> Source:
    """Return the source of a section, kept in memory until its files change; an ordinary source if they are too large.

    Only Parquet files with one schema are kept, because column types of text files depend on the rows read.
    """
    source = open_source(section, timezone, known)
    if not isinstance(source, FileSource):
        return source
    key = (section.model_dump_json(), timezone.key, timestamp, tuple(moments), id, source.fingerprint())
    if key not in _open:
        if not source.same_schema(MOST_MB << 20):
            return source
        names = tuple(name for name in moments if name in source.schema().names)
        try:
            _open[key] = SourceInMemory(source, timestamp, names, id)
        except SourceError:
            return source       # part of it is unreadable: each read then fails only if it needs that part
        while len(_open) > KEPT:
            _open.popitem(last=False)
    return _open[key]


def _micros(moment: datetime) -> np.int64:
    return np.datetime64(moment.replace(tzinfo=None), "us").astype(np.int64)


def _between(times: pa.ChunkedArray, start: datetime | None, end: datetime | None) -> pa.ChunkedArray:
    utc = pa.timestamp("us", "UTC")
    after = None if start is None else pc.greater_equal(times, pa.scalar(start, utc))
    before = None if end is None else pc.less_equal(times, pa.scalar(end, utc))
    return pc.and_(after, before) if after is not None and before is not None else before if after is None else after
