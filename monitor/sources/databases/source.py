"""A table or view of a database as a source: read-only, only the columns and the time range asked for."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from functools import cached_property
from importlib import import_module
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.records import Content
from monitor.sources.column_types import Bounds, first_rows, flat, require_distinct, tidy, unread, within
from monitor.sources.databases.engine import Column, Engine, Session, has_times
from monitor.sources.databases.kinds import engine_of
from monitor.sources.databases.spool import Spool
from monitor.sources.ids import row_hashes
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import in_utc
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.strays import Strays, Times, strays_of
from monitor.sources.written_numbers import Style, as_declared, typed

_SLACK = timedelta(days=1)       # of naive times and dates in SQL; the rows are filtered exactly afterwards
_ENDS = 1000                     # rows at either end of a table whose times are looked at
_MANY = 1 << 60                  # rows, where they are not counted: if none of so many is a stray, none of fewer is


class DatabaseSource:
    each_once = False
    costs = True

    def __init__(self, section: SourceSection, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        assert section.database is not None, "a section without path has a database"
        assert section.table is not None, "a section with a database has a table"
        self.origin = f"table {section.table} (database {section.database})"
        self._address = section.database
        self._table = section.table
        self._zone = zone
        self._known = known
        self._timeout = section.timeout
        self._stored: pa.Schema | None = None        # the columns at the first look, or since the fingerprint was taken
        self._schema: pa.Schema | None = None        # as they are read

    @cached_property
    def _engine(self) -> Engine:
        address = self._address if isinstance(self._address, str) else self._address.reveal()
        return engine_of(self.origin, address, self._timeout)

    def fingerprint(self) -> str:
        self._stored = self._schema = None           # look again: columns may have come or gone
        with self._connected() as session:
            return _hashed(self._engine.fingerprint(session, self._table))

    def content_id(self) -> str:
        """Return a hash of all rows in any order."""
        with self._connected() as session:
            found = self._engine.content(session, self._table)
            if found is None:
                hashes = [row_hashes(part) for part in self._tables(session, None, [], Bounds())]
                found = sum(map(len, hashes)), [int(sum(np.sum(one**power) for one in hashes)) for power in (1, 3)]
        return _hashed(found)

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        stamp = self.fingerprint()
        if (self.origin, stamp) not in known:
            yield Content(place=place, name=self.origin, stamp=stamp, hash=None, bytes=None)

    def stamp(self, columns: Sequence[str], bounds: Bounds) -> str | None:
        with self._connected() as session:
            kinds = {field.name: field for field in self._columns(session)}
            there = [name for name in columns if name in kinds]
            found = self._engine.stamp(session, self._table, there, self._where(session, kinds, bounds))
        return None if found is None else _hashed(found)

    def guesses(self) -> dict[str, str]:
        return {}

    def schema(self) -> pa.Schema:
        if self._schema is None:
            with self._connected() as session:
                self._schema = next(self._tables(session, None, [], Bounds(), most=0)).schema
        return self._schema

    def left_out(self) -> dict[str, str]:
        if self._stored is None:
            with self._connected() as session:
                return unread(self._columns(session))
        return unread(self._stored)

    def head(self, values: int) -> pa.Table:
        with self._connected() as session:
            columns = len(self._columns(session))
            table = pa.concat_tables(self._tables(session, None, [], Bounds(), most=first_rows(values, columns)))
        return typed(table, self._known.texts)

    def read(
        self,
        columns: Sequence[str] | None,
        *,
        timestamp: str | None = None,
        start: datetime | None = None,
        end: datetime | None = None,
        moments: Sequence[str] = (),
    ) -> pa.Table:
        times = list(dict.fromkeys([*([timestamp] if timestamp else []), *moments]))
        wanted = None if columns is None else list(dict.fromkeys([*columns, *times]))
        with self._connected() as session:
            table = pa.concat_tables(self._tables(session, wanted, times, Bounds(timestamp, start, end)))
        return typed(table, self._known.texts)

    def scan(
        self, timestamp: str, start: datetime | None, end: datetime | None, columns: Collection[str] | None = None
    ) -> Spool:
        bounds = Bounds(timestamp or None, start, end)
        times = [timestamp] if timestamp else []
        wanted = None if columns is None else list(dict.fromkeys([*columns, *times]))
        with self._connected() as session:
            tables = self._tables(session, wanted, times, bounds)
            return Spool(next(tables).schema, tables, self._known.texts, self._in_utc)

    def _columns(self, session: Session) -> pa.Schema:
        """Return the columns as they are stored; they are asked for once."""
        if self._stored is None:
            self._stored = self._engine.columns(session, self._table)
        return self._stored

    def _in_utc(self, table: pa.Table, names: Sequence[str]) -> pa.Table:
        return in_utc(table, names, self._zone, self.origin)

    def strays(self, timestamp: str) -> Strays:
        """Look at rows without a timestamp and at both ends of the table, which an index on the timestamp makes cheap.

        Rows are counted only where that is cheap, or some may be far away. They have no order, so none is placed.
        """
        with self._connected() as session:
            kinds = {field.name: field for field in self._columns(session)}
            field = kinds.get(timestamp)
            if field is None or not self._engine.orders(session, self._table, field):
                return self._strays_of_all(timestamp)
            table = self._engine.table(self._table)
            (untimed,) = session.rows(f"SELECT count(*) FROM {table} WHERE {self._engine.untold(field)}")[0]
            first, last = (self._end(session, field, order, _ENDS) for order in ("ASC", "DESC"))
            if first.rows < _ENDS:
                rows: int | None = first.rows + untimed
            else:
                unknown = self._engine.counts or _meet(first, last) or _apart(first, last, _MANY)
                rows = self._count(session, table) if unknown else None
            if rows is not None and _ENDS < rows - untimed < 2 * _ENDS:
                last = self._end(session, field, "DESC", rows - untimed - _ENDS)
        found = _strays_between(first, last, _MANY if rows is None else rows - untimed)
        nowhere = untimed + found.apart
        return replace(found, rows=rows, untimed=untimed, unplaced=nowhere, placed=found.placed[:0])

    def _strays_of_all(self, timestamp: str) -> Strays:
        times = Times.of(self.read([], timestamp=timestamp)[timestamp])
        found = strays_of([times])
        return replace(found, unplaced=found.untimed + found.apart, placed=found.placed[:0])

    def _count(self, session: Session, table: str) -> int:
        return int(session.rows(f"SELECT count(*) FROM {table}")[0][0])

    def _end(self, session: Session, field: pa.Field, order: str, rows: int) -> Times:
        """Return the times of so many rows at one end of the table."""
        by = self._engine.order(self._table, field.name)
        where = f" WHERE {self._engine.told(field)} ORDER BY {by} {order}"
        parts = self._engine.tables(session, [Column(field, exact=False)], self._table, where, rows)
        return Times.of(self._in_utc(pa.concat_tables(parts), [field.name])[field.name])

    def _tables(
        self, session: Session, wanted: list[str] | None, times: list[str], bounds: Bounds, most: int | None = None
    ) -> Iterator[pa.Table]:
        """Yield an empty table, for its types, then the rows within the bounds, with `times` in UTC."""
        stored = self._columns(session)
        names = [name for name in stored.names if name not in unread(stored)] if wanted is None else wanted
        tops = self._tops(stored, names)
        kinds = {field.name: field for field in stored}
        columns = [Column(kinds[top], top in self._known.exact) for top in tops]
        parts = self._engine.tables(session, columns, self._table, self._where(session, kinds, bounds), most)
        if any(not has_times(kinds[name].type) for name in times if name in kinds):
            parts = iter([pa.concat_tables(parts)])          # all rows together decide what numbers count
        for place, part in enumerate(parts):
            table = self._trimmed(part, times, bounds)
            table = table if wanted is None else table.select(wanted)
            if place == 0:
                yield table.slice(0, 0)
            if len(table):
                yield table

    def _tops(self, stored: pa.Schema, names: Sequence[str]) -> list[str]:
        """Return the columns to select: of a field of a struct, `a.b`, the struct. Raises SourceError."""
        found = {}
        for name in names:
            top = name if name in stored.names else name.partition(".")[0]
            if top not in stored.names:
                raise SourceError(f"{self.origin}: has no column {quoted(name)}, expected it among "
                                  f"{quoted(', '.join(stored.names))}")
            found[top] = True
        return list(found)

    def _trimmed(self, part: pa.Table, times: list[str], bounds: Bounds) -> pa.Table:
        part = flat(part)
        require_distinct(part.column_names, self.origin)
        table = within(self._in_utc(part, times), bounds)
        return as_declared(tidy(table, self._known.exact), self._known.numbers, Style())

    def _where(self, session: Session, kinds: dict[str, pa.Field], bounds: Bounds) -> str:
        field = kinds.get(bounds.timestamp or "")
        limits = [(sign, at) for sign, at in ((">=", bounds.start), ("<=", bounds.end)) if at is not None]
        if field is None or not limits:
            return ""
        ordered = self._engine.orders(session, self._table, field)
        condition_of = self._engine.limit if ordered else self._engine.loose_limit
        told = [condition for limit in limits if (condition := condition_of(field, *limit)) is not None]
        return f" WHERE {' AND '.join(told)}" if told else ""

    @contextmanager
    def _connected(self) -> Iterator[Session]:
        """Open a read-only session. Raises SourceError without secrets in it."""
        engine = self._engine
        try:
            for package in engine.packages.split(", "):
                import_module(package)
        except ImportError:
            raise SourceError(f"{self.origin}: needs the driver of {engine.name}, which is not installed; pip install "
                              f"'driftd[{engine.extra}]'") from None
        faults = engine.faults()
        try:
            with engine.connected() as session:
                yield session
        except (*faults, pa.ArrowException, OSError, OverflowError, ValueError) as error:
            if not isinstance(error, faults) and is_out_of_memory(error):     # ours, not the server's
                raise MemoryError(str(error)) from None
            raise SourceError(f"{self.origin}: cannot be read ({self._words(error)}), expected a readable "
                              "table") from None

    def _words(self, error: Exception) -> str:
        """Return what the driver says in one line, without what nobody may see."""
        text = self._engine.said(error)
        for secret in self._engine.secrets():
            text = text.replace(secret, "***")
        first = next(line for line in text.splitlines() if line.strip())
        return quoted(first.rpartition("ERROR:")[2].strip()[:300])


def _strays_between(first: Times, last: Times, rows: int) -> Strays:
    """Return the strays of so many rows with times, by those at both ends; what lies between is one stretch."""
    if rows <= first.rows:
        return strays_of([first])
    return strays_of([first, Times(rows - first.rows - last.rows, first.high, last.low, None), last])


def _meet(first: Times, last: Times) -> bool:
    """Tell whether both ends of a table may hold the same rows."""
    return first.high >= last.low


def _apart(first: Times, last: Times, rows: int) -> bool:
    return _strays_between(first, last, rows).apart > 0


def _hashed(found: object) -> str:
    return hashlib.sha256(repr(found).encode()).hexdigest()
