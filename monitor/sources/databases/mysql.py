"""MariaDB and MySQL: a read-only transaction on one snapshot of the data, through a driver in Python.

The driver hands over the text of each value, and Arrow makes numbers and times of it. No driver that speaks Arrow reads
every value: ConnectorX ends with a panic at a negative TIME or a date of zeros, and has no transactions.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import closing
from datetime import datetime
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.errors import SourceError
from monitor.outgoing import trust
from monitor.outgoing.guard import look_up
from monitor.private import quoted
from monitor.sources.column_types import UTC_US
from monitor.sources.databases.engine import BATCH, STORED, Column, Session, host_words, parts_of
from monitor.sources.databases.server_engine import ServerEngine

_CONNECT_SECONDS = 10
_PORT = 3306
_NAIVE = pa.timestamp("us")
_KINDS = {
    "tinyint": pa.int64(), "smallint": pa.int64(), "mediumint": pa.int64(), "int": pa.int64(), "bigint": pa.int64(),
    "year": pa.int64(), "bit": pa.uint64(), "decimal": pa.float64(), "double": pa.float64(), "float": pa.float32(),
    "datetime": _NAIVE, "timestamp": UTC_US, "date": pa.date32(),
    "binary": pa.binary(), "varbinary": pa.binary(), "tinyblob": pa.binary(), "blob": pa.binary(),
    "mediumblob": pa.binary(), "longblob": pa.binary(),
    **dict.fromkeys(("geometry", "point", "linestring", "polygon", "multipoint", "multilinestring", "multipolygon",
                     "geometrycollection", "geomcollection", "vector"), pa.binary()),
}                                # the rest is text
_FIRST_DAY = "'0001-01-01'"
_NO_DATE = r"^(0000|\d{4}-00|\d{4}-\d\d-00)"     # dates that are none, which older tables hold


class MySQLSession(Session):
    """Like any session, of a driver without Arrow."""

    def schema(self, query: str) -> pa.Schema:
        return next(self.tables(query)).schema

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        """Return the rows; counts are numbers, the rest is text."""
        from pymysql.constants import FIELD_TYPE

        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            counts = [code == FIELD_TYPE.LONGLONG for _, code, *_ in cursor.description]
            return [tuple(int(value) if count and value is not None else value
                          for value, count in zip(row, counts, strict=True)) for row in cursor.fetchall()]

    def tables(self, query: str) -> Iterator[pa.Table]:
        """Yield an empty table, then the rows; numbers and times as texts but for the kinds of time."""
        from pymysql.constants import FIELD_TYPE
        from pymysql.cursors import SSCursor

        times = {FIELD_TYPE.DATETIME: _NAIVE, FIELD_TYPE.TIMESTAMP: UTC_US, FIELD_TYPE.DATE: pa.date32()}
        with closing(self._connection.cursor(SSCursor)) as cursor:
            cursor.execute(query)
            kinds = {name: times.get(code) for name, code, *_ in cursor.description}
            yield pa.table({name: pa.array([], kind or pa.string()) for name, kind in kinds.items()})
            while rows := cursor.fetchmany(BATCH):
                yield pa.table({name: _made(pa.array(values), kind) for (name, kind), values
                                in zip(kinds.items(), zip(*rows, strict=True), strict=True)})


class MySQL(ServerEngine):
    packages, extra = "pymysql", "mysql"
    name, example = "MySQL", "mysql://user:password@host/database"

    def connect(self) -> Session:
        import pymysql
        from pymysql.converters import encoders

        given = self._given()
        try:
            look_up(given["host"], given["port"])
        except OSError as error:
            raise SourceError(f"{self.origin}: {host_words(error)}") from None
        connection = pymysql.connect(
            **given, charset="utf8mb4", conv=encoders, autocommit=False, connect_timeout=_CONNECT_SECONDS,
            read_timeout=max(1, round(self.timeout.total_seconds())),
        )
        session = MySQLSession(connection)
        for setting in ("sql_mode = ''", "time_zone = '+00:00'", self._limit_of_time(connection.get_server_info())):
            session.run(f"SET SESSION {setting}")
        return session

    def begin(self, session: Session) -> None:
        session.run("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
        session.run("START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")

    def faults(self) -> tuple[type[Exception], ...]:
        from pymysql import MySQLError

        return (MySQLError,)

    def said(self, error: Exception) -> str:
        return str(error.args[-1]) if error.args else super().said(error)

    def secrets(self) -> list[str]:
        return [self.address, *filter(None, [self._given()["password"]])]

    def quoted(self, name: str) -> str:
        return "`" + super().quoted(name)[1:-1].replace('""', '"').replace("`", "``") + "`"

    def table(self, name: str) -> str:
        return ".".join(map(self.quoted, self._parts(name)))

    def columns(self, session: Session, table: str) -> pa.Schema:
        *schema, name = map(_text, self._parts(table))
        found = session.rows(
            "SELECT column_name, data_type, column_type FROM information_schema.columns"
            f" WHERE table_schema = {schema[0] if schema else 'DATABASE()'} AND table_name = {name}"
            " ORDER BY ordinal_position")
        if not found:
            raise SourceError(f"{self.origin}: there is no such table that this user may read, expected one")
        return pa.schema([_field(*column) for column in found])

    def chosen(self, column: Column) -> str:
        name, stored = self.quoted(column.field.name), (column.field.metadata or {}).get(STORED)
        if stored == b"float":
            return f"({name} + 0e0)"             # else six digits of it
        if stored == b"bit":
            return f"({name} + 0)"
        if stored == b"decimal" and column.exact:
            return f"IF(LOCATE('.', {name}), TRIM(TRAILING '.' FROM TRIM(TRAILING '0' FROM {name})), {name})"
        return f"CAST({name} AS CHAR)" if stored == b"other" or column.exact else name

    def tables(
        self, session: Session, columns: Sequence[Column], table: str, where: str, most: int | None
    ) -> Iterator[pa.Table]:
        kinds = {column.field.name: pa.string() if column.exact else column.field.type for column in columns}
        for part in session.tables(self.query(columns, table, where, most)):
            yield pa.table([self._as_declared(name, part[name], kind) for name, kind in kinds.items()],
                           names=list(kinds)) if kinds else part

    def literal(self, kind: pa.DataType, at: datetime) -> str:
        """The session's time zone is UTC."""
        return f"'{at.isoformat(' ')}'"

    def told(self, field: pa.Field) -> str:
        return f"{self.quoted(field.name)} >= {_FIRST_DAY}"

    def untold(self, field: pa.Field) -> str:
        return f"({super().untold(field)} OR {self.quoted(field.name)} < {_FIRST_DAY})"

    def fingerprint(self, session: Session, table: str) -> object:
        """Return the number of rows, and when the table was written last, where the server knows."""
        *schema, name = map(_text, self._parts(table))
        written = session.rows(
            "SELECT update_time, create_time, auto_increment FROM information_schema.tables"
            f" WHERE table_schema = {schema[0] if schema else 'DATABASE()'} AND table_name = {name}")
        return super().fingerprint(session, table), written

    def stamp(self, session: Session, table: str, columns: list[str], where: str) -> object:
        """Return the number of rows, and a sum of 60 bits of the MD5 of each."""
        kinds = {field.name: field for field in self.columns(session, table)}
        chosen = [self.chosen(Column(kinds[name], False)) for name in columns] or ["1"]
        values = ", ".join(f"COALESCE(HEX(CAST({one} AS BINARY)), '-')" for one in chosen)
        row = f"CAST(CONV(LEFT(MD5(CONCAT_WS(',', {values})), 15), 16, 10) AS UNSIGNED)"
        return session.rows(f"SELECT count(*), sum({row}) FROM {self.table(table)}{where}")

    def _as_declared(self, name: str, values: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
        if not pa.types.is_boolean(kind):
            return _made(values, kind)
        numbers = _made(values, pa.int64())
        if pc.all(pc.is_in(numbers, pa.array([0, 1, None], pa.int64()))).as_py() is False:
            raise SourceError(f"{self.origin}: column {quoted(escape.name(name))} is TINYINT(1), as BOOLEAN is, and "
                              "has other numbers, expected 0 and 1; read a view that adds 0")
        return numbers.cast(kind)

    def _parts(self, table: str) -> list[str]:
        return [part.strip('"') for part in parts_of(table, "`")]

    def _limit_of_time(self, server: str) -> str:
        seconds, mariadb = max(1, round(self.timeout.total_seconds())), "MariaDB" in server
        return f"max_{'statement' if mariadb else 'execution'}_time = {seconds * (1 if mariadb else 1000)}"

    def _given(self) -> dict[str, Any]:
        """Return what the driver is given of the address. Raises SourceError where it is none."""
        try:
            parts = urlsplit(self.address)
            host, port, database = parts.hostname, parts.port or _PORT, unquote(parts.path[1:])
            options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        except ValueError:
            host, database, options = None, "", {}
        mode = options.pop("ssl-mode", ["PREFERRED"])[0]
        if not host or not database or options or mode not in ("DISABLED", "PREFERRED", "VERIFY_IDENTITY"):
            raise SourceError(f"{self.origin}: the secret is not an address of MySQL, expected one such as "
                              f"{self.example}, also with ?ssl-mode=DISABLED, PREFERRED or VERIFY_IDENTITY")
        tls: dict[str, Any] = {"ssl_disabled": True} if mode == "DISABLED" else {}
        tls |= {"ssl": trust.context()} if mode == "VERIFY_IDENTITY" else {}
        return {"host": host, "port": port, "database": database, "user": unquote(parts.username or ""),
                "password": unquote(parts.password or ""), **tls}


def _field(name: str, kind: str, declared: str) -> pa.Field:
    if declared == "tinyint(1)":
        return pa.field(name, pa.bool_())
    unsigned = kind == "bigint" and "unsigned" in declared
    known = pa.uint64() if unsigned else _KINDS.get(kind, pa.string())
    is_text = re.search(r"char|text|enum|set|json", kind) is not None
    return pa.field(name, known, metadata={STORED: kind if kind in _KINDS or is_text else "other"})


def _made(values: Any, kind: pa.DataType | None) -> Any:
    """Turn what came into the type that is wanted; a date of zeros is none."""
    if kind is None or values.type == kind:
        return values
    if pa.types.is_null(values.type) or not pa.types.is_temporal(kind):
        return values.cast(kind)
    try:
        return values.cast(_NAIVE).cast(kind) if kind == UTC_US else values.cast(kind)
    except pa.ArrowInvalid:
        none = pc.match_substring_regex(values, _NO_DATE)
        if not pc.any(none).as_py():
            raise
        return _made(pc.if_else(none, None, values), kind)


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "''") + "'"
