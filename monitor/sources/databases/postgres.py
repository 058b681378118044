"""PostgreSQL: a read-only transaction on one snapshot of the data, answers in its binary form."""

from datetime import timedelta

import pyarrow as pa

from monitor.errors import SourceError
from monitor.outgoing.guard import look_up
from monitor.sources.databases.engine import STORED, Column, Session, has_times, host_words
from monitor.sources.databases.server_engine import ServerEngine

_CONNECT_SECONDS = 10            # at most; libpq knows whole seconds, at least two
_BATCH_BYTES = 4 << 20
# Types that the driver gives as something else: cents, with blanks behind, with a sign; how they are read instead.
_OWN = {"money": (pa.float64(), "numeric::float8"), "bpchar": (pa.string(), "text"), "oid": (pa.int64(), "int8")}
_CALENDAR = ("0001-01-02", "9999-12-31")
# Rows come in the order in which they are stored, the same each time.
_IN_ORDER = ("synchronize_seqscans = off", "max_parallel_workers_per_gather = 0")


class PostgreSQL(ServerEngine):
    packages, extra = "psycopg, adbc_driver_postgresql.dbapi", "postgres"
    name, example = "PostgreSQL", "postgresql://user:password@host/database"

    def connect(self) -> Session:
        from adbc_driver_postgresql import dbapi

        self.secrets()                   # raises where the address is none
        try:
            address = checked_address(self.address, self._connect_seconds())
        except (OSError, ValueError) as error:
            raise SourceError(f"{self.origin}: {host_words(error)}") from None
        return Session(dbapi.connect(address, autocommit=True),
                       {"adbc.postgresql.batch_size_hint_bytes": str(_BATCH_BYTES)})

    def begin(self, session: Session) -> None:
        """The settings end with the transaction: a pooler may give the connection to others."""
        session.run("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        limit = f"statement_timeout = {min(max(1, self.timeout // timedelta(milliseconds=1)), 2**31 - 1)}"
        for setting in (limit, "TimeZone = 'UTC'", "DateStyle = 'ISO'", *_IN_ORDER):
            session.run(f"SET LOCAL {setting}")

    def secrets(self) -> list[str]:
        """Raises SourceError where the address is none."""
        from psycopg import ProgrammingError, conninfo

        try:
            password = conninfo.conninfo_to_dict(self.address).get("password")
        except ProgrammingError:
            raise SourceError(f"{self.origin}: the secret is not a PostgreSQL address, expected one such as "
                              f"{self.example}") from None
        return [self.address, *([str(password)] if password else [])]

    def columns(self, session: Session, table: str) -> pa.Schema:
        """Return decimals as float64 and what Arrow does not have as text."""
        own = dict(session.rows(
            "SELECT attname::text, base.typname::text FROM pg_attribute JOIN pg_type ON pg_type.oid = atttypid"
            " JOIN pg_type AS base ON base.oid = COALESCE(NULLIF(pg_type.typbasetype, 0), pg_type.oid)"
            f" WHERE attrelid = {self._text(self.table(table))}::regclass AND attnum > 0"
            f" AND base.typname IN ({', '.join(map(self._text, _OWN))})"))
        return pa.schema([_known(field, own.get(field.name)) for field in super().columns(session, table)])

    def chosen(self, column: Column) -> str:
        name, stored = self.quoted(column.field.name), (column.field.metadata or {}).get(STORED)
        if stored == b"numeric":
            return f"trim_scale({name})::text" if column.exact else f"{name}::float8"
        if stored is not None and stored.decode() in _OWN:
            return f"{name}::{_OWN[stored.decode()][1]}"
        if has_times(column.field.type):
            return self._on_calendar(name, column.field.type)
        return name if stored is None else f"{name}::text"

    def _on_calendar(self, name: str, kind: pa.DataType) -> str:
        """Return a time with `infinity` as the calendar's last day: the driver has no number for what is beyond it."""
        word = "date" if pa.types.is_date(kind) else "timestamptz" if kind.tz else "timestamp"
        first, last = (f"{word} '{day}'" for day in _CALENDAR)
        return f"CASE WHEN {name} > {last} THEN {last} WHEN {name} < {first} THEN {first} ELSE {name} END"

    def order(self, table: str, name: str) -> str:
        """Return the column as it is stored, which may have an index, rather than as it is selected under its name."""
        return f"{self.table(table)}.{self.quoted(name)}"

    def fingerprint(self, session: Session, table: str) -> object:
        """Return the table's size and PostgreSQL's counts of rows written (a replica: its position).

        A view or a foreign table has no such counts; the number of rows is used instead.
        """
        there = f"{self._text(self.table(table))}::regclass"
        written = ", ".join(f"sum(pg_stat_get_tuples_{what}(oid))::text" for what in ("inserted", "updated", "deleted"))
        (row,) = session.rows(
            f"SELECT {written}, sum(pg_relation_size(oid))::text,"
            " CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn()::text END FROM pg_class"
            f" WHERE oid IN (SELECT {there} UNION SELECT relid FROM pg_partition_tree({there}))"
            " AND relkind IN ('r', 't', 'm', 'p')"
        )
        return row if row[0] is not None else super().fingerprint(session, table)

    def content(self, session: Session, table: str) -> object:
        """Return the number of rows, and two 64-bit sums of PostgreSQL's hashes of them."""
        sums = ", ".join(f"sum(hashtextextended(row_::text, {seed}))::text" for seed in (1, 2))
        return session.rows(f"SELECT count(*), {sums} FROM {self.table(table)} AS row_")[0]

    def stamp(self, session: Session, table: str, columns: list[str], where: str) -> object:
        """Return the number of rows, and a sum of hashes: of the transactions that wrote them, where PostgreSQL itself
        stores the rows, since each change of a row is by another one; else of the columns.
        """
        row = "xmin::text" if self._is_heap(session, table) else f"ROW({', '.join(map(self.quoted, columns))})::text"
        return session.rows(
            f"SELECT count(*), sum(hashtextextended({row}, 1))::text FROM {self.table(table)}{where}")

    def _is_heap(self, session: Session, table: str) -> bool:
        """Tell whether PostgreSQL itself stores the table, or its partitions: not another server, nor an extension."""
        there = f"{self._text(self.table(table))}::regclass"
        (row,) = session.rows(
            "SELECT bool_and(relkind = 'p' OR relkind IN ('r', 'm') AND amname = 'heap' AND (relispartition OR NOT"
            " relhassubclass))::text FROM pg_class LEFT JOIN pg_am ON pg_am.oid = relam"
            f" WHERE pg_class.oid IN (SELECT {there} UNION SELECT relid FROM pg_partition_tree({there}))")
        return bool(row[0] == "true")

    def _text(self, text: str) -> str:
        return "E'" + text.replace("\\", "\\\\").replace("'", "''") + "'"

    def _connect_seconds(self) -> int:
        return max(2, min(_CONNECT_SECONDS, round(self.timeout.total_seconds())))


def _known(field: pa.Field, own: str | None) -> pa.Field:
    if own is not None:
        return pa.field(field.name, _OWN[own][0], metadata={STORED: own})
    if not isinstance(field.type, pa.BaseExtensionType) and not pa.types.is_interval(field.type):
        return field
    kind = getattr(field.type, "type_name", "other")
    return pa.field(field.name, pa.float64() if kind == "numeric" else pa.string(), metadata={STORED: kind})


def checked_address(address: str, seconds: int = _CONNECT_SECONDS) -> str:
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
    patience = {} if given.get("connect_timeout") else {"connect_timeout": str(seconds)}
    return conninfo.make_conninfo(address, **{name: ",".join(parts) for name, parts in named}, **patience)


def _numbers(host: str, number: str) -> list[str]:
    """The addresses of one host, checked; of a socket in the file system none is needed."""
    if not number and (not host or host.startswith(("/", "@"))):
        return [""]
    return list(dict.fromkeys(str(place[4][0]) for place in look_up(number or host, 0)))
