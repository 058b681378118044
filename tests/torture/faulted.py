"""A daemon's work while writes fail at random places, in a process of its own: test_faulted_writes.py starts it.

Arguments: the state's folder, how many faults, the seed. Prints as JSON what it was told and what it told others, and
is gone without closing anything.
"""

import ctypes
import errno
import json
import os
import random
import sys
from collections.abc import Callable
from contextlib import suppress
from datetime import timedelta
from functools import partial
from pathlib import Path

from monitor.errors import StateError
from monitor.records import Dispatch, DispatchState, Silence
from monitor.retrain.pipelines import Answer
from monitor.store import LEASE, Store
from tests.torture.standing_need import DAY, MINUTE, STEP, Place, World

ERRORS = (errno.ENOSPC, errno.EIO, errno.EDQUOT)


class Taking(Place):
    """A pipeline behind which faults begin as it takes a request."""

    def __init__(self) -> None:
        super().__init__()
        self.then: Callable[[], None] | None = None

    def submit(self, dispatch: Dispatch) -> Answer:
        answer, then = super().submit(dispatch), self.then
        if then is not None:
            self.then = None
            then()
        return answer


class Faulted(World):
    """A world whose state cannot always be written; what was acknowledged is noted."""

    def __init__(self, store: Store) -> None:
        super().__init__(store, cooldown=timedelta(0), budget=1_000_000)
        self.place = self.taking = Taking()
        self.start()
        self.acknowledged: list[str] = []
        self.stuck: dict[str, timedelta] = {}
        self.longest = timedelta(0)

    def turn(self) -> None:
        """Five seconds of a daemon: what fails is tried again in the next turn."""
        self.passed += STEP
        reason = f"said {len(self.acknowledged)} at {self.passed}"
        for act in (lambda: self.say(reason), self.check, self.outbox.send_due, self.tidy):
            with suppress(StateError):      # the next turn does it
                act()
        self.watch()

    def tidy(self) -> None:
        self.store.tidy.remove_windows(self.clock() - 5 * MINUTE)

    def say(self, reason: str) -> None:
        self.store.silences.add(Silence(model="m", until=self.clock() + DAY, reason=reason, by="ann"), self.clock())
        self.acknowledged.append(reason)

    def watch(self) -> None:
        """How long a try has been as if it were being sent; the next one may meet another fault."""
        under_way = self.store.requests.all(states=(DispatchState.SENDING, DispatchState.AMBIGUOUS))
        now = {f"{one.id} {one.tries}" for one in under_way}
        self.stuck = {one: self.stuck.get(one, self.passed) for one in now}
        self.longest = max([self.longest, *(self.passed - since for since in self.stuck.values())])


def main(folder: Path, faults: int, seed: int) -> None:
    chance, shim = random.Random(seed), ctypes.CDLL(None)
    world = Faulted(Store.open(folder))
    for number in range(faults):
        before = shim.failures()
        where = chance.randrange(60), chance.choice((1, 1, 2, 5, 30)), ERRORS[number % len(ERRORS)]
        if number % 2:
            shim.arm(*where)
        else:
            world.taking.then = partial(shim.arm, where[0] // 4, *where[1:])
        while shim.failures() == before:
            world.turn()
        if chance.random() < 0.5:       # a reload: what was kept in memory is lost
            with suppress(StateError):
                world.start()
        for _ in range(chance.randrange(1, 4)):
            world.turn()
    shim.arm(0, 0, 0)
    for _ in range(int(LEASE / STEP) + 5):
        world.turn()
    print(json.dumps({
        "acknowledged": world.acknowledged, "posted": world.place.ids, "failures": shim.failures(),
        "longest": world.longest.total_seconds(), "left": sorted(world.stuck),
    }))
    sys.stdout.flush()
    os._exit(0)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
