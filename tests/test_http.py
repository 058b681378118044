"""Outgoing HTTP stands on one part of urllib3 that is not public: what happens should that part change."""

import socket
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
import urllib3
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.http import NotSent, Refused, send


@pytest.fixture
def served() -> Iterator[tuple[str, list[str]]]:
    """The address of a server that says OK, and what it was asked for."""
    asked: list[str] = []

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked.append(self.path)
            self.send_response(200)
            self.end_headers()

        def log_message(self, *args: Any) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_port}", asked
        server.shutdown()


@pytest.mark.parametrize("kind", [HTTPConnection, HTTPSConnection])
def test_urllib3_opens_its_sockets_where_addresses_are_checked(kind: type[HTTPConnection]) -> None:
    """Each kind of connection opens its socket by `_new_conn`, in the pool its manager names for the scheme."""
    opened = []

    class Watched(kind):
        def _new_conn(self) -> socket.socket:
            opened.append(self.host)
            raise OSError("no further")

    with pytest.raises(OSError, match="no further"):
        Watched("example.invalid", 1).connect()
    why = f"this urllib3 no longer opens sockets by {kind.__name__}._new_conn: outgoing/wire.py must check elsewhere"
    assert opened == ["example.invalid"], why
    pools = urllib3.PoolManager().pool_classes_by_scheme
    assert {*pools} == {"http", "https"}, "this urllib3 names its pools otherwise: outgoing/wire.py must set them anew"


def test_an_answer_comes_over_a_checked_socket(served: tuple[str, list[str]]) -> None:
    """The usual way: the socket is opened by us, and the request goes out."""
    url, asked = served
    assert (send("GET", f"{url}/x").status, asked) == (200, ["/x"])


def test_a_socket_that_was_not_checked_is_refused(served, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where another urllib3 opened the socket by itself, nothing is sent, and it is said why."""
    def by_itself(connection: HTTPConnection) -> None:
        connection.sock = socket.create_connection((connection.host, connection.port))

    url, asked = served
    monkeypatch.setattr(HTTPConnection, "connect", by_itself)
    with pytest.raises(Refused, match="was connected past driftd's address check"):
        send("GET", f"{url}/x")
    assert asked == []


@pytest.mark.parametrize("value", ["Bearer a\nb", "Bearer a\r\nX: y", "Bearer €", " Bearer a"])
def test_a_header_that_cannot_be_sent_is_told_of(served: tuple[str, list[str]], value: str) -> None:
    """Nothing is sent, no header is added, and the sentence looks in the right place."""
    url, asked = served
    with pytest.raises(NotSent, match=r"a header of the request holds what none can, such as a line break"):
        send("GET", url, headers={"Authorization": value})
    assert asked == []
