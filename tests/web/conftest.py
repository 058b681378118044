"""A real server over sockets, configured from files as the daemon is."""

import http.client
import re
import socket
import ssl
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from email.message import Message
from pathlib import Path

import pytest

from monitor.config import load
from monitor.errors import UsageError
from monitor.expose.prometheus import Metrics
from monitor.expose.view import ModelView, View
from monitor.records import Dispatch
from monitor.store import Store
from monitor.times import utcnow
from monitor.web.actions import Actions
from monitor.web.app import App
from monitor.web.connections import MOST
from monitor.web.intake import Intake
from monitor.web.pages import Pages
from monitor.web.posts import Posts
from monitor.web.running import Running
from monitor.web.server import WebServer
from monitor.web.settings import read_settings

METRICS_TOKEN, READ_TOKEN, ACT_TOKEN, CAPTURE_TOKEN = "m" * 32, "r" * 32, "a" * 32, "c" * 32
TOKENS = """
[daemon.tokens.prometheus]
secret = { env = "METRICS_TOKEN" }
scopes = ["metrics"]
[daemon.tokens.wall]
secret = { env = "READ_TOKEN" }
scopes = ["read"]
[daemon.tokens.robot]
secret = { env = "ACT_TOKEN" }
scopes = ["act"]
[daemon.tokens.kserve]
secret = { env = "CAPTURE_TOKEN" }
scopes = ["capture"]
"""
MODEL = '[models.m]\npredictions = "."\nreference = "first 30d"\n'
CANARY = "canary-model"


def view(*names: str) -> View:
    return View(models=tuple(ModelView(
        name=name, mode="observe", triggers=(), newest=None, mature=None, verdict=None, firing=(), episode=None,
        dispatches=(), reference=None, paused=None,
    ) for name in names))


@dataclass
class Answer:
    status: int
    headers: Message
    body: bytes


@dataclass
class Site:
    """A server and what it was asked; `reasons`: why it is not healthy, not ready."""

    folder: Path
    app: App
    server: WebServer
    health: WebServer
    metrics: Metrics
    store: Store
    reasons: dict[str, str | None] = field(default_factory=dict)

    @property
    def port(self) -> int:
        return int(self.server.address.rpartition(":")[2])

    def ask(
        self, path: str, method: str = "GET", *, tls: ssl.SSLContext | None = None, port: int | None = None,
        body: bytes | None = None, address: str = "127.0.0.1", **headers: str,
    ) -> Answer:
        """One request; `Sec_Fetch_Site` stands for the header Sec-Fetch-Site."""
        there = (address, port or self.port)
        made = (http.client.HTTPConnection(*there, timeout=20) if tls is None
                else http.client.HTTPSConnection(*there, timeout=20, context=tls))
        try:
            made.request(method, path, body, {name.replace("_", "-"): value for name, value in headers.items()})
            answer = made.getresponse()
            return Answer(answer.status, answer.headers, answer.read())
        finally:
            made.close()

    def connect(self, sent: bytes = b"") -> socket.socket:
        made = socket.create_connection(("127.0.0.1", self.port), timeout=20)
        made.sendall(sent)
        return made

    def refused(self, reason: str) -> float:
        """How often, as a scrape says."""
        text = self.metrics.render()[0].decode()
        found = re.search(rf'^driftd_http_refused_total{{reason="{reason}"}} (\S+)$', text, re.MULTILINE)
        return float(found[1]) if found else 0.0


Serve = Callable[..., Site]


def asked(model: str, by: str, reason: str) -> Dispatch:
    raise UsageError(f"{model} has not been checked yet")


@pytest.fixture
def serve(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Serve]:
    """Start servers from the text of [daemon] and of a web configuration file; they tell of models with `names`."""
    started: list[Site] = []
    store = Store.memory()
    tokens = {"METRICS_TOKEN": METRICS_TOKEN, "READ_TOKEN": READ_TOKEN, "ACT_TOKEN": ACT_TOKEN,
              "CAPTURE_TOKEN": CAPTURE_TOKEN}
    for name, value in tokens.items():
        monkeypatch.setenv(name, value)

    def begin(
        daemon: str = "", web: str | None = None, names: tuple[str, ...] = (CANARY,), most: int = MOST
    ) -> Site:
        written = configured(tmp_path, daemon, web)
        loaded = load(written)
        settings = read_settings(loaded)
        metrics, reasons = Metrics("1"), dict.fromkeys(("healthy", "ready"))
        metrics.show(view(*names))
        posts = Posts(store, lambda: loaded.config, utcnow, lambda *what: None)
        probes = (lambda: reasons["healthy"], lambda: reasons["ready"])
        actions = Actions(store, lambda: loaded.config, utcnow, asked, lambda: None)
        pages = Pages(store, lambda: loaded.config, lambda: view(*names), Running, utcnow, actions)
        app = App(metrics, lambda: view(*names), *probes, posts, settings.policy, pages=pages,
                  intake=Intake(lambda: loaded.config.daemon.captures, utcnow))
        server = WebServer("127.0.0.1:0", app, settings.tls, most=most, noted=app.refusals)
        health = WebServer("127.0.0.1:0", app.health, noted=app.refusals)
        started.append(Site(tmp_path, app, server, health, metrics, store, reasons))
        return started[-1]

    yield begin
    for site in started:
        for server in (site.server, site.health):
            server.close()
            assert not server.alive()
    store.close()


def configured(folder: Path, daemon: str, web: str | None) -> Path:
    """Write a configuration; `daemon` is what stands in and below [daemon]."""
    head = "[daemon]\n"
    if web is not None:
        (folder / "web.yml").write_text(web)
        head += 'web_config = "web.yml"\n'
    path = folder / "driftd.toml"
    path.write_text(head + daemon + "\n" + MODEL)
    return path
