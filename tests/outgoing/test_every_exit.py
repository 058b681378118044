"""Every way out of driftd against every form of an address that is never called: no connection is made."""

import smtplib
import socket
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from monitor.config.sections import RegistrySection, SourceSection
from monitor.config.values import Secret
from monitor.errors import DeliveryError, SourceError
from monitor.http import NotSent, send
from monitor.notify.deliver import deliver
from monitor.notify.heartbeat import heartbeat
from monitor.notify.letter import Letter
from monitor.outgoing import guard
from monitor.outgoing.guard import AddressRefused
from monitor.promotion.mlflow import Mlflow
from monitor.sources import open_source
from tests.outgoing.conftest import FORBIDDEN
from tests.outgoing.forms import hosts
from tests.retrain.conftest import Server

Exit = Callable[[str, pytest.MonkeyPatch], str]


def request(host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    """What every pipeline sends with."""
    with pytest.raises(NotSent) as raised:
        send("POST", f"http://{host}/", body=b"x", timeout=timedelta(seconds=5))
    return str(raised.value)


def sign_of_life(host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with capture_logs() as lines:
        heartbeat(f"https://{host}/ping")
    return str(lines[0]["reason"])


def registry(host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    with pytest.raises(DeliveryError) as raised:
        Mlflow(RegistrySection(kind="mlflow", url=f"http://{host}", name="m")).version()
    return str(raised.value)


def message(url: str) -> Exit:
    def sent(host: str, monkeypatch: pytest.MonkeyPatch) -> str:
        monkeypatch.setenv("ALERT_URL", url.format(host=host))
        delivery = deliver(Secret("env", "ALERT_URL"), Letter(title="title", body="body"))
        assert not delivery.ok
        return str(delivery.reason)

    return sent


def database(host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    monkeypatch.setenv("DATABASE", f"postgresql://u:p@{host}/x?connect_timeout=2")
    section = SourceSection(database=Secret("env", "DATABASE"), table="t")
    with pytest.raises(SourceError) as raised:
        open_source(section, ZoneInfo("UTC")).schema()
    return str(raised.value)


def objects(host: str, monkeypatch: pytest.MonkeyPatch) -> str:
    section = SourceSection.model_validate({"path": "s3://bucket/log", "storage": {"endpoint": f"http://{host}"}})
    with pytest.raises(SourceError) as raised:
        open_source(section, ZoneInfo("UTC")).schema()
    return str(raised.value)


EXITS: dict[str, Exit] = {
    "objects": objects, "request": request, "heartbeat": sign_of_life, "registry": registry, "database": database,
    "json message": message("json://{host}/x"), "form message": message("forms://{host}/x"),
    "mail": message("mailto://{host}:2525?from=a@example.org&to=b@example.org"), "syslog": message("rsyslog://{host}"),
}
REASONS = ("which driftd never calls", "not known", "is not an address Apprise understands", "did not accept")


@pytest.mark.parametrize("name", EXITS)
def test_no_form_of_an_address_opens_a_connection(
    name: str, connects: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Sixty forms, and a sentence for each; what the exit itself cannot read is no connection either."""
    reasons = {host: EXITS[name](host, monkeypatch) for host in hosts()}
    assert connects == []
    assert [(host, reason) for host, reason in reasons.items() if not any(words in reason for words in REASONS)] == []
    told = [host for host, reason in reasons.items() if "which driftd never calls" in reason]
    assert len(told) >= 60 if name in ("request", "heartbeat", "registry", "database") else len(told) > 20


def test_other_ways_to_write_an_address_open_no_connection(forbidden: Server, connects: list[Any]) -> None:
    """What they lead to is checked before the socket opens; somebody listens there."""
    port = forbidden.url.rpartition(":")[2]
    for host in (FORBIDDEN, "2130706434", "0x7f000002", "0177.0.0.2", f"[::ffff:{FORBIDDEN}]"):
        assert "which driftd never calls" in request(f"{host}:{port}", pytest.MonkeyPatch())
    assert (connects, forbidden.seen) == ([], [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("asked", ["", "?redirect=yes", "?REDIRECT=yes&redirect=true"])
def test_no_message_follows_a_redirect(
    server: Server, forbidden: Server, connects: list[Any], monkeypatch: pytest.MonkeyPatch, status: int, asked: str
) -> None:
    """Neither to a metadata service nor anywhere else, whatever the address asks for."""
    for place in (forbidden.url, f"{server.url}/elsewhere"):
        server.reply = lambda seen, place=place: (status, {"Location": place}, b"")
        monkeypatch.setenv("ALERT_URL", f"{server.url.replace('http:', 'json:')}/x{asked}")
        assert not deliver(Secret("env", "ALERT_URL"), Letter(title="title", body="body")).ok
    assert {seen.path.partition("?")[0] for seen in server.seen} == {"/x"}
    assert (len(connects), forbidden.seen) == (2, [])


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_request_follows_a_redirect(server: Server, forbidden: Server, connects: list[Any], status: int) -> None:
    """The answer is given back as it is."""
    server.reply = lambda seen: (status, {"Location": forbidden.url}, b"")
    assert send("POST", server.url, body=b"x").status == status
    assert (len(connects), forbidden.seen) == (1, [])


@pytest.mark.parametrize("open_it", [
    lambda port: socket.create_connection((FORBIDDEN, port), 2),
    lambda port: smtplib.SMTP(FORBIDDEN, port, timeout=2),
    lambda port: socket.socket().connect((FORBIDDEN, port)),
    lambda port: socket.socket().connect_ex((FORBIDDEN, port)),
    lambda port: socket.socket(socket.AF_INET6).connect((f"::ffff:{FORBIDDEN}", port, 0, 0)),
    lambda port: socket.socket().connect(("localhost", port)),
    lambda port: socket.socket(type=socket.SOCK_DGRAM).sendto(b"x", (FORBIDDEN, port)),
    lambda port: socket.socket(type=socket.SOCK_DGRAM).sendmsg([b"x"], [], 0, (FORBIDDEN, port)),
])
def test_whoever_opens_a_socket_is_checked(
    forbidden: Server, connects: list[Any], open_it: Callable[[int], Any]
) -> None:
    """A library's own socket is refused as ours is; a name that the kernel's library would look up is refused too."""
    port = int(forbidden.url.rpartition(":")[2])
    with pytest.raises(AddressRefused):
        open_it(port)
    assert (connects, forbidden.seen) == ([], [])


def test_inner_addresses_can_be_limited(
    server: Server, connects: list[Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """With daemon.allow_inner all else inside is refused at every exit; what is on the list is called."""
    host = server.url.removeprefix("http://")
    guard.allow_inner(["10.0.0.0/8"])
    try:
        reasons = [out(host, monkeypatch) for out in (request, registry, EXITS["json message"], database)]
        assert all("leads to an inner address that is not in daemon.allow_inner" in reason for reason in reasons)
        assert connects == []
        guard.allow_inner(["127.0.0.0/8"])
        assert send("GET", server.url).status == 200
    finally:
        guard.allow_inner(None)


def test_a_machine_may_ask_for_its_own_rights_only(forbidden: Server) -> None:
    """A cloud's SDK reaches its metadata service by the address known to all, while it asks for credentials."""
    with guard.own_rights():
        guard.check("169.254.169.254")
        for other in (FORBIDDEN, "169.254.1.1", "::ffff:169.254.169.254", "0.0.0.0"):
            with pytest.raises(AddressRefused):
                guard.check(other)
    with pytest.raises(AddressRefused):
        guard.check("169.254.169.254")
