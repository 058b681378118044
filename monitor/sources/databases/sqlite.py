"""SQLite: a file that is opened to be read only. Its columns have no types, only what was declared of them."""

import os
import re
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from urllib.parse import quote

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.databases.engine import Column, Session
from monitor.sources.databases.file_engine import FileEngine

_BATCH = 16_384                  # rows whose values the driver sees before it settles the types
_ISO = "[0-9][0-9][0-9][0-9]-[0-9][0-9]-[0-9][0-9]*"
_DAY = timedelta(days=1)
_FIRST = {pa.int64(): "0", pa.float64(): "0.0", pa.bool_(): "0", pa.string(): "''"}
# What a declared type means, by the words in it, in SQLite's own order.
_DECLARED = (
    ("INT", pa.int64()), ("CHAR|CLOB|TEXT", pa.string()), ("BLOB", pa.binary()), ("REAL|FLOA|DOUB", pa.float64()),
    ("BOOL", pa.bool_()),
)
_FOUND = {"integer": pa.int64(), "real": pa.float64(), "text": pa.string(), "blob": pa.binary()}
_MOST = 64
_dated: dict[tuple[Path, str, str], tuple[object, bool]] = {}     # of columns: a state of the file, and what was seen


class SQLite(FileEngine):
    packages, extra = "adbc_driver_sqlite.dbapi", "sqlite"
    name, example, counts = "SQLite", "sqlite:///folder/file.db", True

    @contextmanager
    def connected(self) -> Iterator[Session]:
        from adbc_driver_sqlite import dbapi

        self.require_file()
        with closing(dbapi.connect(f"file:{quote(os.fsencode(self.path))}?mode=ro")) as connection:
            session = Session(connection, {"adbc.sqlite.query.batch_rows": str(_BATCH)})
            session.run("PRAGMA trusted_schema = OFF")
            yield session

    def table(self, name: str) -> str:
        return self.quoted(name)

    def columns(self, session: Session, table: str) -> pa.Schema:
        text = "'" + self.quoted(table)[1:-1].replace('""', '"').replace("'", "''") + "'"
        declared = session.rows(f"SELECT name, type FROM pragma_table_xinfo({text}) WHERE hidden <> 1")
        if not declared:
            raise SourceError(f"{self.origin}: there is no such table, expected one of {self._tables(session)}")
        return pa.schema([(name, self._kind(session, table, name, kind.upper())) for name, kind in declared])

    def _tables(self, session: Session) -> str:
        names = session.rows("SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') ORDER BY name LIMIT 20")
        return quoted(escape.names([name for name, in names])) if names else "none"

    def _kind(self, session: Session, table: str, name: str, declared: str) -> pa.DataType:
        """Return the type that was declared; where that says little, that of the first value."""
        for words, kind in _DECLARED:
            if re.search(words, declared):
                return kind
        column = self.quoted(name)
        there = f"NULLIF({column}, '') NOTNULL"
        first = session.rows(f"SELECT typeof({column}) FROM {self.table(table)} WHERE {there} LIMIT 1")
        found = _FOUND[first[0][0]] if first else pa.string()
        is_decimal = re.search("NUM|DEC", declared) is not None
        return pa.float64() if is_decimal and found == pa.int64() else found

    def chosen(self, column: Column) -> str:
        """An empty text among numbers is none, as in CSV: `.import` leaves these for empty cells."""
        name = self.quoted(column.field.name)
        if column.exact or pa.types.is_string(column.field.type):
            return f"CAST({name} AS TEXT)"
        if pa.types.is_floating(column.field.type):
            return f"CASE typeof({name}) WHEN 'integer' THEN CAST({name} AS REAL) ELSE NULLIF({name}, '') END"
        return name if pa.types.is_binary(column.field.type) else f"NULLIF({name}, '')"

    def tables(
        self, session: Session, columns: Sequence[Column], table: str, where: str, most: int | None
    ) -> Iterator[pa.Table]:
        """The driver takes the types of the first values for those of the column: a row of values that have the right
        ones comes first, and is left out again.
        """
        kinds = [pa.string() if column.exact else column.field.type for column in columns]
        first = ", ".join(_FIRST.get(kind, "''") for kind in kinds) or "1"
        query = f"SELECT {first} UNION ALL SELECT * FROM ({self.query(columns, table, where, most)})"
        names = [column.field.name for column in columns]
        left = 1
        try:
            for part in session.tables(query):
                some = part.slice(min(left, len(part)))
                left -= len(part) - len(some)
                yield pa.table([self._as_declared(*one) for one in zip(some.columns, kinds, names, strict=False)],
                               names=names)
        except (pa.ArrowException, OSError) as error:
            raise self._named(error, names) from None

    def _as_declared(self, values: pa.ChunkedArray, kind: pa.DataType, name: str) -> pa.ChunkedArray:
        if pa.types.is_boolean(kind) and pa.types.is_integer(values.type):
            if pc.all(pc.is_in(values, pa.array([0, 1, None], values.type))).as_py() is not False:
                return values.cast(kind)
            raise SourceError(f"{self.origin}: column {quoted(escape.name(name))} is declared to hold booleans and "
                              "has other numbers, expected 0 and 1")
        if pa.types.is_string(values.type) and not pa.types.is_string(kind):
            raise self._mixed(name)
        return values

    def _named(self, error: Exception, names: Sequence[str]) -> Exception:
        place = re.search(r"Type mismatch in column (\d+)", str(error))
        return error if place is None else self._mixed(names[int(place[1])])

    def _mixed(self, name: str) -> SourceError:
        return SourceError(f"{self.origin}: column {quoted(escape.name(name))} holds values of several types, expected "
                           "those it was declared with; read a view that casts them")

    def orders(self, session: Session, table: str, field: pa.Field) -> bool:
        """Text is in the order of its days where all of it begins with a date."""
        return pa.types.is_string(field.type) and self._is_dated(session, table, field.name)

    def _is_dated(self, session: Session, table: str, name: str) -> bool:
        """Look at all rows, once for each state of the file."""
        key, before = (self.path, table, name), self.fingerprint(session, table)
        session.rows(f"SELECT 1 FROM {self.table(table)} LIMIT 1")       # the session sees this state from here on
        state = self.fingerprint(session, table)
        if key in _dated and _dated[key][0] == state:
            return _dated[key][1]
        column = self.quoted(name)
        others = f"typeof({column}) NOT IN ('text', 'null') OR {column} NOT GLOB '{_ISO}'"
        found = not session.rows(f"SELECT EXISTS (SELECT 1 FROM {self.table(table)} WHERE {others})")[0][0]
        if state == before:
            _dated[key] = state, found
            while len(_dated) > _MOST:
                del _dated[next(iter(_dated))]
        return found

    def loose_limit(self, field: pa.Field, sign: str, moment: datetime) -> str | None:
        """Text that does not begin with a date is not left out."""
        found = self.limit(field, sign, moment)
        return None if found is None else f"({found} OR {self.quoted(field.name)} NOT GLOB '{_ISO}')"

    def limit(self, field: pa.Field, sign: str, moment: datetime) -> str | None:
        """Text that begins with a date is compared as text."""
        if not pa.types.is_string(field.type):
            return None
        try:
            day = (moment.astimezone(UTC) + (-_DAY if sign == ">=" else 2 * _DAY)).date()
        except OverflowError:
            return None
        return f"{self.quoted(field.name)} {'>=' if sign == '>=' else '<'} '{day.isoformat()}'"
