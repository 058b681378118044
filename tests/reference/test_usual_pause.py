"""How long rows may stay away, as the reference shows it."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from monitor.reference.known_reference import usual_pause

BEGIN, HOUR, DAY = datetime(2024, 1, 1, tzinfo=UTC), timedelta(hours=1), timedelta(days=1)     # a Monday


def every(step, days, *, when=lambda moment: True):
    count = int(timedelta(days=days) / step)
    return [moment for moment in (BEGIN + number * step for number in range(count)) if when(moment)]


def at_work(moment):
    return moment.weekday() < 5 and 8 <= moment.hour < 16


@pytest.mark.parametrize(("times", "pause"), [
    (every(HOUR, 30), 1.25 * HOUR),
    (every(timedelta(seconds=10), 2), timedelta(minutes=1)),
    (every(HOUR, 30, when=lambda moment: 8 <= moment.hour < 16), 17 * 1.25 * HOUR),
    (every(HOUR, 30, when=at_work), 65 * 1.25 * HOUR),
    (every(HOUR, 30, when=lambda moment: not 10 <= moment.day < 13), 1.25 * HOUR),
    ([datetime(1970, 1, 1, tzinfo=UTC), *every(HOUR, 30), datetime(2099, 1, 1, tzinfo=UTC)], 1.25 * HOUR),
    (every(30 * DAY, 900), 7 * DAY),
    (every(HOUR, 30)[::-1], 1.25 * HOUR),
    ([BEGIN] * 50, timedelta(0)),
    ([BEGIN, BEGIN + DAY], timedelta(0)),
    ([], timedelta(0)),
], ids=["steady", "often", "nights", "weekends", "one outage", "two astray", "once a month", "backwards", "at once",
        "two rows", "none"])
def test_what_came_twice_is_usual(times, pause):
    """Nights and weekends are; one outage and a few rows that are astray are not; a week is the most."""
    assert usual_pause(pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))]), DAY) == pause


def test_a_window_longer_than_a_week_allows_for_a_pause_as_long():
    times = pa.chunked_array([pa.array(every(30 * DAY, 900), pa.timestamp("us", "UTC"))])
    assert usual_pause(times, 28 * DAY) == 28 * DAY
    assert usual_pause(times, 500) == 7 * DAY
