"""The outgoing sign of life: an address fetched after each round of checks, so that silence is noticed."""

import structlog

from monitor.config.values import Secret
from monitor.errors import DriftdError
from monitor.notify.places import place, scrub

log = structlog.get_logger(__name__)
TIMEOUT = 10.0  # seconds


def heartbeat(target: str | Secret) -> None:
    """Fetch the address once. A failure is logged, without the address's path, and never raised."""
    from monitor.http import session

    url = ""
    try:
        url = target if isinstance(target, str) else target.reveal()
        with session() as web:
            status = web.get(url, timeout=TIMEOUT).status_code
    except (DriftdError, OSError, ValueError) as error:   # what requests raises is an OSError or ValueError
        log.warning("heartbeat failed", place=place(url), reason=scrub(str(error), url))
        return
    if status >= 300:
        log.warning("heartbeat failed", place=place(url), reason=f"the answer was {status}, expected 2xx")
