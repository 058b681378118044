"""How often a client may be wrong about its credentials."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable

AT_ONCE = 10            # failures before a client has to wait
REFILL = 6.0            # seconds after which one more is allowed
MOST_CLIENTS = 4096     # that are remembered


class Failures:
    """A bucket of failures for each client that failed, refilled with time. For one thread."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._used: OrderedDict[Hashable, tuple[float, float]] = OrderedDict()   # client → (failures, as of)

    def wait(self, client: Hashable, at_once: int = AT_ONCE) -> float:
        """Seconds until the client may try again; 0 when it may now."""
        return max(0.0, (self._now(client) - at_once + 1) * REFILL)

    def count(self, client: Hashable) -> None:
        """Count a try as a failure; `forgive` it when it turns out right."""
        self._set(client, self._now(client) + 1)

    def forgive(self, client: Hashable) -> None:
        self._set(client, self._now(client) - 1)

    def _now(self, client: Hashable) -> float:
        used, since = self._used.get(client, (0.0, 0.0))
        return max(0.0, used - (self._clock() - since) / REFILL) if used else 0.0

    def _set(self, client: Hashable, used: float) -> None:
        self._used.pop(client, None)
        if used > 0:
            self._used[client] = (used, self._clock())
        while len(self._used) > MOST_CLIENTS:
            self._used.popitem(last=False)
