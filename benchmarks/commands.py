"""What a user's command costs as a whole: processor time and memory of all its processes, what it reads and opens.

Imports, starting processes, counting, deciding and writing the state are in it, on both sides. A check is measured with
the profile of its reference kept from an earlier check and an empty state, and once more when nothing is due.
"""

import ctypes
import os
import statistics
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from struct import unpack_from
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.data import CATEGORIES, GROUP, Size
from benchmarks.processes import DRIFTD
from benchmarks.rows import YES, Asked, Row

ROWS, COLUMNS, WEEKS = 1_000_000, 50, 8
DAYS, A_DAY = 1_825, 2_000
READ = "import pyarrow.parquet as p, sys; [p.read_table(file) for file in sys.argv[1:]]"
_IN_OPEN, _QUEUE_FULL = 0x20, 0x4000
PLAIN = """drift = { method = "psi", threshold = 0.2 }
rehearsal = { enabled = false }
estimation = { enabled = false }
"""


@dataclass(frozen=True, slots=True)
class Cost:
    seconds: float       # of the processor, of all processes
    peak_mb: float       # of the largest process
    read_mb: float       # from files and pipes, of all processes
    opened: int          # files of the data, each as often as it was opened


def large(asked: Asked) -> list[Row]:
    """A check and a comparison of a million rows, beside reading them."""
    size = Size(rows=asked.rows or ROWS, columns=COLUMNS)
    with TemporaryDirectory(prefix="driftd-bench-") as name:
        folder = Path(name)
        monday = last_monday()
        _write(folder / "reference.parquet", size, monday - timedelta(weeks=WEEKS), WEEKS * 7, seed=1)
        _write(folder / "log.parquet", size, monday, 7, seed=2)
        reading = [sys.executable, "-c", READ]
        costs = {
            "reading the window with Arrow": _median(folder, [*reading, str(folder / "log.parquet")], asked.runs),
            "driftd check, psi": _checked(folder, PLAIN, asked.runs),
            "driftd check, as configured by default": _checked(folder, "", asked.runs),
            "reading both files with Arrow": _median(
                folder, [*reading, str(folder / "log.parquet"), str(folder / "reference.parquet")], asked.runs),
            "driftd compare, psi": _median(
                folder, [*DRIFTD, "compare", "--method", "psi", *(str(folder / file) for file in
                         ("reference.parquet", "log.parquet"))], asked.runs),
        }
    return _beside(costs)


def many_files(asked: Asked) -> list[Row]:
    """A check of one week of five years of daily files, beside reading that week."""
    days, monday = 100 if asked.rows else DAYS, last_monday()
    with TemporaryDirectory(prefix="driftd-bench-") as name:
        folder = Path(name)
        size = Size(rows=A_DAY, columns=20)
        (folder / "log").mkdir()
        for day in range(days):
            start = monday + timedelta(days=7 - days + day)
            _write(folder / "log" / f"{start:%Y-%m-%d}.parquet", size, start, 1, seed=day)
        _write(folder / "reference.parquet", Size(rows=50 * A_DAY, columns=20), monday - timedelta(weeks=8), 56, seed=0)
        week = [str(file) for file in sorted((folder / "log").iterdir())[-7:]]
        watched = folder / "log"
        _check(folder, PLAIN, "log")
        costs = {
            "reading the week with Arrow": _median(watched, [sys.executable, "-c", READ, *week], asked.runs),
            "driftd check": _checked(folder, PLAIN, asked.runs, "log"),
            "driftd check, nothing due": _median(watched, _command(folder), asked.runs),
        }
    return _beside(costs)


def _beside(costs: dict[str, Cost]) -> list[Row]:
    """Each is beside the last reading above it."""
    rows, beside = [], next(iter(costs.values()))
    for what, cost in costs.items():
        beside = cost if what.startswith("reading") else beside
        also = {"largest process, MB": cost.peak_mb, "read, MB": cost.read_mb, "files opened": float(cost.opened)}
        rows.append(Row(what=what, value=cost.seconds, ratio=cost.seconds / beside.seconds, also=also))
    return rows


def _checked(folder: Path, settings: str, runs: int, log: str = "log.parquet") -> Cost:
    """The cost of a check with a kept profile and an empty state."""
    _check(folder, settings, log)
    watched = folder / log if (folder / log).is_dir() else folder

    def empty() -> None:
        for file in (folder / "state").iterdir():
            if file.is_file():
                file.unlink()

    return _median(watched, _command(folder), runs, empty)


def _check(folder: Path, settings: str, log: str) -> None:
    (folder / "driftd.toml").write_text(
        f'[models.m]\npredictions = "{log}"\nreference = "reference.parquet"\n{settings}'
    )
    subprocess.run(_command(folder), capture_output=True, check=False)


