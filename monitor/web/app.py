"""What the daemon answers over HTTP: nothing secret, nothing cached by others; what is told it is signed."""

import base64
import hashlib
import os
from collections.abc import Awaitable, Callable
from functools import cache
from http import HTTPStatus
from importlib.resources import files

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import HTMLResponse, PlainTextResponse, Response
from starlette.routing import Route
from starlette.types import ASGIApp, Receive, Send
from starlette.types import Scope as AsgiScope

from monitor.charts.figure import style
from monitor.config.sections import Scope
from monitor.escape import SENTENCE, bounded, json_text, sentence
from monitor.expose.model_state import State
from monitor.expose.prometheus import Metrics
from monitor.expose.status_document import status_document
from monitor.expose.view import View
from monitor.govern.html_report import sheet
from monitor.web.access import AccessControl, WithHeaders
from monitor.web.forms import Refused
from monitor.web.guesses import Guesses
from monitor.web.intake import CAPTURES, EVENT_LIMIT, Intake
from monitor.web.page import page
from monitor.web.pages import Pages
from monitor.web.policy import ACT, CAPTURE, METRICS, READ, Policy
from monitor.web.posts import BODY_LIMIT, MLFLOW, RUNS, Posts, Told
from monitor.web.refusals import Refusals
from monitor.web.running import Running
from monitor.web.sessions import Sessions
from monitor.web.sign_in import SIGN_IN, SIGN_OUT, SignIn

Probe = Callable[[], str | None]  # why not, None when all is well

