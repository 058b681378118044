"""Row 13: signals at random moments, start-up included, while a source hangs."""

import random
import re
import signal
import time
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


@pytest.mark.torture(13)
def test_signals_at_random_moments_end_or_change_what_they_should(tmp_path, effort, seed, figure, silent_database):
    """HUP and USR1 never end the service, TERM and INT end it with 0 within ten seconds, at whatever moment."""
    chance, rounds, slowest, sent = random.Random(seed), effort(2, 250), 0.0, 0
    write_log(tmp_path / "log.csv", datetime.now(UTC) - timedelta(days=9), 400, timedelta(minutes=30))
    for number in range(rounds):
        with service(tmp_path, CONFIG, NOWHERE=silent_database) as running:
            running.start()
            until(lambda pid=running.process.pid: caught(pid, signal.SIGHUP))
            for _ in range(3):
                time.sleep(chance.uniform(0, 4.0 if number % 2 else 0.3))
                running.process.send_signal(chance.choice([signal.SIGHUP, signal.SIGUSR1]))
            time.sleep(chance.uniform(0, 0.5))
            began = time.monotonic()
            assert running.stop(chance.choice([signal.SIGTERM, signal.SIGINT])) == 0, running.log()[-3000:]
            slowest, sent = max(slowest, time.monotonic() - began), sent + 4
            assert "Traceback" not in running.log()
    assert slowest < 10
    figure(f"{sent} signals in {rounds} lives: all exits 0, the slowest after {slowest:.1f} s")
