"""What is particular to a kind of database: its driver, its session, and the few places where its SQL is its own."""

import re
from abc import ABC, abstractmethod
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, closing
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import pyarrow as pa

from monitor.outgoing.guard import AddressRefused

BATCH = 65_536                   # rows, at least, that are worked on together
STORED = b"stored"               # key of what a column is, where that is more than its Arrow type


class Session:
    """One read-only look at a database. Its methods raise what the driver raises."""

    def __init__(self, connection: Any, options: dict[str, str] | None = None) -> None:
        self._connection = connection
        self._options = options or {}

    def close(self) -> None:
        self._connection.close()

    def run(self, statement: str) -> None:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(statement)

    def schema(self, query: str) -> pa.Schema:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            return cursor.fetch_record_batch().schema

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        with closing(self._connection.cursor()) as cursor:
            cursor.execute(query)
            found: list[tuple[Any, ...]] = cursor.fetchall()
            return found

    def tables(self, query: str) -> Iterator[pa.Table]:
        """Yield an empty table with the types of the answer, then its rows."""
        with closing(self._connection.cursor()) as cursor:
            cursor.adbc_statement.set_options(**self._options)
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            yield reader.schema.empty_table()
            yield from gathered(pa.Table.from_batches([batch]) for batch in reader)


def gathered(parts: Iterable[pa.Table]) -> Iterator[pa.Table]:
    """Yield the same rows in parts of `BATCH` rows at least, but for the last one."""
    some: list[pa.Table] = []
    for part in parts:
        some.append(part)
        if sum(map(len, some)) >= BATCH:
            yield pa.concat_tables(some)
            some = []
    if some:
        yield pa.concat_tables(some)


def parts_of(name: str, mark: str) -> list[str]:
    """Return the parts of `schema.table`; what stands between marks is one, with its dots, `""` in it a mark."""
    part = f"{mark}(?:[^{mark}]|{mark}{mark})+{mark}|[^.{mark}]+"
    if not re.fullmatch(f"(?:{part})(?:[.](?:{part}))*", name):
        return [one.strip(mark) for one in name.split(".")]
    return [one[1:-1].replace(2 * mark, mark) if one[0] == mark else one for one in re.findall(part, name)]


def has_times(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


class Column(NamedTuple):
    """A column to select; `exact`: it holds ids, whose digits are all wanted."""

    field: pa.Field
    exact: bool


class Engine(ABC):
    """A kind of database. Standard SQL, unless a subclass says otherwise.

    `origin` names the table in messages, `address` may hold a password.
    """

    packages = ""                # that its driver needs, as they are imported
    extra = ""                   # of driftd, which installs them
    name = ""                    # of the kind, in a sentence
    example = ""                 # of an address
    counts = False               # counting rows costs next to nothing

    def __init__(self, origin: str, address: str, timeout: timedelta) -> None:
        self.origin, self.address, self.timeout = origin, address, timeout

    @abstractmethod
    def connected(self) -> AbstractContextManager[Session]:
        """Open a read-only session. Raises SourceError, ImportError and what the driver raises."""

    def faults(self) -> tuple[type[Exception], ...]:
        """Return the classes of the driver's errors, once its packages are there."""
        from adbc_driver_manager import Error

        return (Error,)

    def secrets(self) -> list[str]:
        """Return what no message may hold."""
        return [self.address]

    def said(self, error: Exception) -> str:
        """Return what the driver says in an error."""
        return str(error) or type(error).__name__

    def quoted(self, name: str) -> str:
        """Return a name as SQL; whatever stands in it is part of the name. Raises ValueError for one with a NUL."""
        if "\0" in name:
            raise ValueError(f"no name holds a NUL, as {name!r} does")
        return '"' + name.replace('"', '""') + '"'

    def table(self, name: str) -> str:
        """Return a table's name as SQL; `schema.table` is split at the dots."""
        return ".".join(map(self.quoted, parts_of(name, '"')))

    def columns(self, session: Session, table: str) -> pa.Schema:
        """Return the columns of a table with the types that the driver gives them."""
        return session.schema(f"SELECT * FROM {self.table(table)} LIMIT 0")

    def chosen(self, column: Column) -> str:
        """Return the expression that selects a column."""
        return self.quoted(column.field.name)

    def query(self, columns: Sequence[Column], table: str, where: str, most: int | None) -> str:
        chosen = [f"{self.chosen(column)} AS {self.quoted(column.field.name)}" for column in columns]
        limit = "" if most is None else f" LIMIT {most}"
        return f"SELECT {', '.join(chosen) or '1'} FROM {self.table(table)}{where}{limit}"

    def tables(
        self, session: Session, columns: Sequence[Column], table: str, where: str, most: int | None
    ) -> Iterator[pa.Table]:
        """Yield an empty table with these columns, then the rows, at most so many."""
        return session.tables(self.query(columns, table, where, most))

    def orders(self, session: Session, table: str, field: pa.Field) -> bool:
        """Tell whether the database orders a column as times are, but for those that are less than a day apart."""
        return has_times(field.type)

    def loose_limit(self, field: pa.Field, sign: str, moment: datetime) -> str | None:
        """Return the condition where the database does not order the column so; None where SQL cannot tell."""
        return None

    def limit(self, field: pa.Field, sign: str, moment: datetime) -> str | None:
        """Return the condition for a timestamp to be on one side of a moment; None where SQL cannot tell.

        It may hold for a day more than the moment says: a naive time is of a zone that the database does not know.
        """
        if not has_times(field.type):
            return None
        exact = getattr(field.type, "tz", None) is not None
        slack = timedelta(0) if exact else timedelta(days=1)
        try:
            at = moment.astimezone(UTC).replace(tzinfo=None) + (slack if sign == "<=" else -slack)
        except OverflowError:
            return None
        return f"{self.quoted(field.name)} {sign} {self.literal(field.type, at)}"

    def literal(self, kind: pa.DataType, at: datetime) -> str:
        """Return a moment, in UTC without its zone, to compare a column of timestamps or dates with."""
        exact = getattr(kind, "tz", None) is not None
        text = f"'{at.isoformat(' ')}{'+00:00' if exact else ''}'"
        return f"{'TIMESTAMP WITH TIME ZONE' if exact else 'TIMESTAMP'} {text}"

    def order(self, table: str, name: str) -> str:
        """Return a column to order the rows by."""
        return self.quoted(name)

    def told(self, field: pa.Field) -> str:
        """Return the condition for a row to have a time."""
        return f"{self.quoted(field.name)} IS NOT NULL"

    def untold(self, field: pa.Field) -> str:
        """Return the condition for a row to have none."""
        return f"{self.quoted(field.name)} IS NULL"

    def fingerprint(self, session: Session, table: str) -> object:
        """Return what changes whenever the rows may have; here only where their number does."""
        return session.rows(f"SELECT count(*) FROM {self.table(table)}")

    def content(self, session: Session, table: str) -> object | None:
        """Return what is the same for the same rows in any order; None where they have to be read."""
        return None

    def stamp(self, session: Session, table: str, columns: list[str], where: str) -> object | None:
        """Return what changes whenever these columns of these rows do; None where they have to be read."""
        return None


def host_words(error: Exception) -> str:
    """Say why a host of an address is not asked."""
    if isinstance(error, AddressRefused):
        return f"the address {error}"
    return "the name of its host is not known" if isinstance(error, OSError) else str(error)
