"""A PostgreSQL table or view as a source: read-only, only the columns and the time range asked for."""

import hashlib
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from monitor.config.sections import SourceSection
from monitor.errors import SourceError
from monitor.outgoing.guard import AddressRefused, look_up
from monitor.private import quoted
from monitor.records import Content
from monitor.sources.column_types import UTC_US, Bounds, within
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.moments import in_utc
from monitor.sources.out_of_memory import is_out_of_memory
from monitor.sources.strays import CLOSE, Strays, Times, strays_of
from monitor.sources.written_numbers import Style, as_declared, typed

if TYPE_CHECKING:
    from psycopg import Connection, sql

_BATCH = 20_000
_CONNECT_SECONDS = 10            # at most; libpq knows whole seconds, at least two
_ORDERED = ("timestamptz", "timestamp", "date")
_MICROS = "(extract(epoch FROM {at}) * 1000000)::bigint"
_END = "SELECT {micros} FROM {table} WHERE isfinite({at}) ORDER BY {at}"
_AMISS = f"SELECT (SELECT count(*) FROM {{table}} WHERE {{at}} IS NULL), ({_END} ASC LIMIT 1), ({_END} DESC LIMIT 1)"
_SLACK = timedelta(days=1)       # of naive times and dates in SQL; the rows are filtered exactly afterwards

# PostgreSQL's name of a type: the Arrow type, and the SQL cast it needs.
_TYPES: dict[str, tuple[pa.DataType, str | None]] = {
    "bool": (pa.bool_(), None),
    "int2": (pa.int64(), None), "int4": (pa.int64(), None), "int8": (pa.int64(), None),
    "float4": (pa.float64(), None), "float8": (pa.float64(), None), "numeric": (pa.float64(), "float8"),
    "date": (pa.date32(), None), "timestamp": (pa.timestamp("us"), None), "timestamptz": (UTC_US, None),
}  # fmt: skip

_UNREAD = {
    "array": "an array, which is not watched; select its length or its elements as columns of a view",
    "bytea": "bytes, which are not watched; select it as text in a view",
}


