"""Real counterparts for tests: each started here, in a folder of its own, and stopped again."""

import base64
import json
import os
import random
import secrets
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from email import message_from_bytes, policy
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.error import URLError
from urllib.request import urlopen

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session
from cloudevents.http import from_http
from standardwebhooks import Webhook

from monitor.client import PredictionLog
from monitor.store import Store

WINDOW = timedelta(seconds=4)

CONFIG = """
[daemon]
listen = "127.0.0.1:{port}"
[models.trees]
mode = "act"
metric = "accuracy"
every = "1s"
window = {{ size = "{window}", lateness = "1s", min_rows = 20 }}
predictions = "log/predictions"
labels = "log/labels"
reference = "reference.jsonl"
quality.stale = "1h"
rehearsal.enabled = false
[[models.trees.triggers]]
name = "worse"
metric = "accuracy"
below = 0.7
action = "retrain"
[models.trees.retrain]
pipeline = "hook"
cooldown = "0s"
budget = "1000 per 1d"
min_labels = 0
[pipelines.hook]
kind = "webhook"
url = "{url}"
secret = {{ env = "HOOK_SECRET" }}
[notify]
urls = [{{ env = "MAIL" }}]
"""


def until(condition: Callable[[], Any], seconds: float = 90.0, else_say: Callable[[], str] = str) -> Any:
    """Wait for something true, and return it."""
    deadline = time.monotonic() + seconds
    while not (found := condition()):
        assert time.monotonic() < deadline, f"waited too long\n{else_say()}"
        time.sleep(0.05)
    return found


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        return int(taken.getsockname()[1])


def get(port: int, path: str) -> str:
    try:
        with urlopen(f"http://127.0.0.1:{port}{path}", timeout=10) as answer:
            return str(answer.read(), "utf-8")
    except (URLError, ConnectionError):
        return ""


def answer(chance: random.Random, good: bool) -> tuple[dict[str, Any], int, int]:
    """One prediction of a model that is right nine times of ten, or, when the world has changed, three."""
    label = chance.randrange(2)
    right = chance.random() < (0.9 if good else 0.3)
    return {"height": round(chance.gauss(20, 4), 2)}, label if right else 1 - label, label


class Service:
    """A service that answers forty times a second, logs it with `PredictionLog`, and soon learns the truth."""

    def __init__(self, folder: Path) -> None:
        self.good = True
        self._stop = threading.Event()
        self._log = PredictionLog(folder, rotate_seconds=5)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._log.close()
        assert self._log.dropped == 0

    def _run(self) -> None:
        chance = random.Random(1)
        while not self._stop.wait(0.025):
            features, prediction, label = answer(chance, self.good)
            self._log.label(self._log.log(features, prediction), label)


class Hook:
    """A receiver that believes only what its secret signed, takes its time, and keeps what came."""

    def __init__(self, secret: str) -> None:
        self._verifier = Webhook(secret)
        self._chance = random.Random(2)
        self.begun = threading.Event()
        self.events: list[Any] = []
        self.refused: list[Exception] = []
        hook = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                if len(body := self.rfile.read(length)) < length:
                    self.close_connection = True
                    return                      # its sender was killed within the request, which is none then
                self.send_response(hook.take(body, dict(self.headers.items())))
                self.send_header("Content-Length", "0")
                self.end_headers()

            def log_message(self, *_: Any) -> None:
                pass

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_port}/retrain"
        self._thread = threading.Thread(target=self._server.serve_forever)
        self._thread.start()

    def take(self, body: bytes, headers: dict[str, str]) -> int:
        try:
            self._verifier.verify(body, {name.lower(): value for name, value in headers.items()})
            event = from_http(headers, body)
        except Exception as error:  # noqa: BLE001  whatever is wrong with a request fails the test at its end
            self.refused.append(error)
            return 400
        self.events.append((headers["webhook-id"], event))
        self.begun.set()
        threading.Event().wait(self._chance.uniform(0, 0.5))    # work: a kill may fall into it
        return 200

    def ids(self) -> set[str]:
        return {id for id, _ in self.events}

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Mailbox:
    """A mail server's handler that keeps what came."""

    def __init__(self) -> None:
        self.subjects: list[str] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.subjects.append(str(message_from_bytes(envelope.content, policy=policy.default)["subject"]))
        return "250 OK"


class Place:
    """A folder with a configuration, the service that logs into it, the receivers, and a daemon at times."""

    def __init__(self, folder: Path, hook: Hook, mailbox: Mailbox, environment: dict[str, str]) -> None:
        self.folder, self.hook, self.mailbox = folder, hook, mailbox
        self.port, self.window = free_port(), WINDOW
        self._environment = os.environ | environment
        write_reference(folder / "reference.jsonl")
        text = CONFIG.format(port=self.port, url=hook.url, window=f"{WINDOW.total_seconds():g}s")
        (folder / "driftd.toml").write_text(text)
        self.service = Service(folder / "log")
        self.process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        command = [sys.executable, "-m", "monitor", "run", "-c", str(self.folder / "driftd.toml")]
        with (self.folder / "driftd.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log, env=self._environment)

    def end(self, how: signal.Signals) -> int:
        assert self.process is not None
        self.process.send_signal(how)
        code, self.process = self.process.wait(60), None
        return code

    def log(self) -> str:
        return (self.folder / "driftd.log").read_text()[-4000:]

    def until(self, condition: Callable[[], Any], seconds: float = 120.0) -> Any:
        return until(condition, seconds, self.log)

    free_port = staticmethod(free_port)

    def get(self, path: str, port: int | None = None) -> str:
        """What the daemon answers, or somebody else on this machine; nothing where nobody does."""
        return get(port or self.port, path)

    @contextmanager
    def store(self) -> Iterator[Store]:
        with Store.open(self.folder / "state", exclusive=False) as store:
            yield store

    def driftd(self, *arguments: str) -> None:
        command = [sys.executable, "-m", "monitor", *arguments, "-c", str(self.folder / "driftd.toml")]
        subprocess.run(command, check=True, env=self._environment, stdout=subprocess.DEVNULL, timeout=60)

    def delivered(self) -> list[str]:
        """Ids of the requests that were accepted, oldest first."""
        with self.store() as store:
            return [one.id for one in store.requests.all() if one.accepted_at is not None]

    def need_stands(self) -> bool:
        with self.store() as store:
            return store.episodes.standing("trees") is not None

    def close(self) -> None:
        if self.process is not None:
            self.end(signal.SIGKILL)
        self.service.close()


def write_reference(path: Path) -> None:
    """An hour's answers from before the log, each labelled a tenth of a second later."""
    chance, begin = random.Random(3), datetime.now(UTC) - timedelta(hours=2)
    with path.open("w") as file:
        for number in range(2000):
            features, prediction, label = answer(chance, good=True)
            at = begin + timedelta(seconds=1.8 * number)
            row = features | {"timestamp": at.isoformat(), "prediction_id": f"r{number}", "prediction": prediction,
                              "label": label, "label_timestamp": (at + timedelta(seconds=0.1)).isoformat()}
            file.write(json.dumps(row) + "\n")


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    mailbox = Mailbox()
    mail = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    mail.start()
    hook = Hook(secret)
    address = f"mailto://127.0.0.1:{mail.port}?from=driftd@example.org&to=ops@example.org"
    made = Place(tmp_path, hook, mailbox, {"HOOK_SECRET": secret, "MAIL": address})
    try:
        yield made
    finally:
        made.close()
        hook.close()
        mail.stop()
