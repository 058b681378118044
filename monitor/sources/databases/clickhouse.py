"""ClickHouse over HTTP: each question is one request, its answer an Arrow stream, kept in a file while it is read.

ClickHouse has no transactions: each question sees the rows that were there when it began.
"""

import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, NamedTuple
from urllib.parse import parse_qs, unquote, urlencode, urlsplit

import pyarrow as pa

from monitor.errors import DeliveryError, SourceError
from monitor.http import send
from monitor.sources.databases.engine import Column, Engine, Session, gathered

_PORTS = {False: 8123, True: 8443}               # by whether TLS is spoken
_NOT_HTTP = (9000, 9440)                         # the ports of ClickHouse's own protocol
_MOST_BYTES = 1 << 40                            # of an answer
_STORED = b"stored"                              # key of what a column is, as ClickHouse writes it
_WRAPPED = re.compile(r"(?:Nullable|LowCardinality)\((.*)\)|SimpleAggregateFunction\(\w+, (.*)\)")
_IN_ARROW = re.compile(r"U?Int(8|16|32|64)|Float(32|64)|Bool|String|(Decimal|Array|Map|Tuple|Nested)\(.*")
_FIRST, _LAST, _LAST_NS = datetime(1900, 1, 2), datetime(2299, 12, 30), datetime(2262, 4, 10)    # that can be compared


class ClickHouseError(Exception):
    """What the server says instead of an answer."""


class _Server(NamedTuple):
    url: str
    database: str
    user: str
    password: str


class _Look(Session):
    """Requests of one user. Nothing stays open between them."""

    def __init__(self, server: _Server, timeout: timedelta) -> None:
        self._server = server
        self._timeout = timeout
        self._settings = {"wait_end_of_query": "1"}          # answers come whole, and an error as an error
        ((readonly,),) = self.rows("SELECT value FROM system.settings WHERE name = 'readonly'")
        if readonly != "1":                                  # who only reads may set nothing
            seconds = str(max(1, round(timeout.total_seconds())))
            self._settings |= {"readonly": "2", "max_execution_time": seconds,
                               "max_threads": "1"}           # rows come in the same order each time

    def schema(self, query: str) -> pa.Schema:
        return next(self.tables(query)).schema

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for part in self.tables(query) for row in part.to_pylist()]

    def tables(self, query: str) -> Iterator[pa.Table]:
        with TemporaryDirectory(prefix="driftd-") as folder:
            answer = Path(folder) / "answer.arrow"
            self._ask(query, answer)
            with pa.memory_map(str(answer)) as file, pa.ipc.open_stream(file) as batches:
                yield batches.schema.empty_table()
                yield from gathered(map(_checked, batches))

    def _ask(self, query: str, answer: Path) -> None:
        server = self._server
        reply = send("POST", f"{server.url}/?{urlencode({'database': server.database, **self._settings})}",
                     headers={"X-ClickHouse-User": server.user, "X-ClickHouse-Key": server.password},
                     body=f"{query} FORMAT ArrowStream".encode(), timeout=self._timeout, into=answer,
                     limit=_MOST_BYTES)
        if reply.status != 200:
            raise ClickHouseError(reply.body.decode(errors="replace").strip() or f"it answers {reply.status}")