class PostgresSource:
    each_once = False

    def __init__(self, section: SourceSection, zone: ZoneInfo, known: KnownTypes = NOTHING) -> None:
        assert section.database is not None, "a section without path has a database"
        assert section.table is not None, "a section with a database has a table"
        self.origin = f"table {section.table} (database {section.database})"
        self._secret = section.database
        self._table = section.table
        self._zone = zone
        self._known = known
        self._timeout = section.timeout

    def fingerprint(self) -> str:
        """Return a hash of the table's size and PostgreSQL's counts of rows written (a replica: its position).

        A view or a foreign table has no such counts; the number of rows is used instead.
        """
        with self._connected() as connection:
            row = connection.execute(
                "SELECT sum(n_tup_ins), sum(n_tup_upd), sum(n_tup_del), sum(pg_relation_size(relid)),"
                " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END"
                " FROM pg_stat_all_tables WHERE relid = %(table)s::regclass"
                " OR relid IN (SELECT relid FROM pg_partition_tree(%(table)s::regclass))",
                {"table": _quoted(self._table, connection)},
            ).fetchone()
            if row is None or row[0] is None:
                row = connection.execute(_compose("SELECT count(*) FROM {}", self._table)).fetchone()
        return hashlib.sha256(repr(row).encode()).hexdigest()

    def content_id(self) -> str:
        """Return a hash of all rows in any order: two 64-bit sums of PostgreSQL's hashes, and the count."""
        sums = "SELECT count(*), {} FROM {{}} AS row_".format(
            ", ".join(f"sum(hashtextextended(row_::text, {seed}))::text" for seed in (1, 2))
        )
        with self._connected() as connection:
            row = connection.execute(_compose(sums, self._table)).fetchone()
        return hashlib.sha256(repr(row).encode()).hexdigest()

    def contents(
        self, place: str, known: Collection[tuple[str, str]], during: Sequence[Bounds] = ()
    ) -> Iterator[Content]:
        stamp = self.fingerprint()
        if (self.origin, stamp) not in known:
            yield Content(place=place, name=self.origin, stamp=stamp, hash=None, bytes=None)

    def guesses(self) -> dict[str, str]:
        return {}

    def schema(self) -> pa.Schema:
        with self._connected() as connection:
            kinds = self._kinds(connection)
        return _schema({name: kind for name, kind in kinds.items() if kind not in _UNREAD})

    def left_out(self) -> dict[str, str]:
        with self._connected() as connection:
            kinds = self._kinds(connection)
        return {name: _UNREAD[kind] for name, kind in kinds.items() if kind in _UNREAD}

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
        bounds = Bounds(timestamp, start, end)
        with self._connected() as connection:
            kinds = self._kinds(connection)
            read = [name for name, kind in kinds.items() if kind not in _UNREAD]
            wanted = list(dict.fromkeys([*(read if columns is None else columns), *times]))
            missing = [name for name in wanted if name not in kinds]
            if missing:
                raise SourceError(f"{self.origin}: has no column {missing[0]}, expected it among {', '.join(kinds)}")
            batches = self._batches(connection, {name: kinds[name] for name in wanted}, bounds)
            tables = [within(in_utc(batch, times, self._zone, self.origin), bounds) for batch in batches]
        return as_declared(typed(pa.concat_tables(tables), self._known.texts), self._known.numbers, Style())

    def strays(self, timestamp: str) -> Strays:
        """Look at rows without a timestamp and at both ends of the table, which an index on the timestamp makes cheap.

        Rows are counted only where something is amiss. They have no order, so none is placed.
        """
        with self._connected() as connection:
            if self._kinds(connection).get(timestamp) not in _ORDERED:
                return Strays(None)
            untimed, low, high = self._looked_up(connection, timestamp, _AMISS)[0]
            if low is None or high - low <= CLOSE:
                nothing = strays_of([Times(1, low, high, None)] if low is not None else [])
                return replace(nothing, rows=None, untimed=untimed, unplaced=untimed)
            (rows,) = self._looked_up(connection, timestamp, "SELECT count(*) FROM {table}")[0]
            ends = (self._looked_up(connection, timestamp, f"{_END} {order} LIMIT 1000") for order in ("ASC", "DESC"))
            first, last = (Times.of(pa.chunked_array([[at for at, in end]], UTC_US)) for end in ends)
        middle = Times(max(0, rows - untimed - first.rows - last.rows), first.high, last.low, None)
        found = strays_of([first] if rows - untimed <= first.rows else [first, middle, last])
        nowhere = untimed + found.apart
        return replace(found, rows=rows, untimed=untimed, unplaced=nowhere, placed=found.placed[:0]).widened(_SLACK)

    def _looked_up(self, connection: "Connection[Any]", timestamp: str, query: str) -> list[tuple[Any, ...]]:
        from psycopg import sql

        parts = {"table": _identifier(self._table), "at": sql.Identifier(timestamp), "micros": sql.SQL(_MICROS).format(
            at=sql.Identifier(timestamp))}
        return connection.execute(sql.SQL(query).format(**parts)).fetchall()

    def scan(self, timestamp: str, start: datetime | None, end: datetime | None) -> None:
        """Return None: rows are read whole, with one query."""

    def _kinds(self, connection: "Connection[Any]") -> dict[str, str]:
        """Return PostgreSQL's type name for each column."""
        arrays = {kind.array_oid for kind in connection.adapters.types if kind.array_oid}
        described = connection.execute(_compose("SELECT * FROM {} LIMIT 0", self._table)).description or []
        known = {kind.oid: kind.name for kind in connection.adapters.types}
        kinds = {column.name: "array" if column.type_code in arrays else known.get(column.type_code, "unknown")
                 for column in described}
        return kinds | {name: "text" for name in kinds if name in self._known.exact}

    def _batches(
        self, connection: "Connection[Any]", kinds: dict[str, str], bounds: Bounds
    ) -> Iterator[pa.Table]:
        schema = _schema(kinds)
        query, values = _select(self._table, kinds, bounds)
        with connection.cursor(name="driftd") as cursor:
            cursor.itersize = _BATCH
            cursor.execute(query, values)
            yield schema.empty_table()
            while rows := cursor.fetchmany(_BATCH):
                pairs = zip(zip(*rows, strict=True), schema, strict=True)
                yield pa.table([pa.array(column, field.type) for column, field in pairs], schema=schema)

    @contextmanager
    def _connected(self) -> Iterator["Connection[Any]"]:
        """Open a read-only transaction on one snapshot of the data. Raises SourceError without secrets in it."""
        try:
            import psycopg
        except ImportError:
            raise SourceError(f"{self.origin}: needs psycopg, which is not installed; pip install "
                              "'driftd[postgres]'") from None
        address, password = self._address()
        try:
            checked = checked_address(address)
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.origin}: {_host_words(error)}") from None
        try:
            with psycopg.connect(checked, connect_timeout=self._connect_seconds()) as connection:
                connection.read_only = True
                connection.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
                limit = f"statement_timeout = {min(max(1, self._timeout // timedelta(milliseconds=1)), 2**31 - 1)}"
                for setting in (limit, "TimeZone = 'UTC'", "DateStyle = 'ISO'"):
                    connection.execute(f"SET LOCAL {setting}")
                yield connection
        except (psycopg.Error, pa.ArrowException, OverflowError) as error:
            if getattr(error, "sqlstate", None) is None and is_out_of_memory(error):      # ours, not the server's
                raise MemoryError(str(error)) from None
            first = str(error).splitlines()[0] if str(error) else type(error).__name__
            text = quoted(first.replace(password, "***") if password else first)
            raise SourceError(f"{self.origin}: cannot be read ({text}), expected a readable table") from None

    def _connect_seconds(self) -> int:
        return max(2, min(_CONNECT_SECONDS, round(self._timeout.total_seconds())))

    def _address(self) -> tuple[str, str]:
        """Return the connection string and the password within it."""
        from psycopg import ProgrammingError, conninfo

        address = self._secret.reveal()
        try:
            return address, str(conninfo.conninfo_to_dict(address).get("password") or "")
        except ProgrammingError:
            raise SourceError(f"{self.origin}: the secret is not a PostgreSQL address, expected one such as "
                              "postgresql://user:password@host/database") from None


