"""What the processes cost: `driftd --help`, the idle daemon, a backtest of a real log."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

import pyarrow.parquet as pq

from benchmarks.rows import Absent, Asked, Row, child_cpu_seconds, rows

FLIGHTS = Path(__file__).resolve().parents[1] / "../shared/data/flights_nyc13"
MODELS = 100
STRETCH = 60         # seconds over which the daemon at rest is watched
LOOK = 10            # seconds between two looks of an open page, as its script has them
PATIENCE = 300.0    # seconds until every model must have been checked
DRIFTD = [sys.executable, "-m", "monitor"]
# What any service with a web server, a scheduler, metrics and a typed configuration holds.
BARE = (
    "import apscheduler.schedulers.background, click, prometheus_client, pydantic, requests, starlette.applications, "
    "structlog, uvicorn"
)


def help(asked: Asked) -> list[Row]:
    """Processor seconds of `driftd --help` beside a Python that does nothing, and one that loads pandas."""
    python = [sys.executable, "-c"]
    return rows(child_cpu_seconds({
        "python, doing nothing": [*python, "pass"],
        "driftd --help": [*DRIFTD, "--help"],
        "python, importing pandas": [*python, "import pandas"],
    }, asked.runs))


def memory(asked: Asked) -> list[Row]:
    """Resident megabytes of the daemon at rest beside a Python that imported the same packages."""
    with _python(BARE) as bare, _daemon() as daemon:
        held = {"python with the same packages": _resident(bare), f"daemon, {MODELS} models": _resident(daemon.pid)}
        _look(daemon)
        held["the same, its page open"] = _resident(daemon.pid)
        held |= {f"its worker {index}": _resident(pid) for index, pid in enumerate(_children(daemon.pid), 1)}
    return rows(held)


def rest(asked: Asked) -> list[Row]:
    """Per cent of one core that the daemon uses while nothing is due, beside the most it may."""
    with _daemon() as daemon:
        alone = _share(daemon, lambda: time.sleep(STRETCH))
        seen = _look(daemon)

        def watch() -> None:
            for _ in range(STRETCH // LOOK):
                time.sleep(LOOK)
                _look(daemon, seen)

        watched = _share(daemon, watch)
    return rows({"the most it may use": 1.0, f"daemon, {MODELS} models": alone, "the same, its page open": watched})


def backtest(asked: Asked) -> list[Row]:
    """Processor seconds of the backtest of ten months of flights, workers included, beside reading the log once."""
    log = FLIGHTS / "production.parquet"
    if not log.exists():
        raise Absent("the flights log (../shared/data/flights_nyc13) is not here")
    with tempfile.TemporaryDirectory() as folder:
        configs = {}
        for what, enabled in (("driftd backtest", "true"), ("driftd backtest, without rehearsals", "false")):
            configs[what] = Path(folder) / f"{enabled}.toml"
            configs[what].write_text(
                f'[models.flights]\ntask = "binary"\npredictions = "{log}"\nreference = "{FLIGHTS}/reference.parquet"\n'
                f"rehearsal = {{ enabled = {enabled} }}\n"
            )
        return rows(child_cpu_seconds({
            f"reading {pq.read_metadata(log).num_rows:,} rows with Arrow": [
                sys.executable, "-c", "import pyarrow.parquet as p, sys; p.read_table(sys.argv[1])", str(log)
            ],
            **{what: [*DRIFTD, "backtest", "-c", str(config), "--json"] for what, config in configs.items()},
        }, asked.runs if asked.slow else 1))


@contextmanager
def _python(imports: str) -> Iterator[int]:
    """Start a Python that imported something and waits."""
    command = [sys.executable, "-c", f"{imports}; print('ready', flush=True); input()"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.communicate(b"\n")


class _Daemon(NamedTuple):
    pid: int
    port: int


def _share(daemon: _Daemon, wait: Callable[[], None]) -> float:
    """Per cent of one core that the daemon uses meanwhile."""
    before, begun = _cpu_seconds(daemon.pid), time.monotonic()
    wait()
    return 100 * (_cpu_seconds(daemon.pid) - before) / (time.monotonic() - begun)


def _look(daemon: _Daemon, seen: str = "") -> str:
    """Ask for the overview as its script does, saying what was seen last; return what is seen now."""
    asked = Request(f"http://127.0.0.1:{daemon.port}/", headers={"If-None-Match": seen} if seen else {})
    try:
        with urlopen(asked, timeout=10) as answer:
            answer.read()
            return str(answer.headers["ETag"])
    except HTTPError as same:
        if same.code != 304:
            raise
        return seen


@contextmanager
def _daemon() -> Iterator[_Daemon]:
    """Start a daemon that watches small logs, and wait until each was checked once."""
    from socket import create_server

    with create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        _write_models(folder, port)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen([*DRIFTD, "run", "-c", str(folder / "driftd.toml")], stdout=log, stderr=log)
        try:
            _await_checks(port, process)
            yield _Daemon(process.pid, port)
        finally:
            process.terminate()
            process.wait(60)


def _write_models(folder: Path, port: int) -> None:
    lines = [f"2026-01-{5 + row % 7:02}T{row % 24:02}:00:00Z,{30 + row % 9},{row % 2},{row % 2}" for row in range(300)]
    (folder / "log.csv").write_text("\n".join(["timestamp,age,prediction,label", *lines]) + "\n")
    models = [f'[models.m{index}]\npredictions = "log.csv"\nreference = "log.csv"\n' for index in range(MODELS)]
    (folder / "driftd.toml").write_text(f'[daemon]\nlisten = "127.0.0.1:{port}"\n' + "".join(models))


def _await_checks(port: int, process: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + PATIENCE
    while _scrape(port).count("\ndriftd_last_check_timestamp_seconds{") < MODELS:
        if process.poll() is not None or time.monotonic() > deadline:
            raise RuntimeError("the daemon did not check every model")
        time.sleep(0.2)


def _scrape(port: int) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}/metrics", timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except URLError:
        return ""


def _children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return sorted(int(child) for task in tasks for child in task.read_text().split())


def _resident(pid: int) -> float:
    """Megabytes in memory now."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def _cpu_seconds(pid: int) -> float:
    """What the process has used, its children not counted."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
