"""DuckDB: a file that is opened to be read only, by DuckDB itself, which may open nothing else."""

from collections.abc import Iterator
from contextlib import closing, contextmanager

from monitor.sources.databases.engine import Session
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
