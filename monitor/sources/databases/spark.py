"""Spark: the same SQL for Spark inside a process of ours, a cluster's, and a Spark Connect server; answers in Arrow."""

import re
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from itertools import chain
from typing import Any

import pyarrow as pa

from monitor.sources.column_types import unread
from monitor.sources.databases.engine import Column, Engine, Session, gathered
from monitor.sources.databases.spark_servers import opened

_PART = re.compile(r"`(?:[^`]|``)+`|[^.`]+")
_AS_TEXT = re.compile(r"interval (year|month)|variant")      # types that Arrow does not have
_STORED = b"stored"              # key of what a column is, where it is read as text


class Spark(Engine):
    packages, extra = "pyspark, grpc, grpc_status, google.rpc", "spark"
    name, example = "Spark", "sc://host:15002"

    @contextmanager
    def connected(self) -> Iterator[Session]:
        from pyspark.errors import PySparkException

        try:
            with opened(self.address, self.origin, self.timeout) as spark:
                yield _Look(spark)
        except PySparkException as error:
            if found := re.search(r'details = "(.*)', str(error)):      # what gRPC says stands on several lines
                raise OSError(found[1].strip('"')) from None
            raise

    def faults(self) -> tuple[type[Exception], ...]:
        from pyspark.errors import PySparkException

        return (PySparkException,)

    def secrets(self) -> list[str]:
        return [self.address, *re.findall(r";[^=;]+=([^;]+)", self.address)]

    def quoted(self, name: str) -> str:
        super().quoted(name)             # raises for a NUL
        return "`" + name.replace("`", "``") + "`"

    def table(self, name: str) -> str:
        """Return a table's name as SQL; it is split at dots outside of backticks, as in parquet.`/folder/1.2`."""
        parts = _PART.findall(name)
        if ".".join(parts) != name:
            return self.quoted(name)
        return ".".join(self.quoted(part[1:-1].replace("``", "`") if part.startswith("`") else part) for part in parts)

    def columns(self, session: Session, table: str) -> pa.Schema:
        """Return what Arrow does not have as text."""
        assert isinstance(session, _Look)
        kinds = session.kinds(f"SELECT * FROM {self.table(table)}")
        columns = [Column(_field(name, kind), False) for name, kind in kinds]
        found = session.schema(self.query(columns, table, "", 0))
        return pa.schema([field.with_metadata(column.field.metadata)
                          for field, column in zip(found, columns, strict=True)])

    def chosen(self, column: Column) -> str:
        name = self.quoted(column.field.name)
        return f"CAST({name} AS STRING)" if _STORED in (column.field.metadata or {}) else name

    def literal(self, kind: pa.DataType, at: datetime) -> str:
        if pa.types.is_date(kind):               # partitions are often dates
            return f"DATE '{at.date().isoformat()}'"
        exact = kind.tz is not None
        return f"{'TIMESTAMP_LTZ' if exact else 'TIMESTAMP_NTZ'} '{at.isoformat(' ')}{'+00:00' if exact else ''}'"

    def fingerprint(self, session: Session, table: str) -> object:
        """Return the number of rows, and a sum over paths, sizes and times of the files where there are any."""
        from pyspark.errors import AnalysisException

        file = ", ".join(f"_metadata.{part}" for part in ("file_path", "file_size", "file_modification_time"))
        try:
            return session.rows(
                f"SELECT sum(n), sum(CAST(h AS DECIMAL(20, 0))) FROM (SELECT xxhash64({file}) AS h, count(*) AS n"
                f" FROM {self.table(table)} GROUP BY h)")
        except AnalysisException:
            return super().fingerprint(session, table)

    def content(self, session: Session, table: str) -> object:
        """Return the number of rows and a sum of their 64-bit hashes."""
        stored = self.columns(session, table)
        return self._hashed(session, stored, table, [name for name in stored.names if name not in unread(stored)], "")

    def stamp(self, session: Session, table: str, columns: list[str], where: str) -> object:
        return self._hashed(session, self.columns(session, table), table, columns, where)

    def _hashed(self, session: Session, stored: pa.Schema, table: str, names: list[str], where: str) -> object:
        """A null leaves Spark's hash as it was: whether there is one is hashed beside it."""
        chosen = [self.chosen(Column(field, False)) for field in stored if field.name in names]
        row = ", ".join(f"{column}, {column} IS NULL" for column in chosen) or "1"
        return session.rows(f"SELECT count(*), sum(CAST(xxhash64({row}) AS DECIMAL(20, 0)))"
                            f" FROM {self.table(table)}{where}")


class _Look(Session):
    """One look through a Spark Connect client."""

    def __init__(self, spark: Any) -> None:
        self._spark = spark

    def kinds(self, query: str) -> list[tuple[str, str]]:
        """Return the columns of a query, each with its type as Spark writes it."""
        client, plan = self._planned(query)
        return [(field.name, field.dataType.simpleString()) for field in client.schema(plan)]

    def schema(self, query: str) -> pa.Schema:
        return next(self._answers(query)).schema

    def rows(self, query: str) -> list[tuple[Any, ...]]:
        return [tuple(row.values()) for part in self._answers(query) for row in part.to_pylist()]

    def tables(self, query: str) -> Iterator[pa.Table]:
        parts = self._answers(query)
        first = next(parts)
        yield first.schema.empty_table()
        yield from gathered(chain([first], parts))

    def _answers(self, query: str) -> Iterator[pa.Table]:
        """Yield the rows as they come; of no rows an empty table."""
        client, plan = self._planned(query)
        answers = client.to_table_as_iterator(plan, {})
        with closing(answers):
            yield from (answer for answer in answers if isinstance(answer, pa.Table))

    def _planned(self, query: str) -> tuple[Any, Any]:
        """Return the client, and the query as it takes it."""
        from pyspark.sql.connect.plan import SQL

        client = self._spark.client
        return client, SQL(query).to_proto(client)


def _field(name: str, kind: str) -> pa.Field:
    return pa.field(name, pa.string(), metadata={_STORED: kind} if _AS_TEXT.match(kind) else None)
