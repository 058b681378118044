"""Who may ask the HTTP side for what: one frozen record, replaced whole when the configuration changes."""

import hashlib
import hmac
import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final, Literal

from monitor.config.sections import Scope
from monitor.web.addresses import plain_address
from monitor.web.passwords import Passwords

METRICS: Final = "metrics"
READ: Final = "read"
ACT: Final = "act"
CAPTURE: Final = "capture"
USUAL: frozenset[Scope] = frozenset({METRICS, READ})     # what somebody may of whom nothing is configured

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


@dataclass(frozen=True, slots=True)
class Principal:
    """Who asks, and what they may; `name` is what the audit says."""

    name: str
    kind: Literal["anonymous", "token", "user", "proxy", "certificate"]
    scopes: frozenset[Scope]


ANONYMOUS = Principal("anonymous", "anonymous", USUAL)


@dataclass(frozen=True, slots=True)
class Token:
    """A bearer token: only its digest is kept."""

    name: str
    digest: bytes
    scopes: frozenset[Scope]

    @classmethod
    def of(cls, name: str, secret: str, scopes: frozenset[Scope]) -> "Token":
        return cls(name, _digest(secret), scopes)


@dataclass(frozen=True, slots=True)
class Proxy:
    """A header that is believed from these networks alone."""

    header: str                          # in lower case
    peers: tuple[Network, ...]

    def trusts(self, address: str) -> bool:
        peer = ipaddress.ip_address(plain_address(address))
        return any(peer.version == network.version and peer in network for network in self.peers)


@dataclass(frozen=True, slots=True)
class Policy:
    """Without tokens, users, proxy and required certificates nobody is asked who they are."""

    hosts: frozenset[str] = frozenset()  # names we answer to, in lower case, besides loopback and our own addresses
    url: str | None = None
    tokens: tuple[Token, ...] = ()
    passwords: Passwords | None = None
    scopes: Mapping[str, frozenset[Scope]] = field(default_factory=dict)     # of users
    proxy: Proxy | None = None
    certificate: bool = False            # the TLS side lets nobody in without a verified one

    @property
    def asks(self) -> bool:
        """Whether somebody must say who they are."""
        return bool(self.tokens or self.passwords or self.proxy or self.certificate)

    @property
    def certificate_suffices(self) -> bool:
        """As with Prometheus: beside other credentials a certificate is needed and does not replace them."""
        return self.certificate and not (self.tokens or self.passwords or self.proxy)

    def token(self, presented: str) -> Principal | None:
        """Whose token it is; the time it takes says nothing of how much of it is right."""
        digest = _digest(presented)
        right = [token for token in self.tokens if hmac.compare_digest(token.digest, digest)]
        return Principal(right[0].name, "token", right[0].scopes) if right else None

    def user(self, name: str, kind: Literal["user", "proxy", "certificate"]) -> Principal:
        return Principal(name, kind, self.scopes.get(name, USUAL))


def _digest(secret: str) -> bytes:
    return hashlib.sha256(secret.encode("utf-8", "surrogatepass")).digest()
