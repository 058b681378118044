"""Fuzzing of what is answered over HTTP: requests of every shape, and what pipelines and registries report, signed.

The long form of each test takes an hour, or as many minutes as DRIFTD_TORTURE_MINUTES says.
"""

import base64
import hashlib
import hmac
import json
import re
import socket
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from datetime import timedelta
from functools import partial
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import strategies as st

from monitor.config import Config
from monitor.expose.prometheus import Metrics
from monitor.expose.view import View
from monitor.retrain.outbox import Outbox
from monitor.store import Store
from monitor.times import utcnow
from monitor.web.app import App
from monitor.web.posts import BODY_LIMIT, Posts
from monitor.web.server import WebServer
from tests.retrain.conftest import kit
from tests.retrain.test_callback import SUCCEEDED, Taken
from tests.torture.harness import MANY, Tried, fuzz, fuzz_once
from tests.torture.test_fuzzing import CELLS, VALUES
from tests.web.conftest import ACT_TOKEN, METRICS_TOKEN, READ_TOKEN, TOKENS, Serve, serve

__all__ = ["kit", "serve"]      # fixtures
SECRET = b"s" * 32
DEAD = 600       # seconds without a byte; the server ends each connection long before, on a starved machine too

NOISE = st.text(st.characters(min_codepoint=32, max_codepoint=255, exclude_characters="\x7f"), max_size=12)
LATIN = NOISE.map(lambda text: text.encode("latin-1"))
TOKEN = st.text(st.sampled_from("!#$%&'*+-.^_`|~aZ09"), min_size=1, max_size=8).map(str.encode)
METHODS = st.sampled_from([b"GET", b"GET", b"POST"]) | st.sampled_from([
    b"GET", b"HEAD", b"POST", b"PUT", b"PATCH", b"DELETE", b"OPTIONS", b"TRACE", b"CONNECT", b"get",
]) | TOKEN
PARTS = st.sampled_from([
    b"", b".", b"..", b"%2e%2e", b"%2f", b"%00", b"%ff", b"%zz", b"%", b"%0d%0aX:y", b"%ed%a0%80", b"v1", b"runs",
    b"mlflow", b"metrics", b"healthz", b"api", b"status", b"x" * 3_000, b";a", b"driftd-x-1", b"static", b"\xe9",
]) | st.text(st.sampled_from("aZ0%;=&+~:@"), max_size=6).map(str.encode)
PATHS = st.sampled_from([
    b"/", b"/metrics", b"/api/status", b"/healthz", b"/readyz", b"/v1/runs/x", b"/v1/mlflow", b"/models/m",
    b"/api/v1/models/m/windows", b"/api/v1/models/m/scores", b"/actions/pause", b"*", b"http://evil.example/metrics",
    b"127.0.0.1:80", b"//evil.example/",
]) | st.lists(PARTS, max_size=5).map(lambda parts: b"/" + b"/".join(parts))
QUERIES = st.just(b"") | st.lists(PARTS, max_size=3).map(lambda parts: b"?" + b"&".join(parts))
NAMES = st.sampled_from([
    b"Accept", b"Accept-Encoding", b"Cookie", b"Host", b"Origin", b"Range", b"If-None-Match", b"If-Modified-Since",
    b"Content-Type", b"Expect", b"Upgrade", b"Connection", b"Sec-Fetch-Site", b"X-Forwarded-For", b"Authorization",
    b"webhook-id", b"webhook-timestamp", b"webhook-signature", b"x-mlflow-signature", b"Sec-WebSocket-Key",
]) | TOKEN
HEADER_VALUES = st.sampled_from([
    b"", b"*/*", b"application/openmetrics-text; version=1.0.0", b"text/plain;q=nan", b"a/b;q=1e999, ;;,=", b"gzip",
    b"bytes=0-", b"bytes=9-1,-0", b"100-continue", b"websocket", b"h2c", b"null", b"cross-site", b"Basic Og==",
    b"Basic " + base64.b64encode(b"\xff\0:\0"), b"Bearer", b"v1,", b"[::1", b"localhost:99999", b"\t \t", b"9" * 400,
    b"Bearer " + READ_TOKEN.encode(), b"Bearer " + METRICS_TOKEN.encode(), b"Bearer " + ACT_TOKEN.encode(),
]) | LATIN
HEADERS = st.just([]) | st.lists(st.tuples(NAMES, HEADER_VALUES), max_size=5)
BODIES = st.none() | st.binary(max_size=60) | st.just(b"x" * (BODY_LIMIT + 1))
OPEN = st.sampled_from([[], [(b"Authorization", b"Bearer " + READ_TOKEN.encode())],
                        [(b"Authorization", b"Bearer " + METRICS_TOKEN.encode())]])


