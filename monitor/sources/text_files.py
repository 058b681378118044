"""What CSV and JSON lines share: a consistent read of a file that may grow, and facts cached about it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import SourceError
from monitor.sources.column_types import Bounds, in_utc
from monitor.sources.compressed import unpacked
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.untrusted import open_file

_EDGE = 4096                     # bytes compared at both ends to distinguish appending from rewriting
_MOSTLY = 0.9                    # a text column with at least this share of numbers is a number column with errors
_NUMBER = r"^\s*[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_MARK = {b"numbers": b"mostly"}

Key = tuple[object, ...]
Range = tuple[datetime, datetime] | None


@dataclass(slots=True)
class _Facts:
    """What is known of a file from reading it, cached in this process until the file changes."""

    schema: pa.Schema
    left_out: dict[str, str]
    ranges: dict[str, Range] = field(default_factory=dict)


_known: dict[Key, _Facts] = {}


class TextFormat:
    """Base class of the text formats. A subclass defines `_parse`, and `_dialect` as a part of the cache key."""

    day_first: bool | None = None
    grows = True
    _decimal = "."
    _dialect: object = None

    def __init__(self, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        self._zone = zone
        self._types = known

    def _parse(self, data: bytes, path: Path, columns: list[str] | None) -> tuple[pa.Table, dict[str, str]]:
        """Return the rows, and the columns that are left out, each with the reason."""
        raise NotImplementedError

    def schema(self, path: Path) -> pa.Schema:
        facts = _known.get(self._key(path.stat())) or self._load(path, None)[0]
        return self.settle(facts.schema.empty_table()).schema

    def left_out(self, path: Path) -> dict[str, str]:
        return (_known.get(self._key(path.stat())) or self._load(path, None)[0]).left_out

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the file's rows, or an empty table if the file is known to lie outside the bounds."""
        facts = _known.get(self._key(path.stat()))
        if facts and not _may_overlap(facts, bounds):
            yield _choose(facts.schema.empty_table(), columns)
            return
        facts, table = self._load(path, columns)
        if bounds.timestamp is not None and bounds.timestamp in table.schema.names:
            table = in_utc(table, [bounds.timestamp], self._zone, path, self.day_first)
            facts.ranges[bounds.timestamp] = _range(table[bounds.timestamp])
        yield table

    def _load(self, path: Path, columns: Sequence[str] | None) -> tuple[_Facts, pa.Table]:
        """Read the file and cache what is learnt of it; a new file is parsed with all columns, for its schema."""
        stat, data = snapshot(path)
        key = None if stat is None else self._key(stat)
        facts = _known.get(key) if key else None
        wanted = None if facts is None or columns is None else _present(facts.schema, columns)
        table, left_out = self._parse(unpacked(data, path), path, wanted)
        return facts or _remember(key, _Facts(table.schema, left_out)), _choose(table, columns)

    def settle(self, table: pa.Table) -> pa.Table:
        """Convert number columns with errors to numbers if these rows have no error."""
        for place, kept in enumerate(table.schema):
            if kept.metadata == _MARK:
                text = pc.replace_substring(pc.utf8_trim_whitespace(table[place]), self._decimal, ".")
                try:
                    table = table.set_column(place, kept.name, text.cast(pa.float64()))
                except pa.ArrowInvalid:
                    continue
        return table

    def _key(self, stat: os.stat_result) -> Key:
        reading = (type(self), self._dialect, self._zone.key, self._types)
        return (*reading, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def snapshot(path: Path) -> tuple[os.stat_result | None, bytes]:
    """Return the file's content and its stat; the stat is None if rows were appended during the read.

    Raises SourceError if it was rewritten during the read, because the content is then neither old nor new.
    """
    with open_file(path) as file:
        before = os.fstat(file.fileno())
        data = file.read()
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) == (after.st_size, after.st_mtime_ns):
            return after, data
        file.seek(0)
        head = file.read(min(_EDGE, len(data)))
        file.seek(max(0, len(data) - _EDGE))
        tail = file.read(min(_EDGE, len(data)))
    if head != data[:_EDGE] or tail != data[-_EDGE:]:
        raise SourceError(f"{path}: was rewritten during the read; write to a name ending in .tmp, then "
                          "rename")
    return None, data


def mark_numbers(table: pa.Table, names: Sequence[str], decimal: str = ".") -> pa.Table:
    """Mark the text columns among `names` that hold numbers except for a few errors."""
    for name in names:
        place = table.schema.get_field_index(name)
        text = pc.drop_null(table[name])
        pattern = _NUMBER.replace(r"\.", "," if decimal == "," else r"\.")
        numbers = pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0
        if len(text) and numbers >= _MOSTLY * len(text):
            table = table.set_column(place, table.schema.field(place).with_metadata(_MARK), table[name])
    return table


def _may_overlap(facts: _Facts, bounds: Bounds) -> bool:
    known = facts.ranges.get(bounds.timestamp or "")
    return known is None or bounds.overlaps(*known)


def _range(times: pa.ChunkedArray) -> Range:
    limits = pc.min_max(times).as_py()
    return None if limits["min"] is None else (limits["min"], limits["max"])


def _present(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in schema.names]


def _choose(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    return table if columns is None else table.select(_present(table.schema, columns))


def _remember(key: Key | None, facts: _Facts) -> _Facts:
    if len(_known) > 10_000:
        _known.clear()
    if key is not None:
        _known[key] = facts
    return facts
