"""Row 9: 100 models of 200 columns, each with 10,000 rows every quarter of an hour. In the long form only."""

import os
import sqlite3
import time
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests.torture.harness import Service, service, until
from tests.torture.test_hung_sources import children

MODELS, COLUMNS, ROWS, ROUNDS = 100, 200, 10_000, 3
MINUTES = 15             # a round
ROUND = timedelta(minutes=MINUTES)
HEAD = """
[daemon]
listen = "127.0.0.1:PORT"
workers = 2
"""
MODEL = """
[models.m{0}]
predictions = "rows/*.parquet"
reference   = "reference.parquet"
task        = "binary"
cron        = "*/{1} * * * *"
window      = {{ size = "{1}m", lateness = "0s" }}
"""


def write(path: Path, start: datetime, seed: int) -> None:
    """The rows of one round; the file appears whole."""
    chance = np.random.default_rng(seed)
    columns = {f"x{at}": chance.normal(20, 4, ROWS) for at in range(COLUMNS)}
    moments = [start + number * ROUND / ROWS for number in range(ROWS)]
    table = pa.table({"timestamp": pa.array(moments, pa.timestamp("us", "UTC")), **columns,
                      "prediction": chance.integers(0, 2, ROWS)})
    pq.write_table(table, path.with_suffix(".part"))
    path.with_suffix(".part").replace(path)


def used(pid: int) -> tuple[float, int]:
    """Seconds of processor so far, and bytes in memory, of a process and its children; pages they share count once."""
    seconds, memory = 0.0, 0
    for one in (pid, *children(pid)):
        with suppress(FileNotFoundError, ProcessLookupError):        # a worker that ended meanwhile
            fields = Path(f"/proc/{one}/stat").read_text().rsplit(")", 1)[1].split()
            seconds += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")      # and of its children that ended
            memory += int(Path(f"/proc/{one}/smaps_rollup").read_text().split("\nPss:")[1].split()[0]) * 1024
    return seconds, memory


def measured(folder: Path, start: datetime) -> int:
    """How many models have a verdict on the window that starts then."""
    with sqlite3.connect(f"file:{folder / 'state/driftd.db'}?mode=ro", uri=True) as database:
        return int(database.execute(
            """SELECT COUNT(DISTINCT w.model) FROM windows w JOIN snapshots s ON s.window_id = w.id
               WHERE w.start_at = ? AND s.status = 'ok'""", (start.isoformat(timespec="microseconds"),)).fetchone()[0])


def lateness(running: Service, end: datetime, most: list[int]) -> list[float]:
    """Seconds from a window's end until each model's verdict on it is in the state; `most`: bytes in memory."""
    late: list[float] = []

    def all_there() -> bool:
        count, now = measured(running.folder, end - ROUND), (datetime.now(UTC) - end).total_seconds()
        late.extend([now] * (count - len(late)))
        most.append(used(running.process.pid)[1])
        return len(late) == MODELS

    until(all_there, running.log, seconds=ROUND.total_seconds())
    return late


@pytest.mark.torture(9, only_long=True)
def test_a_hundred_models_every_quarter_of_an_hour(tmp_path: Path, figure: Callable[[str], None]) -> None:
    """Every window is measured; after a first round 99 of 100 within a minute of its end, on less than one core."""
    (tmp_path / "rows").mkdir()
    config = HEAD + "".join(MODEL.format(number, MINUTES) for number in range(MODELS))
    first = datetime.fromtimestamp((time.time() // ROUND.total_seconds()) * ROUND.total_seconds(), UTC)
    write(tmp_path / "reference.parquet", first - 8 * ROUND, 0)
    with service(tmp_path, config) as running:
        running.start()
        running.ready()
        late, seconds, most = [], 0.0, []
        for number in range(1 + ROUNDS):         # the first one warms up: imports, the reference's profile
            end = first + (1 + number) * ROUND
            write(tmp_path / f"rows/{number}.parquet", end - ROUND, 1 + number)
            if number == 1:
                seconds = used(running.process.pid)[0]
                began = time.monotonic()
            until(lambda end=end: datetime.now(UTC) >= end, running.log, seconds=2 * ROUND.total_seconds())
            told = lateness(running, end, most)
            late += told if number else []
        cores = (used(running.process.pid)[0] - seconds) / (time.monotonic() - began)
        assert running.stop() == 0
    worst = sorted(late)[int(0.99 * len(late))]
    figure(f"{MODELS} models × {COLUMNS} columns × {ROWS:,} rows, {ROUNDS} rounds of {MINUTES} minutes: {len(late)} "
           f"windows, 0 missed; p99 {worst:.0f} s late, {cores:.2f} cores, at most {max(most) / 1e9:.2f} GB")
    assert worst < 60
    assert cores <= 1
    assert max(most) < 1e9