HEALTH = ("/healthz", "/readyz")
_HEADERS = {
    "Cache-Control": "no-store",
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; script-src 'self'; img-src 'self'; connect-src 'self'; "
        "base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",        # with no-referrer a form's own Origin would be null
    "X-Content-Type-Options": "nosniff",
}
# Evidently's report runs its own scripts: in an origin of its own, which reaches nothing of ours and nothing elsewhere.
_FOREIGN = (
    "sandbox allow-scripts allow-downloads; default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; "
    "style-src 'unsafe-inline'; img-src data: blob:; font-src data:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)
_CHUNK = 65_536         # bytes handed to a connection at once
_STATIC = {"driftd.css": "text/css; charset=utf-8", "driftd.js": "text/javascript", "driftd.svg": "image/svg+xml"}
_TO_SIGN_IN = {SIGN_IN, SIGN_OUT, *(f"/static/{name}" for name in _STATIC)}


class App:
    """The ASGI application: /metrics, /healthz, /readyz, /api/status, a page for people on /, and what is posted.

    `policy` says who may ask for what, and may be replaced at any time. `health` is an application of its own, for a
    listener that answers nothing else.
    """

    def __init__(
        self, metrics: Metrics, view: Callable[[], View], healthy: Probe, ready: Probe, posts: Posts | None = None,
        policy: Policy | None = None, running: Callable[[], Running] = Running,
        pages: Pages | None = None, intake: Intake | None = None,
    ) -> None:
        self.policy = policy or Policy()
        self._running = running
        self._metrics, self._view, self._posts, self._intake = metrics, view, posts, intake
        self._healthy, self._ready = healthy, ready
        self.refusals = Refusals(metrics.refused)
        self._kept: dict[str, tuple[object, bytes]] = {}
        sessions, guesses = Sessions(), Guesses()
        self.routes = [
            *self._health_routes(),
            *SignIn(lambda: self.policy, sessions, guesses, self.refusals, body_of).routes,
            self._route("/metrics", METRICS, self._scrape),
            self._route("/api/status", READ, self._status),
            self._route("/", READ, self._page),
            Route("/static/{file}", _static),
            *self._routes_of(pages),
            Route(RUNS + "{id:path}", self._posted, methods=["POST"]),
            Route(MLFLOW, self._posted, methods=["POST"]),
            Route(CAPTURES + "{name}", self._captured, methods=["POST"]),
        ]
        guarded = AccessControl(
            _application(self.routes), lambda: self.policy, self._free, self.refusals, sessions, guesses)
        self._whole = WithHeaders(guarded, _HEADERS)
        self.health: ASGIApp = WithHeaders(_application(self._health_routes()), _HEADERS)

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await self._whole(scope, receive, send)

    def _free(self, method: str, path: str) -> bool:
        """Health says no more than yes or no; what is posted carries a signature; the sign-in page has to be seen."""
        return (
            path in HEALTH or (bool(self.policy.passwords) and path in _TO_SIGN_IN)
            or (method == "POST" and self._posts is not None and self._posts.takes(path))
        )

    def _health_routes(self) -> list[Route]:
        return [Route("/healthz", self._probe(self._healthy)), Route("/readyz", self._probe(self._ready))]

    def _route(self, path: str, needed: Scope, answer: Callable[[Request], Response]) -> Route:
        """A route that answers, in a thread, who has the scope."""
        async def endpoint(request: Request) -> Response:
            principal = request.state.principal
            if needed not in principal.scopes:
                self.refusals("scope", principal.name, path=path)
                return Response(status_code=HTTPStatus.FORBIDDEN)
            return await run_in_threadpool(answer, request)

        return Route(path, endpoint)

    def _probe(self, probe: Probe) -> Callable[[Request], object]:
        async def answer(request: Request) -> Response:
            """Answered by the event loop itself: no thread has to be free."""
            reason = probe()
            if reason is None:
                return _text(HTTPStatus.OK, "ok")
            known = getattr(request.state, "principal", None)
            told = known is not None and known.scopes & {METRICS, READ}
            return _text(HTTPStatus.SERVICE_UNAVAILABLE, reason if told else "not healthy; authenticate to see why")

        return answer

    def _scrape(self, request: Request) -> Response:
        parts, kind = self._metrics.parts(request.headers.get("accept", ""))
        return Shared(parts, kind)

    def _status(self, request: Request) -> Response:
        view = self._view()
        return Shared((self._rendered("status", view, lambda: _status_text(view)),), "application/json")

    def _page(self, request: Request) -> Response:
        view, running, only = self._view(), self._running(), request.query_params.get("state", "")
        only, sign_in = only if only in set(State) else "", request.state.sign_in
        text = self._rendered(
            f"page {only}", (view, running, sign_in), lambda: page(view, running, only, sign_in=sign_in))
        return tagged(request, text, "text/html; charset=utf-8")

    def _routes_of(self, pages: Pages | None) -> list[Route]:
        """What is told from the store; not without one."""
        if pages is None:
            return []
        kinds = {
            "/models/{model}": pages.model, "/models/{model}/windows/{window}": pages.window,
            "/models/{model}/columns/{column}": pages.column, "/requests/{request}": pages.request,
        }

        def answer(make: Callable[[Request], str], media_type: str) -> Callable[[Request], Response]:
            return lambda request: tagged(request, pages(request, make), media_type)

        def report(make: Callable[[Request], str]) -> Callable[[Request], Response]:
            policy = {"content-security-policy": _report_policy()}
            return lambda request: tagged(request, pages(request, make), "text/html; charset=utf-8", **policy)

        reports = {"/models/{model}/report": pages.model_report, "/requests/{request}/report": pages.need_report}
        html = [self._route(path, READ, answer(make, "text/html; charset=utf-8")) for path, make in kinds.items()]
        html += [self._route(path, READ, report(make)) for path, make in reports.items()]
        html.append(self._route("/models/{model}/windows/{window}/evidently", READ, lambda request: Shared(
            (pages.evidently(request).encode(),), "text/html; charset=utf-8", **{"content-security-policy": _FOREIGN})))
        json = [self._route(path, READ, answer(make, "application/json")) for path, make in pages.api.routes.items()]
        described = self._route("/api/openapi.json", READ, lambda request: tagged(
            request, _description(), "application/json"))
        return [*html, *json, described, Route("/actions/{action}", self._acted(pages), methods=["POST"])]

    def _acted(self, pages: Pages) -> Callable[[Request], Awaitable[Response]]:
        """Do what a form says, for who has the scope; then the page it came from, which tells of it."""
        async def endpoint(request: Request) -> Response:
            principal = request.state.principal
            if ACT not in principal.scopes or pages.actions is None:
                self.refusals("scope", principal.name, path=request.scope["path"])
                return Response(status_code=HTTPStatus.FORBIDDEN)
            try:
                body = await body_of(request)
            except ClientDisconnect:
                return Response(status_code=HTTPStatus.BAD_REQUEST)
            kind = request.headers.get("content-type", "")
            try:
                done = await run_in_threadpool(
                    pages.actions.act, request.path_params["action"], principal, kind, body)
            except Refused as refused:
                return _html(refused.status, pages.refused(request, str(refused)))
            return Response(status_code=HTTPStatus.SEE_OTHER, headers={"location": f"..{pages.done(done)}"})

        return endpoint

    def _rendered(self, what: str, source: object, render: Callable[[], str]) -> bytes:
        """A text made once for what it is made from: however many clients read slowly, it lies in memory once."""
        kept = self._kept.get(what)
        if kept is None or kept[0] != source:
            kept = self._kept[what] = (source, render().encode())
        return kept[1]

    async def _posted(self, request: Request) -> Response:
        posts, path = self._posts, request.scope["path"]
        if posts is None or not posts.takes(path):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        try:
            body = await body_of(request)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)  # nobody is there to read it
        told = await run_in_threadpool(posts.answer, path, request.headers, body)
        return _text(told.status, told.text)

    async def _captured(self, request: Request) -> Response:
        principal, name = request.state.principal, request.path_params["name"]
        if CAPTURE not in principal.scopes:
            self.refusals("scope", principal.name, path=request.scope["path"])
            return Response(status_code=HTTPStatus.FORBIDDEN)
        if self._intake is None or not self._intake.takes(name):
            raise HTTPException(HTTPStatus.NOT_FOUND)
        try:
            body = await body_of(request, EVENT_LIMIT)
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        try:
            told = await run_in_threadpool(self._intake.answer, name, request.headers, body)
        except OSError as error:
            self.refusals("capture", principal.name, name=name, problem=os.strerror(error.errno or 0))
            told = Told(HTTPStatus.SERVICE_UNAVAILABLE, "this cannot be kept at the moment; send it again later")
        return _text(told.status, told.text)


