"""Who is signed in by the sign-in page: sessions, in memory alone, each known by the digest of a random token."""

import hashlib
import secrets
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from monitor.web.passwords import Passwords

LIFETIME = 12 * 3600    # seconds, whatever is done meanwhile: an open page asks for news all the time
MOST = 1000             # sessions; of more, the oldest ends


@dataclass(frozen=True, slots=True)
class _Session:
    user: str
    hashed: bytes                        # the user's password when it began
    until: float


class Sessions:
    """Begins and ends sessions. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._open: OrderedDict[bytes, _Session] = OrderedDict()

    def begin(self, user: str, passwords: Passwords) -> str:
        """The token of a new session of a user who has just given the right password."""
        token = secrets.token_urlsafe(32)
        self._open[_digest(token)] = _Session(user, passwords.hashed(user), self._clock() + LIFETIME)
        while len(self._open) > MOST:
            self._open.popitem(last=False)
        return token

    def user(self, token: str, passwords: Passwords) -> str | None:
        """Whose session it is; None where it has ended, or the user's password is another one now."""
        found = self._open.get(_digest(token))
        if found is None:
            return None
        if self._clock() >= found.until or found.user not in passwords or passwords.hashed(found.user) != found.hashed:
            self.end(token)
            return None
        return found.user

    def end(self, token: str) -> None:
        self._open.pop(_digest(token), None)


def _digest(token: str) -> bytes:
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).digest()
