import threading
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from structlog.testing import capture_logs

from monitor.daemon.schedule import Schedule, _Cron, _Every
from monitor.times import utcnow

HOUR = timedelta(hours=1)


class Count:
    def __init__(self):
        self.value = 0
        self._changed = threading.Condition()

    def __call__(self):
        with self._changed:
            self.value += 1
            self._changed.notify_all()

    def reaches(self, number, seconds=60.0):
        with self._changed:
            return self._changed.wait_for(lambda: self.value >= number, seconds)


class SettableClock:
    def __init__(self):
        self.shift = timedelta(0)

    def __call__(self):
        return utcnow() + self.shift


@pytest.fixture
def clock():
    return SettableClock()


@pytest.fixture
def schedule(clock):
    made = Schedule(clock)
    yield made
    made.stop(timedelta(0))


def test_a_task_runs_at_once_and_again(schedule):
    """An interval task runs when the schedule starts and at each interval after it."""
    count = Count()
    schedule.every("look", 0.05, count)
    schedule.start()
    assert count.reaches(3)
    assert schedule.alive()


def test_soon_runs_a_task_before_its_time(schedule):
    """`soon` does not wait for the interval, and is harmless for a task that is gone."""
    count = Count()
    schedule.every("look", 3600, count)
    schedule.start()
    assert count.reaches(1)
    schedule.soon("look")
    assert count.reaches(2)
    schedule.remove("look")
    schedule.soon("look")
    schedule.remove("look")


def jump(schedule, clock, task):
    clock.shift = -3 * HOUR
    assert schedule.tick()


@pytest.mark.parametrize("want", [
    lambda schedule, clock, task: schedule.soon("look"),
    lambda schedule, clock, task: schedule.every("look", 3600, task),
    jump,
], ids=["soon", "planned anew", "clock jumped"])
def test_a_run_wanted_while_one_is_under_way_is_not_lost(schedule, clock, want):
    """What is asked for during a run, by a person, a reload or a jump of the clock, comes right after it."""
    running, go_on, count, other = threading.Event(), threading.Event(), Count(), Count()

    def task():
        running.set()
        go_on.wait(60)
        count()

    schedule.every("look", 3600, task)
    schedule.start()
    assert running.wait(60)
    want(schedule, clock, task)
    schedule.every("other", 0.05, other)
    assert other.reaches(3)              # the scheduler has met the task that could not start
    go_on.set()
    assert count.reaches(2)


def test_a_slow_task_delays_no_other_and_never_runs_twice_at_once(schedule):
    """While one model's check hangs, others go on, and the hanging one is not started again."""
    gate, slow, quick = threading.Event(), Count(), Count()

    def hang():
        slow()
        gate.wait(60)

    schedule.every("slow", 0.05, hang)
    for number in range(30):
        schedule.every(f"slow too {number}", 3600, lambda: gate.wait(60))
    schedule.every("quick", 0.05, quick)
    schedule.start()
    assert quick.reaches(10)
    assert slow.value == 1
    gate.set()
    assert slow.reaches(2)


def test_a_task_that_fails_runs_again_and_is_logged(schedule):
    """An unforeseen exception is logged with the task's name; the next run takes place."""
    count = Count()

    def fail():
        count()
        raise RuntimeError("boom")

    with capture_logs() as logs:
        schedule.every("look", 0.05, fail)
        schedule.start()
        assert count.reaches(3)
    assert [entry["task"] for entry in logs if entry["log_level"] == "error"][:1] == ["look"]


@pytest.mark.parametrize("shift", [-3 * HOUR, 9000 * HOUR])
def test_a_clock_that_jumps_starts_everything_anew(schedule, clock, shift):
    """After the wall clock was set back, or far forward, interval tasks run from now on again."""
    count = Count()
    schedule.every("look", 3600, count)
    schedule.start()
    assert count.reaches(1)
    assert not schedule.tick()
    clock.shift = shift
    assert schedule.tick()
    assert count.reaches(2)
    assert not schedule.tick()


def test_missed_runs_are_made_up_once_without_counting_them():
    """Ten years after the last run the next one is an interval, or a cron time, from now."""
    then, now = datetime(2015, 1, 1, tzinfo=UTC), datetime(2025, 1, 1, 0, 0, 30, tzinfo=UTC)
    assert _Every(timedelta(seconds=5)).get_next_fire_time(then, now) == now + timedelta(seconds=5)
    assert _Cron("* * * * *", UTC).get_next_fire_time(then, now) == now + timedelta(seconds=30)


@pytest.mark.parametrize(
    ("expression", "first"),
    [("30 2 * * *", "2025-06-02 02:30"), ("0 6 * * mon", "2025-06-02 06:00"),
     ("0 6 * * sun", "2025-06-08 06:00"), ("0 6 1 * *", "2025-07-01 06:00")],
)
def test_cron_times_are_local_to_the_model(expression, first):
    """The next time is the first one after now, on the model's clock."""
    zone = ZoneInfo("Europe/Paris")
    sunday = datetime(2025, 6, 1, 12, tzinfo=zone)
    due = _Cron(expression, zone).get_next_fire_time(None, sunday)
    assert f"{due.astimezone(zone):%Y-%m-%d %H:%M}" == first


@pytest.mark.parametrize("missed", [True, False])
def test_a_time_missed_while_nobody_ran_is_made_up_once(schedule, missed):
    """A task by cron does not run at the start, unless one of its times was missed; then it does once."""
    count, other = Count(), Count()
    schedule.cron("look", "0 0 29 feb *", UTC, count, missed=missed)
    schedule.start()
    assert not missed or count.reaches(1)
    schedule.every("other", 0.05, other)
    assert other.reaches(5)
    assert count.value == missed


def test_a_jump_of_the_clock_does_not_run_what_is_not_due(schedule, clock):
    """Only a time that has passed is made up; others are reckoned anew."""
    count, other = Count(), Count()
    schedule.cron("look", "0 0 29 feb *", UTC, count)
    schedule.start()
    clock.shift = -3 * HOUR
    assert schedule.tick()
    schedule.every("other", 0.05, other)
    assert other.reaches(5)
    assert count.value == 0


def test_stopping_waits_only_so_long(schedule):
    """`stop` says whether all came to an end within the time given."""
    gate, count = threading.Event(), Count()

    def hang():
        count()
        gate.wait(60)

    schedule.every("slow", 3600, hang)
    schedule.start()
    assert count.reaches(1)
    assert not schedule.stop(timedelta(seconds=0.1))
    gate.set()
    assert schedule.stop(timedelta(seconds=60))
