"""The only outgoing HTTP: one request, one answer, nothing repeated and nothing followed.

No redirects, no retries, no netrc, and no proxy from the environment: a proxy would resolve the name itself
and so pass by the address check. Addresses are checked when the socket opens: link-local ones and cloud
metadata services are refused always, whatever name leads there; other internal addresses are normal here.
"""

import ipaddress
import json
import os
import socket
import threading
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import requests
import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.errors import DeliveryError

LIMIT = 64_000              # bytes of an answer that are read
CONNECT_SECONDS = 10.0
METADATA = tuple(map(ipaddress.ip_address, (
    "100.100.100.200", "168.63.129.16", "192.0.0.192", "fd00:ec2::254", "fd20:ce::254",
)))
_NAT64 = ipaddress.IPv6Network("64:ff9b::/96")


class NotSent(DeliveryError):
    """The request surely did not leave: no such name, refused, no connection, TLS failed."""


class Refused(NotSent):
    """The address is one we never call; trying again cannot help."""


class Unclear(DeliveryError):
    """The request may have been taken: no answer, a broken one, or the connection was lost."""


@dataclass(frozen=True, slots=True)
class Reply:
    """An answer; `body` ends after the limit, or where the connection broke after the headers."""

    status: int
    headers: Mapping[str, str]           # names in any case
    body: bytes

    def json(self) -> Any:
        """Read the body as JSON. Raises ValueError."""
        try:
            return json.loads(self.body)
        except RecursionError:
            raise ValueError("nested too deep") from None


def send(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    timeout: timedelta = timedelta(seconds=15),
    ca: Path | None = None,
    limit: int = LIMIT,
    secret_url: bool = False,
) -> Reply:
    """Send one request; `timeout` bounds all of it from the opening of the socket to the last byte.

    Errors name the address without user, query and, with `secret_url`, path. Raises NotSent, Refused,
    Unclear.
    """
    where = redacted(url, secret=secret_url)
    if not where.startswith(("http://", "https://")) or ":///" in where:
        raise Refused(f"{where}: not an address to send to, expected http:// or https://")
    wire = _Wire()
    alarm = threading.Timer(timeout.total_seconds(), wire.cut)
    alarm.daemon = True
    alarm.start()
    try:
        with _session(wire) as session:
            return _exchange(session, wire, method, url, headers, body, timeout, ca, limit)
    except Refused as error:
        raise Refused(f"{where}: {error}") from None
    except (requests.RequestException, urllib3.exceptions.HTTPError, OSError, ValueError) as error:
        kind = Unclear if wire.connected else NotSent
        raise kind(f"{where}: {_why(error, wire, timeout)}") from None
    finally:
        alarm.cancel()
        wire.close()


def redacted(url: str, *, secret: bool = False) -> str:
    """The address as it may be shown: without user and query, of a secret one only scheme and host."""
    try:
        parts = urlsplit(url)
        host = parts.netloc.rpartition("@")[2]
        return f"{parts.scheme}://{host}{'/…' if secret else parts.path}"
    except ValueError:
        return "an address that cannot be read"


def forbidden(address: str) -> bool:
    """Whether an IP address is link-local or a cloud metadata service, also when wrapped into IPv6."""
    ip: Any = ipaddress.ip_address(address.split("%")[0])
    if ip.version == 6 and ip in _NAT64:
        ip = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
    inner = getattr(ip, "ipv4_mapped", None) or getattr(ip, "sixtofour", None) or ip
    return bool(inner.is_link_local or ip.is_link_local or inner in METADATA)


class _Wire:
    """What is known of the one connection, and the means to cut it at the deadline from another thread."""

    def __init__(self) -> None:
        self.connected = False               # from here on a request may have been taken
        self.overdue = False
        self._socket: socket.socket | None = None
        self._lock = threading.Lock()

    def hold(self, opened: socket.socket) -> None:
        with self._lock:
            self._socket = opened.dup()      # TLS takes the first handle away
            late = self.overdue
        if late:
            self.cut()

    @property
    def held(self) -> bool:
        """Whether the socket is one that was opened here."""
        return self._socket is not None

    def cut(self) -> None:
        with self._lock:
            self.overdue = True
            if self._socket is not None:
                with suppress(OSError):
                    self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        with self._lock:
            if self._socket is not None:
                self._socket.close()
                self._socket = None


