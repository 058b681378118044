"""Row 8: a clock that is wrong for a while, in either direction; cron through DST in four zones over ten years."""

import itertools
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest

from monitor.config import cron
from monitor.times import JUMP
from tests.torture.standing_need import BUDGET, COOLDOWN, DAY, HOUR, MINUTE, SECOND, STEP, World

YEAR = 365 * DAY
SPANS = [SECOND, 29 * SECOND, 31 * SECOND, MINUTE, HOUR, DAY, 30 * DAY, YEAR, 10 * YEAR]
ZONES = ("Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Beirut")


def too_soon(asked: list[timedelta]) -> list[timedelta]:
    """Requests before the cooldown or the budget allowed them, by true time; a clock is right up to half a minute."""
    right = JUMP + STEP
    gaps = [later for earlier, later in itertools.pairwise(asked) if later - earlier < COOLDOWN - right]
    many = [last for first, last in zip(asked, asked[BUDGET:], strict=False) if last - first < DAY - right]
    return gaps + many


@pytest.mark.torture(8)
def test_a_clock_that_was_wrong_bypasses_nothing_and_holds_nothing_up(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None]
) -> None:
    """While it is wrong no request comes too soon; once it is right the next one comes within 60 s of its time."""
    chance, late, count = random.Random(seed), [], effort(4, 2 * len(SPANS) * 5)
    for number in range(count):
        span = SPANS[number // 2 % len(SPANS)] if count > 4 else SPANS[(3 * number + seed) % len(SPANS)]
        world = World()
        world.run(chance.uniform(0.1, 0.9) * COOLDOWN)
        assert len(world.asked) == 1
        world.ahead = span if number % 2 else -span
        world.run(chance.uniform(20, 90) * SECOND)
        world.ahead = timedelta(0)
        world.run(COOLDOWN + 2 * MINUTE)
        assert not too_soon(world.asked), (span, world.asked)
        assert len(world.asked) >= 2, (span, world.asked)
        late.append(world.asked[1] - world.asked[0] - COOLDOWN)
    allowed = 90 * SECOND + 60 * SECOND      # what was written while the clock was wrong counts from its return
    assert max(late) <= allowed, late
    figure(f"{count} clocks wrong by 1 s to 10 years for 20 to 90 s: no request more than {JUMP.total_seconds():.0f} s "
           f"before cooldown or budget allowed it, the next one at most {max(late).total_seconds():.0f} s behind "
           "its time")


@pytest.mark.torture(8)
def test_requests_of_a_wrong_clock_do_not_hold_up_a_restarted_daemon(
    effort: Callable[[int, int], int], figure: Callable[[str], None]
) -> None:
    """The daemon ends while the clock is ahead, and starts when it is right: it asks as if all had been asked now."""
    spans = SPANS[4:][: effort(2, 9)]
    for span in spans:
        world = World()
        world.ahead = span
        world.run(MINUTE)
        assert len(world.asked) == 1
        world.ahead = timedelta(0)
        world.start()
        again = world.passed
        world.run(COOLDOWN + MINUTE)
        assert len(world.asked) == 2
        assert COOLDOWN - STEP <= world.asked[1] - again <= COOLDOWN + MINUTE
    figure(f"{len(spans)} daemons that were started behind a wrong clock: each asked again when its cooldown was over")


@pytest.mark.torture(8)
@pytest.mark.parametrize("expression", ["0 0 * * *", "30 2 * * *", "30 1 * * *", "59 23 * * *"])
def test_cron_comes_once_a_day_through_dst(expression: str, figure: Callable[[str], None]) -> None:
    """Ten years in four zones: one time on each day of the local calendar, and the same times backwards."""
    for name in ZONES:
        zone, end = ZoneInfo(name), datetime(2034, 1, 1, tzinfo=UTC)
        at, found = datetime(2024, 1, 1, tzinfo=zone).astimezone(UTC) - SECOND, []
        while (due := cron.next_time(expression, zone, at)) is not None and due < end:
            assert cron.last_time(expression, zone, at, due) == due
            found.append(due)
            at = due
        days = [moment.astimezone(zone).date() for moment in found]
        assert len(days) == len(set(days)) == (days[-1] - days[0]).days + 1, name
        assert len(days) > 3650
    figure(f"{expression} in {len(ZONES)} zones over 10 years: once on each day")
