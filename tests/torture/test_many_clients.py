"""Row 21: a daemon that hundreds of clients press at once, and what its checks and its health do meanwhile."""

import random
import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.torture.harness import Service, service, until, write_log

HALF = (b"", b"GE", b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-a: ",
        b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000\r\n\r\nx")
WHOLE = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
LAST = 'driftd_last_check_timestamp_seconds{model="m"}'
CONFIG = f"""
[daemon]
listen = "127.0.0.1:PORT"

[models.m]
predictions = "log.csv"
reference   = "reference.csv"
every       = "1s"
window      = {{ size = "1d", min_rows = 20 }}
since       = {datetime.now(UTC).date() - timedelta(days=3)}
rehearsal   = {{ enabled = false }}
estimation  = {{ enabled = false }}
"""


@pytest.mark.torture(21)
def test_clients_that_are_many_slow_or_half(
    tmp_path: Path, effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """Checks go on and every probe of health is answered while some scrape without pause and others never finish."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    write_log(tmp_path / "reference.csv", today - timedelta(days=30), 600, timedelta(hours=1))
    write_log(tmp_path / "log.csv", today - timedelta(days=3), 140, timedelta(minutes=30))
    with service(tmp_path, CONFIG) as daemon, ExitStack() as pressed:
        daemon.start()
        until(lambda: daemon.metric(LAST), daemon.log)
        chance, number = random.Random(seed), effort(20, 200)
        slow = [pressed.enter_context(connected(daemon, chance.choice(HALF))) for _ in range(number)]
        done = pressed.enter_context(pressing(daemon, number))
        before, waits = daemon.metric(LAST) or 0.0, []
        for _ in range(effort(10, 300)):
            for connection in chance.sample(slow, 10):
                with suppress(OSError):
                    connection.send(b"b")
            began = time.monotonic()
            assert daemon.get("/healthz", timeout=20)[0] == 200
            waits.append(time.monotonic() - began)
        until(lambda: (daemon.metric(LAST) or 0) > before + 2, daemon.log)
        figure(f"{number} clients that scrape, {number} slow or half ones: {len(waits)} probes of health answered, "
               f"after {max(waits):.2f} s at most; {done[0]:,} scrapes answered; checks went on")


def connected(daemon: Service, sent: bytes) -> socket.socket:
    made = socket.create_connection(("127.0.0.1", daemon.port), timeout=20)
    made.sendall(sent)
    return made


@contextmanager
def pressing(daemon: Service, number: int) -> Iterator[list[int]]:
    """Clients that scrape again and again, and how many answers they had."""
    answered, over = [0], threading.Event()

    def scrape() -> None:
        while not over.is_set():
            with suppress(OSError), connected(daemon, WHOLE) as connection:
                while connection.recv(65_536):
                    pass
                answered[0] += 1

    clients = [threading.Thread(target=scrape) for _ in range(number)]
    for client in clients:
        client.start()
    try:
        yield answered
    finally:
        over.set()
        for client in clients:
            client.join()
