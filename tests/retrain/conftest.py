"""A scripted HTTP server, and a store with one request in it."""

import contextlib
import json
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from monitor.config.sections import ModelSection
from monitor.records import (
    Action,
    Dispatch,
    Episode,
    EpisodeState,
    Reference,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Verdict,
    Window,
)
from monitor.retrain.outbox import new_dispatch
from monitor.store import Store
from tests.retrain.kinds import JOB

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)


@dataclass
class Seen:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Server:
    """Answers with `reply(seen) -> (status, headers, body)`, or raw bytes, or None: hang up without a word."""

    url: str = ""
    reply: Callable[[Seen], Any] = lambda seen: (200, {}, b"")
    seen: list[Seen] = field(default_factory=list)
    stop: threading.Event = field(default_factory=threading.Event)


@pytest.fixture
def places(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Secrets and files that configurations name."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIAEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "t0ken")
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    (tmp_path / "job.json").write_text(json.dumps(JOB))
    (tmp_path / "job-azure.json").write_text('{"jobType": "Pipeline", "sourceJobId": "azureml:retrain"}')


@contextlib.contextmanager
def serving(context: ssl.SSLContext | None = None, host: str = "127.0.0.1") -> Iterator[Server]:
    """A scripted server that listens; with a context by TLS."""
    made = Server()

    class Handler(BaseHTTPRequestHandler):
        def answer(self) -> None:
            length = int(self.headers.get("Content-Length") or 0)
            headers = {name.lower(): value for name, value in self.headers.items()}
            self.close_connection = True
            if len(body := self.rfile.read(length)) < length:
                return                          # its sender was killed within the request, which is none then
            seen = Seen(self.command, self.path, headers, body)
            made.seen.append(seen)
            given = made.reply(seen)
            if given is None:
                self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\x01\0\0\0\0\0\0\0")
                return
            with contextlib.suppress(OSError):
                self.wfile.write(given if isinstance(given, bytes) else self.lines(*given))

        do_GET = do_POST = do_PUT = do_HEAD = answer

        def lines(self, status: int, headers: dict[str, str], body: Any) -> bytes:
            raw = body if isinstance(body, bytes) else json.dumps(body).encode()
            kind = {} if isinstance(body, bytes) else {"Content-Type": "application/json"}
            head = {"Content-Length": str(len(raw)), "Connection": "close", **kind, **headers}
            text = "".join(f"{name}: {value}\r\n" for name, value in head.items())
            return f"HTTP/1.1 {status} X\r\n{text}\r\n".encode() + raw

        def log_message(self, *_: Any) -> None:
            pass

    httpd = ThreadingHTTPServer((host, 0), Handler)
    httpd.daemon_threads = True
    if context:
        httpd.socket = context.wrap_socket(httpd.socket, server_side=True, do_handshake_on_connect=False)
    thread = threading.Thread(target=httpd.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    made.url = f"{'https' if context else 'http'}://{host}:{httpd.server_port}"
    try:
        yield made
    finally:
        made.stop.set()
        httpd.shutdown()
        httpd.server_close()
        thread.join()


@pytest.fixture
def server() -> Iterator[Server]:
    with serving() as made:
        yield made


WINDOW = Window(model="m", start=NOW - timedelta(days=7), end=NOW, spec="7d")
REFERENCE = Reference(model="m", id="ref1", model_version="1", origin="ref.csv", since=NOW - timedelta(days=30))


def model(pipeline: str = "p", **more: Any) -> ModelSection:
    return ModelSection.model_validate(
        {"name": "m", "metric": "accuracy", "predictions": {"path": "x.csv"},
         "reference": {"source": {"path": "ref.csv"}},
         "retrain": {"pipeline": pipeline}} | more
    )


def snapshot(columns: int = 3) -> Snapshot:
    drifted = tuple(
        Score(metric="drift", method="psi", column=f"column {i}", value=0.3 + i / 100, threshold=0.2,
              status=ScoreStatus.DRIFTED)
        for i in range(columns)
    )
    others = (
        Score(metric="drift", method="psi", column="steady", value=0.0, threshold=0.2),
        Score(metric="accuracy", value=0.8, reference=0.9, low=float("-inf"), n=900),
        Score(metric="accuracy", segment="a", value=0.1),
        Score(metric="regret", value=3.0, threshold=2.0, reason="waiting has cost 3.0, a retrain costs 2.0"),
    )
    return Snapshot(
        window=WINDOW, revision=0, taken_at=NOW, reference_id="ref1", model_version="1", config_hash="cfg",
        code_version="0", rows=1000, labelled=900, late=0, sampled=1.0, mature=True, status=SnapshotStatus.OK,
        reason=None, scores=(*drifted, *others),
    )


def verdict(reasons: int = 1) -> Verdict:
    return Verdict(
        window=WINDOW, revision=0, at=NOW, action=Action.RETRAIN, fired=("retraining-pays",), guards=(),
        reasons=tuple(f"retraining-pays: regret 3.0 > 2.0 ({i})" for i in range(reasons)),
    )


def need() -> Episode:
    return Episode(
        id=Episode.new_id("m", "ref1", "retraining-pays", WINDOW), model="m", reference_id="ref1",
        trigger="retraining-pays", window=WINDOW, state=EpisodeState.REQUESTED, reason="it pays",
    )


def request_in(store: Store, pipeline: str = "p") -> Dispatch:
    """Commit one request, as a check would."""
    store.references.install(REFERENCE, None, NOW)
    made = new_dispatch(model(pipeline), need(), snapshot(), verdict(), REFERENCE, NOW)
    assert store.checks.commit(
        snapshot(), expected_reference="ref1", verdict=verdict(), episode=need(), dispatch=made
    )
    return made


@pytest.fixture
def store() -> Iterator[Store]:
    with Store.memory() as made:
        yield made


@pytest.fixture
def dispatch() -> Dispatch:
    return new_dispatch(model(), need(), snapshot(), verdict(), REFERENCE, NOW)


class Hand:
    """A clock that is set by hand."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now

    def forward(self, span: timedelta) -> None:
        self.now += span


@pytest.fixture
def clock() -> Hand:
    return Hand()


@pytest.fixture
def kit() -> Any:
    """The makers above, for test files (conftest itself is not importable)."""
    import types

    return types.SimpleNamespace(
        model=model, snapshot=snapshot, verdict=verdict, need=need, request_in=request_in, NOW=NOW,
        REFERENCE=REFERENCE, WINDOW=WINDOW,
    )
