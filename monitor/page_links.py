"""Addresses of the pages about a model, a window, a column and a request, below the address of the service.

A name that could end a part of a path, or is long, stands there as a digest of itself.
"""

import hashlib
from datetime import UTC, datetime
from urllib.parse import quote

from monitor.records import Window

LONGEST = 80        # characters of a name in an address
_DIGITS = 24


def part(name: str) -> str:
    """A name as one part of a path."""
    return quote(path_name(name), safe="")


def path_name(name: str) -> str:
    """The same without escapes: itself, or its digest."""
    plain = 0 < len(name) <= LONGEST and name.isprintable() and "/" not in name
    return name if plain and name.strip(".") != "" and not name.startswith("~") else "~" + _digest(name)


def names(given: str, name: str) -> bool:
    """Whether a part of a path, with its escapes resolved, names this."""
    return (given == name and not given.startswith("~")) or given == "~" + _digest(name)


def of_model(model: str) -> str:
    return f"/models/{part(model)}"


def address(url: str, path: str) -> str:
    """The whole address of a page; `url`: where people reach the service."""
    return url.rstrip("/") + path


def of_column(model: str, column: str) -> str:
    return f"{of_model(model)}/columns/{part(column)}"


def of_window(window: Window) -> str:
    return f"{of_model(window.model)}/windows/{window_key(window)}"


def of_request(request: str) -> str:
    return f"/requests/{part(request)}"


def report_of(path: str) -> str:
    """The report, one file, of the model or the request with this page."""
    return f"{path}/report"


def window_key(window: Window) -> str:
    """The date of its start, with the time of day unless it is midnight UTC; more where another began then too."""
    start = window.start.astimezone(UTC)
    midnight = (start.hour, start.minute, start.second, start.microsecond) == (0, 0, 0, 0)
    key = f"{start:%Y-%m-%d}" if midnight else start.replace(tzinfo=None).isoformat() + "Z"
    return f"{key}~{_digest(window.start_id)[:8]}" if window.start_id else key


def window_start(key: str) -> datetime | None:
    """The start that a key names; None where it is none."""
    try:
        start = datetime.fromisoformat(key.partition("~")[0].removesuffix("Z"))
    except ValueError:
        return None
    return start.replace(tzinfo=UTC) if start.tzinfo is None else None


def _digest(name: str) -> str:
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:_DIGITS]
