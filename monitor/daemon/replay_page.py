"""The pages about a log while it is replayed: those of the service, from a state that fills meanwhile."""

import threading

from monitor import __version__
from monitor.config import Loaded
from monitor.expose.prometheus import Metrics
from monitor.expose.view import View, read_view
from monitor.store import Store
from monitor.times import utcnow
from monitor.web.app import App
from monitor.web.pages import Pages
from monitor.web.running import Running
from monitor.web.server import WebServer
from monitor.web.settings import read_settings


class ReplayPage:
    """Serves on `daemon.listen` from construction until `close`; nobody can act there. Raises ConfigError."""

    def __init__(self, loaded: Loaded, store: Store) -> None:
        self._store, self._config = store, loaded.config
        self._metrics, self._lock = Metrics(__version__), threading.Lock()
        self._seen: tuple[int, int] | None = None        # version of the state that the view was read from
        self._shown, self._running = View(), Running(replayed=0)
        settings = read_settings(loaded)
        pages = Pages(store, lambda: self._config, self._view, lambda: self._running, utcnow)
        app = App(self._metrics, self._view, lambda: None, lambda: None, policy=settings.policy,
                  running=lambda: self._running, pages=pages)
        self._server = WebServer(self._config.daemon.listen, app, settings.tls, noted=app.refusals)

    def tell(self, done: int, total: int) -> None:
        """Say on the pages how much has been replayed."""
        self._running = Running(replayed=100 * done // total)

    def close(self) -> None:
        self._server.close()

    def _view(self) -> View:
        """What the state holds now, read once for as long as nothing is written."""
        with self._lock:
            if (version := self._store.version()) != self._seen:
                self._shown, self._seen = read_view(self._store, self._config, utcnow(), self._shown), version
                self._metrics.show(self._shown)
            return self._shown
