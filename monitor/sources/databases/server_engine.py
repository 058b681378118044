"""Databases behind a server, to which connecting costs more than most questions: connections serve several looks."""

import atexit
import time
from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from monitor.sources.databases.engine import Engine, Session

_AT_REST = 60.0                  # seconds that a connection may have been idle: older ones may have been cut on the way
_MOST = 4                        # idle connections of this process

_idle: dict[tuple[Any, ...], tuple[float, Session]] = {}     # by what they are connected to; the one used last is last


class ServerEngine(Engine):
    """Each look is a transaction of its own on one snapshot of the data. Between looks no transaction is open."""

    @abstractmethod
    def connect(self) -> Session:
        """Open a connection. Raises SourceError and what the driver raises."""

    @abstractmethod
    def begin(self, session: Session) -> None:
        """Begin a read-only transaction on one snapshot of the data."""

    @contextmanager
    def connected(self) -> Iterator[Session]:
        session = self._begun()
        try:
            yield session
            session.run("ROLLBACK")
        except BaseException:
            self._close(session)
            raise
        _idle[self._key] = time.monotonic(), session
        while len(_idle) > _MOST:
            self._close(_idle.pop(next(iter(_idle)))[1])

    @property
    def _key(self) -> tuple[Any, ...]:
        return type(self), self.address, self.timeout

    def _begun(self) -> Session:
        since, session = _idle.pop(self._key, (0.0, None))
        if session is not None:
            try:
                if time.monotonic() - since < _AT_REST:
                    self.begin(session)
                    return session
            except self.faults():            # the server has ended it meanwhile
                pass
            self._close(session)
        session = self.connect()
        try:
            self.begin(session)
        except BaseException:
            self._close(session)
            raise
        return session

    def _close(self, session: Session) -> None:
        with suppress(*self.faults()):       # it may be broken
            session.close()


@atexit.register
def _close_all() -> None:
    """Let the servers know, before the drivers are taken apart."""
    while _idle:
        _, (_, session) = _idle.popitem()
        with suppress(Exception):            # of whichever driver: the process ends anyway
            session.close()
