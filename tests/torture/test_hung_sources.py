"""Row 7: hung sources, four times as many as workers; workers that die."""

import os
import random
import signal
import sqlite3
import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.torture.harness import service, until, write_log

HEAD = """
[daemon]
listen = "127.0.0.1:PORT"
workers = 2
"""
GOOD = """
[models.good{0}]
predictions = "log.csv"
reference = "reference.csv"
every = "1s"
quality.stale = "9000d"
rehearsal.enabled = false
window = {{ size = "{1}s", lateness = "1s", min_rows = 3 }}
"""
HUNG = """
[models.hung{0}]
predictions = {{ database = {{ env = "NOWHERE" }}, table = "t", timeout = "30s" }}
reference = "reference.csv"
every = "1s"
"""


def children(pid: int) -> list[int]:
    found: list[int] = []
    for task in Path(f"/proc/{pid}/task").iterdir():
        with suppress(FileNotFoundError, ProcessLookupError):        # a thread that ended meanwhile
            found += map(int, (task / "children").read_text().split())
    return found


def windows(folder: Path, models: str = "good%") -> list[tuple[str, str, str]]:
    """Model, status and lateness of the newest revision of each window."""
    with sqlite3.connect(f"file:{folder / 'state/driftd.db'}?mode=ro", uri=True) as database:
        return database.execute(
            """SELECT w.model, s.status, w.end_at, MIN(s.taken_at) FROM windows w JOIN snapshots s ON s.window_id = w.id
               WHERE w.model LIKE ? GROUP BY w.id HAVING s.revision = MAX(s.revision)""", (models,)).fetchall()


@pytest.mark.torture(7)
def test_hung_sources_four_times_as_many_as_workers_make_nobody_late(tmp_path, effort, figure, silent_database):
    """Eight models whose databases say nothing, two workers: the others' windows are judged within one interval."""
    size = 20
    now = datetime.now(UTC)
    write_log(tmp_path / "log.csv", now - timedelta(minutes=1), effort(600, 6000), timedelta(seconds=1))
    write_log(tmp_path / "reference.csv", now - timedelta(hours=2), 2000, timedelta(seconds=1), seed=2)
    config = HEAD + "".join(GOOD.format(n, size) for n in range(2)) + "".join(HUNG.format(n) for n in range(8))
    with service(tmp_path, config, NOWHERE=silent_database) as running:
        running.start()
        running.ready()
        until(lambda: len(windows(tmp_path)) >= 4, running.log)
        until(lambda: "driftd_worker_wait_seconds{" in running.get("/metrics")[1], running.log)
        began = datetime.now(UTC)           # those that ended before wait for the start, not for the hung ones

        def late() -> list[float]:
            moments = ([datetime.fromisoformat(one) for one in row[2:]] for row in windows(tmp_path))
            return [(taken - end).total_seconds() for end, taken in moments if end > began]

        until(lambda: len(late()) >= effort(2, 200), running.log, seconds=effort(120, 7200))
        found = late()
        assert running.get("/healthz")[0] == 200
        assert running.stop() == 0
    assert max(found) <= size
    figure(f"8 hung sources, 2 workers: {len(found)} windows of other models, the latest {max(found):.1f} s late "
           f"(interval {size} s)")


@pytest.mark.torture(7)
def test_windows_whose_workers_die_are_all_judged_in_the_end(tmp_path, effort, seed, figure):
    """Workers are killed at random moments, twice in a row too; no window stays failed and none is left out."""
    chance, deaths, killed, now = random.Random(seed), effort(4, 100), 0, datetime.now(UTC)
    write_log(tmp_path / "log.csv", now - timedelta(hours=1), 3600, timedelta(seconds=1))
    write_log(tmp_path / "reference.csv", now - timedelta(hours=2), 2000, timedelta(seconds=1), seed=2)
    since = f'since = "{(now - timedelta(minutes=55)).isoformat()}"\n'
    with service(tmp_path, HEAD + GOOD.format(0, 300) + since + GOOD.format(1, 300) + since) as running:
        running.start()
        running.ready()
        while killed < deaths:
            for child in children(running.process.pid):
                os.kill(child, chance.choice([signal.SIGKILL, signal.SIGSEGV]))
                killed += 1
            time.sleep(chance.uniform(0, 1.5))
        until(lambda: len(done := windows(tmp_path)) >= 20 and {row[1] for row in done} == {"ok"}, running.log,
              seconds=effort(240, 7200))
        ends = {model: sorted(row[2] for row in windows(tmp_path) if row[0] == model) for model in ("good0", "good1")}
        assert running.stop() == 0
        assert "Traceback" not in running.log()
    for moments in ends.values():
        times = [datetime.fromisoformat(moment) for moment in moments]
        assert {b - a for a, b in pairwise(times)} == {timedelta(seconds=300)}
    figure(f"{killed} worker deaths: {sum(map(len, ends.values()))} windows, all judged, none left out")
