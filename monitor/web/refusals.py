"""What was refused: counted each time, and said in the log once a minute for each reason."""

import threading
import time
from collections.abc import Callable
from typing import Final

import structlog

REASONS: Final = {
    "host": "A request names a host that is not ours; if it is, add it to daemon.allowed_hosts.",
    "origin": "A request comes from the page of another site.",
    "no_credentials": "A request says not who it is from.",
    "wrong_credentials": "A request comes with a wrong token, password or name.",
    "too_many_failures": "A client that was wrong too often must wait.",
    "busy": "Too many sign-ins wait for their password to be checked.",
    "scope": "A request asks for more than its token or user may.",
    "malformed": "A request is no HTTP.",
    "tls": "A client and driftd did not agree on TLS.",
    "too_slow": "A client took too long to ask or to read; its connection was closed.",
    "made_place": "A slow connection was closed to make place for a new one.",
    "too_many_connections": "There is no place for another connection.",
}
_QUIET = 60.0           # seconds between two lines about one reason

_log = structlog.get_logger("driftd.web")


class Refusals:
    """Counts with `count(reason)`; thread safe."""

    def __init__(self, count: Callable[[str], None]) -> None:
        self._count, self._lock = count, threading.Lock()
        self._silent: dict[str, tuple[float, int]] = {}      # reason → (said at, times since)

    def __call__(self, reason: str, client: str, **about: str) -> None:
        """Count a refusal; `about` is shown where this one is said."""
        self._count(reason)
        now = time.monotonic()
        with self._lock:
            said, times = self._silent.get(reason, (-_QUIET, 0))
            quiet = now - said < _QUIET
            self._silent[reason] = (said, times + 1) if quiet else (now, 0)
        if not quiet:
            _log.warning(REASONS[reason], client=client, **about, before=times)
