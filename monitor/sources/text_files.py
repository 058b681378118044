"""What CSV and JSON lines share: a consistent read of a file that may grow, and facts cached about it."""

import os
from collections.abc import Collection, Iterator, Sequence
from copy import copy
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Self
from zoneinfo import ZoneInfo

import pyarrow as pa

from monitor.errors import SourceError
from monitor.sources.column_types import Bounds
from monitor.sources.compressed import unpacked
from monitor.sources.kept_tables import TABLES
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import Unit, in_utc
from monitor.sources.strays import Times
from monitor.sources.written_numbers import Style, as_declared, number_share, numbers
from monitor.times import utcnow
from monitor.untrusted import open_file

_EDGE = 4096                     # bytes compared at both ends to distinguish appending from rewriting
_MARK = {b"numbers": b"some"}
_GLANCE = 200                    # rows looked at before all are
_SETTLED = 1.0                   # seconds: a file that was written since may be written again and show the same time

Key = tuple[object, ...]


@dataclass(slots=True)
class _Facts:
    """What is known of a file from reading it, cached in this process until the file changes."""

    schema: pa.Schema
    left_out: dict[str, str]
    texts: frozenset[str]            # the columns that were read as text, whatever they hold
    times: dict[str, Times] = field(default_factory=dict)      # by column


_known: dict[Key, _Facts] = {}


class TextFormat:
    """Base class of the text formats. A subclass defines `_parse`, and `_dialect` as a part of the cache key."""

    day_first: bool | None = None
    grows = True
    _style = Style()
    _dialect: object = None

    def __init__(self, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        self._zone = zone
        self._types = known

    def _parse(
        self, data: bytes, path: Path, columns: list[str] | None, texts: Collection[str] | None
    ) -> tuple[pa.Table, dict[str, str]]:
        """Return the rows, and the columns that are left out, each with the reason.

        `texts`: the columns that hold text, if the file was read before.
        """
        raise NotImplementedError

    def as_words(self, names: Collection[str]) -> Self:
        """Return a reader to which the cells of more columns are words."""
        other = copy(self)
        other._types = replace(self._types, words=self._types.words | set(names))
        return other

    def schema(self, path: Path) -> pa.Schema:
        facts = self._facts(path.stat()) or self._load(path, None)[0]
        return self.settle(self._empty(facts)).schema

    def _empty(self, facts: _Facts) -> pa.Table:
        """Return a table without rows, with the types that the file's columns are read with."""
        schema = facts.schema
        for name in self._types.texts & set(schema.names):
            schema = schema.set(schema.get_field_index(name), pa.field(name, pa.string()))
        return schema.empty_table()

    def left_out(self, path: Path) -> dict[str, str]:
        return (self._facts(path.stat()) or self._load(path, None)[0]).left_out

    def _facts(self, stat: os.stat_result) -> _Facts | None:
        """Return what is known of a file, unless it was read with columns as text that are to have their own type."""
        facts = _known.get(self._key(stat))
        return facts if facts and facts.texts <= self._types.texts else None

    def read(self, path: Path, columns: Sequence[str] | None, bounds: Bounds) -> Iterator[pa.Table]:
        """Yield the file's rows, or an empty table if the file is known to lie outside the bounds."""
        facts = self._facts(path.stat())
        if facts and not _may_overlap(facts, bounds):
            yield _choose(self._empty(facts), columns)
            return
        yield self._load(path, columns, bounds.timestamp)[1]

    def times(self, path: Path, timestamp: str) -> Iterator[Times]:
        """Yield the timestamps of a file, which are known once it has been read."""
        facts = self._facts(path.stat())
        if facts is None or timestamp not in facts.times:
            facts, _ = self._load(path, [timestamp], timestamp)
        if timestamp in facts.times:
            yield facts.times[timestamp]

    def _load(
        self, path: Path, columns: Sequence[str] | None, timestamp: str | None = None
    ) -> tuple[_Facts, pa.Table]:
        """Read the file, `timestamp` in UTC, and cache what is learnt of it; its rows too, unless they are many.

        A new file is parsed with all columns, for its schema.
        """
        found = self._kept(path.stat(), columns, timestamp)
        if found is not None:
            return found
        stat, data = snapshot(path)
        key = None if stat is None else self._key(stat)
        facts = None if stat is None else self._facts(stat)
        wanted = None if facts is None or columns is None else _present(facts.schema, columns)
        texts = None if facts is None else [f.name for f in facts.schema if _is_text(f)]
        table, left_out = self._parse(unpacked(data, path), path, wanted, texts)
        facts = facts or _remember(key, _Facts(table.schema, left_out, self._types.texts))
        if timestamp is not None and timestamp in table.schema.names:
            table = in_utc(table, [timestamp], self._zone, path, self.day_first)
            facts.times[timestamp] = Times.of(table[timestamp])
        if stat is not None and utcnow().timestamp() - stat.st_mtime > _SETTLED:
            TABLES.keep((key, self._types, timestamp, None if wanted is None else tuple(wanted)), table)
        return facts, _choose(table, columns)

    def _kept(
        self, stat: os.stat_result, columns: Sequence[str] | None, timestamp: str | None
    ) -> tuple[_Facts, pa.Table] | None:
        """Return what `_load` does, if the rows of the file are still in memory."""
        if (facts := self._facts(stat)) is None:
            return None
        of_file = (self._key(stat), self._types, timestamp)
        parsed = [None, *([] if columns is None else [tuple(_present(facts.schema, columns))])]
        found = (TABLES.get((*of_file, names)) for names in parsed)
        table = next((table for table in found if table is not None), None)
        return None if table is None else (facts, _choose(table, columns))

    def units(self, path: Path, names: Sequence[str]) -> dict[str, Unit]:
        return {}                # each table has all rows of the file, which decide the units of its times

    def settle(self, table: pa.Table) -> pa.Table:
        """Convert text to numbers if these rows hold nothing else, though others of the file do."""
        for place, kept in enumerate(table.schema):
            few = kept.metadata == _MARK and numbers(table[place].slice(0, _GLANCE), self._style) is not None
            if few and (found := numbers(table[place], self._style)) is not None:
                table = table.set_column(place, kept.name, found if len(found) else found.cast(pa.float64()))
        return as_declared(table, self._types.numbers, self._style) if self._types.numbers else table

    def _key(self, stat: os.stat_result) -> Key:
        reading = (type(self), self._dialect, self._zone.key)
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


def with_numbers(table: pa.Table, names: Sequence[str], style: Style) -> pa.Table:
    """Return the table with numbers for the text columns among `names` that hold only numbers, of one decimal sign.

    Those that hold numbers and words are marked, for `settle`.
    """
    for name in names:
        share = number_share(table[name], style)
        used = style if share == 1 or number_share(table[name], style.other) < 1 else style.other
        if (share == 1 or used != style) and (found := numbers(table[name], used)) is not None:
            table = table.set_column(table.schema.get_field_index(name), name, found)
        elif share:
            table = marked(table, [name])
    return table


def marked(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the table with a mark on text columns which `settle` may turn into numbers."""
    for name in names:
        place = table.schema.get_field_index(name)
        table = table.set_column(place, table.schema.field(place).with_metadata(_MARK), table[name])
    return table


def _is_text(column: pa.Field) -> bool:
    return bool(pa.types.is_string(column.type)) and column.metadata != _MARK


def _may_overlap(facts: _Facts, bounds: Bounds) -> bool:
    known = facts.times.get(bounds.timestamp or "")
    return known is None or known.ends is None or bounds.overlaps(*known.ends)


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