def request(method: bytes, target: bytes, headers: list[tuple[bytes, bytes]], body: bytes | None) -> bytes:
    """A request that ends its connection, of the right length, however odd the rest is."""
    given = {name.lower() for name, _ in headers}
    headers = headers if b"host" in given else [(b"Host", b"localhost"), *headers]
    length = [] if body is None else [(b"Content-Length", str(len(body)).encode())]
    kept = [(name, value) for name, value in headers if name.lower() not in (b"connection", b"upgrade")]
    lines = b"".join(name + b": " + value + b"\r\n" for name, value in [*kept, *length, (b"Connection", b"close")])
    return method + b" " + target + b" HTTP/1.1\r\n" + lines + b"\r\n" + (body or b"")


REQUEST = st.builds(lambda method, path, query, known, more, body: request(method, path + query, [*known, *more], body),
                    METHODS, PATHS, QUERIES, OPEN, HEADERS, BODIES)
BROKEN = st.builds(
    lambda first, places, put: b"".join([first[:min(places)], put, first[max(places):]]),
    REQUEST, st.tuples(st.integers(0, 200), st.integers(0, 200)),
    st.binary(max_size=8) | st.sampled_from([
        b"\r\n\r\n", b"\r\n", b"\n", b"\0", b"Content-Length: -1\r\n", b"Content-Length: 9\r\nContent-Length: 8\r\n",
        b"Transfer-Encoding: chunked\r\n\r\nzz\r\n", b"Transfer-Encoding: gzip\r\n", b"HTTP/9.9", b" " * 70_000,
        b"Content-Length: " + b"9" * 5_000 + b"\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n" * 3,
    ]),
) | st.binary(max_size=200)
TEXTS = CELLS | st.sampled_from(["2", "https://x/y", "../../x", "x" * 200, "x" * 999, "\ud800"])
REPORT = st.builds(
    lambda outcome, texts, others: json.dumps(SUCCEEDED | {"outcome": outcome} | texts | others).encode(),
    st.sampled_from(["succeeded", "failed", "cancelled"]),
    st.dictionaries(st.sampled_from(["model_version", "reference", "git_revision", "trained_from"]), TEXTS, max_size=3),
    st.just({}) | st.fixed_dictionaries({"inputs": st.lists(VALUES, max_size=3)}) | st.dictionaries(
        st.sampled_from([*SUCCEEDED, "inputs", "trained_to"]) | CELLS, VALUES, max_size=1),
)
SIGNED = REPORT | VALUES.map(lambda value: json.dumps(value).encode()) | st.binary(max_size=300) | st.sampled_from([
    b"[" * 8_000, b"{\"a\":" * 3_000, b"\xef\xbb\xbf{}", b"9" * 16_000, b"x" * (BODY_LIMIT + 1),
    b'{"outcome": "\\ud800"}', b"",
    b'{"schema_version": 1, "outcome": "succeeded", "inputs": ' + b"[" * 4_000 + b"]" * 4_000 + b"}",
    b'{"schema_version": 1, "outcome": "succeeded", "model_version": "\\u0000"}', b'{"schema_version": 1e999}',
    b'{"schema_version": 1, "schema_version": 1, "outcome": "failed"}',
])


def ask(port: int, sent: bytes, *, half: bool = False) -> list[int]:
    """The statuses of the answers to some bytes, read until the other end closes; `half`: nothing more will be sent."""
    told = bytearray()
    with socket.create_connection(("127.0.0.1", port), timeout=DEAD) as connection, suppress(ConnectionError):
        connection.sendall(sent)
        if half:
            connection.shutdown(socket.SHUT_WR)
        while part := connection.recv(65_536):
            told += part
    return [int(status) for status in re.findall(rb"HTTP/1\.1 (\d{3})", told)]


@pytest.fixture
def no_trace(caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]) -> Callable[[], None]:
    """Checks that nothing said since the last time is an error or a traceback."""
    def check() -> None:
        assert not [record.getMessage() for record in caplog.records if record.exc_info or record.levelname == "ERROR"]
        caplog.clear()
        assert "Traceback" not in "".join(capsys.readouterr())

    return check


@pytest.mark.torture(20)
@pytest.mark.parametrize("strategy", [REQUEST, BROKEN], ids=["requests", "bytes"])
def test_requests(
    strategy: st.SearchStrategy[bytes], serve: Serve, no_trace: Callable[[], None],
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None],
) -> None:
    """Whatever bytes come, the answer is a status below 500 or none, and the next client is served."""
    site, whole = serve('callback_secret = { env = "READ_TOKEN" }\n' + TOKENS), strategy is REQUEST

    def sent(example: bytes) -> str:
        statuses = ask(site.port, example, half=not whole)
        assert all(status < 500 for status in statuses), statuses
        assert statuses or not whole, "no answer to a whole request"
        no_trace()
        return "refused" if any(status >= 400 for status in statuses) else "answered" if statuses else "left"

    count = fuzz(effort(80, MANY), seed, strategy, sent)
    assert site.ask("/healthz").status == 200
    assert count["refused"]
    kind = "requests" if whole else "harmed requests"
    figure(f"{count.total()} {kind} in {count.minutes:.0f} minutes: {count['answered']} answered, "
           f"{count['refused']} refused, {count['left']} broken off, 0 statuses 500, 0 tracebacks")


