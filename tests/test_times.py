"""A watched clock notices when it is set, and knows how old a stamp is nonetheless."""

from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from monitor.times import BELIEVED, JUMP, Wait, WatchedClock, as_of_now

START = datetime(2026, 1, 5, tzinfo=UTC)
SECOND, HOUR, DAY = timedelta(seconds=1), timedelta(hours=1), timedelta(days=1)
SPANS = st.integers(31, 10 * 365 * 86_400).flatmap(lambda n: st.sampled_from([n * SECOND, -n * SECOND]))


class Hands:
    """A wall clock that is set by hand, beside the true time."""

    def __init__(self) -> None:
        self.passed, self.ahead = timedelta(0), timedelta(0)
        self.clock = WatchedClock(lambda: START + self.passed + self.ahead, lambda: self.passed.total_seconds())

    def wait(self, span: timedelta) -> datetime:
        self.passed += span
        return self.clock()


@given(SPANS)
def test_each_jump_is_told_once(span: timedelta) -> None:
    """By how much it was set; slewing is no jump."""
    hands = Hands()
    hands.wait(HOUR)
    hands.ahead = span
    assert hands.clock.jumps() == [span]
    hands.ahead += JUMP - SECOND
    assert hands.clock.jumps() == []


@given(SPANS, st.integers(1, 7200), st.integers(1, 7200))
def test_a_glitch_ages_nothing(span: timedelta, before: int, during: int) -> None:
    """Written before or while the clock was wrong, a stamp is as old as it is, or younger; exactly so where told."""
    hands = Hands()
    earlier = hands.wait(before * SECOND)
    hands.wait(before * SECOND)
    hands.ahead = span
    stamp = hands.wait(SECOND)
    then = hands.passed
    now = hands.wait(during * SECOND)
    assert now - hands.clock.as_of_now(stamp) == during * SECOND
    assert now - hands.clock.as_of_now(earlier) <= hands.passed - before * SECOND
    hands.ahead = timedelta(0)
    now = hands.wait(SECOND)
    assert now - hands.clock.as_of_now(earlier) <= hands.passed - before * SECOND
    assert timedelta(0) <= now - hands.clock.as_of_now(stamp) <= hands.passed - then
    assert hands.clock.settled()


def test_a_clock_set_forward_for_good_delays_by_no_more_than_the_jump() -> None:
    """What was written long before is as old as the time since; a week later the clock is believed."""
    hands = Hands()
    old = START - 30 * DAY
    hands.wait(HOUR)
    hands.ahead = 3650 * DAY
    landed = hands.wait(SECOND)
    assert hands.clock.as_of_now(old) <= landed
    assert hands.clock.cautious() == START + hands.passed
    assert hands.wait(DAY) - hands.clock.as_of_now(landed) == DAY
    hands.wait(BELIEVED)
    assert hands.clock.as_of_now(old) == old
    assert hands.clock.cautious() == hands.clock()


def test_stamps_of_other_times_are_left_as_they_are() -> None:
    """A machine that began in 1970 and then learnt the time: what was written last year is a year old."""
    hands = Hands()
    hands.ahead = -50 * 365 * DAY
    hands.clock = WatchedClock(lambda: START + hands.passed + hands.ahead, lambda: hands.passed.total_seconds())
    hands.wait(SECOND)
    hands.ahead = timedelta(0)
    hands.wait(SECOND)
    assert hands.clock.as_of_now(START - 365 * DAY) == START - 365 * DAY


def test_a_plain_clock_knows_only_now() -> None:
    """Without jumps to know of, a stamp from the future is now."""
    assert as_of_now(lambda: START, START + DAY) == START
    assert as_of_now(lambda: START, START - DAY) == START - DAY


def test_a_wait_is_over_when_the_clock_is_set_back() -> None:
    """It ends after its span, or when the clock is earlier than its begin."""
    wait = Wait(START, HOUR)
    assert [wait.over(START + n * HOUR / 2) for n in (0, 1, 2)] == [False, False, True]
    assert wait.over(START - SECOND)
