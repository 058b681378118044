"""What stands before every page: Host, Origin, credentials. What does not pass gets no byte of a body."""

import base64
import binascii
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

from starlette.datastructures import Headers
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from monitor.web.addresses import client_of, is_own_host, is_own_origin
from monitor.web.failures import Failures
from monitor.web.passwords import Busy
from monitor.web.policy import ANONYMOUS, Policy, Principal
from monitor.web.refusals import Refusals

LONGEST_NAME = 200      # characters of a name that a proxy says

NOBODY = Principal("", "anonymous", frozenset())     # who may only have what everybody may


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request goes no further; the reason is for the log and the metric, the client reads the status."""

    status: HTTPStatus
    reason: str
    wait: float = 0.0                    # seconds until another try is worth while

    def response(self, policy: Policy) -> Response:
        answer = Response(status_code=self.status)
        if self.status == HTTPStatus.UNAUTHORIZED:
            if policy.tokens:
                answer.headers.append("WWW-Authenticate", 'Bearer realm="driftd"')
            if policy.passwords:
                answer.headers.append("WWW-Authenticate", 'Basic realm="driftd", charset="UTF-8"')
        if self.wait:
            answer.headers["Retry-After"] = str(int(self.wait) + 1)
        return answer


class AccessControl:
    """Lets a request through to the application with `request.state.principal` set.

    `free(method, path)` says which need no credentials: they disclose nothing, or carry a signature of their own.
    """

    def __init__(
        self, app: ASGIApp, policy: Callable[[], Policy], free: Callable[[str, str], bool], refusals: Refusals
    ) -> None:
        self._app, self._policy, self._free, self._refusals = app, policy, free, refusals
        self._failures = Failures()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        policy, headers = self._policy(), Headers(scope=scope)
        passed = _misdirected(policy, scope, headers) or await self._principal(policy, scope, headers)
        if isinstance(passed, Refusal):
            self._refusals(passed.reason, scope["client"][0], host=ascii(headers.get("host", "")[:100]))
            await passed.response(policy)(scope, receive, send)
        else:
            scope["state"]["principal"] = passed
            await self._app(scope, receive, send)

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
                return await self._basic(policy, value.strip(), client)
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

    async def _basic(self, policy: Policy, value: str, client: str) -> Principal | Refusal:
        """A password can be guessed: while a client must wait for a user, no password of that user is looked at."""
        assert policy.passwords is not None     # the caller has looked
        user, password = _user_and_password(value)
        key = (client, user if user in policy.passwords else None)
        if wait := self._failures.wait(key):
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", wait)
        self._failures.count(key)       # before the look, so that many at once do not pass
        try:
            right = await policy.passwords.check(user, password)
        except Busy:
            self._failures.forgive(key)
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "busy", 1.0)
        if not right:
            return Refusal(HTTPStatus.UNAUTHORIZED, "wrong_credentials")
        self._failures.forgive(key)
        return policy.user(user, "user")


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
    """Adds headers to every answer of an application, refusals too."""

    def __init__(self, app: ASGIApp, headers: dict[str, str]) -> None:
        self._app = app
        self._headers = [(name.lower().encode(), value.encode()) for name, value in headers.items()]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        async def sent(message: Message | Any) -> None:
            if message["type"] == "http.response.start":
                message = {**message, "headers": [*message.get("headers", ()), *self._headers]}
            await send(message)

        await self._app(scope, receive, sent)
