"""What the other side says, as it may be repeated: a few words, without signs that act, without what we sent it."""

import base64
import binascii
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import parse_qsl, quote, unquote, urlsplit

from monitor.escape import plain
from monitor.untrusted import parse_json

LONGEST = 300
SHORTEST_SECRET = 4
_KEYS = ("message", "Message", "detail", "title", "error", "error_description", "reason", "msg", "errors")
_OPEN = frozenset({                  # headers of ours that hold no secret
    "accept", "accept-encoding", "content-type", "user-agent", "x-github-api-version", "x-amz-target", "x-amz-date",
    "webhook-id", "webhook-timestamp",
})
_TITLE = re.compile(rb"<title[^>]*>([^<]{1,300})<", re.IGNORECASE)
_PAGE = re.compile(rb"\s*(<!doctype html|<html)", re.IGNORECASE)


def is_page(body: bytes) -> bool:
    """Whether this is a page for people."""
    return _PAGE.match(body) is not None


def said(body: bytes, hidden: frozenset[str]) -> str:
    """The reason that an answer gives, at most LONGEST signs of it; "" where it gives none."""
    text = _reason(body)
    for secret in sorted(hidden, key=len, reverse=True):
        text = text.replace(secret, "…")
    text = plain(text)
    return text if len(text) <= LONGEST else text[:LONGEST] + "…"


def secrets(url: str, headers: Mapping[str, str], *, secret_url: bool) -> frozenset[str]:
    """What of a request an answer may repeat and nobody else should read: credentials, each in every form."""
    found = {form for piece in (*_of_address(url, secret_url), *_of_headers(headers)) for form in _forms(piece)}
    return frozenset(piece for piece in found if len(piece) >= SHORTEST_SECRET)


def _reason(body: bytes) -> str:
    if is_page(body):
        title = _TITLE.search(body)
        return title[1].decode("utf-8", "replace") if title else ""
    try:
        return _words(parse_json(body), known=True)
    except ValueError:
        return body[:4 * LONGEST].decode("utf-8", "replace")


def _words(value: Any, *, known: bool = False, depth: int = 0) -> str:
    """The texts in an answer; with `known` only under the keys that reasons are given under."""
    if depth > 5 or value is None or isinstance(value, bool):
        return ""
    if isinstance(value, str | int | float):
        return str(value)[:4 * LONGEST]
    if isinstance(value, list):
        return "; ".join(filter(None, (_words(part, known=known, depth=depth + 1) for part in value[:3])))
    named = [value[key] for key in _KEYS if key in value]
    given = named if named or known else list(value.values())[:3]
    return "; ".join(dict.fromkeys(filter(None, (_words(part, depth=depth + 1) for part in given))))


def _of_address(url: str, secret_url: bool) -> Iterator[str]:
    try:
        parts = urlsplit(url)
        yield from (parts.username or "", parts.password or "")
        yield from (value for _, value in parse_qsl(parts.query))
        if secret_url:
            yield from (parts.path, parts.query, *parts.path.split("/"))
    except ValueError:
        return


def _of_headers(headers: Mapping[str, str]) -> Iterator[str]:
    for name, value in headers.items():
        if name.lower() in _OPEN:
            continue
        yield value
        for part in re.split(r"[\s,;]+", value):
            yield part
            yield from _pair(part)


def _pair(part: str) -> Iterator[str]:
    """User and password of Basic (RFC 7617)."""
    try:
        pair = base64.b64decode(part, validate=True).decode()
    except (binascii.Error, ValueError):
        return
    yield from (pair, pair.partition(":")[2])


def _forms(piece: str) -> Iterator[str]:
    yield from (piece, unquote(piece), quote(piece, safe=""))
