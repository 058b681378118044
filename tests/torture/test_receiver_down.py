"""Row 3: a receiver that is down for 76 hours, on a clock that is set by hand."""

import random
from collections.abc import Callable
from datetime import timedelta

import pytest

from monitor.retrain.outbox import JITTER, LADDER
from tests.torture.standing_need import DAY, HOUR, MINUTE, World


@pytest.mark.torture(3)
def test_a_receiver_that_was_down_gets_the_request_once(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """76 hours later it is delivered once, at most one step of the ladder late, whenever daemons were restarted."""
    chance, late, count = random.Random(seed), [], effort(5, 200)
    for _ in range(count):
        world = World(cooldown=100 * DAY)
        world.place.up = False
        world.check()
        down = 76 * HOUR + chance.uniform(0, 24) * HOUR
        while world.passed < down:
            turn(world, chance)
        world.place.up = True
        while not world.place.ids:
            turn(world, chance)
        back = world.passed
        for _ in range(500):
            turn(world, chance)
        assert len(world.place.ids) == 1
        late.append(back - down)
    step = LADDER[-1] * (1 + JITTER) + 10 * MINUTE
    assert max(late) <= step
    figure(f"{count} receivers down for 76 to 100 hours: each request delivered once, at most "
           f"{max(late) / HOUR:.1f} hours after the receiver was back (the ladder's last step is 24 to 28.8 hours)")


def turn(world: World, chance: random.Random) -> None:
    """Ten minutes; now and then the daemon is started anew."""
    world.passed += 10 * MINUTE
    if chance.random() < 0.02:
        world.start()
        world.outbox.recover()
    world.outbox.send_due()


def test_the_ladder_is_the_documented_one() -> None:
    """Its last step is a day, so that nothing waits longer than that once somebody answers."""
    assert max(LADDER) == timedelta(days=1) == LADDER[-1]
