"""What the tests against harm share: a real daemon, commands on its configuration, a log of predictions, fuzzing."""

import csv
import http.client
import os
import random
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import seed as hypothesis_seed
from hypothesis import strategies as st

EXAMPLES = 5_000        # of one run of Hypothesis
MANY = 10**9            # examples: as many as the time allows
MINUTES = float(os.environ.get("DRIFTD_TORTURE_MINUTES", "60"))


class Service:
    """`driftd run` in a process of its own; its configuration, state and log lie in `folder`."""

    def __init__(self, folder: Path, config: str, environment: dict[str, str]) -> None:
        self.folder, self.environment, self.port = folder, os.environ | environment, free_port()
        (folder / "driftd.toml").write_text(config.replace("PORT", str(self.port)), encoding="utf-8")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; it may not be ready yet."""
        with (self.folder / "log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "monitor", "run", "-c", "driftd.toml"], cwd=self.folder, stdout=log, stderr=log,
                env=self.environment, process_group=0,
            )

    def ready(self) -> None:
        """Wait until it answers that it is ready."""
        until(lambda: self.get("/readyz")[0] == 200, self.log)

    def get(self, path: str, timeout: float = 30.0, token: str = "") -> tuple[int, str]:
        """An answer of its HTTP side; status 0 where there is none."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=timeout)
        try:
            connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        except (OSError, http.client.HTTPException):
            return 0, ""
        finally:
            connection.close()

    def metric(self, line: str) -> float | None:
        """A value of /metrics by name and labels."""
        value = re.search(rf"^{re.escape(line)} (\S+)$", self.get("/metrics")[1], re.MULTILINE)
        return float(value[1]) if value else None

    def command(self, *words: str, timeout: float = 120.0) -> subprocess.CompletedProcess[str]:
        """A command on the same configuration."""
        return subprocess.run(
            [sys.executable, "-m", "monitor", *words, "-c", "driftd.toml"], cwd=self.folder, env=self.environment,
            capture_output=True, text=True, timeout=timeout,
        )

    def log(self) -> str:
        return (self.folder / "log").read_text(encoding="utf-8", errors="replace")

    def stop(self, number: int = signal.SIGTERM, timeout: float = 60.0) -> int:
        """Send a signal and give the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(timeout)


@contextmanager
def service(folder: Path, config: str, **environment: str) -> Iterator[Service]:
    """A daemon that is ended with the block; PORT in its configuration is a free port."""
    made = Service(folder, config, environment)
    try:
        yield made
    finally:
        if made.process is not None:
            made.process.kill()
            made.process.wait()


def until(condition: Callable[[], object], said: Callable[[], str] = str, seconds: float = 120.0) -> None:
    """Wait for a condition; fails with what is said where it does not come."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, f"waited too long; {said()[-3000:]}"
        time.sleep(0.02)


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def write_log(path: Path, start: datetime, rows: int, step: timedelta, *, right: float = 0.9, seed: int = 1) -> None:
    """A CSV log of binary predictions with labels, of which a share `right` is right."""
    chance = random.Random(seed)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(["timestamp", "prediction_id", "x", "prediction", "label"])
        for number in range(rows):
            label = chance.randrange(2)
            prediction = label if chance.random() < right else 1 - label
            moment = (start + number * step).isoformat()
            writer.writerow([moment, f"{seed}-{number}", round(chance.gauss(20, 4), 3), prediction, label])


class Tried(Counter[str]):
    """What examples came to, since when they are tried (monotonic seconds), and whether one of them raised."""

    def __init__(self) -> None:
        super().__init__()
        self.since, self.failed = time.monotonic(), False

    @property
    def minutes(self) -> float:
        return (time.monotonic() - self.since) / 60

    def batches(self, examples: int) -> Iterator[int]:
        """How many of the examples to try next, until there were so many or the time is over."""
        while (left := examples - self.total()) > 0 and self.minutes < MINUTES:
            before = self.total()
            yield min(EXAMPLES, left)
            if self.total() == before:           # there are no more
                return


def fuzz(examples: int, seed: int, strategy: st.SearchStrategy[Any], act: Callable[[Any], str]) -> Tried:
    """Act on so many examples, or for as long as the time allows; count what it answers.

    What it raises is raised, with the smallest example of it.
    """
    tried = Tried()
    for most in tried.batches(examples):
        fuzz_once(most, seed + tried.total(), strategy, act, tried)
    return tried


def fuzz_once(
    examples: int, seed: int, strategy: st.SearchStrategy[Any], act: Callable[[Any], str], tried: Tried
) -> None:
    """One run of Hypothesis, which remembers each of its examples."""
    @given(strategy)
    def one(example: Any) -> None:
        if tried.minutes >= MINUTES and not tried.failed:
            return
        before, tried.failed = tried.failed, True       # Hypothesis makes it smaller, after the time too
        tried[act(example)] += 1
        tried.failed = before

    run = settings(max_examples=examples, deadline=None, database=None, phases=[Phase.generate, Phase.shrink],
                   suppress_health_check=list(HealthCheck))
    hypothesis_seed(seed)(run(one))()
