"""How a pipeline is told who asks: headers of a request, and whether another try with fresh ones may help."""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Protocol
from urllib.parse import urlencode

from monitor.config.pipeline_sections import GithubApp
from monitor.config.values import Secret
from monitor.errors import ConfigError
from monitor.http import NotSent, Reply, Unclear
from monitor.records import Json
from monitor.times import utcnow
from monitor.untrusted import MALFORMED

Send = Callable[..., Reply]

_MARGIN = timedelta(minutes=2)               # a token is renewed so long before it lapses
_LONGEST = 86_400.0                          # seconds that a token is kept, however long it holds


class Credential(Protocol):
    def headers(self) -> dict[str, str]:
        """Headers that say who asks. Raises ConfigError (a secret cannot be read), NotSent (no token was given)."""
        ...

    def renew(self) -> bool:
        """Forget a token that was not accepted; whether a fresh one may be."""
        ...


class Nobody:
    """The other side does not ask."""

    def headers(self) -> dict[str, str]:
        return {}

    def renew(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Header:
    """A secret in a header, read anew each time."""

    secret: Secret
    name: str = "Authorization"
    scheme: str = "Bearer "

    def headers(self) -> dict[str, str]:
        return {self.name: f"{self.scheme}{self.secret.reveal()}"}

    def renew(self) -> bool:
        return False


@dataclass(frozen=True, slots=True)
class Basic:
    """A user and a password (RFC 7617), sent at once and not only when asked for."""

    user: str
    password: Secret

    def headers(self) -> dict[str, str]:
        pair = base64.b64encode(f"{self.user}:{self.password.reveal()}".encode()).decode()
        return {"Authorization": f"Basic {pair}"}

    def renew(self) -> bool:
        return False


class Token:
    """A token that `fetch` gets from somewhere, kept until shortly before it lapses.

    `fetch` returns it with its last moment (None: until it is not accepted any more). That no token was given means
    that nothing was asked for yet: NotSent.
    """

    def __init__(self, fetch: Callable[[], tuple[str, datetime | None]]) -> None:
        self._fetch = fetch
        self._token: str | None = None
        self._until: datetime | None = None

    def headers(self) -> dict[str, str]:
        if self._token is None or (self._until is not None and utcnow() + _MARGIN >= self._until):
            try:
                self._token, self._until = self._fetch()
            except Unclear as error:
                raise NotSent(f"no token was given: {error}") from None
            except MALFORMED:
                raise NotSent("no token was given: the answer holds none") from None
        return {"Authorization": f"Bearer {self._token}"}

    def renew(self) -> bool:
        known, self._token = self._token, None
        return known is not None


def granted(reply: Reply, where: str) -> Json:
    """The JSON of an answer that gives a token. Raises NotSent, ValueError."""
    if reply.status not in (200, 201):
        raise NotSent(f"{where} gave no token ({reply.status}); is the credential right?")
    found: Json = reply.json()
    return found


def login(send: Send, url: str, user: str, password: Secret) -> Token:
    """Airflow 3: user and password for a token."""
    def fetch() -> tuple[str, datetime | None]:
        body = json.dumps({"username": user, "password": password.reveal()}).encode()
        reply = send("POST", f"{url}/auth/token", headers={"Content-Type": "application/json"}, body=body)
        return str(granted(reply, f"{url}/auth/token")["access_token"]), None

    return Token(fetch)


def client_credentials(send: Send, url: str, client: str, secret: Secret, scope: str) -> Token:
    """OAuth 2.0 (RFC 6749, 4.4): an application's own id and secret for a token."""
    def fetch() -> tuple[str, datetime | None]:
        form = {"grant_type": "client_credentials", "client_id": client, "scope": scope}
        form["client_secret"] = secret.reveal()
        headers = {"Content-Type": "application/x-www-form-urlencoded"}
        given = granted(send("POST", url, headers=headers, body=urlencode(form).encode()), url)
        seconds = min(float(given.get("expires_in", 300)), _LONGEST)
        return str(given["access_token"]), utcnow() + timedelta(seconds=seconds)

    return Token(fetch)


def github_app(send: Send, api: str, app: GithubApp) -> Token:
    """An app's token for one installation, by a JWT that its key signs."""
    def fetch() -> tuple[str, datetime | None]:
        url = f"{api}/app/installations/{app.installation}/access_tokens"
        headers = {"Accept": "application/vnd.github+json", "Authorization": f"Bearer {_signed(app)}"}
        given = granted(send("POST", url, headers=headers), url)
        until = datetime.fromisoformat(given["expires_at"])
        return str(given["token"]), until if until.tzinfo else until.replace(tzinfo=UTC)

    return Token(fetch)


def _signed(app: GithubApp) -> str:
    """Raises ConfigError without the extra, or where the key is none."""
    try:
        import jwt
    except ImportError:
        raise ConfigError(['a GitHub App needs the extra: pip install "driftd[github-app]"']) from None
    now = int(utcnow().timestamp())
    try:
        return jwt.encode({"iat": now - 60, "exp": now + 540, "iss": str(app.id)}, app.key.reveal(), "RS256")
    except (ValueError, TypeError, jwt.PyJWTError):
        raise ConfigError([f"the key of the GitHub App in {app.key} is no private key in PEM"]) from None