class ClickHouse(Engine):
    packages = "requests"
    name, example = "ClickHouse", "clickhouse://user:password@host:8123/database"
    counts = True

    @contextmanager
    def connected(self) -> Iterator[Session]:
        yield _Look(self._server(), self.timeout)

    def faults(self) -> tuple[type[Exception], ...]:
        return ClickHouseError, DeliveryError

    def secrets(self) -> list[str]:
        return [self.address, *filter(None, [self._server().password])]

    def quoted(self, name: str) -> str:
        super().quoted(name)             # raises for a NUL
        return "`" + name.replace("\\", "\\\\").replace("`", "\\`") + "`"

    def table(self, name: str) -> str:
        return ".".join(map(self.quoted, self._parts(name)))

    def columns(self, session: Session, table: str) -> pa.Schema:
        """Return the columns of `SELECT *`. What is no value yet, the state of an aggregate, counts as bytes."""
        kinds = dict(row[:2] for row in session.rows(f"DESCRIBE TABLE {self.table(table)}"))
        states = [name for name, kind in kinds.items() if kind.startswith("AggregateFunction(")]
        left_out = f" EXCEPT ({', '.join(map(self.quoted, states))})" if states else ""
        names = session.schema(f"SELECT *{left_out} FROM {self.table(table)} LIMIT 0").names
        fields = [pa.field(name, pa.null(), metadata={_STORED: kinds[name]}) for name in names]
        found = session.schema(self.query([Column(field, False) for field in fields], table, "", 0))
        return pa.schema([field.with_type(stored.type) for field, stored in zip(fields, found, strict=True)]
                         + [pa.field(name, pa.binary()) for name in states])

    def chosen(self, column: Column) -> str:
        """Return the expression for a column: times are in UTC, and what Arrow does not have is text."""
        name, kind = self.quoted(column.field.name), (column.field.metadata or {}).get(_STORED, b"").decode()
        while wrapped := _WRAPPED.fullmatch(kind):
            kind = wrapped[1] or wrapped[2]
        if time := re.match(r"DateTime(?:64\((\d))?", kind):
            return f"toDateTime64({name}, {time[1] or 0}, 'UTC')"
        if kind.startswith("Date"):
            return f"toDate32({name})"
        if kind.startswith("FixedString"):
            return f"toStringCutToZero({name})"
        return name if _IN_ARROW.match(kind) else f"toString({name})"

    def query(self, columns: Sequence[Column], table: str, where: str, most: int | None) -> str:
        """In `where` a name is a column; beside the expressions it would be the one that has its name."""
        names, limit = self._names(columns), "" if most is None else f" LIMIT {most}"
        chosen = ", ".join(f"{self.chosen(one)} AS {self.quoted(one.field.name)}" for one in columns) or "1"
        return f"SELECT {chosen} FROM (SELECT {names} FROM {self.table(table)}{where}{limit})"

    def literal(self, kind: pa.DataType, at: datetime) -> str:
        if pa.types.is_date(kind):
            return f"toDate32('{min(max(at, _FIRST), _LAST).date().isoformat()}')"
        last, digits = (_LAST_NS, 9) if kind.unit == "ns" else (_LAST, 6)
        return f"toDateTime64('{min(max(at, _FIRST), last).isoformat(' ', 'microseconds')}', {digits}, 'UTC')"

    def fingerprint(self, session: Session, table: str) -> object:
        """Return the rows, the newest block and the newest change of each partition, which merges leave as they are.

        A view, a distributed table and the like have no parts; the number of rows is used instead.
        """
        *database, name = map(_text, self._parts(table))
        parts = session.rows(
            "SELECT partition_id, sum(rows), max(max_block_number), max(data_version) FROM system.parts WHERE active"
            f" AND database = {database[0] if database else 'currentDatabase()'} AND table = {name}"
            " GROUP BY partition_id ORDER BY partition_id")
        return parts or super().fingerprint(session, table)

    def content(self, session: Session, table: str) -> object:
        return self._hashed(session, [field.name for field in self.columns(session, table)
                                      if not pa.types.is_binary(field.type)], table, "")

    def stamp(self, session: Session, table: str, columns: list[str], where: str) -> object:
        return self._hashed(session, columns, table, where)

    def _hashed(self, session: Session, names: list[str], table: str, where: str) -> object:
        """Return the number of rows and the sum of their 64-bit hashes."""
        row = ", ".join(map(self.quoted, names)) or "1"
        return session.rows(f"SELECT count(), sum(sipHash64(toString(tuple({row})))) FROM {self.table(table)}{where}")

    def _names(self, columns: Sequence[Column]) -> str:
        return ", ".join(self.quoted(column.field.name) for column in columns) or "1"

    def _parts(self, table: str) -> list[str]:
        return [part.strip('`"') for part in table.split(".")]

    def _server(self) -> _Server:
        """Return what the address says. Raises SourceError where it is none."""
        try:
            parts = urlsplit(self.address)
            host, port, database = parts.hostname, parts.port, unquote(parts.path[1:])
            options = parse_qs(parts.query, strict_parsing=bool(parts.query))
        except ValueError:
            host, port, database, options = None, None, "", {}
        secure = options.pop("secure", ["false"])[0].lower()
        if not host or not database or options or secure not in ("true", "false", "1", "0"):
            raise SourceError(f"{self.origin}: the secret is not an address of ClickHouse, expected one such as "
                              f"{self.example}, with ?secure=true for TLS")
        if port in _NOT_HTTP:
            raise SourceError(f"{self.origin}: port {port} is that of ClickHouse's own protocol, expected the one of "
                              f"HTTP, usually {_PORTS[False]}, with ?secure=true {_PORTS[True]}")
        tls = secure in ("true", "1")
        place = f"[{host}]" if ":" in host else host
        return _Server(f"http{'s' if tls else ''}://{place}:{port or _PORTS[tls]}", database,
                       unquote(parts.username or "default"), unquote(parts.password or ""))


def _checked(batch: pa.RecordBatch) -> pa.Table:
    """Return the rows as a table. Raises ClickHouseError where text is none: a String may hold any bytes."""
    table = pa.Table.from_batches([batch])
    for name, column in zip(table.column_names, table.columns, strict=True):
        try:
            column.validate(full=True)
        except pa.ArrowInvalid:
            raise ClickHouseError(f"column {name} holds bytes that are no text in UTF-8, expected text; read a view "
                                  "with hex() of it, or without it") from None
    return table


def _text(text: str) -> str:
    return "'" + text.replace("\\", "\\\\").replace("'", "\\'") + "'"
