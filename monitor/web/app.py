"""What the daemon answers over HTTP: nothing secret, nothing cached by others; what is told it is signed."""

import json
from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import NamedTuple
from wsgiref.types import StartResponse, WSGIEnvironment

from monitor.expose.prometheus import Metrics
from monitor.expose.view import View, view_json
from monitor.web.page import STYLE_HASH, page
from monitor.web.posts import BODY_LIMIT, Posts

Probe = Callable[[], str | None]  # why not, None when all is well

_HEADERS = [
    ("Cache-Control", "no-store"),
    ("Content-Security-Policy", f"default-src 'none'; style-src '{STYLE_HASH}'; frame-ancestors 'none'"),
    ("Referrer-Policy", "no-referrer"),
    ("X-Content-Type-Options", "nosniff"),
]


class Answer(NamedTuple):
    status: int
    type: str
    body: bytes


class App:
    """The WSGI application: /metrics, /healthz, /readyz, /api/status and a page for people on /."""

    def __init__(
        self, metrics: Metrics, view: Callable[[], View], healthy: Probe, ready: Probe, posts: Posts | None = None
    ) -> None:
        self._metrics, self._view = metrics, view
        self._healthy, self._ready = healthy, ready
        self._posts = posts

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        answer = self._answer(environ)
        headers = [*_HEADERS, ("Content-Type", answer.type), ("Content-Length", str(len(answer.body)))]
        if answer.status == 405:
            headers.append(("Allow", "GET, HEAD"))
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", headers)
        return [] if environ["REQUEST_METHOD"] == "HEAD" else [answer.body]

    def _answer(self, environ: WSGIEnvironment) -> Answer:
        if environ["REQUEST_METHOD"] == "POST" and (told := self._post(environ)) is not None:
            return told
        if environ["REQUEST_METHOD"] not in ("GET", "HEAD"):
            return _text(405, "only GET and HEAD")
        match environ.get("PATH_INFO") or "/":
            case "/metrics":
                body, kind = self._metrics.render(environ.get("HTTP_ACCEPT", ""))
                return Answer(200, kind, body)
            case "/healthz":
                return _probed(self._healthy())
            case "/readyz":
                return _probed(self._ready())
            case "/api/status":
                text = json.dumps(view_json(self._view()), ensure_ascii=False, indent=1)
                return Answer(200, "application/json", text.encode())
            case "/":
                return Answer(200, "text/html; charset=utf-8", page(self._view()).encode())
        return _text(404, "not here: / /metrics /api/status /healthz /readyz")

    def _post(self, environ: WSGIEnvironment) -> Answer | None:
        if self._posts is None:
            return None
        names = ((name, value) for name, value in environ.items() if name.startswith("HTTP_"))
        headers = {name.removeprefix("HTTP_").replace("_", "-").lower(): value for name, value in names}
        body = environ["wsgi.input"].read(BODY_LIMIT)     # the server refuses a longer one
        told = self._posts.answer(environ.get("PATH_INFO", ""), headers, body)
        return None if told is None else _text(told.status, told.text)


def _probed(reason: str | None) -> Answer:
    return _text(200, "ok") if reason is None else _text(503, reason)


def _text(status: int, text: str) -> Answer:
    return Answer(status, "text/plain; charset=utf-8", f"{text}\n".encode())
