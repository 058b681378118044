"""One message to one address, through Apprise: the only module that imports it.

Its plugins open sockets by themselves, with `requests` mostly: they are checked by the hook of `outgoing/guard.py`,
use the proxies that `requests` finds in the environment, and trust what `outgoing/trust.py` does.
"""

import logging
import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from monitor.config.values import Secret
from monitor.errors import ConfigError
from monitor.escape import plain
from monitor.notify.letter import Form, Letter
from monitor.notify.places import is_hosted, place, scrub
from monitor.outgoing import guard, trust
from monitor.outgoing.proxies import proxy_of

CONNECT_SECONDS, READ_SECONDS = 15, 30       # where the address says nothing else (cto, rto)
_REFUSED = re.compile(r"(leads to|is the name of) [^()\"]*(which driftd never calls|in daemon\.allow_inner)")
_UNCLEAR = re.compile(r"read timed out|connection aborted|connection unexpectedly closed", re.IGNORECASE)
_BY_NAME = frozenset({"rsyslog", "smpp", "smpps", "growl"})  # give the kernel a name, and no address that was checked
PICTURE = "driftd.png"                       # the name of what is attached
_COLOURS = {"firing": "warning", "source": "warning", "held": "failure", "cleared": "success"}


class Delivery(NamedTuple):
    """What became of one message at one address; `place` and `reason` hold nothing secret."""

    place: str
    ok: bool
    reason: str | None
    unclear: bool = False            # it may have arrived: no complete answer came


def deliver(address: Secret, letter: Letter, picture: bytes | None = None) -> Delivery:
    """Send one message to one address and wait for the answer, at most a minute. Never raises, never logs.

    It goes in the format that the channel likes best, with the picture (PNG) where it takes attachments.
    """
    try:
        url = address.reveal()
    except ConfigError as error:
        return Delivery(str(address), False, str(error))
    shown = f"{place(url)} from {address}"
    guard.watch()
    trust.tell_requests()
    with _captured() as lines:
        reason = _send(url, letter, picture)
    if reason is None:
        return Delivery(shown, True, None)
    whole = "; ".join(dict.fromkeys([reason, *lines]))
    if refused := _REFUSED.search(whole):
        return Delivery(shown, False, f"{place(url)} {refused[0]}")
    return Delivery(shown, False, scrub(whole, url), _UNCLEAR.search(whole) is not None)


def _send(url: str, letter: Letter, picture: bytes | None) -> str | None:
    """Return why it failed, None when it went well."""
    import apprise  # a quarter of a second, and not everybody has addresses

    asset = apprise.AppriseAsset(app_id="driftd", app_desc="driftd", app_url="", http_redirects=False)
    read: Any = apprise.plugins.url_to_dict
    given: dict[str, Any] | None = read(url)
    service = apprise.Apprise.instantiate(given | _settings(given), asset=asset) if given else None
    if service is None:
        return f"{place(url)} is not an address Apprise understands"
    try:
        _look_ahead(service, url)
    except (OSError, ValueError) as error:
        return str(error)
    people = apprise.Apprise(asset=asset)
    people.add(service)
    form: Form = service.resolve_format(None).value
    attached = _attached(service, picture)
    inline = PICTURE if attached and getattr(service, "inline", False) else ""
    sent = people.notify(
        body=letter.written(form, inline), title=letter.titled(form), body_format=apprise.NotifyFormat(form),
        notify_type=apprise.NotifyType(_COLOURS.get(letter.kind, "info")), attach=attached,
    )
    return None if sent else "the service did not accept the message"


def _attached(service: Any, picture: bytes | None) -> Any:
    """The picture as this channel takes it; None where it takes none."""
    from apprise.attachment.memory import AttachMemory

    if picture is None or not service.attachment_support:
        return None
    attach: Any = AttachMemory
    return attach(content=picture, name=PICTURE, mimetype="image/png")


def _settings(given: dict[str, Any]) -> dict[str, Any]:
    """What holds whatever the address says: nothing follows a redirect, or goes where an answer says."""
    patience = {"cto": given.get("cto", CONNECT_SECONDS), "rto": given.get("rto", READ_SECONDS)}
    schema = str(given.get("schema"))
    asked: dict[str, Any] = {"discovery": False} if schema.startswith("matrix") else {}
    shown = {"inline": True} if schema.startswith("mailto") else {}
    return {"redirect": False, **patience, **asked, **shown}


def _look_ahead(service: Any, url: str) -> None:
    """Check what the hook cannot: hosts that a proxy looks up, or the kernel. Raises OSError, ValueError."""
    scheme, host = urlsplit(url).scheme.lower(), service.host
    if not host:
        return
    if scheme in _BY_NAME:
        service.host = str(guard.look_up(host, service.port or 0)[0][4][0])
    elif is_hosted(url) and (proxy_of(f"https://{host}") or proxy_of(f"http://{host}")):
        guard.check_behind_proxy(host)


class _Lines(logging.Handler):
    def __init__(self) -> None:
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        # Apprise writes what went wrong at WARNING, the cause ("Socket Exception: …") at DEBUG.
        text = record.getMessage()
        if record.levelno >= logging.WARNING or "Exception" in text:
            self.lines.append(plain(text))


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
