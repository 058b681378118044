"""How far rows are apart: how long they may stay away, how long a window has to be; how late labels are."""

from datetime import UTC, datetime, timedelta

import pyarrow as pa
import pytest

from monitor.reference.known_reference import labels_behind, usual_pause, usually_apart

BEGIN = datetime(2024, 1, 1, tzinfo=UTC)         # a Monday
MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)


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
    (every(30 * DAY, 900), 9.75 * DAY),
    (every(DAY, 60), 2.25 * DAY),
    (every(DAY, 60, when=lambda moment: moment.weekday() < 5), 4.75 * DAY),
    ([moment + n * 12 * MINUTE for moment in every(7 * DAY, 200) for n in range(8)], (7 * DAY - 84 * MINUTE) * 1.25),
    (every(HOUR, 30)[::-1], 1.25 * HOUR),
    ([BEGIN] * 50, timedelta(0)),
    ([BEGIN, BEGIN + DAY], timedelta(0)),
    ([], timedelta(0)),
], ids=["steady", "often", "nights", "weekends", "one outage", "two astray", "once a month", "dates",
        "dates of workdays", "batches of a week", "backwards", "at once",
        "two rows", "none"])
def test_what_came_twice_is_usual(times, pause):
    """Nights and weekends are; an outage and a few rows astray are not; a week is the most. Dates may come late."""
    assert usual_pause(pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))]), DAY) == pause


def test_a_window_longer_than_a_week_allows_for_a_pause_as_long():
    times = pa.chunked_array([pa.array(every(30 * DAY, 900), pa.timestamp("us", "UTC"))])
    assert usual_pause(times, 28 * DAY) == 36 * DAY
    assert usual_pause(times, 500) == 9.75 * DAY


def batches(*starts, hours=1, days=1):
    return [start + day * DAY + hour * HOUR for start in starts for day in range(days) for hour in range(hours)]


MONTHS = [datetime(2024 + n // 12, n % 12 + 1, 1, tzinfo=UTC) for n in range(24)]


@pytest.mark.parametrize(("times", "apart"), [
    (every(timedelta(minutes=5), 9), HOUR),
    (every(HOUR, 30, when=at_work), HOUR),
    (every(HOUR, 90, when=lambda moment: not 20 <= (moment - BEGIN).days < 80), HOUR),
    (every(DAY, 60), DAY),
    (every(DAY, 60, when=lambda moment: moment.weekday() < 5), DAY),
    (batches(*every(7 * DAY, 200)), 7 * DAY),
    (batches(*MONTHS), 31 * DAY),
    (batches(*MONTHS, hours=9), 31 * DAY),
    (batches(*MONTHS, hours=9, days=3), 28 * DAY),
    (batches(*MONTHS)[::-1], 31 * DAY),
    ([BEGIN, BEGIN + DAY, BEGIN + 2 * DAY], timedelta(0)),
    ([], timedelta(0)),
], ids=["steady", "work", "an outage of two months", "days", "workdays", "weeks", "months", "months, for hours",
        "months, for days", "backwards", "three rows", "none"])
def test_batches_are_as_far_apart_as_most_of_them(times, apart):
    """Nights, weekends and outages are not between batches, nor are the hours and days that one of them takes."""
    assert usually_apart(pa.chunked_array([pa.array(times, pa.timestamp("us", "UTC"))])) == apart


def some(count, *, every_nth=1, gone=0):
    """Labels of so many rows: each, or one in so many; none of the last ones."""
    return [1 if n % every_nth == 0 and n < count - gone else None for n in range(count)]


@pytest.mark.parametrize(("labels", "behind"), [
    (some(720), timedelta(0)), (some(720, gone=1), 2 * HOUR), (some(720, gone=30), 31 * HOUR),
    (some(720, gone=100), 5 * DAY), (some(720, every_nth=10), timedelta(0)),
    (some(720, every_nth=10, gone=50), timedelta(0)), (some(720, every_nth=2, gone=9), timedelta(0)),
    (some(720, every_nth=2, gone=20), 22 * HOUR), (some(720, every_nth=10, gone=100), 5 * DAY),
    (some(720, gone=200), timedelta(0)), ([None] * 720, timedelta(0)),
], ids=["all", "one", "a day", "days", "one in ten", "one in ten, by chance", "half, by chance", "half",
        "one in ten, late", "they no longer come", "none"])
def test_labels_at_the_end_are_late_where_that_is_no_chance(labels, behind):
    """As old as the newest labelled row is an hour after the newest; by chance, or where labels ended, not at all."""
    times = every(HOUR, 30)
    answer = labels_behind(pa.chunked_array([pa.array(times[::-1], pa.timestamp("us", "UTC"))]),
                           pa.chunked_array([pa.array(labels[::-1], pa.int64())]), times[-1] + HOUR)
    assert answer == behind
