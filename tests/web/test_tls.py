"""TLS, certificates of clients, and what is wrong with either, against a real server over sockets."""

import socket
import ssl
import warnings
from pathlib import Path

import pytest

from monitor.config import load
from monitor.errors import ConfigError
from monitor.web.settings import read_settings
from tests.web.certificates import Authority
from tests.web.conftest import CANARY, READ_TOKEN, TOKENS, Serve, Site, configured
from tests.web.test_slow_clients import closed, until_refused

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
CLIENTS = "  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: clients.crt\n"


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    made = Authority.made(tmp_path / "authority.crt")
    made.signs(tmp_path, "server")
    return made


@pytest.fixture
def clients(tmp_path: Path) -> Authority:
    return Authority.made(tmp_path / "clients.crt")


def problems(folder: Path, web: str) -> list[str]:
    with pytest.raises(ConfigError) as caught:
        read_settings(load(configured(folder, "", web)))
    return [one.replace(f"{folder}/", "…/") for one in caught.value.problems]


def answered(site: Site, tls: ssl.SSLContext) -> bool:
    """Whether a client is answered at all; with TLS 1.3 it may learn only when it reads that it is not."""
    try:
        return site.ask("/", tls=tls).status == 200
    except (ssl.SSLError, ConnectionError):
        return False


def test_only_tls_is_spoken(serve: Serve, authority: Authority) -> None:
    """With a certificate pages come by TLS; who speaks plain HTTP gets no byte of them."""
    site = serve(web=TLS)
    assert CANARY in site.ask("/", tls=authority.trusting()).body.decode()
    with site.connect(b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n") as connection:
        assert closed(connection)
    until_refused(site, "tls", authority.trusting())


@pytest.mark.parametrize(("version", "least", "spoken"), [
    (ssl.TLSVersion.TLSv1, None, False), (ssl.TLSVersion.TLSv1_1, None, False), (ssl.TLSVersion.TLSv1_2, None, True),
    (ssl.TLSVersion.TLSv1_3, None, True), (ssl.TLSVersion.TLSv1_2, "TLS13", False),
    (ssl.TLSVersion.TLSv1_3, "TLS13", True),
])
def test_old_versions_are_not_spoken(
    serve: Serve, authority: Authority, version: ssl.TLSVersion, least: str | None, spoken: bool
) -> None:
    """TLS 1.2 and 1.3, or what min_version says."""
    site = serve(web=TLS + (f"  min_version: {least}\n" if least else ""))
    with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
        client = authority.trusting(newest=version)
    assert answered(site, client) is spoken


def test_a_certificate_of_the_client_is_asked_for(
    serve: Serve, authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    """Only who has one of the authority named is let in; nothing else is asked, and scopes are the name's."""
    site = serve("users.wall = []", TLS + CLIENTS)
    known, named = clients.signs(tmp_path, "ann"), clients.signs(tmp_path, "wall")
    stranger = Authority.made(tmp_path / "others.crt").signs(tmp_path, "stranger")
    assert answered(site, authority.trusting(known))
    assert site.ask("/", tls=authority.trusting(named)).status == 403
    assert not answered(site, authority.trusting())
    assert not answered(site, authority.trusting(stranger))


def test_a_certificate_does_not_replace_a_token(
    serve: Serve, authority: Authority, clients: Authority, tmp_path: Path
) -> None:
    """As with Prometheus: where tokens or users are configured too, both are needed."""
    site = serve(TOKENS, TLS + CLIENTS)
    client = authority.trusting(clients.signs(tmp_path, "ann"))
    assert site.ask("/", tls=client).status == 401
    assert site.ask("/", tls=client, Authorization=f"Bearer {READ_TOKEN}").status == 200


def test_a_certificate_that_may_be_given_lets_nobody_in(serve: Serve, authority: Authority, clients: Authority) -> None:
    """VerifyClientCertIfGiven beside tokens: without a certificate a token is enough, and needed."""
    site = serve(TOKENS, TLS + CLIENTS.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"))
    assert site.ask("/", tls=authority.trusting()).status == 401
    assert site.ask("/", tls=authority.trusting(), Authorization=f"Bearer {READ_TOKEN}").status == 200


def test_health_is_reached_without_a_certificate(serve: Serve, authority: Authority, clients: Authority) -> None:
    """The second listener is for probes that cannot present one."""
    site = serve(web=TLS + CLIENTS)
    with socket.create_connection(("127.0.0.1", int(site.health.address.rpartition(":")[2])), timeout=5) as probe:
        probe.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
        assert b" 200 OK" in probe.recv(1000)


def test_a_handshake_that_is_never_finished_is_ended(serve: Serve, authority: Authority) -> None:
    """It has the time of a request, and makes place like one."""
    site = serve(web=TLS, most=8)
    waiting = [site.connect(b"\x16\x03\x01") for _ in range(20)]
    assert site.ask("/healthz", tls=authority.trusting()).status == 200
    assert sum(closed(connection) for connection in waiting[:16]) == 16
    for connection in waiting:
        connection.close()


def test_what_is_wrong_with_a_certificate_is_said(authority: Authority, tmp_path: Path) -> None:
    """A key that is another's, that is encrypted, or a file that is none: one sentence with the files."""
    authority.signs(tmp_path, "other")
    authority.signs(tmp_path, "locked", b"password")
    (tmp_path / "none.crt").write_text("no certificate")
    head = "…/web.yml: tls_server_config: "
    expected = "expected a certificate and its key, unencrypted, in PEM"
    pair = "tls_server_config:\n  cert_file: {}\n  key_file: {}\n"
    assert problems(tmp_path, pair.format("server.crt", "other.key")) == [
        f"{head}…/server.crt and …/other.key: the key is another certificate's, {expected}"]
    assert problems(tmp_path, pair.format("locked.crt", "locked.key")) == [
        f"{head}…/locked.crt and …/locked.key: cannot be parsed, {expected}"]
    assert problems(tmp_path, pair.format("gone.crt", "server.key")) == [
        f"{head}…/gone.crt and …/server.key: cannot be read: No such file or directory, {expected}"]
    assert problems(tmp_path, pair.format("none.crt", "server.key")) == [
        f"{head}…/none.crt and …/server.key: cannot be parsed, {expected}"]
    assert problems(tmp_path, TLS + CLIENTS.replace("clients.crt", "none.crt")) == [
        f"{head}…/none.crt: no certificate, expected the authority's certificates in PEM"]
