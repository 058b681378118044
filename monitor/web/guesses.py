"""Passwords that may be guesses: checked only while neither the client nor the user has failed too often."""

import time
from collections.abc import Callable, Hashable, Iterable
from http import HTTPStatus

from monitor.web.failures import AT_ONCE, Failures
from monitor.web.passwords import Busy
from monitor.web.policy import Policy, Principal
from monitor.web.refusals import Refusal

OF_CLIENT = 3 * AT_ONCE     # failures of one client, over all users: who shares an address is not in each other's way
OF_USER = 10 * AT_ONCE      # failures about one user, from all clients: seldom reached but by a guesser with many


class Guesses:
    """Signs people in by their passwords. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._failures = Failures(clock)

    async def check(self, policy: Policy, client: str, user: str, password: bytes) -> Principal | Refusal:
        """Who it is; while the client or the user must wait, no password of that user is looked at."""
        if policy.passwords is None:
            return Refusal(HTTPStatus.UNAUTHORIZED, "wrong_credentials")
        known = user if user in policy.passwords else None
        limits: dict[Hashable, int] = {(client, known): AT_ONCE, client: OF_CLIENT}
        if known is not None:
            limits[None, known] = OF_USER
        if wait := max(self._failures.wait(key, most) for key, most in limits.items()):
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "too_many_failures", wait)
        for key in limits:
            self._failures.count(key)       # before the look, so that many at once do not pass
        try:
            right = await policy.passwords.check(user, password)
        except Busy:
            self._forgive(limits)
            return Refusal(HTTPStatus.TOO_MANY_REQUESTS, "busy", 1.0)
        if not right:
            return Refusal(HTTPStatus.UNAUTHORIZED, "wrong_credentials")
        self._forgive(limits)
        return policy.user(user, "user")

    def _forgive(self, keys: Iterable[Hashable]) -> None:
        for key in keys:
            self._failures.forgive(key)
