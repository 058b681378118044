"""Certificates: the system's store or what the environment names, for requests and messages alike."""

import ssl
import subprocess
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from monitor.config.values import Secret
from monitor.http import NotSent, send
from monitor.notify.deliver import deliver
from monitor.notify.letter import Letter
from tests.retrain.conftest import Server, serving
from tests.retrain.test_tls import certificate
from tests.web.certificates import Authority

__all__ = ["certificate"]


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as made:
        yield made


@pytest.fixture(autouse=True)
def no_names(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("SSL_CERT_FILE", "SSL_CERT_DIR", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"):
        monkeypatch.setenv(name, "")         # so that it is put back afterwards
        monkeypatch.delenv(name)


@pytest.fixture
def folder(certificate: Path, tmp_path: Path) -> Path:
    """A store as OpenSSL keeps it: each certificate under the hash of its subject."""
    hashed = subprocess.run(["openssl", "x509", "-hash", "-noout", "-in", certificate], capture_output=True, text=True)
    (tmp_path / "store").mkdir()
    (tmp_path / "store" / f"{hashed.stdout.strip()}.0").write_text(certificate.read_text())
    return tmp_path / "store"


def told(server: Server, monkeypatch: pytest.MonkeyPatch) -> bool:
    monkeypatch.setenv("ALERT_URL", server.url.replace("https:", "jsons:"))
    return deliver(Secret("env", "ALERT_URL"), Letter(title="title", body="body")).ok


@pytest.mark.parametrize("name", ["SSL_CERT_FILE", "REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_a_file_in_the_environment_is_trusted(
    server: Server, certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """By both, whichever of the usual variables names it."""
    monkeypatch.setenv(name, str(certificate))
    assert send("GET", server.url).status == 200
    assert told(server, monkeypatch)


def test_a_folder_in_the_environment_is_trusted(
    server: Server, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """SSL_CERT_DIR, by both."""
    monkeypatch.setenv("SSL_CERT_DIR", str(folder))
    assert send("GET", server.url).status == 200
    assert told(server, monkeypatch)


def test_nothing_else_is_trusted(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The system does not know who signed it, so neither goes out."""
    with pytest.raises(NotSent, match="is the certificate one this machine trusts"):
        send("GET", server.url)
    assert not told(server, monkeypatch)
    assert server.seen == []


@pytest.mark.parametrize(("more", "newest", "said"), [
    ({"days": -3}, None, "its certificate has expired"),
    ({"days": 3}, None, "its certificate is not valid yet"),
    ({"address": "127.0.0.2"}, None, "its certificate is for another host"),
    ({}, ssl.TLSVersion.TLSv1_1, "it speaks no TLS 1.2 or newer"),
    ({}, ssl.TLSVersion.TLSv1, "it speaks no TLS 1.2 or newer"),
    ({}, ssl.TLSVersion.TLSv1_2, ""),
])
def test_what_is_wrong_with_a_server_is_said(
    tmp_path: Path, more: dict[str, Any], newest: ssl.TLSVersion | None, said: str
) -> None:
    """In words, and nothing goes out to it."""
    authority, context = Authority.made(tmp_path / "ca.pem"), ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(*authority.signs(tmp_path, "server", **more))
    if newest is not None:
        with warnings.catch_warnings(action="ignore", category=DeprecationWarning):
            context.minimum_version = context.maximum_version = newest
        context.set_ciphers("DEFAULT@SECLEVEL=0")
    with serving(context) as made:
        if said:
            with pytest.raises(NotSent, match=said):
                send("POST", made.url, body=b"{}", ca=authority.path)
        else:
            assert send("POST", made.url, body=b"{}", ca=authority.path).status == 200
        assert len(made.seen) == (not said)


def test_what_speaks_no_tls_is_said() -> None:
    """An address that should have begun with http:// gets a hint."""
    with serving() as made, pytest.raises(NotSent, match="speaks no TLS; is it http://"):
        send("GET", made.url.replace("http:", "https:"))


@pytest.mark.parametrize("text", [None, "no certificate\n"])
def test_certificates_that_cannot_be_read_are_said(server: Server, tmp_path: Path, text: str | None) -> None:
    """With the path, and what was expected."""
    place = tmp_path / "ca.pem"
    if text:
        place.write_text(text)
    with pytest.raises(NotSent, match=r"ca\.pem (cannot be read: no such file|holds no certificates, expected PEM)"):
        send("GET", server.url, ca=place)