def _command(folder: Path) -> list[str]:
    return [*DRIFTD, "check", "-c", str(folder / "driftd.toml")]


def _median(watched: Path, command: Sequence[str], runs: int, before: Callable[[], None] | None = None) -> Cost:
    taken = []
    for _ in range(runs):
        if before is not None:
            before()
        taken.append(cost_of(watched, command))
    middle = statistics.median
    return Cost(middle(one.seconds for one in taken), middle(one.peak_mb for one in taken),
                middle(one.read_mb for one in taken), int(middle(one.opened for one in taken)))


def cost_of(watched: Path, command: Sequence[str]) -> Cost:
    """Run the command below a process of its own, which asks the kernel what all its children used.

    Python's modules are compiled once, as they are where driftd is installed.
    """
    told = ("import os, resource, subprocess, sys; done = subprocess.run(sys.argv[1:], stdout=subprocess.DEVNULL, "
            "stderr=subprocess.DEVNULL); used = resource.getrusage(resource.RUSAGE_CHILDREN); "
            "print(done.returncode, used.ru_utime + used.ru_stime, used.ru_maxrss, "
            "open('/proc/self/io').read().split()[1])")
    compiled = {name: text for name, text in os.environ.items() if name != "PYTHONDONTWRITEBYTECODE"}
    with _opened(watched) as opened:
        said = subprocess.run([sys.executable, "-c", told, *command], env=compiled, capture_output=True, text=True,
                              check=True)
    code, seconds, kilobytes, read = said.stdout.split()
    if int(code) not in (0, YES):
        raise RuntimeError(f"{' '.join(command)} ended with {code}")
    return Cost(float(seconds), int(kilobytes) / 1000, int(read) / 1e6, opened[0])


@contextmanager
def _opened(folder: Path) -> Iterator[list[int]]:
    """Count how often files of a folder are opened (inotify)."""
    libc, count, done = ctypes.CDLL(None, use_errno=True), [0], threading.Event()
    queue = libc.inotify_init1(os.O_NONBLOCK)
    libc.inotify_add_watch(queue, str(folder).encode(), _IN_OPEN)

    def drain() -> None:
        while True:
            try:
                events, at = os.read(queue, 1 << 20), 0
            except BlockingIOError:
                return
            while at < len(events):
                _, mask, _, length = unpack_from("iIII", events, at)
                at += 16 + length
                if mask & _QUEUE_FULL:
                    raise RuntimeError("more files were opened than could be counted")
                count[0] += bool(length and not mask & 0x40000000)

    def watch() -> None:
        while not done.wait(0.005):
            drain()

    thread = threading.Thread(target=watch)
    thread.start()
    try:
        yield count
    finally:
        done.set()
        thread.join()
        drain()
        os.close(queue)


def last_monday() -> datetime:
    """The start of the last whole week."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return today - timedelta(days=today.weekday() + 7)


def _write(file: Path, size: Size, start: datetime, days: int, seed: int) -> None:
    """Rows with ids, predictions, labels within hours, and features, four of five of them numbers."""
    parts = range(0, size.rows, GROUP)
    first = rows_of(size, start, days, seed, 0, 1)
    with pq.ParquetWriter(file, first.schema) as writer:
        for at in parts:
            writer.write_table(rows_of(size, start, days, seed, at, min(GROUP, size.rows - at)))


def rows_of(size: Size, start: datetime, days: int, seed: int, first: int, rows: int) -> pa.Table:
    chance = np.random.default_rng([seed, first])
    step = days * 86_400_000_000 // size.rows
    after = np.arange(first, first + rows) * np.timedelta64(step, "us")
    times = np.datetime64(start.replace(tzinfo=None), "us") + after
    numbers = {name: chance.normal(size=rows) for name in size.numbers}
    score = 1 / (1 + np.exp(-numbers[size.numbers[0]]))
    known = times + (chance.exponential(1800e6, rows)).astype("timedelta64[us]")
    utc = pa.timestamp("us", "UTC")
    words = pa.array([f"category {index}" for index in range(CATEGORIES)])
    return pa.table({
        "timestamp": pa.array(times, utc), "prediction_id": [f"{start:%Y%m%d}-{first + row}" for row in range(rows)],
        **numbers, **{name: words.take(pa.array(chance.integers(0, CATEGORIES, rows))) for name in size.words},
        "prediction": (score > 0.5).astype(np.int64), "probability": score,
        "label": (chance.random(rows) < score).astype(np.int64), "label_timestamp": pa.array(known, utc),
    })
