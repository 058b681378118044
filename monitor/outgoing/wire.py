"""The one connection of a request: opened to an address that was checked, and cut at its deadline."""

import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from typing import Any

import urllib3
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection

from monitor.outgoing.guard import AddressRefused, look_up, watch


class Wire:
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


class Adapter(HTTPAdapter):
    """Opens every connection, a proxy's too, through `_open`, and trusts what the context trusts."""

    def __init__(self, wire: Wire, context: ssl.SSLContext) -> None:
        self._wire, self._context = wire, context
        watch()
        super().__init__(max_retries=0, pool_maxsize=1)

    def init_poolmanager(self, *args: Any, **kwargs: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **kwargs)
        self.poolmanager.pool_classes_by_scheme = _pools(self._wire)

    def proxy_manager_for(self, proxy: str, **kwargs: Any) -> Any:
        manager = super().proxy_manager_for(
            proxy, ssl_context=self._context, proxy_ssl_context=self._context, **kwargs
        )
        manager.pool_classes_by_scheme = _pools(self._wire)
        return manager

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """Nothing is trusted besides the context."""
        conn.cert_reqs, conn.ca_certs, conn.ca_cert_dir = "CERT_REQUIRED", None, None


def _pools(wire: Wire) -> dict[str, type[urllib3.HTTPConnectionPool]]:
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
                raise AddressRefused(
                    "was connected past driftd's address check; this version of urllib3 does not fit it"
                )
            wire.connected = True

    class Tls(Plain, HTTPSConnection):
        pass

    class PlainPool(urllib3.HTTPConnectionPool):
        ConnectionCls = Plain

    class TlsPool(urllib3.HTTPSConnectionPool):
        ConnectionCls = Tls

    return {"http": PlainPool, "https": TlsPool}


def _open(host: str, port: int, timeout: Any, wire: Wire) -> socket.socket:
    """Look the name up once and connect to the first address that answers. Raises AddressRefused, OSError."""
    return _first([partial(_connect, place, timeout, wire) for place in look_up(host, port)])


def _first(ways: list[Callable[[], socket.socket]]) -> socket.socket:
    for way in ways[:-1]:
        with suppress(OSError):
            return way()
    return ways[-1]()


def _connect(place: Any, timeout: Any, wire: Wire) -> socket.socket:
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
