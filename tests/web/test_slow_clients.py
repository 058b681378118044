"""Clients that are slow, half, broken or many: health is answered all the same; the only clock is a socket's."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from threading import Thread

import pytest

from monitor.web import connections
from monitor.web.connections import Connections, Stage
from monitor.web.posts import BODY_LIMIT
from monitor.web.server import WebServer
from tests.web.conftest import TOKENS, Serve, Site

SLOW = 200
HALF_HEAD = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-a: "
HALF_BODY = b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000\r\n\r\nx"
LONG = tuple(f"{number:05}".ljust(1_900, "a") for number in range(9_000))     # names: an answer of some 20 MB
PROBE = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"


@pytest.fixture
def together() -> Iterator[ExitStack]:
    with ExitStack() as stack:
        yield stack


def probed(port: int, seconds: float = 5.0) -> bytes:
    """What a probe that waits so long is answered; raises TimeoutError where it waits in vain."""
    with socket.create_connection(("127.0.0.1", port), timeout=seconds) as connection:
        connection.settimeout(seconds)
        connection.sendall(PROBE)
        return connection.recv(1000)


def closed(connection: socket.socket) -> bool:
    """Wait until the server has closed the connection; its answers before that are read over."""
    try:
        while connection.recv(65_536):
            pass
    except ConnectionResetError:
        pass
    return True


def health_port(site: Site) -> int:
    return int(site.health.address.rpartition(":")[2])


def test_health_is_answered_beside_slow_clients(serve: Serve, together: ExitStack) -> None:
    """While 200 clients send a byte now and then, and 200 stay in the middle of a body, both listeners answer."""
    site = serve(TOKENS)
    slow = [together.enter_context(site.connect(part)) for part in (HALF_HEAD, HALF_BODY) for _ in range(SLOW)]
    for _ in range(3):
        for connection in slow:
            try:
                connection.send(b"b")
            except OSError:         # it had to make place for another one
                continue
        assert b" 200 OK" in probed(site.port)
        assert b" 200 OK" in probed(health_port(site))
    assert site.refused("made_place") >= 2 * SLOW - connections.MOST // 2


def test_health_is_answered_beside_clients_that_are_many(serve: Serve) -> None:
    """200 clients at once are all answered, and so is a probe between them."""
    site = serve()
    statuses: list[int] = []
    clients = [Thread(target=lambda: statuses.append(site.ask("/metrics").status)) for _ in range(SLOW)]
    for client in clients:
        client.start()
    assert b" 200 OK" in probed(site.port)
    for client in clients:
        client.join()
    assert statuses == [200] * SLOW


@pytest.mark.parametrize("sent", [b"", b"GE", HALF_HEAD, HALF_BODY], ids=["nothing", "a word", "a head", "a body"])
def test_half_a_request_has_its_time(serve: Serve, sent: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    """A request that is not whole in time is ended, however its bytes are spread, and is counted."""
    shorten(monkeypatch, Stage.RECEIVING, 0.2)
    site = serve('callback_secret = { env = "READ_TOKEN" }')
    with site.connect(sent) as connection:
        assert closed(connection)
    assert site.refused("too_slow") == 1


def test_bytes_now_and_then_win_no_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """The time is that of the whole request: another byte does not begin it anew."""
    shorten(monkeypatch, Stage.RECEIVING, 0.5)
    site = serve()
    with site.connect(HALF_HEAD) as connection:
        connection.settimeout(0.05)
        for _ in range(400):        # 20 seconds, were it not ended
            try:
                connection.send(b"b")
                assert connection.recv(10) == b""
            except TimeoutError:
                continue
            except OSError:
                break
            break
        else:
            pytest.fail("the connection was never ended")
    assert site.refused("too_slow") == 1


def test_a_client_that_does_not_read_has_its_time(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> None:
    """A long answer that nobody takes is given up, and never lies in memory whole."""
    shorten(monkeypatch, Stage.ANSWERING, 0.3)
    site = serve(names=LONG)
    with site.connect(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        until_refused(site, "too_slow")
        assert closed(connection)


def test_a_slow_reader_gets_it_all(serve: Serve) -> None:
    """A long answer arrives whole at a client that takes it in small pieces."""
    site = serve(names=LONG)
    received = bytearray()
    with site.connect(b"GET /api/status HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n") as connection:
        connection.settimeout(120)      # counting branches makes the answer slow
        while part := connection.recv(30_000):
            received += part
    document = json.loads(received.partition(b"\r\n\r\n")[2])
    assert tuple(model["model"] for model in document["models"]) == LONG


@pytest.mark.parametrize("head", [
    b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999999999\r\n\r\n",
    b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nFFFFFF\r\n",
], ids=["announced", "in chunks"])
def test_a_body_that_never_ends_is_not_read_to_its_end(serve: Serve, head: bytes) -> None:
    """413 as soon as it is too long; what still comes is thrown away, and then the connection is closed."""
    site = serve('callback_secret = { env = "READ_TOKEN" }')
    answer = b""
    with site.connect(head) as connection:
        sent = 0
        try:
            while sent < 100 * connections.MOST_DISCARDED:
                sent += connection.send(b"x" * 65_536)
        except OSError:
            pass
        else:
            pytest.fail("a hundred megabytes were read")
    with site.connect(head + b"x" * (BODY_LIMIT + 1)) as connection:
        answer = connection.recv(1000)
    assert answer.split()[1] == b"413"


@pytest.mark.parametrize("sent", [
    b"\x00\xff\r\n\r\n", b"GET / HTTP/1.1\r\nHost: localhost\r\nX\r\n\r\n", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"GET / HTTP/1.1\r\nHost: localhost\r\nX-a: " + b"y" * 400_000 + b"\r\n\r\n", b"A" * 300_000,
    b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: -5\r\n\r\n",
    b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
    b"POST /v1/runs/x HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
    b"POST / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nZZ\r\n",
])
def test_what_is_no_http_is_ended(serve: Serve, sent: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    """Broken requests are answered 400 or closed, without a traceback, and the next one is answered."""
    site = serve('callback_secret = { env = "READ_TOKEN" }')
    with site.connect() as connection:
        try:
            connection.sendall(sent)
            answer = connection.recv(1000)
        except ConnectionError:
            answer = b""
        assert answer.split()[1:2] in ([b"400"], [b"405"], [b"421"], [])
    assert b" 200 OK" in probed(site.port)
    assert "Traceback" not in capfd.readouterr().err


def test_pipelined_requests_are_answered_in_turn(serve: Serve) -> None:
    """Several requests in one packet are answered one after the other."""
    site = serve()
    ask = b"GET %b HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with site.connect(ask % b"/healthz" + ask % b"/elsewhere" + PROBE) as connection:
        answers = b""
        while part := connection.recv(10_000):
            answers += part
    assert [line.split()[1] for line in answers.split(b"\n") if line.startswith(b"HTTP/")] == [b"200", b"404", b"200"]


def test_one_client_does_not_take_the_place_of_others() -> None:
    """Where all places are taken, the client that holds most gives one up, its slowest first."""
    noted: list[tuple[str, str]] = []
    table = Connections(lambda reason, client: noted.append((reason, client)), most=6, most_each=4)
    ended = [Stub(table, *one) for one in (
        ("a", 1, Stage.RECEIVING), ("b", 2, Stage.RECEIVING), ("b", 3, Stage.IDLE), ("b", 0, Stage.ANSWERING),
        ("c", 0, Stage.RECEIVING),
    )]
    assert table.admits("10.0.0.9")
    assert not any(one.ended for one in ended)
    ended.append(Stub(table, "d", 5, Stage.RECEIVING))
    assert table.admits("10.0.0.9")
    assert [one.since for one in ended if one.ended] == [2]
    assert noted == [("made_place", "b")]


def test_what_is_being_answered_is_not_ended() -> None:
    """Where everybody is being answered, the new one has to wait outside."""
    noted: list[tuple[str, str]] = []
    table = Connections(lambda reason, client: noted.append((reason, client)), most=2, most_each=2)
    busy = [Stub(table, "10.0.0.1", number, Stage.ANSWERING) for number in range(2)]
    assert not table.admits("10.0.0.1")
    assert not table.admits("10.0.0.2")
    assert {reason for reason, _ in noted} == {"too_many_connections"}
    assert not any(one.ended for one in busy)


def test_a_listener_leaves_nothing_open(serve: Serve, together: ExitStack) -> None:
    """When it is closed, those that wait are closed too, and its port is free at once."""
    site = serve()
    waiting = [together.enter_context(site.connect(part)) for part in (b"", HALF_HEAD, HALF_BODY)]
    site.server.close()
    assert all(closed(connection) for connection in waiting)
    again = WebServer(site.server.address, site.app)
    again.close()
    assert not again.alive()


def test_a_reload_cuts_nobody_off(serve: Serve) -> None:
    """Who came just before it has the first answer and is then closed; who was answered already is closed at once."""
    site = serve()
    with site.connect() as fresh, site.connect(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n") as answered:
        assert b" 200 OK" in answered.recv(1000)
        site.server.speak(None)
        assert closed(answered)
        fresh.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert b" 200 OK" in fresh.recv(1000)
        assert closed(fresh)


class Stub:
    """A connection as the table sees it."""

    def __init__(self, table: Connections, client_key: str, since: float, stage: Stage) -> None:
        self.client_key, self.since, self.stage, self.ended = client_key, since, stage, False
        self._table = table
        table.add(self)

    def may_make_place(self) -> bool:
        return self.stage is not Stage.ANSWERING

    def abort(self) -> None:
        self.ended = True
        self._table.discard(self)


def shorten(monkeypatch: pytest.MonkeyPatch, stage: Stage, seconds: float) -> None:
    """Give a stage less time than it has."""
    monkeypatch.setattr(stage, "_value_", seconds)


def until_refused(site: Site, reason: str, tls: ssl.SSLContext | None = None) -> None:
    """Wait until the server counts a refusal: each look is a request of its own, which takes its time."""
    for _ in range(10_000):
        if site.refused(reason):
            return
        site.ask("/healthz", tls=tls)
    pytest.fail(f"nothing was {reason}")
