"""The sign-in page: a form for users of the web configuration file, which begins a session; and signing out.

The cookie names no path, so that it belongs to the folder below which a proxy may have put the pages. A browser does
not send it with what another site's page asks for (SameSite=Strict). So a link in a message leads here although
somebody is signed in: the page then asks for itself once more, and that is a request of our own page.
"""

from collections.abc import Awaitable, Callable
from http import HTTPStatus
from urllib.parse import quote, unquote, urlencode

import structlog
from starlette.datastructures import Headers
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request, cookie_parser
from starlette.responses import HTMLResponse, Response
from starlette.routing import Route
from starlette.types import Scope

from monitor.escape import NAME
from monitor.web.addresses import client_of
from monitor.web.forms import Refused, form_of
from monitor.web.guesses import Guesses
from monitor.web.passwords import Passwords
from monitor.web.policy import Policy
from monitor.web.refusals import Refusal, Refusals
from monitor.web.render import render, root_of
from monitor.web.sessions import LIFETIME, Sessions

SIGN_IN, SIGN_OUT = "/sign-in", "/sign-out"
LONGEST = 2000          # characters of the address that somebody wanted to see

_log = structlog.get_logger("driftd.web")


class SignIn:
    """Answers the sign-in page; `body` reads the body of a request."""

    def __init__(
        self, policy: Callable[[], Policy], sessions: Sessions, guesses: Guesses, refusals: Refusals,
        body: Callable[[Request], Awaitable[bytes]],
    ) -> None:
        self._policy, self._sessions, self._guesses, self._refusals = policy, sessions, guesses, refusals
        self._body = body
        self.routes = [
            Route(SIGN_IN, self._page), Route(SIGN_IN, self._enter, methods=["POST"]),
            Route(SIGN_OUT, self._leave, methods=["POST"]),
        ]

    async def _page(self, request: Request) -> Response:
        self._users()
        to, ours = request.query_params.get("to"), request.headers.get("sec-fetch-site") in ("none", "same-origin")
        if request.state.principal.kind == "user":
            return _page(HTTPStatus.OK, user=request.state.principal.name) if to is None else _go_on(to)
        again = None if ours or to is None or "again" in request.query_params else urlencode({"to": to, "again": "yes"})
        return _page(HTTPStatus.OK, to=to or "", again=again)

    async def _enter(self, request: Request) -> Response:
        policy, passwords = self._policy(), self._users()
        try:
            form = form_of(request.headers.get("content-type", ""), await self._body(request))
        except Refused as refused:
            return _page(refused.status, words=str(refused))
        except ClientDisconnect:
            return Response(status_code=HTTPStatus.BAD_REQUEST)
        user, to, peer = form.get("user", ""), form.get("to", ""), request.scope["client"][0]
        password = form.get("password", "").encode("utf-8", "surrogatepass")
        checked = await self._guesses.check(policy, client_of(peer), user, password)
        if isinstance(checked, Refusal):
            self._refusals(checked.reason, peer)
            return _not_in(checked, user, to)
        self._end(request)
        _log.info("Signed in.", user=checked.name, client=peer)
        answer = _go_on(to)
        answer.set_cookie(
            _name(request.scope), self._sessions.begin(checked.name, passwords), max_age=LIFETIME, path=None,
            secure=_by_tls(request), httponly=True, samesite="strict",
        )
        return answer

    async def _leave(self, request: Request) -> Response:
        self._users()
        self._end(request)
        if request.state.principal.kind == "user":
            _log.info("Signed out.", user=request.state.principal.name, client=request.scope["client"][0])
        answer = Response(status_code=HTTPStatus.SEE_OTHER, headers={"location": f".{SIGN_IN}"})
        answer.set_cookie(
            _name(request.scope), "", max_age=0, path=None, secure=_by_tls(request), httponly=True, samesite="strict",
        )
        return answer

    def _users(self) -> Passwords:
        """Those who may sign in; where there are none, there is no page for it."""
        passwords = self._policy().passwords
        if passwords is None:
            raise HTTPException(HTTPStatus.NOT_FOUND)
        return passwords

    def _end(self, request: Request) -> None:
        if token := cookie_of(request.scope, request.headers):
            self._sessions.end(token)


def led_to_sign_in(scope: Scope, headers: Headers) -> Response | None:
    """The way to the sign-in page for a browser that wants a page; None for machines, and where something is sent."""
    if scope["method"] not in ("GET", "HEAD") or "text/html" not in headers.get("accept", ""):
        return None
    query = scope["query_string"].decode("latin-1")
    wanted = scope.get("raw_path", b"").decode("latin-1").removeprefix("/") + (f"?{query}" if query else "")
    asked = "?" + urlencode({"to": wanted}) if wanted and len(wanted) <= LONGEST else ""
    way = f"{root_of(scope['path'])}{SIGN_IN[1:]}{asked}"
    return Response(status_code=HTTPStatus.SEE_OTHER, headers={"location": way})


def cookie_of(scope: Scope, headers: Headers) -> str | None:
    """The token of a session that a browser has sent."""
    return cookie_parser(headers.get("cookie", "")).get(_name(scope))


def _name(scope: Scope) -> str:
    """Browsers keep cookies of all ports of a host together, so the port is in the name."""
    return f"driftd-{scope['server'][1]}"


def _by_tls(request: Request) -> bool:
    """Whether the browser speaks TLS, with us or with a proxy before us."""
    return request.scope["scheme"] == "https" or request.headers.get("origin", "").startswith("https://")


def _go_on(to: str) -> Response:
    """The way to what somebody wanted to see: below our first page, whatever `to` says."""
    steps = unquote(to.partition("?")[0]).replace("\\", "/").split("/")
    way = "./" + ("" if ".." in steps else quote(to[:LONGEST], safe="/?=&%~:,;@!$'()*+-._"))
    return Response(status_code=HTTPStatus.SEE_OTHER, headers={"location": way})


def _not_in(refusal: Refusal, user: str, to: str) -> Response:
    seconds = int(refusal.wait) + 1
    words, status = {
        "wrong_credentials": ("There is no such user with this password.", HTTPStatus.FORBIDDEN),
        "busy": ("Too many people sign in at this moment; try again in a second.", refusal.status),
    }.get(refusal.reason, (
        f"There were too many wrong passwords for this user or from your address; try again in {seconds} seconds.",
        refusal.status,
    ))
    answer = _page(status, words=words, user_given=user[:NAME], to=to)
    if refusal.wait:
        answer.headers["Retry-After"] = str(seconds)
    return answer


def _page(
    status: HTTPStatus, *, user: str | None = None, words: str = "", user_given: str = "", to: str = "",
    again: str | None = None,
) -> Response:
    title = "Sign in" if user is None else "Account"
    return HTMLResponse(render(
        "sign_in.html", root="./", title=title, trail=(), user=user, words=words, user_given=user_given,
        to=to[:LONGEST], again=again, hours=LIFETIME // 3600,
    ), status_code=status)