def _exchange(
    session: requests.Session,
    wire: _Wire,
    method: str,
    url: str,
    headers: Mapping[str, str] | None,
    body: bytes | None,
    timeout: timedelta,
    ca: Path | None,
    limit: int,
) -> Reply:
    seconds = timeout.total_seconds()
    answer = session.request(
        method, url, headers={"Accept-Encoding": "identity", **(headers or {})}, data=body, stream=True,
        allow_redirects=False, timeout=(min(seconds, CONNECT_SECONDS), seconds),
        verify=str(ca) if ca else os.environ.get("SSL_CERT_FILE") or True,
    )
    return Reply(answer.status_code, answer.headers, _body(answer, limit))


def _body(answer: requests.Response, limit: int) -> bytes:
    """As much as comes and fits: the status alone already answers most questions."""
    body = b""
    with suppress(urllib3.exceptions.HTTPError, OSError):
        while len(body) < limit and (chunk := answer.raw.read(min(16_384, limit - len(body)))):
            body += chunk
    return body


def _session(wire: _Wire) -> requests.Session:
    session = requests.Session()
    session.trust_env = False
    session.headers["User-Agent"] = "driftd"
    for scheme in ("http://", "https://"):
        session.mount(scheme, _Adapter(wire))
    return session


class _Adapter(HTTPAdapter):
    """Opens every connection through `_open`, so that no other way to a socket exists."""

    def __init__(self, wire: _Wire) -> None:
        self._wire = wire
        super().__init__(max_retries=0, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._wire)


def _pools(wire: _Wire) -> dict[str, type[urllib3.HTTPConnectionPool]]:
    """The pools by scheme whose connections open their sockets by `_open`."""

    class Plain(HTTPConnection):
        def __init__(self, host: str, *args: Any, **kwargs: Any) -> None:
            super().__init__(host, *args, **kwargs)
            self._to_look_up = host          # `host` has lost a trailing dot

        def _new_conn(self) -> socket.socket:
            # urllib3 offers no public place for this; tests/test_http.py says so where it no longer asks here
            return _open(self._to_look_up, self.port or self.default_port, self.timeout, wire)

        def connect(self) -> None:
            super().connect()
            if not wire.held:
                raise Refused("was connected past driftd's address check; this version of urllib3 does not fit it")
            wire.connected = True

    class Tls(Plain, HTTPSConnection):
        pass

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _open(host: str, port: int, timeout: Any, wire: _Wire) -> socket.socket:
    """Look the name up and connect to the first address that answers. Raises Refused, OSError."""
    found = socket.getaddrinfo(host.strip("[]"), port, type=socket.SOCK_STREAM)
    if any(forbidden(str(place[4][0])) for place in found):
        raise Refused("leads to a link-local or cloud metadata address, which driftd never calls")
    return _first([partial(_connect, place, timeout, wire) for place in found])


def _first(ways: list[Callable[[], socket.socket]]) -> socket.socket:
    for way in ways[:-1]:
        with suppress(OSError):
            return way()
    return ways[-1]()


def _connect(place: Any, timeout: Any, wire: _Wire) -> socket.socket:
    family, kind, protocol, _, address = place
    opened = socket.socket(family, kind, protocol)
    try:
        opened.settimeout(timeout)
        opened.connect(address)
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        wire.hold(opened)
    except BaseException:
        opened.close()
        raise
    return opened


def _why(error: BaseException, wire: _Wire, timeout: timedelta) -> str:
    """The cause in words, never the library's text, which repeats the address."""
    causes = list(_causes(error))
    if wire.overdue or any(isinstance(c, TimeoutError | requests.Timeout) for c in causes):
        what = "no complete answer" if wire.connected else "no connection"
        return f"{what} within {timeout.total_seconds():g} s"
    if any(isinstance(c, socket.gaierror) for c in causes):
        return "the name is not known"
    if any("SSL" in type(c).__name__ or "Certificate" in type(c).__name__ for c in causes):
        return "the TLS connection failed; is the certificate one this machine trusts?"
    named = [c.strerror for c in causes if isinstance(c, OSError) and c.strerror]
    if named:
        return named[-1].lower()
    return "the connection was lost or the answer was no HTTP" if wire.connected else "it cannot be reached"


def _causes(error: BaseException) -> list[BaseException]:
    """The error and all that led to it, the first cause last."""
    chain: list[BaseException] = []
    waiting: list[Any] = [error]
    while waiting:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in chain:
            chain.append(one)
            waiting += [one.__cause__, one.__context__, getattr(one, "reason", None), *one.args]
    return chain
