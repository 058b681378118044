"""A listener: an event loop in a thread of its own, which accepts, and hands what it accepted to uvicorn."""

import asyncio
import errno
import resource
import socket
import ssl
import threading
from collections.abc import Callable
from contextlib import suppress
from functools import partial

import anyio.to_thread
import structlog
from starlette.types import ASGIApp
from uvicorn.config import Config

from monitor.errors import ConfigError
from monitor.web.connections import MOST, Connection, Connections, Stage

THREADS = 4             # that render pages and take posts; health is answered by the event loop itself
BACKLOG = 1024
PATIENCE = 2.0          # seconds for what is being answered when the daemon stops
_FULL = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)

_log = structlog.get_logger("driftd.web")


class WebServer:
    """Serves an ASGI application from construction until `close`. Raises ConfigError when it cannot listen.

    `tls` is what new connections speak, None for plain HTTP; `most`: how many there may be; `noted` is told of each
    that was ended, with the reason and the client.
    """

    def __init__(
        self, listen: str, app: ASGIApp, tls: ssl.SSLContext | None = None, *, key: str = "daemon.listen",
        most: int = MOST, noted: Callable[[str, str], None] = lambda reason, client: None,
    ) -> None:
        self._bound = _bind(listen, key)
        host, port = self._bound.getsockname()[:2]
        self.address = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
        self._tls, self._most, self._noted = tls, most, noted
        self._config = Config(
            app, interface="asgi3", http="h11", ws="none", lifespan="off", log_config=None, access_log=False,
            proxy_headers=False, server_header=False, timeout_keep_alive=int(Stage.IDLE.value),
        )
        self._config.load()
        self._loop, accepting = asyncio.new_event_loop(), threading.Event()
        self._thread = threading.Thread(target=self._run, args=(accepting,), name=f"web {port}", daemon=True)
        self._thread.start()
        accepting.wait()
        _log.info("Listening.", url=f"{'http' if tls is None else 'https'}://{self.address}/")

    def alive(self) -> bool:
        return self._thread.is_alive()

    def speak(self, tls: ssl.SSLContext | None) -> None:
        """From now on accept connections with this TLS; those that are open end with their next answer."""
        self._tls = tls
        self._soon(self._renew)

    def close(self) -> None:
        """Stop listening; what is being answered may end within seconds."""
        self._soon(self._stopping.set)
        self._thread.join(PATIENCE + 3)

    def _soon(self, function: Callable[[], object]) -> None:
        with suppress(RuntimeError):     # the loop has come to its end meanwhile
            self._loop.call_soon_threadsafe(function)

    def _run(self, accepting: threading.Event) -> None:
        with asyncio.Runner(loop_factory=lambda: self._loop) as runner:
            runner.run(self._serve(accepting))

    async def _serve(self, accepting: threading.Event) -> None:
        anyio.to_thread.current_default_thread_limiter().total_tokens = THREADS
        self._connections, self._stopping = Connections(self._noted, *_limits(self._most)), asyncio.Event()
        with self._bound:
            self._listen()
            accepting.set()
            await self._stopping.wait()
            self._loop.remove_reader(self._bound)
        await self._end()

    def _listen(self) -> None:
        """Accept one connection in each turn of the loop, so that those who were admitted have theirs too."""
        if not self._stopping.is_set():
            self._loop.add_reader(self._bound, self._accept)

    def _accept(self) -> None:
        try:
            accepted, (peer, *_) = self._bound.accept()
        except OSError as error:     # one that went away again; or there is no place for another file
            if error.errno in _FULL and not self._connections.make_place():
                self._loop.remove_reader(self._bound)
                self._loop.call_later(0.1, self._listen)
            return
        if self._connections.admits(peer):
            self._open(accepted, peer)
        else:
            accepted.close()

    def _open(self, accepted: socket.socket, peer: str) -> None:
        connection = Connection(self._config, self._connections, peer)
        self._connections.add(connection)
        connection.opening = self._loop.create_task(self._loop.connect_accepted_socket(
            lambda: connection, accepted, ssl=self._tls,
            ssl_handshake_timeout=None if self._tls is None else Stage.RECEIVING.value,
        ))
        connection.opening.add_done_callback(partial(self._opened, connection, accepted))

    def _opened(self, connection: Connection, accepted: socket.socket, opening: asyncio.Task[object]) -> None:
        """Called also of a task that was cancelled before it began: then nobody else closes the socket."""
        connection.opening = None
        if opening.cancelled() or opening.exception() is not None:
            if not opening.cancelled():
                self._noted("tls", connection.client_key)
            accepted.close()
            connection.abort()

    def _renew(self) -> None:
        for connection in self._connections.all():
            connection.give_way()

    async def _end(self) -> None:
        """Let what is being answered end, then close everything."""
        for connection in self._connections.all():
            connection.end()
        deadline = self._loop.time() + PATIENCE
        while len(self._connections) and self._loop.time() < deadline:
            await asyncio.sleep(0.02)
        for connection in self._connections.all():
            connection.abort()


def _limits(most: int) -> tuple[int, int]:
    """How many connections, and of one client: all of them take at most half of the files this process may open."""
    files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    most = most if files == resource.RLIM_INFINITY else max(8, min(most, files // 2))
    return most, most // 2


def _bind(listen: str, key: str) -> socket.socket:
    host, _, port = listen.rpartition(":")
    host = host.strip("[]")
    try:
        family, _, _, _, address = socket.getaddrinfo(host, None, type=socket.SOCK_STREAM)[0]
        bound = socket.socket(family, socket.SOCK_STREAM)
        bound.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        bound.bind((address[0], int(port), *address[2:]))
        bound.listen(BACKLOG)
        bound.setblocking(False)
    except (OSError, ValueError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise ConfigError([
            f"{key}: cannot listen on {listen!r}: {reason}; expected host:port with a free port"
        ]) from None
    return bound
