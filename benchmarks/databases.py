"""What whole commands cost a PostgreSQL server beside streaming the window's rows from it once, and what they cost us.

A year of predictions with an index on the timestamp; a week is checked with the profile of its reference kept from an
earlier check. The server's processor time is that of its backends, which fork from one process and end with us.
"""

import os
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from statistics import fmean
from tempfile import TemporaryDirectory

import psycopg
from adbc_driver_postgresql import dbapi

from benchmarks.commands import PLAIN, cost_of, last_monday, rows_of
from benchmarks.data import GROUP, Size
from benchmarks.postgres_server import PATIENCE, Cluster, postgres
from benchmarks.processes import DRIFTD
from benchmarks.rows import Asked, Row

ROWS, COLUMNS = 2_000_000, 20
YEAR, REFERENCE = 364, 91        # days
ADDRESS = "DRIFTD_BENCH_DATABASE"
STREAM = """import os, sys
from adbc_driver_postgresql import dbapi
with dbapi.connect(os.environ[sys.argv[1]]) as connection, connection.cursor() as cursor:
    cursor.execute(sys.argv[2])
    for batch in cursor.fetch_record_batch():
        pass
"""
IN_TABLE = f'{{ database = {{ env = "{ADDRESS}" }}, table = "%s" }}'


@dataclass(frozen=True, slots=True)
class Cost:
    server: float        # CPU s
    client: float        # CPU s of all processes
    peak_mb: float       # of the largest process


def postgresql(asked: Asked) -> list[Row]:
    """A check of a week, a look at which nothing is due, and `init`, beside streaming that week."""
    size, monday = Size(rows=asked.rows or ROWS, columns=COLUMNS), last_monday()
    with TemporaryDirectory(prefix="driftd-bench-") as name, postgres("autovacuum=off") as server:
        folder = Path(name)
        _fill(server.address(), size, monday - timedelta(days=YEAR - 7))
        os.environ[ADDRESS] = server.address()
        week = f"SELECT * FROM log WHERE timestamp >= '{monday.isoformat()}'"
        commands = {
            "streaming the week (ADBC)": [sys.executable, "-c", STREAM, ADDRESS, week],
            "driftd check, psi": _check(folder / "table", IN_TABLE % "reference"),
            "the same, nothing due": _check(folder / "table", IN_TABLE % "reference"),
            f'driftd check, psi, reference = "first {REFERENCE}d"': _check(folder / "first", f'"first {REFERENCE}d"'),
            "driftd init": [*DRIFTD, "init", "--force", "-o", str(folder / "init.toml"), f"env:{ADDRESS}#log"],
        }
        taken: dict[str, list[Cost]] = {what: [] for what in commands}
        for turn in range(asked.runs + 1):           # the first makes the profiles
            for what, command in commands.items():
                if "nothing due" not in what:
                    _forget(folder)
                cost = _cost(server, folder, command)
                taken[what] += [cost] if turn else []
    return _rows({what: _mean(costs) for what, costs in taken.items()})


def _rows(costs: dict[str, Cost]) -> list[Row]:
    least = next(iter(costs.values())).server
    return [Row(what=what, value=cost.server, ratio=cost.server / least,
                also={"client, CPU s": cost.client, "largest process, MB": cost.peak_mb})
            for what, cost in costs.items()]


def _mean(costs: Sequence[Cost]) -> Cost:
    """No median: the kernel tells a server's time in hundredths of a second."""
    return Cost(*(fmean(getattr(cost, part) for cost in costs) for part in ("server", "client", "peak_mb")))


def _fill(address: str, size: Size, start: datetime) -> None:
    """Make the tables `log` and `reference`, its first rows, in the order of time and indexed by it."""
    with dbapi.connect(address) as connection, connection.cursor() as cursor:
        for first in range(0, size.rows, GROUP):
            some = rows_of(size, start, YEAR, 1, first, min(GROUP, size.rows - first))
            cursor.adbc_ingest("log", some, mode="append" if first else "create")
        connection.commit()
    with psycopg.connect(address, autocommit=True) as connection:
        until = start + timedelta(days=REFERENCE)
        connection.execute("CREATE TABLE reference AS SELECT * FROM log WHERE timestamp < %s", [until])
        for table in ("log", "reference"):
            connection.execute(f"CREATE INDEX ON {table} (timestamp)")
            connection.execute(f"VACUUM ANALYZE {table}")


def _check(folder: Path, reference: str) -> list[str]:
    folder.mkdir(exist_ok=True)
    file = folder / "driftd.toml"
    file.write_text(f'[models.m]\npredictions = {IN_TABLE % "log"}\nreference = {reference}\n{PLAIN}')
    return [*DRIFTD, "check", "-c", str(file)]


def _forget(folder: Path) -> None:
    """Empty the states, but for the profiles."""
    for file in folder.glob("*/state/*"):
        if file.is_file():
            file.unlink()


def _cost(server: Cluster, folder: Path, command: Sequence[str]) -> Cost:
    before = _used(server.pid)
    cost = cost_of(folder, command)
    deadline = time.monotonic() + PATIENCE
    while _backends(server.pid):
        if time.monotonic() > deadline:
            raise RuntimeError("a connection was left open")
        time.sleep(0.02)
    return Cost(_used(server.pid) - before, cost.seconds, cost.peak_mb)


def _used(pid: int) -> float:
    """CPU s of the children of a process that have ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[13]) + int(fields[14])) / os.sysconf("SC_CLK_TCK")


def _backends(pid: int) -> list[int]:
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [int(child) for child in children if b"postgres: driftd" in Path(f"/proc/{child}/cmdline").read_bytes()]
