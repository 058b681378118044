"""Connections: how many, and how long each may take. A slow client makes place for the next one, never the reverse.

uvicorn parses and answers; what it lacks are deadlines for a request and for its answer, and limits for each client.
"""

import asyncio
from collections import Counter
from collections.abc import Callable
from contextlib import suppress
from email.utils import formatdate
from enum import Enum
from typing import Any

import h11
from uvicorn.config import Config
from uvicorn.protocols.http.h11_impl import H11Protocol
from uvicorn.server import ServerState

from monitor.web.addresses import client_of

MOST = 512              # connections of a listener, half of them of one client
MOST_DISCARDED = 1_000_000  # bytes of a body nobody asked for that are still read, so that the answer arrives
BUSY = 5.0              # seconds of answering after which a connection may have to make place


class Stage(Enum):
    """What a connection is doing; the value is how many seconds that may take."""

    RECEIVING = 10.0    # TLS handshake, headers and body
    ANSWERING = 60.0    # until the client has read it all
    IDLE = 75.0         # between two requests


class State(ServerState):
    """What the connections of a server share for uvicorn."""

    @property
    def default_headers(self) -> list[tuple[bytes, bytes]]:
        return [(b"date", formatdate(usegmt=True).encode())]

    @default_headers.setter
    def default_headers(self, value: object) -> None:
        """Uvicorn's own server keeps the date here; ours has no task that would have to refresh it."""


class Connection(H11Protocol):
    """One connection, from the moment it was accepted. For the event loop's thread only."""

    def __init__(self, config: Config, connections: "Connections", peer: str) -> None:
        super().__init__(config, connections.state, {}, asyncio.get_running_loop())
        self.client_key, self._table = client_of(peer), connections
        self.opening: asyncio.Task[Any] | None = None    # until TLS is agreed on
        self.stage, self.since = Stage.RECEIVING, self.loop.time()
        self._deadline = self.loop.call_later(Stage.RECEIVING.value, self._expire)
        self._discarded, self._leaving = 0, False

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as in uvicorn
        super().connection_made(transport)
        self.app_state = {"certificate": _common_name(transport.get_extra_info("peercert"))}

    def data_received(self, data: bytes) -> None:
        if self._answered_early():
            self._discarded += len(data)
            if self._discarded > MOST_DISCARDED:
                return self.abort()
        super().data_received(data)
        if self._leaving and self.cycle is not None:
            self.cycle.keep_alive = False
        self._follow()
        return None

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._follow()

    def send_400_response(self, msg: str) -> None:
        """A request that is broken: said so, unless an answer is under way already."""
        self._table.noted("malformed", self.client_key)
        if self.conn.our_state is h11.IDLE:
            super().send_400_response(msg)
        else:
            self.abort()

    def connection_lost(self, exc: Exception | None) -> None:
        self._forget()
        super().connection_lost(exc)

    def abort(self) -> None:
        """Close at once, without a word; what is being answered is told that nobody listens any more."""
        self._forget()
        if self.opening is not None:
            self.opening.cancel()
        if self.transport is not None:
            self.transport.abort()

    def give_way(self) -> None:
        """Close after the next answer; at once where the client has had one and asks nothing now.

        A client that just came is not cut off: its first request may be on its way.
        """
        if self.cycle is None:
            self._leaving = True
        else:
            self.end()

    def end(self) -> None:
        """Close as soon as what is being answered is answered."""
        if self.opening is not None:
            return self.abort()
        with suppress(h11.LocalProtocolError):   # half a request: there is nothing to end properly
            return self.shutdown()
        return self.abort()

    def may_make_place(self) -> bool:
        return self.stage is not Stage.ANSWERING or self.loop.time() - self.since > BUSY

    def _answered_early(self) -> bool:
        return self.cycle is not None and self.cycle.response_complete and self.conn.their_state is h11.SEND_BODY

    def _follow(self) -> None:
        """When the stage is another than before, its time begins."""
        stage = self._stage()
        if stage is not self.stage:
            self.stage, self.since = stage, self.loop.time()
            self._deadline.cancel()
            self._deadline = self.loop.call_later(stage.value, self._expire)

    def _stage(self) -> Stage:
        if self.conn.their_state is h11.SEND_BODY:
            return Stage.RECEIVING
        if self.cycle is not None and not self.cycle.response_complete:
            return Stage.ANSWERING
        return Stage.RECEIVING if self.conn.trailing_data[0] else Stage.IDLE

    def _expire(self) -> None:
        if self.stage is not Stage.IDLE:
            self._table.noted("too_slow", self.client_key)
        self.abort()

    def _forget(self) -> None:
        self._deadline.cancel()
        self._table.discard(self)


class Connections:
    """All connections of one listener. For the event loop's thread only."""

    def __init__(self, noted: Callable[[str, str], None], most: int, most_each: int) -> None:
        self.state, self.noted = State(), noted
        self._most, self._most_each = most, most_each
        self._open: dict[Connection, None] = {}      # in the order they came
        self._held: Counter[str] = Counter()         # by client

    def __len__(self) -> int:
        return len(self._open)

    def admits(self, peer: str) -> bool:
        """Whether there is place for one more of this client; the slowest one has to go where there is none."""
        client = client_of(peer)
        if self._held[client] >= self._most_each:
            return self._make_place(client)
        return len(self._open) < self._most or self.make_place()

    def make_place(self) -> bool:
        """Close the slowest connection of the client that holds most; False when all of them are being answered."""
        return any(self._make_place(client) for client, _ in self._held.most_common())

    def add(self, connection: Connection) -> None:
        self._open[connection] = None
        self._held[connection.client_key] += 1

    def discard(self, connection: Connection) -> None:
        if connection in self._open:
            del self._open[connection]
            self._held[connection.client_key] -= 1
            if not self._held[connection.client_key]:
                del self._held[connection.client_key]

    def all(self) -> tuple[Connection, ...]:
        return tuple(self._open)

    def _make_place(self, client: str) -> bool:
        slow = (each for each in self._open if each.client_key == client and each.may_make_place())
        victim = min(slow, key=lambda each: (each.stage is Stage.ANSWERING, each.since), default=None)
        if victim is None:
            self.noted("too_many_connections", client)
            return False
        self.noted("made_place", client)
        victim.abort()
        return True


def _common_name(certificate: Any) -> str | None:
    """Whom a verified client certificate names; None without one."""
    names = [value for parts in (certificate or {}).get("subject", ()) for key, value in parts if key == "commonName"]
    return names[0] if names and names[0].isprintable() else None
