"""Which windows are checked, when, and how often."""

from datetime import timedelta

import pytest


def test_the_first_start_looks_at_the_newest_closed_window_only(world, made):
    """What happened before driftd came is not replayed unless `since` says so."""
    world.write("log.parquet", made.rows(0, 10.5))
    world.model(since=None)
    assert world.days(world.check(10.5)) == [9]
    assert world.check(10.6) == []
    world.write("log.parquet", made.rows(0, 12))
    assert world.days(world.check(12)) == [10, 11]


def test_since_replays_every_window_in_order(world, made):
    """From `since` on each closed window is checked, oldest first; the one under way is not."""
    world.write("log.parquet", made.rows(0, 6.5))
    world.model(since=made.START + 2 * made.DAY)
    assert world.days(world.check(6.5)) == [2, 3, 4, 5]


def test_since_set_after_a_look_at_a_log_that_had_ended_replays_it(world, made):
    """The first look found an empty window only; `since` then judges the windows that have rows, each once."""
    world.write("log.parquet", made.rows(0, 4))
    world.model(since=None)
    assert world.days(world.check(90)) == [89]
    world.model(since=made.START)
    assert world.days(world.check(90.1)) == [0, 1, 2, 3]
    assert world.check(90.2) == []


def test_each_closed_window_is_checked_exactly_once(world, made):
    """However often we look, a window of which nothing changed keeps its one revision."""
    world.model()
    checked = []
    for hour in range(0, 96, 3):
        world.write("log.parquet", made.rows(0, max(1, hour) / 24))
        checked += world.days(world.check(hour / 24))
    assert checked == [0, 1, 2]
    assert [one.revision for one in world.snapshots()] == [0, 0, 0]


def test_a_window_waits_out_its_lateness(world, made):
    """It is due at end + lateness, not a minute before."""
    world.write("log.parquet", made.rows(0, 2))
    world.model(window=made.DAILY | {"lateness": "2h"})
    minute = 1 / 1440
    assert world.check(1 + 2 / 24 - minute) == []
    assert world.days(world.check(1 + 2 / 24)) == [0]


def test_overlapping_windows_each_come_once(world, made):
    """With a step shorter than the size a window closes at every step."""
    world.write("log.parquet", made.rows(0, 5))
    world.model(window=made.DAILY | {"size": "2d", "step": "1d"})
    verdicts = world.check(5)
    assert world.days(verdicts)[-4:] == [0, 1, 2, 3]
    assert {v.window.end - v.window.start for v in verdicts} == {2 * made.DAY}


def test_after_downtime_the_missed_windows_are_checked_and_only_the_newest_asks(world, made):
    """A need seen on the way is held back by `catching-up`; at the newest window it asks, once."""
    world.with_retrain(made.MANY | {"action": "retrain"})
    world.write("log.parquet", made.rows(0, 1, per_day=10))
    assert [v.action for v in world.check(1)] == ["hold"]
    world.write("log.parquet", made.rows(0, 1, per_day=10), made.rows(1, 4))
    verdicts = world.check(5)
    assert world.days(verdicts) == [1, 2, 3, 4]
    assert [v.action for v in verdicts] == ["suppress", "suppress", "suppress", "retrain"]
    assert {v.guards for v in verdicts[:3]} == {("catching-up",)}
    assert len(world.store.requests.all("m")) == 1
    assert sorted(world.said()) == ["firing", "requested"]


def test_a_need_that_cleared_on_the_way_never_asks(world, made):
    """After downtime a request is made only if the need still stands at the newest window."""
    world.with_retrain(made.MANY | {"action": "retrain"})
    world.write("log.parquet", made.rows(0, 2), made.rows(2, 1, per_day=10))
    assert [v.action for v in world.check(3)] == ["suppress", "suppress", "hold"]
    assert world.store.requests.all("m") == []


def test_a_local_week_begins_on_monday_at_home(world, made):
    """Windows of days are cut from local midnight in the model's time zone."""
    world.write("log.parquet", made.rows(0, 3))
    world.model(timezone="America/New_York")
    assert world.check(2 + 4.9 / 24)[-1].window.end == made.START + made.DAY + timedelta(hours=5)
    assert world.check(2 + 5 / 24)[-1].window.end == made.START + 2 * made.DAY + timedelta(hours=5)


def test_a_dry_run_says_what_a_check_would_and_records_nothing(world, made):
    """`check --at` reaches the verdict of the newest window closed then, in a store of its own."""
    from monitor.check.checker import dry_run

    world.write("log.parquet", made.rows(0, 5))
    world.model(made.MANY, since=None)
    ((snapshot, verdict),) = dry_run(made.loaded(world.section), "m", made.START + 3.5 * made.DAY, made.Here())
    assert (snapshot.window.start, snapshot.rows) == (made.START + 2 * made.DAY, 24)
    assert verdict.fired == ("many",)
    assert world.store.references.models() == []


@pytest.mark.parametrize("size", ["1d", 24])
def test_a_dry_run_of_a_model_with_since_still_says_the_newest(world, made, size):
    """It replays what came before, so that persistence counts, and ends with the newest window."""
    from monitor.check.checker import dry_run

    world.write("log.parquet", made.rows(0, 5))
    world.model(made.MANY | {"windows": "3 of 3"}, window=made.DAILY | {"size": size})
    said = dry_run(made.loaded(world.section), "m", made.START + 4.2 * made.DAY, made.Here())
    assert [bool(verdict.fired) for _, verdict in said] == [False, False, True, True]