class Shared(Response):
    """A body in parts that other answers hold too, handed over only as fast as the client reads it."""

    def __init__(self, parts: tuple[bytes, ...], media_type: str, **headers: str) -> None:
        length = sum(map(len, parts))
        super().__init__(headers={"content-length": str(length)} | headers, media_type=media_type)
        self._parts = parts

    async def __call__(self, scope: AsgiScope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": self.status_code, "headers": self.raw_headers})
        for part in self._parts:
            for begin in range(0, len(part), _CHUNK):
                await send({"type": "http.response.body", "body": part[begin:begin + _CHUNK], "more_body": True})
        await send({"type": "http.response.body", "body": b""})


def tagged(request: Request, body: bytes, media_type: str, **headers: str) -> Response:
    """The body, or that it is the same as the client has it: `If-None-Match` says which it has."""
    tag = f'"{hashlib.blake2b(body, digest_size=12).hexdigest()}"'
    if request.headers.get("if-none-match") == tag:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers={"etag": tag})
    return Shared((body,), media_type, **headers, etag=tag)


async def _static(request: Request) -> Response:
    """The style sheet, the script and the icon of the pages."""
    name = request.path_params["file"]
    if name not in _STATIC:
        raise HTTPException(HTTPStatus.NOT_FOUND)
    return tagged(request, _file(name), _STATIC[name])


@cache
def _report_policy() -> str:
    """A report is one file, with its style sheet inside: no other style than that one, and nothing else."""
    digest = base64.b64encode(hashlib.sha256(sheet().encode()).digest()).decode()
    nothing = "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    return f"default-src 'none'; style-src 'sha256-{digest}'; {nothing}"


@cache
def _description() -> bytes:
    from monitor.web.openapi import document  # its schemas take a while to make, and few ask for them

    return json_text(document(), indent=1).encode()


@cache
def _file(name: str) -> bytes:
    own = (files("monitor.web") / "static" / name).read_bytes()
    return style().encode() + own if name.endswith(".css") else own


def _status_text(view: View) -> str:
    return json_text(bounded(status_document(view), SENTENCE), indent=1)


def _application(routes: list[Route]) -> Starlette:
    made = Starlette(routes=routes, exception_handlers={HTTPException: _explained})
    made.router.redirect_slashes = False
    return made


async def _explained(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)     # what it is registered for
    texts = {"Not Found": "not here: / /metrics /api/status /healthz /readyz",
             "Method Not Allowed": "not this method here"}
    answer = _text(error.status_code, texts.get(error.detail, error.detail))
    answer.headers.update(error.headers or {})
    return answer


async def body_of(request: Request, limit: int = BODY_LIMIT) -> bytes:
    """The body of a request. Raises HTTPException where it is too long, ClientDisconnect."""
    body = bytearray()
    too_long = HTTPException(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"more than {limit} bytes")
    if int(request.headers.get("content-length", "0")) > limit:
        raise too_long
    async for part in request.stream():
        body += part
        if len(body) > limit:
            raise too_long
    return bytes(body)


def _html(status: int, text: str) -> Response:
    return HTMLResponse(text, status_code=status)


def _text(status: int, text: str) -> Response:
    return PlainTextResponse(f"{sentence(text)}\n", status_code=status)
