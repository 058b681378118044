"""One message to one address, through Apprise: the only module that imports it."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from monitor.config.values import Secret
from monitor.errors import ConfigError
from monitor.notify.places import place, scrub

_COLOURS = {"firing": "warning", "source": "warning", "held": "failure", "cleared": "success"}


class Delivery(NamedTuple):
    """What became of one message at one address; `place` and `reason` hold nothing secret."""

    place: str
    ok: bool
    reason: str | None


def deliver(address: Secret, title: str, body: str, kind: str = "") -> Delivery:
    """Send one message to one address and wait for the answer, at most a minute. Never raises, never logs."""
    try:
        url = address.reveal()
    except ConfigError as error:
        return Delivery(str(address), False, str(error))
    shown = f"{place(url)} from {address}"
    with _captured() as lines:
        reason = _send(url, title, body, kind)
    if reason is None:
        return Delivery(shown, True, None)
    return Delivery(shown, False, scrub("; ".join(dict.fromkeys([reason, *lines])), url))


def _send(url: str, title: str, body: str, kind: str) -> str | None:
    """Return why it failed, None when it went well."""
    import apprise  # a quarter of a second, and not everybody has addresses

    # Redirects off: following one turns a POST into a GET that seems to succeed.
    asset = apprise.AppriseAsset(app_id="driftd", app_desc="driftd", app_url="", http_redirects=False)
    service = apprise.Apprise.instantiate(url, asset=asset)
    if service is None:
        return f"{place(url)} is not an address Apprise understands"
    people = apprise.Apprise(asset=asset)
    people.add(service)
    colour = apprise.NotifyType(_COLOURS.get(kind, "info"))
    sent = people.notify(body=body, title=title, notify_type=colour, body_format=apprise.NotifyFormat.TEXT)
    return None if sent else "the service did not accept the message"


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Apprise writes what went wrong at WARNING, the cause ("Socket Exception: …") at DEBUG.
        text = record.getMessage()
        if record.levelno >= logging.WARNING or "Exception" in text:
            self.lines.append(" ".join(text.split()))


@contextmanager
def _captured() -> Iterator[list[str]]:
    """Keep here what Apprise logs: it names whole addresses and payloads, so none of it may reach our log."""
    logger, handler = logging.getLogger("apprise"), _Lines()
    logger.propagate = False
    logger.setLevel(logging.DEBUG)
    if not logger.handlers:
        logger.addHandler(logging.NullHandler())    # else a late line would go to stderr
    logging.getLogger("urllib3").setLevel(logging.ERROR)  # below that it logs the paths it fetches
    logger.addHandler(handler)
    try:
        yield handler.lines
    finally:
        logger.removeHandler(handler)
