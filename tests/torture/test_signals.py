"""Row 13: signals at random moments, start-up included, while a source hangs."""

import random
import re
import signal
import time
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.torture.harness import service, until, write_log

CONFIG = """
[daemon]
listen = "127.0.0.1:PORT"
workers = 1
[models.good]
predictions = "log.csv"
reference = "first 5d"
window = "1d"
every = "1s"
[models.hung]
predictions = { database = { env = "NOWHERE" }, table = "t" }
reference = "log.csv"
every = "1s"
"""


def caught(pid: int, number: signal.Signals) -> bool:
    """Whether a process catches or ignores a signal by now."""
    try:
        masks = re.findall(r"^Sig(?:Ign|Cgt):\t(\w+)$", Path(f"/proc/{pid}/status").read_text(), re.MULTILINE)
    except FileNotFoundError:
        return False
    return any(int(mask, 16) >> (number - 1) & 1 for mask in masks)


def end_after_signals(folder: Path, environment: dict[str, str], chance: random.Random, most: float) -> float:
    """Start the service, send it three signals up to `most` seconds apart, end it; the seconds until it had ended."""
    folder.mkdir()
    write_log(folder / "log.csv", datetime.now(UTC) - timedelta(days=9), 400, timedelta(minutes=30))
    with service(folder, CONFIG, **environment) as running:
        running.start()
        until(lambda: caught(running.process.pid, signal.SIGHUP))
        for _ in range(3):
            time.sleep(chance.uniform(0, most))
            running.process.send_signal(chance.choice([signal.SIGHUP, signal.SIGUSR1]))
        time.sleep(chance.uniform(0, 0.5))
        began = time.monotonic()
        assert running.stop(chance.choice([signal.SIGTERM, signal.SIGINT])) == 0, running.log()[-3000:]
        assert "Traceback" not in running.log()
        return time.monotonic() - began


@pytest.mark.torture(13)
def test_signals_at_random_moments_end_or_change_what_they_should(tmp_path, effort, seed, figure, silent_database):
    """HUP and USR1 never end the service, TERM and INT end it with 0 within ten seconds, at whatever moment."""
    def life(number: int) -> float:
        most = 4.0 if number % 2 else 0.3
        chance = random.Random(f"{seed} {number}")
        return end_after_signals(tmp_path / str(number), {"NOWHERE": silent_database}, chance, most)

    lives = effort(2, 250)
    with ThreadPoolExecutor(2) as pool:
        slowest = max(pool.map(life, range(lives)))
    assert slowest < 10
    figure(f"{4 * lives} signals in {lives} lives: all exits 0, the slowest after {slowest:.1f} s")
