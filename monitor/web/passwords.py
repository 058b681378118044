"""Passwords against bcrypt hashes: one check at a time, away from the event loop, and each right one only once."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

import anyio
import bcrypt
from anyio.to_thread import run_sync

MOST_WAITING = 16       # sign-ins that may wait for their turn
_BYTES = 72             # bcrypt looks at no more


class Busy(Exception):
    """Too many sign-ins wait already."""


class Passwords:
    """Checks passwords of the users of one web configuration.

    bcrypt is slow on purpose, and a scrape presents the same password every few seconds. So the last right password of
    each user is kept as a digest under a key that never leaves this object; another configuration makes a new object.
    """

    def __init__(self, hashes: Mapping[str, str]) -> None:
        self._hashes = {name: value.encode() for name, value in hashes.items()}
        self._nobody = bcrypt.gensalt(self._cost()) + b"." * 31      # a hash that no password has
        self._key = secrets.token_bytes(32)
        self._right: dict[str, bytes] = {}
        self._turn = anyio.CapacityLimiter(1)

    def __len__(self) -> int:
        return len(self._hashes)

    def __contains__(self, user: str) -> bool:
        return user in self._hashes

    def hashed(self, user: str) -> bytes:
        """The hash of a user that there is."""
        return self._hashes[user]

    async def check(self, user: str, password: bytes) -> bool:
        """Whether the password is the user's; an unknown user takes as long as a wrong password. Raises Busy."""
        digest = hashlib.blake2b(password, key=self._key, person=b"password").digest()
        if hmac.compare_digest(self._right.get(user, b""), digest):
            return True
        if self._turn.statistics().tasks_waiting >= MOST_WAITING:
            raise Busy
        kept = self._hashes.get(user)
        same = await run_sync(_matches, password[:_BYTES], kept or self._nobody, limiter=self._turn)
        if not same or kept is None:
            return False
        self._right[user] = digest
        return True

    def _cost(self) -> int:
        """Of the most expensive hash."""
        return max((int(hashed[4:6]) for hashed in self._hashes.values()), default=4)


def _matches(password: bytes, hashed: bytes) -> bool:
    try:
        return bcrypt.checkpw(password, hashed)
    except ValueError:      # it cannot be a password: a zero byte
        return False
