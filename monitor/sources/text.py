"""What CSV and JSON lines share: one steady look at a file that may grow, and what is remembered about it."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import SourceError
from monitor.sources.moments import to_utc

_EDGE = 4096                     # bytes compared to tell appending from rewriting
_MOSTLY = 0.9                    # a text column is a number column with errors from this share of numbers on
_NUMBER = r"^\s*[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?\s*$"
_MARK = {b"numbers": b"mostly"}

Key = tuple[object, ...]
Range = tuple[datetime, datetime] | None


@dataclass(slots=True)
class _Facts:
    """What one look at a file taught, kept while the process lives and the file stays as it is."""

    schema: pa.Schema
    ranges: dict[str, Range] = field(default_factory=dict)


_known: dict[Key, _Facts] = {}


class TextFormat:
    """Base of the text formats; a subclass gives `_parse` and its `_dialect`, which is part of the memory's key."""

    day_first: bool | None = None
    grows = True
    _decimal = "."
    _dialect: object = None

    def __init__(self, zone: ZoneInfo) -> None:
        self._zone = zone

    def _parse(self, data: bytes, path: Path, columns: list[str] | None) -> pa.Table:
        raise NotImplementedError

    def schema(self, path: Path) -> pa.Schema:
        key = self._key(path.stat())
        if key not in _known:
            list(self.read(path, None, None, None, None))
        facts = _known.get(self._key(path.stat()))
        schema = facts.schema if facts else self._parse(snapshot(path)[1], path, None).schema
        return self.settle(schema.empty_table()).schema

    def read(
        self, path: Path, columns: Sequence[str] | None, timestamp: str | None, start: datetime | None, end: datetime | None
    ) -> Iterator[pa.Table]:
        facts = _known.get(self._key(path.stat()))
        if facts and timestamp in facts.ranges and not _overlaps(facts.ranges[timestamp], start, end):
            yield _choose(facts.schema.empty_table(), columns)
            return
        stat, data = snapshot(path)
        facts = _known.get(self._key(stat))
        table = self._parse(data, path, None if facts is None or columns is None else _present(facts.schema, columns))
        if facts is None:
            facts = _remember(self._key(stat), table.schema)
        table = _choose(table, columns)
        if timestamp is not None and timestamp in table.schema.names:
            times = to_utc(table[timestamp], self._zone, where=f"{path}: column {timestamp}", day_first=self.day_first)
            table = table.set_column(table.schema.get_field_index(timestamp), timestamp, times)
            facts.ranges[timestamp] = _range(times)
        yield table

    def settle(self, table: pa.Table) -> pa.Table:
        """Read number columns with errors as numbers where these rows hold no error."""
        for place, kept in enumerate(table.schema):
            if kept.metadata == _MARK:
                text = pc.replace_substring(pc.utf8_trim_whitespace(table[place]), self._decimal, ".")
                try:
                    table = table.set_column(place, kept.name, text.cast(pa.float64()))
                except pa.ArrowInvalid:
                    continue
        return table

    def _key(self, stat: os.stat_result) -> Key:
        return (type(self), self._dialect, self._zone.key, stat.st_dev, stat.st_ino, stat.st_size, stat.st_mtime_ns)


def snapshot(path: Path) -> tuple[os.stat_result, bytes]:
    """Return the file as it is now; rows appended meanwhile are left. Raises SourceError when it was rewritten."""
    with path.open("rb") as file:
        before = os.fstat(file.fileno())
        data = file.read(before.st_size)
        after = os.fstat(file.fileno())
        if (before.st_size, before.st_mtime_ns) != (after.st_size, after.st_mtime_ns):
            file.seek(0)
            head = file.read(min(_EDGE, len(data)))
            file.seek(max(0, len(data) - _EDGE))
            tail = file.read(min(_EDGE, len(data)))
            if after.st_size < len(data) or head != data[:_EDGE] or tail != data[-_EDGE:]:
                raise SourceError(f"{path}: was rewritten while it was read; write to a name ending in .tmp and rename it")
    return before, data


def mark_numbers(table: pa.Table, names: Sequence[str], decimal: str = ".") -> pa.Table:
    """Mark those text columns among `names` that hold numbers but for a few errors."""
    for name in names:
        place = table.schema.get_field_index(name)
        text = pc.drop_null(table[name])
        pattern = _NUMBER.replace(r"\.", "," if decimal == "," else r"\.")
        numbers = pc.sum(pc.match_substring_regex(text, pattern)).as_py() or 0
        if len(text) and numbers >= _MOSTLY * len(text):
            table = table.set_column(place, table.schema.field(place).with_metadata(_MARK), table[name])
    return table


def _overlaps(known: Range, start: datetime | None, end: datetime | None) -> bool:
    if known is None or (start is None and end is None):
        return True
    return (start is None or known[1] >= start) and (end is None or known[0] <= end)


def _range(times: pa.ChunkedArray) -> Range:
    limits = pc.min_max(times).as_py()
    return None if limits["min"] is None else (limits["min"], limits["max"])


def _present(schema: pa.Schema, columns: Sequence[str]) -> list[str]:
    return [name for name in columns if name in schema.names]


def _choose(table: pa.Table, columns: Sequence[str] | None) -> pa.Table:
    return table if columns is None else table.select(_present(table.schema, columns))


def _remember(key: Key, schema: pa.Schema) -> _Facts:
    if len(_known) > 10_000:
        _known.clear()
    _known[key] = _Facts(schema)
    return _known[key]
