"""DuckDB: a file that is opened to be read only, by DuckDB itself, which may open nothing else."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

import pyarrow as pa

from monitor.sources.databases.engine import STORED, Column, Session
from monitor.sources.databases.file_engine import FileEngine

_ALONE = {
    "access_mode": "READ_ONLY", "enable_external_access": "false", "autoinstall_known_extensions": "false",
    "autoload_known_extensions": "false",
}


class DuckDB(FileEngine):
    packages, extra = "adbc_driver_duckdb, adbc_driver_manager.dbapi", "duckdb"
    name, example, counts = "DuckDB", "duckdb:///folder/file.duckdb", True

    @contextmanager
    def connected(self) -> Iterator[Session]:
        import adbc_driver_duckdb
        from adbc_driver_manager import dbapi

        self.require_file()
        with closing(dbapi.connect(
            driver=adbc_driver_duckdb.driver_path(), entrypoint="duckdb_adbc_init", autocommit=True,
            db_kwargs={"path": str(self.path), **_ALONE},
        )) as connection:
            session = Session(connection)
            session.run("BEGIN TRANSACTION")
            yield session

    def columns(self, session: Session, table: str) -> pa.Schema:
        """Return what Arrow has no type for as text, whole numbers of any size as float64."""
        return pa.schema(map(_known, super().columns(session, table)))

    def chosen(self, column: Column) -> str:
        name, stored = super().chosen(column), (column.field.metadata or {}).get(STORED)
        if stored is None:
            return name
        return f"CAST({name} AS {'DOUBLE' if stored == b'bignum' and not column.exact else 'VARCHAR'})"


def _known(field: pa.Field) -> pa.Field:
    kind = getattr(field.type, "type_name", None)
    if kind is None and not pa.types.is_union(field.type) and not pa.types.is_interval(field.type):
        return field
    return pa.field(field.name, pa.float64() if kind == "bignum" else pa.string(), metadata={STORED: kind or "text"})
