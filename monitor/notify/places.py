"""How an address is shown: never more than its scheme and host, as addresses hold passwords and tokens."""

import re
from urllib.parse import quote, unquote, urlsplit

# Elsewhere the part after :// may itself be a token (slack://token, tgram://token, ntfy://topic).
_HOSTED = frozenset({
    *("http", "https", "json", "jsons", "xml", "xmls", "form", "forms", "mailto", "mailtos"),
    *("gotify", "gotifys", "mmost", "mmosts", "matrix", "matrixs", "mqtt", "mqtts"),
})
_SHORTEST = 4   # shorter pieces of an address are no secret, and removing them would garble the text


def place(url: str) -> str:
    """Return an address as it may be shown: "mailtos://mail.example.org", "slack://…"."""
    scheme, separator, _ = url.strip().partition("://")
    if not separator or not re.fullmatch(r"[A-Za-z0-9+.-]+", scheme):
        return "an address without a scheme"
    return f"{scheme.lower()}://{_host(url.strip()) or '…'}"


def is_hosted(url: str) -> bool:
    """Whether the part after :// is surely a host, and not perhaps a token."""
    return url.strip().partition("://")[0].lower() in _HOSTED


def scrub(text: str, url: str) -> str:
    """Return text without any piece of an address but its scheme and host."""
    shown = {*place(url).split("://"), _host(url)}
    pieces = {piece for piece in re.split(r"[/:@?&=#,;\s]+", url) if len(piece) >= _SHORTEST}
    secrets = {form for piece in pieces for form in (piece, unquote(piece), quote(unquote(piece), safe=""))}
    for secret in sorted(secrets - shown, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def _host(url: str) -> str:
    """The host of an address, empty when it has none or what stands there may be a secret."""
    if not is_hosted(url):
        return ""
    try:
        parts = urlsplit(url)
        # A password with a bare / or # ends the host too early: then what seems the host is the user.
        misread = "@" in url.partition("?")[0] and "@" not in parts.netloc
        return "" if misread else parts.hostname or ""
    except ValueError:
        return ""
