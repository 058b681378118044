"""The proxy of the environment, for requests and messages alike; it is no way past the address check."""

import socket
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from select import select
from typing import Any

import pytest

from monitor.config.values import Secret
from monitor.http import NotSent, Refused, Reply, send
from monitor.notify.deliver import deliver
from monitor.notify.letter import Letter
from tests.outgoing.conftest import FORBIDDEN
from tests.retrain.conftest import Server

INSIDE = "hooks.corp.invalid"        # a name that only the proxy knows


class Proxy:
    """Forwards to one server whatever name it is asked for, and keeps what it was asked."""

    def __init__(self, host: str, target: str) -> None:
        proxy, self.asked, self.refuse = self, [], 0
        to = target.removeprefix("http://").split(":")

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                proxy.asked.append((self.command, self.path, self.headers.get("Proxy-Authorization")))
                self.rfile.read(int(self.headers.get("Content-Length") or 0))
                self.send_response(202)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_POST

            def do_CONNECT(self) -> None:
                proxy.asked.append((self.command, self.path, self.headers.get("Proxy-Authorization")))
                self.send_response(proxy.refuse or 200)
                self.end_headers()
                if not proxy.refuse:
                    with socket.create_connection((to[0], int(to[1]))) as there:
                        _relay(self.connection, there)
                self.close_connection = True

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer((host, 0), Handler)
        self.address = f"{host}:{self.server.server_port}"
        threading.Thread(target=self.server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True).start()


def _relay(here: socket.socket, there: socket.socket) -> None:
    other = {here: there, there: here}
    while True:
        for ready in select([here, there], [], [], 10)[0]:
            if not (data := ready.recv(65_536)):
                return
            other[ready].sendall(data)


@pytest.fixture
def proxy(server: Server) -> Iterator[Proxy]:
    made = Proxy("127.0.0.1", server.url)
    yield made
    made.server.shutdown()
    made.server.server_close()


def sent(url: str) -> Reply:
    return send("POST", url, body=b"x", timeout=timedelta(seconds=5))


def told(url: str, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("ALERT_URL", url)
    return deliver(Secret("env", "ALERT_URL"), Letter(title="title", body="body")).ok


@pytest.mark.parametrize("name", ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"])
@pytest.mark.parametrize("form", ["http://{}", "{}"])
def test_requests_and_messages_go_through_it(
    proxy: Proxy, monkeypatch: pytest.MonkeyPatch, name: str, form: str
) -> None:
    """One environment for both, also in lower case; the proxy looks the name up."""
    monkeypatch.setenv(name, form.format(proxy.address))
    assert sent(f"http://{INSIDE}/hook").status == 202
    assert told(f"json://{INSIDE}/note", monkeypatch)
    assert [path for _, path, _ in proxy.asked] == [f"http://{INSIDE}/hook", f"http://{INSIDE}/note"]


@pytest.mark.parametrize("name", ["NO_PROXY", "no_proxy"])
def test_no_proxy_names_what_is_near(
    proxy: Proxy, server: Server, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """What NO_PROXY lists is reached directly by both."""
    monkeypatch.setenv("HTTP_PROXY", f"http://{proxy.address}")
    monkeypatch.setenv(name, "127.0.0.0/8,.near")
    assert sent(server.url).status == 200
    assert told(server.url.replace("http:", "json:"), monkeypatch)
    assert (proxy.asked, len(server.seen)) == ([], 2)


def test_the_proxys_password_is_used_and_not_shown(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """It goes to the proxy; no sentence has it."""
    monkeypatch.setenv("HTTPS_PROXY", f"http://ada:hunter22@{proxy.address}")
    proxy.refuse = 403
    with pytest.raises(NotSent) as no:
        sent(f"https://{INSIDE}/hook")
    shown = f"https://{INSIDE}/hook through the proxy http://{proxy.address}: the proxy refuses to connect (403)"
    assert str(no.value) == shown
    assert proxy.asked == [("CONNECT", f"{INSIDE}:443", "Basic YWRhOmh1bnRlcjIy")]


def test_tls_goes_through_it_to_the_end(proxy: Proxy, monkeypatch: pytest.MonkeyPatch) -> None:
    """The certificate is the other side's: what speaks no TLS behind the proxy gets nothing."""
    monkeypatch.setenv("https_proxy", f"http://{proxy.address}")
    with pytest.raises(NotSent, match="the TLS connection failed"):
        sent(f"https://{INSIDE}/hook")
    assert [method for method, _, _ in proxy.asked] == ["CONNECT"]


def test_a_proxy_at_a_forbidden_address_is_not_called(
    forbidden: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The socket opens to the proxy, so its address is checked there, for requests and messages."""
    monkeypatch.setenv("HTTP_PROXY", forbidden.url)
    with pytest.raises(Refused, match="which driftd never calls"):
        sent(f"http://{INSIDE}/")
    assert not told(f"json://{INSIDE}/", monkeypatch)
    assert forbidden.seen == []


@pytest.mark.parametrize("host", [
    "169.254.169.254", "2852039166", "0xa9fea9fe", "[::ffff:a9fe:a9fe]", "[fd00:ec2::254]", "[64:ff9b:1::a9fe:a9fe]",
    "[fe80::1]", "[fe80::1%25eth7]",
    "metadata.google.internal", "METADATA.google.internal.", "instance-data", FORBIDDEN, "metadata.azure.internal",
    "169.254.169.254.", "0xA9FEA9FE.", "169\u3002254\u3002169\u3002254", "metadata\u3002google\uff0einternal",
    "\uff4detadata.google.internal",
])
def test_a_proxy_is_not_asked_for_a_forbidden_address(
    proxy: Proxy, forbidden: Server, monkeypatch: pytest.MonkeyPatch, host: str
) -> None:
    """What is known here of the host is checked here: addresses in numbers, and names known to all."""
    monkeypatch.setenv("ALL_PROXY", f"http://{proxy.address}")
    for scheme in ("http", "https"):
        with pytest.raises(Refused, match="which driftd never calls"):
            sent(f"{scheme}://{host}/latest")
    assert not told(f"json://{host}/latest", monkeypatch)
    assert proxy.asked == []


def test_a_proxy_that_is_none_for_http_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing is sent past it."""
    monkeypatch.setenv("ALL_PROXY", "socks5://127.0.0.1:1080")
    with pytest.raises(NotSent, match="the proxy in the environment is none for HTTP, expected http://HOST:PORT"):
        sent("http://127.0.0.1:1/")
