"""Users, tokens and certificates of a running daemon change without a restart; a bad change changes nothing."""

import http.client
import re
import signal
import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import bcrypt
import pytest

from monitor.config import load
from monitor.daemon.http_side import HttpSide
from monitor.expose.prometheus import Metrics
from monitor.expose.view import View
from monitor.web.app import App
from monitor.web.settings import read_settings
from tests.daemon.test_daemon import Running, until, write
from tests.web.certificates import Authority
from tests.web.test_access import basic, bearer

ONE, OTHER, NEW = "1" * 32, "2" * 32, "3" * 32
TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
TOKEN = '[daemon.tokens.scraper]\nsecret = { file = "token" }\nscopes = ["metrics"]\n'


def users(password: str) -> str:
    return f"basic_auth_users:\n  ann: {bcrypt.hashpw(password.encode(), bcrypt.gensalt(4)).decode()}\n"


class Served(Running):
    """A daemon that asks who somebody is."""

    def address(self, number: int) -> str:
        """Of its listeners in turn: pages, then health."""
        found = until(lambda: (seen := re.findall(r"https?://(127\.0\.0\.1:\d+)/", self.log()))[number:] and seen)
        return str(found[number])

    def status(self, path: str, tls: ssl.SSLContext | None = None, **headers: str) -> int:
        there = self.address(0)
        connection = (http.client.HTTPConnection(there, timeout=20) if tls is None
                      else http.client.HTTPSConnection(there, timeout=20, context=tls))
        try:
            connection.request("GET", path, headers=headers)
            return connection.getresponse().status
        finally:
            connection.close()

    def scraped(self, metric: str, token: str) -> float | None:
        connection = http.client.HTTPConnection(self.address(0), timeout=20)
        try:
            connection.request("GET", "/metrics", headers={"Authorization": bearer(token)})
            found = re.search(rf"^{metric} (\S+)$", connection.getresponse().read().decode(), re.MULTILINE)
            return float(found[1]) if found else None
        finally:
            connection.close()

    def put(self, name: str, text: str) -> None:
        """Replace a file at once, as an editor or Kubernetes does."""
        (self.folder / "draft").write_text(text)
        (self.folder / "draft").rename(self.folder / name)


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Callable[..., Served]]:
    started: list[Served] = []

    def begin(extra: str = "", **files: str) -> Served:
        for name, text in files.items():
            (tmp_path / name.replace("_yml", ".yml")).write_text(text)
        web: dict[str, Any] = {"web_config": "web.yml"} if "web_yml" in files else {}
        write(tmp_path, "flights", extra=extra, **web)
        started.append(Served(tmp_path))
        return started[-1]

    yield begin
    for running in started:
        running.process.kill()
        running.process.communicate()
        running.notify.close()
        running.log_file.close()


def test_users_and_tokens_are_read_again(start: Callable[..., Served]) -> None:
    """Another password, another token: the old ones stop, the new ones open, and what is bad changes nothing."""
    running = start(TOKEN, web_yml=users("old"), token=ONE)
    assert running.status("/", Authorization=basic("ann", "old")) == 200
    running.put("web.yml", users("new"))
    until(lambda: running.log().count("were reloaded") == 1)
    assert running.status("/", Authorization=basic("ann", "new")) == 200
    assert running.status("/", Authorization=basic("ann", "old")) == 401
    running.put("token", OTHER)
    until(lambda: running.log().count("were reloaded") == 2)
    assert running.status("/metrics", Authorization=bearer(OTHER)) == 200
    assert running.status("/metrics", Authorization=bearer(ONE)) == 401
    running.put("web.yml", "basic_auth_users:\n  ann: plain\n")
    until(lambda: running.scraped("driftd_web_config_last_reload_successful", OTHER) == 0)
    assert "web.yml:2: basic_auth_users.ann: expected a bcrypt hash" in running.log()
    assert running.status("/", Authorization=basic("ann", "new")) == 200
    running.put("web.yml", users("new"))
    until(lambda: running.scraped("driftd_web_config_last_reload_successful", OTHER) == 1)
    assert "plain" not in running.log()


