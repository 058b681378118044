"""Refused requests and closed connections: why, counted, and logged at most once a minute for each reason."""

import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final

import structlog
from starlette.responses import Response

from monitor.web.policy import Policy

REASONS: Final = {
    "host": "Refused a request with an unknown Host; add the name to daemon.allowed_hosts if it is right.",
    "origin": "Refused a request from a page of another site.",
    "no_credentials": "Refused a request without credentials.",
    "wrong_credentials": "Refused a request with a wrong token, user or password.",
    "too_many_failures": "Refused a client that has failed to authenticate too often; it may try again later.",
    "busy": "Refused a request because too many passwords are waiting to be checked.",
    "scope": "Refused a request that needs a scope which its token or user lacks.",
    "capture": "A posted capture cannot be kept; it has to be sent again.",
    "malformed": "Refused a request that is not valid HTTP.",
    "tls": "A TLS handshake failed.",
    "too_slow": "Closed the connection of a client that was too slow to send its request or to read the answer.",
    "made_place": "Closed the slowest connection to make room for a new one.",
    "too_many_connections": "Refused a connection because all are in use.",
}
_QUIET = 60.0           # seconds between two lines about one reason

_log = structlog.get_logger("driftd.web")


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further; the reason is for the log and the metric, the client reads the status."""

    status: HTTPStatus
    reason: str
    wait: float = 0.0                    # seconds until another try is worth while

    def response(self, policy: Policy) -> Response:
        answer = Response(status_code=self.status)
        if self.status == HTTPStatus.UNAUTHORIZED:
            if policy.tokens:
                answer.headers.append("WWW-Authenticate", 'Bearer realm="driftd"')
            if policy.passwords:
                answer.headers.append("WWW-Authenticate", 'Basic realm="driftd", charset="UTF-8"')
        if self.reason == "malformed":
            answer.headers["Connection"] = "close"       # what comes after it is no request of its own
        if self.wait:
            answer.headers["Retry-After"] = str(int(self.wait) + 1)
        return answer


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