def checked_address(address: str) -> str:
    """The address with which libpq connects where we looked, and looks nothing up itself.

    libpq opens its sockets in C, out of the guard's sight. So each host, of the address or the environment (PGHOST), is
    looked up once and checked, and handed on as `hostaddr`; its name still says whose certificate is expected. Raises
    AddressRefused, OSError (a name is not known), ValueError.
    """
    from psycopg import conninfo, pq

    usual = {option.keyword.decode(): option.val.decode() for option in pq.Conninfo.get_defaults() if option.val}
    given = usual | {name: str(value) for name, value in conninfo.conninfo_to_dict(address).items()}
    if given.get("service"):
        raise ValueError("the address names a service, whose file driftd does not read; write host, port and so on")
    hosts, numbers = (given.get(name, "").split(",") for name in ("host", "hostaddr"))
    count = max(len(hosts), len(numbers))
    ports = given.get("port", "").split(",")
    ports = ports * count if len(ports) == 1 else ports
    if len(ports) != count or len(hosts) not in (1, count) or len(numbers) not in (1, count):
        raise ValueError("the address names as many ports as hosts, or one")
    several = zip(hosts if len(hosts) == count else [""] * count,
                  numbers if len(numbers) == count else [""] * count, ports, strict=True)
    places = [(host, number, port) for host, text, port in several for number in _numbers(host, text)]
    named = zip(("host", "hostaddr", "port"), zip(*places, strict=True), strict=True)
    return conninfo.make_conninfo(address, **{name: ",".join(parts) for name, parts in named})


def _numbers(host: str, number: str) -> list[str]:
    """The addresses of one host, checked; of a socket in the file system none is needed."""
    if not number and (not host or host.startswith(("/", "@"))):
        return [""]
    return list(dict.fromkeys(str(place[4][0]) for place in look_up(number or host, 0)))


def _host_words(error: Exception) -> str:
    if isinstance(error, AddressRefused):
        return f"the address {error}"
    return "the name of its host is not known" if isinstance(error, OSError) else str(error)


def _schema(kinds: dict[str, str]) -> pa.Schema:
    return pa.schema([(name, _TYPES.get(kind, (pa.string(), None))[0]) for name, kind in kinds.items()])


def _select(table: str, kinds: dict[str, str], bounds: Bounds) -> tuple["sql.Composed", dict[str, Any]]:
    from psycopg import sql

    columns = [_cast(name, kind) for name, kind in kinds.items()]
    query = sql.SQL("SELECT {} FROM {}").format(sql.SQL(", ").join(columns), _identifier(_with_values(table)))
    kind = kinds.get(bounds.timestamp or "", "")
    slack = {"timestamptz": timedelta(0), "timestamp": _SLACK, "date": _SLACK}.get(kind)
    limits = {"start": (">=", bounds.start, -1), "end": ("<=", bounds.end, 1)}
    conditions, values = [], {}
    for name, (sign, moment, direction) in limits.items():
        if slack is not None and moment is not None:
            limit = moment + direction * slack
            values[name] = limit if kind == "timestamptz" else limit.replace(tzinfo=None)
            condition = sql.SQL("{} " + sign + " {}")
            conditions.append(condition.format(_column(bounds.timestamp or ""), sql.Placeholder(name)))
    if conditions:
        query += sql.SQL(" WHERE ") + sql.SQL(" AND ").join(conditions)
    return query, values


def _cast(name: str, kind: str) -> "sql.Composable":
    from psycopg import sql

    cast = _TYPES.get(kind, (pa.string(), "text"))[1]
    return sql.SQL("{}::{}").format(_column(name), sql.SQL(cast)) if cast else _column(name)


def _column(name: str) -> "sql.Identifier":
    from psycopg import sql

    return sql.Identifier(_with_values(name))


def _with_values(name: str) -> str:
    """A name as it is written in a query that has values beside it, in which % begins the place of one."""
    return name.replace("%", "%%")


def _identifier(table: str) -> "sql.Identifier":
    """Return a quoted name; `schema.table` is split at the dot, capitals are kept."""
    from psycopg import sql

    return sql.Identifier(*(part.strip('"') for part in table.split(".")))


def _compose(query: str, table: str) -> "sql.Composed":
    from psycopg import sql

    return sql.SQL(query).format(_identifier(table))


def _quoted(table: str, connection: "Connection[Any]") -> str:
    return _identifier(table).as_string(connection)
