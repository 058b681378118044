"""What stands before every page: Host, Origin, credentials. What does not pass gets no byte of a body."""

import base64
import binascii
from collections.abc import Callable
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.web.addresses import client_of, is_own_host, is_own_origin
from monitor.web.failures import Failures
from monitor.web.guesses import Guesses
from monitor.web.policy import ANONYMOUS, Policy, Principal
from monitor.web.refusals import Refusal, Refusals
from monitor.web.sessions import Sessions
from monitor.web.sign_in import cookie_of, led_to_sign_in

LONGEST_NAME = 200      # characters of a name that a proxy says
LONGEST_HEAD = 16_384   # bytes of a request's target and headers

NOBODY = Principal("", "anonymous", frozenset())     # who may only have what everybody may


class AccessControl:
    """Lets a request through to the application with `request.state.principal` set.

    `request.state.sign_in`: whether there are users, who can sign in by the page. `free(method, path)` says which need
    no credentials: they disclose nothing, or carry a signature of their own.
    """

    def __init__(
        self, app: ASGIApp, policy: Callable[[], Policy], free: Callable[[str, str], bool], refusals: Refusals,
        sessions: Sessions, guesses: Guesses,
    ) -> None:
        self._app, self._policy, self._free, self._refusals = app, policy, free, refusals
        self._sessions, self._guesses = sessions, guesses
        self._failures = Failures()      # of tokens

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy, headers = self._policy(), Headers(scope=scope)
        refused = _malformed(scope, headers) or _misdirected(policy, scope, headers)
        passed = refused or await self._principal(policy, scope, headers)
        if isinstance(passed, Refusal):
            if policy.passwords and passed.reason == "no_credentials" and (led := led_to_sign_in(scope, headers)):
                return await led(scope, receive, send)
            self._refusals(passed.reason, scope["client"][0], host=ascii(headers.get("host", "")[:100]))
            await passed.response(policy)(scope, receive, send)
        else:
            scope["state"] |= {"principal": passed, "sign_in": bool(policy.passwords)}
            await self._app(scope, receive, send)
        return None

    async def _principal(self, policy: Policy, scope: Scope, headers: Headers) -> Principal | Refusal:
        if not policy.asks:
            return ANONYMOUS
        free = self._free(scope["method"], scope["path"])
        if (said := _proxied(policy, scope, headers)) is not None:
            return said
        given = headers.getlist("authorization")
        kind, _, value = given[0].partition(" ") if len(given) == 1 else ("", "", "")
        client = client_of(scope["client"][0])
        match kind.lower():
            case "bearer" if policy.tokens:
                return self._bearer(policy, value.strip(), client, free)
            case "basic" if policy.passwords and not free:
                user, password = _user_and_password(value.strip())
                return await self._guesses.check(policy, client, user, password)
        token = cookie_of(scope, headers)
        if policy.passwords and token and (name := self._sessions.user(token, policy.passwords)) is not None:
            return policy.user(name, "user")
        if policy.certificate_suffices and (name := scope["state"].get("certificate")) is not None:
            return policy.user(name, "certificate")
        return NOBODY if free else Refusal(HTTPStatus.UNAUTHORIZED, "no_credentials")

    def _bearer(self, policy: Policy, presented: str, client: str, free: bool) -> Principal | Refusal:
        """A right token is let in however many wrong ones came from its address: none can be guessed."""
        if (known := policy.token(presented)) is not None:
            return known
        if free:
            return NOBODY
        if wait := self._failures.wait(client):
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", wait)
        self._failures.count(client)
        return Refusal(HTTPStatus.UNAUTHORIZED, "wrong_credentials")


def _malformed(scope: Scope, headers: Headers) -> Refusal | None:
    """A head that came whole in one piece may be longer than a parser waits for; RFC 9112, 6.1: a request with two
    lengths may hide another one, which a proxy before us took for its body."""
    target = len(scope["raw_path"]) + len(scope["query_string"])
    head = target + sum(len(name) + len(value) for name, value in headers.raw)
    if head > LONGEST_HEAD:
        return Refusal(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE, "malformed")
    if "content-length" in headers and "transfer-encoding" in headers:
        return Refusal(HTTPStatus.BAD_REQUEST, "malformed")
    return None


def _misdirected(policy: Policy, scope: Scope, headers: Headers) -> Refusal | None:
    """A name that is not ours, or a page that is not ours."""
    hosts, origins = headers.getlist("host"), headers.getlist("origin")
    if len(hosts) != 1 or not is_own_host(hosts[0], policy.hosts, scope["server"][0]):
        return Refusal(HTTPStatus.MISDIRECTED_REQUEST, "host")
    if any(not is_own_origin(origin, hosts[0], policy.url) for origin in origins):
        return Refusal(HTTPStatus.FORBIDDEN, "origin")
    changes = scope["method"] not in ("GET", "HEAD", "OPTIONS")
    if changes and headers.get("sec-fetch-site", "none") not in ("none", "same-origin"):
        return Refusal(HTTPStatus.FORBIDDEN, "origin")
    return None


def _proxied(policy: Policy, scope: Scope, headers: Headers) -> Principal | Refusal | None:
    """Whom a trusted proxy signed in; None where it signed in nobody, or the header came from somebody else."""
    if policy.proxy is None or not policy.proxy.trusts(scope["client"][0]):
        return None
    match headers.getlist(policy.proxy.header):
        case []:
            return None
        case [name] if name.isprintable() and 0 < len(name) <= LONGEST_NAME:
            return policy.user(name, "proxy")
    return Refusal(HTTPStatus.UNAUTHORIZED, "wrong_credentials")


def _user_and_password(value: str) -> tuple[str, bytes]:
    """What a Basic header says; nobody's name where it is malformed."""
    try:
        user, colon, password = base64.b64decode(value, validate=True).partition(b":")
        return (user.decode(), password) if colon else ("", b"")
    except (binascii.Error, UnicodeDecodeError):
        return "", b""


class WithHeaders:
    """Adds headers to every answer of an application, refusals too, but for those it has of its own."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message | Any) -> None:
            if message["type"] == "http.response.start":
                own = list(message.get("headers", ()))
                named = {name for name, _ in own}
                message = {**message, "headers": [*own, *(one for one in self._headers if one[0] not in named)]}
            await send(message)

        await self._app(scope, receive, sent)
