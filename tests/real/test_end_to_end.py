"""The daemon as people run it: real files that grow, and at the other ends real receivers; and kill -9 meanwhile."""

import base64
import json
import os
import random
import secrets
import shutil
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
from itertools import pairwise
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
from monitor.records import EpisodeState
from monitor.store import Store

pytestmark = pytest.mark.real

RULES = Path(__file__).resolve().parents[2] / "deploy/prometheus/driftd.rules.yml"
WINDOW = timedelta(seconds=4)
NEEDS, KILLS = 3, 12

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
                body = self.rfile.read(int(self.headers["Content-Length"]))
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
        self.port = free_port()
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
            return [one.id for one in store.dispatches() if one.accepted_at is not None]

    def need_stands(self) -> bool:
        with self.store() as store:
            return store.open_episode("trees") is not None

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


@contextmanager
def server(command: list[str], log: Path) -> Iterator[None]:
    with log.open("wb") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output)
    try:
        yield
    finally:
        process.terminate()
        process.wait(20)


@pytest.fixture
def alertmanager(tmp_path: Path) -> Iterator[int]:
    port, config = free_port(), tmp_path / "alertmanager.yml"
    config.write_text("route: {receiver: people}\nreceivers: [{name: people}]\n")
    program = shutil.which("prometheus-alertmanager") or shutil.which("alertmanager")
    assert program, "Alertmanager is not installed, run tests/real/install"
    command = [program, f"--config.file={config}", f"--storage.path={tmp_path / 'alerts'}",
               f"--web.listen-address=127.0.0.1:{port}", "--cluster.listen-address="]
    with server(command, tmp_path / "alertmanager.log"):
        yield port


@pytest.fixture
def prometheus(tmp_path: Path, place: Place, alertmanager: int) -> Iterator[int]:
    """A Prometheus with our alert rules that looks every second and tells Alertmanager."""
    port, config = free_port(), tmp_path / "prometheus.yml"
    config.write_text(json.dumps({
        "global": {"scrape_interval": "1s", "evaluation_interval": "1s"},
        "rule_files": [str(RULES)],
        "alerting": {"alertmanagers": [{"static_configs": [{"targets": [f"127.0.0.1:{alertmanager}"]}]}]},
        "scrape_configs": [{"job_name": "driftd", "static_configs": [{"targets": [f"127.0.0.1:{place.port}"]}]}],
    }))
    program = shutil.which("prometheus")
    assert program, "Prometheus is not installed, run tests/real/install"
    command = [program, f"--config.file={config}", f"--storage.tsdb.path={tmp_path / 'tsdb'}",
               f"--web.listen-address=127.0.0.1:{port}"]
    with server(command, tmp_path / "prometheus.log"):
        yield port


def firing(port: int) -> set[tuple[str, str | None]]:
    """Name and trigger of the alerts that Prometheus says are firing."""
    alerts = json.loads(get(port, "/api/v1/alerts") or '{"data": {"alerts": []}}')["data"]["alerts"]
    return {(a["labels"]["alertname"], a["labels"].get("trigger")) for a in alerts if a["state"] == "firing"}


def received(port: int) -> set[tuple[str, str | None]]:
    """Name and trigger of the alerts that Alertmanager holds."""
    alerts = json.loads(get(port, "/api/v2/alerts?active=true") or "[]")
    return {(alert["labels"]["alertname"], alert["labels"].get("trigger")) for alert in alerts}


def test_from_the_log_to_everybody_who_is_told(place: Place, prometheus: int, alertmanager: int) -> None:
    """A model turns bad: a signed request, a mail and an alert arrive; it recovers, and all is calm again."""
    place.start()
    place.until(lambda: 'driftd_checks_total{model="trees",outcome="judged"}' in get(place.port, "/metrics"))
    assert not place.hook.events

    place.service.good = False
    alert = ("DriftdTriggerFiring", "worse")
    place.until(lambda: alert in firing(prometheus))
    place.until(lambda: alert in received(alertmanager))
    place.until(lambda: place.hook.events)
    place.until(lambda: any("a retrain is asked for" in subject for subject in place.mailbox.subjects))
    [(name, event)] = place.hook.events
    assert (event["id"], event["type"], event["subject"]) == (name, "io.driftd.retrain.requested", "trees")
    assert event.data["triggers"] == ["worse"]
    assert event.data["accuracy"]["now"] < 0.7 < event.data["accuracy"]["before"]

    place.service.good = True
    place.until(lambda: alert not in firing(prometheus))
    place.until(lambda: not place.need_stands())
    assert place.hook.ids() == {name}
    assert place.hook.refused == []
    assert place.end(signal.SIGTERM) == 0


def test_killed_at_random_one_id_arrives_for_each_need(place: Place) -> None:
    """However often and whenever the daemon is killed: each need is asked for under one id, and none is lost."""
    chance = random.Random(4)
    for need in range(NEEDS):
        place.service.good = False
        for _ in range(KILLS // NEEDS):
            _live_and_die(place, chance)
        place.start()
        place.until(lambda need=need: need < len(place.delivered()))
        place.service.good = True
        place.until(lambda: not place.need_stands())
        place.driftd("resolve", place.delivered()[-1], "succeeded", "--by", "ann", "--reason", "the run went well")
        assert place.end(signal.SIGKILL) == -signal.SIGKILL
    place.start()
    place.until(lambda: get(place.port, "/readyz"))
    assert place.end(signal.SIGTERM) == 0
    _compare(place)


def _live_and_die(place: Place, chance: random.Random) -> None:
    """Run the daemon and kill it at a random moment: any, or while a request is on its way."""
    place.hook.begun.clear()
    place.start()
    place.hook.begun.wait(chance.uniform(0.5, 9))
    threading.Event().wait(chance.uniform(0, 0.4))
    assert place.end(signal.SIGKILL) == -signal.SIGKILL, place.log()


def _compare(place: Place) -> None:
    """The receiver's ids are the store's, one for each need; a repeat says the same; every window was checked."""
    with place.store() as store:
        asked, episodes = store.dispatches(), store.episodes("trees")
        starts = sorted({one.window.start for one in store.snapshots("trees", metrics=())})
    assert place.hook.refused == []
    assert {one.id for one in asked} == place.hook.ids()
    assert len({one.episode_id for one in asked}) == len(asked) == NEEDS
    assert {one.id for one in episodes} == {one.episode_id for one in asked}
    assert {one.state for one in episodes} == {EpisodeState.CLEARED}
    for id, event in place.hook.events:
        assert all(event.data == other.data for name, other in place.hook.events if name == id)
    assert {later - sooner for sooner, later in pairwise(starts)} == {WINDOW}
