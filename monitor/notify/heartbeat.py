"""The outgoing sign of life: an address fetched after each round of checks, so that silence is noticed."""

from datetime import timedelta

import structlog

from monitor.config.values import Secret
from monitor.errors import DriftdError
from monitor.http import redacted, send

log = structlog.get_logger(__name__)
TIMEOUT = timedelta(seconds=10)


def heartbeat(target: str | Secret) -> None:
    """Fetch the address once. A failure is logged, without the address's path, and never raised."""
    try:
        url = target if isinstance(target, str) else target.reveal()
        status = send("GET", url, timeout=TIMEOUT, secret_url=True).status
    except DriftdError as error:
        log.warning("heartbeat failed", reason=str(error))
    except ValueError:
        log.warning("heartbeat failed", reason="[daemon] heartbeat is no address, expected https://…")
    else:
        if not 200 <= status < 300:
            reason = f"{redacted(url, secret=True)} answered {status}, expected 2xx"
            log.warning("heartbeat failed", reason=reason)
