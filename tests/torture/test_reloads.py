"""Row 12: a configuration that is replaced by good and bad ones while models are checked and scraped."""

import json
import os
import random
import shutil
import signal
import sqlite3
import threading
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path

import pytest

from tests.torture.harness import Service, service, until, write_log
from tests.torture.test_hung_sources import children

MODEL = """
[models.{0}]
predictions = "log.csv"
reference = "reference.csv"
every = "1s"
quality.stale = "9000d"
rehearsal.enabled = false
window = {{ size = "10s", lateness = "1s", min_rows = 3 }}
"""
HEAD = '[daemon]\nlisten = "127.0.0.1:PORT"\nworkers = 2\n'
STAYS = MODEL.format("stays")
METRIC = "driftd_config_last_reload_successful"


def _link(path: Path) -> None:
    path.symlink_to(path.name)


BAD: dict[str, Callable[[Path, str], object]] = {
    "a key that is none": lambda path, good: path.write_text(good + "nonsense = 1\n"),
    "a value of the wrong kind": lambda path, good: path.write_text(good.replace('"1s"', "[]", 1)),
    "half of it": lambda path, good: path.write_text(good[:good.rindex('"')]),
    "a model without a log": lambda path, good: path.write_text(good + "[models.other]\n"),
    "a place that cannot be listened on": lambda path, good: path.write_text(good.replace("127.0.0.1", "nowhere ")),
    "users in a file that is not there": lambda path, good: path.write_text(
        good.replace("workers", 'web_config = "gone.yml"\nworkers')),
    "a token in a variable that is not set": lambda path, good: path.write_text(
        good + '[daemon.tokens.t]\nsecret = { env = "NOT_SET" }\nscopes = ["read"]\n'),
    "bytes": lambda path, good: path.write_bytes(bytes(range(256))),
    "deep lists": lambda path, good: path.write_text("x = " + "[" * 100_000),
    "nothing": lambda path, good: None,
    "a folder": lambda path, good: path.mkdir(),
    "a FIFO": lambda path, good: os.mkfifo(path),
    "a link to itself": lambda path, good: _link(path),
    "a device": lambda path, good: path.symlink_to("/dev/zero"),
}


def replace(path: Path, put: Callable[[Path, str], object], good: str) -> None:
    """Put something else in the place of the configuration, a file at once as an editor does."""
    draft = path.with_name("draft")
    put(draft, good)
    if path.is_dir():
        shutil.rmtree(path)
    if draft.is_file() and not draft.is_symlink():
        draft.rename(path)
        return
    path.unlink(missing_ok=True)
    with suppress(FileNotFoundError):
        draft.rename(path)


def content(path: Path) -> bytes | None:
    return path.read_bytes() if path.is_file() else None


def models(running: Service) -> set[str]:
    status, text = running.get("/api/status")
    return {model["model"] for model in json.loads(text)["models"]} if status == 200 else set()


def handles(running: Service) -> int:
    """Open files, without the four pipes of each worker: these come and go."""
    assert running.process is not None
    return len(os.listdir(f"/proc/{running.process.pid}/fd")) - 4 * len(children(running.process.pid))


def threads(running: Service) -> int:
    """Threads, without the one that reads what each worker says."""
    assert running.process is not None
    return len(os.listdir(f"/proc/{running.process.pid}/task")) - len(children(running.process.pid))


def windows(folder: Path) -> list[tuple[str, str, str]]:
    """Start, end and status of each window of the model that stays, in order."""
    with sqlite3.connect(f"file:{folder / 'state/driftd.db'}?mode=ro", uri=True) as database:
        return database.execute(
            """SELECT w.start_at, w.end_at, MIN(s.status) FROM windows w JOIN snapshots s ON s.window_id = w.id
               WHERE w.model = 'stays' GROUP BY w.id ORDER BY w.start_at""").fetchall()


class Scrapes:
    """Clients that scrape without a pause until the block ends."""

    def __init__(self, running: Service, clients: int) -> None:
        self._running, self._over, self.count, self.failed = running, threading.Event(), 0, 0
        self._threads = [threading.Thread(target=self._scrape) for _ in range(clients)]

    def __enter__(self) -> "Scrapes":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        for thread in self._threads:
            thread.join()

    def _scrape(self) -> None:
        while not self._over.wait(0.05):
            status, text = self._running.get("/metrics")
            self.count += 1
            self.failed += status != 200 or 'model="stays"' not in text


@pytest.mark.torture(12)
def test_reloads_under_load(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """The last good configuration stays, metrics say so, every window is measured once, no handle is left open."""
    chance, reloads, now = random.Random(seed), effort(3, 200), datetime.now(UTC)
    write_log(tmp_path / "log.csv", now - timedelta(minutes=1), effort(900, 9000), timedelta(seconds=1))
    write_log(tmp_path / "reference.csv", now - timedelta(hours=2), 2000, timedelta(seconds=1), seed=2)
    with service(tmp_path, HEAD + STAYS) as running:
        running.start()
        running.ready()
        until(lambda: (tmp_path / "state/driftd.db").exists() and windows(tmp_path), running.log)
        before = handles(running), threads(running)
        with Scrapes(running, 2) as scrapes:
            refused = sum(reload(running, chance, number) for number in range(reloads))
        last = datetime.now(UTC)
        until(lambda: datetime.fromisoformat(windows(tmp_path)[-1][1]) > last - timedelta(seconds=12), running.log)
        # a client's connection and a check come and go; the HTTP side keeps four threads from its first answers on
        until(lambda: handles(running) <= before[0] + 3, lambda: f"{handles(running)} handles, {before} before")
        until(lambda: threads(running) <= before[1] + 4, lambda: f"{threads(running)} threads, {before} before")
        judged = windows(tmp_path)
        assert all(one[1] == other[0] for one, other in pairwise(judged)), judged
        assert {status for _, _, status in judged} == {"ok"}
        assert (scrapes.failed, "Traceback" in running.log()) == (0, False)
        assert not running.metric('driftd_checks_total{model="stays",outcome="failed"}')
        assert running.stop() == 0
    figure(f"{reloads} reloads, {refused} of them bad, under {scrapes.count} scrapes: the last good one in force after "
           f"each, {len(judged)} windows measured without a gap, no handle or thread left")


def reload(running: Service, chance: random.Random, number: int) -> bool:
    """Replace the configuration, by a signal or as it is noticed; see what is in force. True for a bad one."""
    path, known = running.folder / "driftd.toml", models(running)
    good = (HEAD + STAYS + MODEL.format(f"new{number}")).replace("PORT", str(running.port))
    bad = chance.random() < 0.5
    refusals, before = running.log().count("is refused"), content(path)
    replace(path, BAD[chance.choice(sorted(BAD))] if bad else Path.write_text, good)
    if chance.random() < 0.7 or content(path) == before:         # the same again is only seen by who is told to look
        assert running.process is not None
        running.process.send_signal(signal.SIGHUP)
    if bad:
        until(lambda: running.log().count("is refused") > refusals, running.log)
    expected = known if bad else {"stays", f"new{number}"}
    until(lambda: models(running) == expected and running.metric(METRIC) == (not bad), running.log)
    return bad