def test_a_certificate_is_read_again(start: Callable[..., Served], tmp_path: Path) -> None:
    """A renewed certificate is presented without a restart; a key that does not fit keeps the old one in force."""
    old, new = (Authority.made(tmp_path / f"{name}.crt") for name in ("old", "new"))
    old.signs(tmp_path, "server")
    running = start(web_yml=TLS)
    assert running.status("/", old.trusting()) == 200
    fitting = (tmp_path / "server.key").read_text()
    running.put("server.key", "no key")
    until(lambda: "stay in force" in running.log())
    assert running.status("/", old.trusting()) == 200
    running.put("server.key", fitting)
    new.signs(tmp_path, "server")
    until(lambda: trusted(running, new.trusting()))
    assert not trusted(running, old.trusting())


def trusted(running: Served, tls: ssl.SSLContext) -> bool:
    try:
        return running.status("/", tls) == 200
    except ssl.SSLError:
        return False


def test_a_reload_brings_new_tokens(start: Callable[..., Served], monkeypatch: pytest.MonkeyPatch) -> None:
    """A reload takes up what [daemon] says of clients, by itself once what it lacked is there; till then nothing."""
    monkeypatch.setenv("AGAIN", "0.1")
    running = start(TOKEN, token=ONE)
    assert running.status("/metrics", Authorization=bearer(ONE)) == 200
    write(running.folder, "flights", extra=TOKEN.replace('"token"', '"gone"'))
    running.process.send_signal(signal.SIGHUP)
    until(lambda: running.scraped("driftd_config_last_reload_successful", ONE) == 0)
    running.put("gone", NEW)
    until(lambda: running.log().count("Configuration accepted.") == 2)
    until(lambda: running.scraped("driftd_config_last_reload_successful", NEW) == 1)
    assert running.status("/metrics", Authorization=bearer(ONE)) == 401
    assert running.log().count("gone cannot be read") == 1


def test_health_has_a_listener_of_its_own(start: Callable[..., Served]) -> None:
    """With health_listen probes need no token, and are answered beside 200 half requests on both listeners."""
    running = start(f'health_listen = "127.0.0.1:0"\n{TOKEN}', token=ONE)
    ports = [int(running.address(number).rpartition(":")[2]) for number in (0, 1)]
    waiting = [socket.create_connection(("127.0.0.1", port), timeout=20) for port in ports for _ in range(200)]
    for connection in waiting:
        connection.sendall(b"GET /healthz HTTP/1.1\r\nX-a: ")
    for port in ports:
        with socket.create_connection(("127.0.0.1", port), timeout=5) as probe:
            probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n")
            assert b" 200 OK" in probe.recv(1000)
    for connection in waiting:
        connection.close()


@pytest.mark.parametrize(("extra", "said"), [
    ('[daemon.tokens.x]\nsecret = { env = "NO_SUCH_TOKEN" }\nscopes = ["read"]', "NO_SUCH_TOKEN is not set"),
    ('web_config = "gone.yml"', "gone.yml:1: cannot be read"),
])
def test_a_start_that_would_ask_nobody_is_refused(start: Callable[..., Served], extra: str, said: str) -> None:
    """What cannot be read ends the start with exit code 2: it is never left out in silence."""
    running = start(extra)
    output, _ = running.process.communicate(timeout=60)
    assert running.process.returncode == 2
    assert said in output


def test_what_was_refused_is_read_again_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A certificate that comes after the file that names it is taken up, though nobody watches for it."""
    monkeypatch.setattr("monitor.daemon.http_side._AGAIN", 0.0)
    (tmp_path / "web.yml").write_text("basic_auth_users:\n")
    write(tmp_path, "flights", web_config="web.yml")
    loaded, told = load(tmp_path / "driftd.toml"), list[bool]()
    side = HttpSide(loaded.config.daemon, App(Metrics("1"), View, lambda: None, lambda: None),
                    read_settings(loaded), told.append)
    with closing(side):
        (tmp_path / "web.yml").write_text(TLS)
        until(lambda: side.look(loaded) or told[-1] is False)
        Authority.made(tmp_path / "authority.crt").signs(tmp_path, "server")
        until(lambda: side.look(loaded) or told[-1])
        with socket.create_connection(side.address.split(":"), timeout=20) as connection:
            trust = ssl.create_default_context(cafile=tmp_path / "authority.crt")
            with trust.wrap_socket(connection, server_hostname="127.0.0.1") as spoken:
                assert spoken.version() == "TLSv1.3"
    assert not side.alive()
