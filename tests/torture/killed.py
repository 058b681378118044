"""A daemon that is killed at random moments again and again; test_killed_daemons.py starts this.

Arguments: a folder, how many kills, the seed. Each daemon is a fork; what it acknowledged and what it sent it appends
to files, as others would have seen it.
"""

import random
import signal
import sys
from datetime import timedelta
from functools import partial
from pathlib import Path

from monitor.records import Dispatch, Silence
from monitor.retrain.pipelines import Answer
from monitor.store import Store
from tests.retrain.dying import forked
from tests.torture.standing_need import DAY, MINUTE, STEP, Place, World

LIVES = 10 * MINUTE      # of each daemon, on the clock that is set by hand


class Seen(Place):
    """A pipeline that writes down what reaches it before it answers."""

    def __init__(self, file: Path) -> None:
        super().__init__()
        self.file = file

    def submit(self, dispatch: Dispatch) -> Answer:
        append(self.file, dispatch.id)
        return super().submit(dispatch)


def append(file: Path, line: str) -> None:
    with file.open("a") as out:
        out.write(f"{line}\n")


def live(folder: Path, number: int, turns: int) -> None:
    """One daemon: it recovers, and works until it is killed or its turns are over."""
    with Store.open(folder / "state") as store:
        world = World(store, cooldown=timedelta(0), budget=1_000_000)
        world.place, world.passed = Seen(folder / "sent"), number * LIVES
        world.start()
        world.outbox.recover()
        for turn in range(turns):
            world.passed += STEP
            reason = f"{number} {turn}"
            store.silences.add(Silence(model="m", until=world.clock() + DAY, reason=reason, by="ann"), world.clock())
            append(folder / "acknowledged", reason)
            world.check()
            world.outbox.send_due()
            store.tidy.remove_windows(world.clock() - 2 * LIVES)


def main(folder: Path, kills: int, seed: int) -> None:
    chance = random.Random(seed)
    live(folder, 0, 3)
    for number in range(1, kills + 1):
        assert forked(partial(live, folder, number, 100), chance.uniform(0, 0.6)) == -signal.SIGKILL, number
    live(folder, kills + 1, 10)


if __name__ == "__main__":
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
