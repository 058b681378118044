"""The HTTP side: waitress on one socket, in a thread of its own."""

import ipaddress
import socket
import threading
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import structlog
from waitress import wasyncore
from waitress.server import create_server

from monitor.errors import ConfigError
from monitor.web.posts import BODY_LIMIT

_log = structlog.get_logger("driftd.web")


class WebServer:
    """Serves a WSGI application from construction until `close`. Raises ConfigError when it cannot listen."""

    def __init__(self, listen: str, app: Callable[..., Any]) -> None:
        bound = _bind(listen)
        host, port = bound.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._sockets: dict[int, Any] = {}
        self._server = create_server(
            app, map=self._sockets, sockets=[bound], threads=4, ident="driftd", channel_timeout=30,
            connection_limit=100, max_request_body_size=BODY_LIMIT, clear_untrusted_proxy_headers=True,
        )
        self._thread = threading.Thread(target=self._server.run, name="web", daemon=True)
        self._thread.start()
        _log.info("Listening.", url=f"http://{self.address}/")
        if not ipaddress.ip_address(host).is_loopback:
            _log.warning(
                "The page and the metrics can be read from other machines; they have no password.",
                listen=self.address,
            )

    def alive(self) -> bool:
        return self._thread.is_alive()

    def close(self) -> None:
        """Stop listening and end what is being answered."""
        # waitress is not thread safe: its own thread has to close its sockets
        with suppress(OSError):     # awake already, it can have closed them before it is woken
            self._server.trigger.pull_trigger(lambda: wasyncore.close_all(self._sockets, ignore_all=True))
        self._thread.join(5)
        self._server.task_dispatcher.shutdown(timeout=1)


def _bind(listen: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address[0], int(port), *address[2:]))
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([
            f"daemon.listen: cannot listen on {listen!r}: {reason}; expected host:port with a free port"
        ]) from None
    return bound