@pytest.fixture
def reported(kit: Any, monkeypatch: pytest.MonkeyPatch) -> Callable[[], AbstractContextManager[SimpleNamespace]]:
    """The HTTP side over one delivered request, with a clock that goes on by a second for each report."""
    monkeypatch.setenv("CALLBACK_SECRET", "whsec_" + base64.b64encode(SECRET).decode())
    monkeypatch.setenv("MLFLOW_SECRET", SECRET.decode())
    registry = {"kind": "mlflow", "url": "http://127.0.0.1:1", "name": "m", "webhook_secret": {"env": "MLFLOW_SECRET"}}
    model = {"name": "m", "predictions": {"path": "x.csv"}, "reference": {"source": {"path": "ref.csv"}}}
    known = Config.model_validate({
        "models": {"m": model | {"registry": registry}}, "daemon": {"callback_secret": {"env": "CALLBACK_SECRET"}},
    })

    @contextmanager
    def opened() -> Iterator[SimpleNamespace]:
        with Store.memory() as store:
            run = kit.request_in(store)
            Outbox(store, {"p": Taken()}, lambda: kit.NOW).send_due()
            clock = SimpleNamespace(now=utcnow())
            posts = Posts(store, lambda: known, lambda: clock.now, lambda *what: None)
            web = WebServer("127.0.0.1:0", App(Metrics("1"), View, lambda: None, lambda: None, posts))
            yield SimpleNamespace(store=store, id=run.id, clock=clock, port=int(web.address.rpartition(":")[2]))
            web.close()

    return opened


def signature(message: str, stamp: str, body: bytes) -> bytes:
    said = b".".join((message.encode(), stamp.encode(), body))
    return b"v1," + base64.b64encode(hmac.new(SECRET, said, hashlib.sha256).digest())


@pytest.mark.torture(20)
def test_signed_reports(
    reported: Callable[[], AbstractContextManager[SimpleNamespace]], no_trace: Callable[[], None],
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None],
) -> None:
    """A report that is signed, whatever it says, is taken, or is refused and changes nothing."""
    count = Tried()
    for most in count.batches(effort(120, MANY)):       # a new state for each, which keeps all that it is told
        with reported() as told:
            fuzz_once(most, seed + count.total(), SIGNED, partial(report, told, no_trace), count)
    assert count["200"]
    assert count["400"]
    figure(f"{count.total()} signed reports in {count.minutes:.0f} minutes: {count['200']} taken, the others refused, "
           "0 statuses 500, 0 tracebacks")


def report(told: SimpleNamespace, no_trace: Callable[[], None], body: bytes) -> str:
    """Report the run as signed, look at what became of it, and put it back as it was."""
    told.clock.now += timedelta(seconds=1)
    before, stamp = told.store.requests.get(told.id), str(int(told.clock.now.timestamp()))
    headers = [(b"webhook-id", told.id.encode()), (b"webhook-timestamp", stamp.encode()),
               (b"webhook-signature", signature(told.id, stamp, body))]
    [status] = ask(told.port, request(b"POST", b"/v1/runs/" + told.id.encode(), headers, body))
    after = told.store.requests.get(told.id)
    if status == 200:
        assert after.state in ("succeeded", "failed", "cancelled")
        assert after.new_version is None or 0 < len(after.new_version) <= 200
        told.store.requests.record(before, was=after.state, at=told.clock.now)
    else:
        assert (status in (400, 413), after) == (True, before), status
    no_trace()
    return str(status)


@pytest.mark.torture(20)
def test_signed_webhooks_of_mlflow(
    reported: Callable[[], AbstractContextManager[SimpleNamespace]], no_trace: Callable[[], None],
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None],
) -> None:
    """Whatever MLflow's webhook says, signed it is believed, and with a sign added to the signature it is not."""
    def sent(example: tuple[bytes, str, str, bytes]) -> str:
        body, message, stamp, wrong = example
        headers = [(b"X-MLflow-Delivery-Id", message.encode("latin-1")),
                   (b"X-MLflow-Timestamp", stamp.encode("latin-1")),
                   (b"X-MLflow-Signature", signature(message, stamp, body) + wrong)]
        [status] = ask(told.port, request(b"POST", b"/v1/mlflow", headers, body))
        assert status == (413 if len(body) > BODY_LIMIT else 401 if wrong.strip() else 200)
        no_trace()
        return str(status)

    words = NOISE.map(str.strip)
    with reported() as told:
        count = fuzz(effort(60, MANY), seed, st.tuples(SIGNED, words, words, st.just(b"") | LATIN), sent)
    assert count["200"]
    assert count["401"]
    figure(f"{count.total()} webhooks of MLflow in {count.minutes:.0f} minutes: {count['200']} believed, the others "
           "refused, 0 tracebacks")
