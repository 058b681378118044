"""The HTTP side of the running service: its listeners, and authentication and TLS, reloaded when their files change."""

import socket
import time
from collections.abc import Callable
from contextlib import ExitStack, closing
from typing import Final

import structlog

from monitor.config import Daemon, Loaded
from monitor.daemon.signals import Watch
from monitor.errors import ConfigError
from monitor.web.app import App
from monitor.web.server import WebServer
from monitor.web.settings import WebSettings, read_settings

PROBES: Final = 64      # connections of the listener for health
_AGAIN = 30.0           # seconds until what was bad is read again, though no file that is known has changed

_log = structlog.get_logger("driftd.web")


class HttpSide:
    """Listens from construction until `close`; `reread(good)` is called after each reload of authentication and TLS.

    Raises ConfigError when it cannot listen.
    """

    def __init__(self, daemon: Daemon, app: App, settings: WebSettings, reread: Callable[[bool], None]) -> None:
        self._app, self._reread = app, reread
        with ExitStack() as opened:
            self._server = opened.enter_context(closing(
                WebServer(daemon.listen, app, settings.tls, noted=app.refusals)
            ))
            if daemon.health_listen is not None:
                opened.enter_context(closing(WebServer(
                    daemon.health_listen, app.health, key="daemon.health_listen", most=PROBES, noted=app.refusals
                )))
            self._opened = opened.pop_all()
        self._watch = Watch(settings.files)
        self._refused: tuple[list[str], float] | None = None     # why, and when
        self._ask(settings)

    @property
    def address(self) -> str:
        """Where pages are served, host:port."""
        return self._server.address

    def alive(self) -> bool:
        return self._server.alive()

    def close(self) -> None:
        self._opened.close()

    def use(self, settings: WebSettings) -> None:
        """Put new settings into force; open connections end with their next answer."""
        if settings.files != self._watch.files:
            self._watch = Watch(settings.files)
        self._server.speak(settings.tls)
        self._ask(settings)

    def look(self, loaded: Loaded) -> None:
        """Reload the settings if one of their files has changed; bad ones change nothing."""
        late = self._refused is not None and time.monotonic() - self._refused[1] > _AGAIN
        if not (self._watch.changed() or late):
            return
        self._watch.follow(self._watch.files)    # before they are read, so that no later change is missed
        try:
            settings = read_settings(loaded)
        except ConfigError as error:
            self._refuse(error.problems)
        else:
            self.use(settings)
            _log.info("Users, tokens and certificates were reloaded.")

    def _ask(self, settings: WebSettings) -> None:
        self._app.policy, self._refused = settings.policy, None
        self._reread(True)
        for sentence in settings.warnings:
            _log.warning(sentence)

    def _refuse(self, problems: list[str]) -> None:
        if self._refused is None or self._refused[0] != problems:
            _log.error(
                "Cannot use the changed users, tokens or certificates; the last good ones stay in force.",
                problems=problems,
            )
        self._refused = (problems, time.monotonic())
        self._reread(False)


def usual_address() -> str:
    """Return where the service listens unless told otherwise, or another port of loopback if that one is taken."""
    host, _, port = Daemon().listen.partition(":")
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            trial.bind((host, int(port)))
        except OSError:
            trial.bind((host, 0))
        return f"{host}:{trial.getsockname()[1]}"
