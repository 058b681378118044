"""Pipelines whose certificate no public authority has signed."""

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from monitor.records import DispatchState
from tests.retrain.conftest import Server, serving
from tests.retrain.kinds import KINDS, Side
from tests.retrain.test_answers import opened

pytestmark = pytest.mark.usefixtures("places")


@pytest.fixture(scope="module")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Signed by itself, for 127.0.0.1; its key is in the same file."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    name = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "ci.example")])
    made = (
        x509.CertificateBuilder(name, name, key.public_key(), x509.random_serial_number(), now, now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.IPAddress(ip_address("127.0.0.1"))]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    secret = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption())
    path = tmp_path_factory.mktemp("tls") / "ci.pem"
    path.write_bytes(made.public_bytes(serialization.Encoding.PEM) + secret)
    return path


@pytest.fixture
def server(certificate: Path) -> Iterator[Server]:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate)
    with serving(context) as made:
        yield made


@pytest.mark.parametrize("name", KINDS)
def test_a_certificate_is_trusted_where_it_is_configured(
    server: Server, dispatch: Any, certificate: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """With `ca` the request arrives; without it nothing is sent, it is tried again later, and people read why."""
    server.reply = side = Side(name)
    untrusted = opened(name, server.url, monkeypatch).submit(dispatch)
    assert (untrusted.state, side.starts) == (DispatchState.PENDING, 0)
    assert "certificate" in str(untrusted.reason).lower()
    trusted = opened(name, server.url, monkeypatch, ca=certificate).submit(dispatch)
    assert (trusted.state, side.starts) == (KINDS[name].accepted, 1), trusted.reason
