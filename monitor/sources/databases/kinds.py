"""Which kind of database an address is of."""

import re
from datetime import timedelta
from importlib import import_module

from monitor.errors import SourceError
from monitor.sources.databases.engine import Engine

_KINDS = {
    "postgresql": ("postgres", "PostgreSQL"), "postgres": ("postgres", "PostgreSQL"),
    "mysql": ("mysql", "MySQL"), "mariadb": ("mysql", "MySQL"),
    "clickhouse": ("clickhouse", "ClickHouse"),
    "sqlite": ("sqlite", "SQLite"), "duckdb": ("duckdb", "DuckDB"),
    "sc": ("spark", "Spark"), "spark": ("spark", "Spark"),
}


def engine_of(origin: str, address: str, timeout: timedelta) -> Engine:
    """Return the engine for an address, told by its scheme. Raises SourceError for one that is not known."""
    found = re.match(r"([A-Za-z][A-Za-z0-9+.-]*)://", address)
    scheme = found[1].lower() if found else "postgresql"      # libpq's other form has none: host=… dbname=…
    if scheme not in _KINDS:
        raise SourceError(f"{origin}: its address begins with {scheme}://, expected one of "
                          f"{', '.join(f'{kind}://' for kind in _KINDS)}")
    module, name = _KINDS[scheme]
    engine: Engine = getattr(import_module(f"monitor.sources.databases.{module}"), name)(origin, address, timeout)
    return engine
