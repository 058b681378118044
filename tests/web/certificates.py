"""Certificates for tests: an authority, servers for 127.0.0.1, clients."""

import ssl
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

_PEM = serialization.Encoding.PEM
_DAY = timedelta(days=1)


@dataclass(frozen=True)
class Authority:
    """Signs what it is asked for; `path` is its own certificate."""

    path: Path
    key: ec.EllipticCurvePrivateKey
    name: x509.Name

    @classmethod
    def made(cls, path: Path) -> "Authority":
        key, name = ec.generate_private_key(ec.SECP256R1()), _name(path.stem)
        signs = x509.KeyUsage(False, False, False, False, False, key_cert_sign=True, crl_sign=True,
                              encipher_only=False, decipher_only=False)
        made = (
            _builder(name, name, key, key)
            .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
            .add_extension(signs, critical=True)
            .sign(key, hashes.SHA256())
        )
        path.write_bytes(made.public_bytes(_PEM))
        return cls(path, key, name)

    def signs(
        self, folder: Path, name: str, password: bytes | None = None, *, address: str = "127.0.0.1", days: int = 0
    ) -> tuple[Path, Path]:
        """Write a certificate and its key, for an address, valid so many days from now; replaces those of the name."""
        key = ec.generate_private_key(ec.SECP256R1())
        there = x509.SubjectAlternativeName([x509.IPAddress(ip_address(address))])
        signed = _builder(_name(name), self.name, key, self.key, days).add_extension(there, critical=False)
        made = signed.sign(self.key, hashes.SHA256())
        locked = serialization.BestAvailableEncryption(password) if password else serialization.NoEncryption()
        secret = key.private_bytes(_PEM, serialization.PrivateFormat.PKCS8, locked)
        files = (folder / f"{name}.crt", folder / f"{name}.key")
        for path, content in zip(files, (made.public_bytes(_PEM), secret), strict=True):
            path.write_bytes(content)
        return files

    def trusting(self, certificate: tuple[Path, Path] | None = None, newest: ssl.TLSVersion | None = None
                 ) -> ssl.SSLContext:
        """A client that trusts this authority, and presents a certificate."""
        context = ssl.create_default_context(cafile=self.path)
        if certificate is not None:
            context.load_cert_chain(*certificate)
        if newest is not None:
            context.minimum_version = context.maximum_version = newest
            context.set_ciphers("DEFAULT@SECLEVEL=0")       # else OpenSSL itself would not speak the old ones
        return context


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def _builder(
    name: x509.Name, issuer: x509.Name, key: ec.EllipticCurvePrivateKey, signer: ec.EllipticCurvePrivateKey,
    days: int = 0,
) -> x509.CertificateBuilder:
    now, own, above = datetime.now(UTC) + days * _DAY, key.public_key(), signer.public_key()
    made = x509.CertificateBuilder(issuer, name, own, x509.random_serial_number(), now - _DAY, now + _DAY)
    return (
        made.add_extension(x509.SubjectKeyIdentifier.from_public_key(own), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(above), critical=False)
    )
