"""Sources that fail, fall silent or hang: one message each way, no retrain, and the next window goes on."""

import pytest

from monitor.check.requests import OBSERVE
from monitor.errors import SourceError, Stopping, TaskTimeout, WorkerDied


class Failing:
    """A Runner whose measuring of some windows fails, by the day they start."""

    def __init__(self, made, error, days):
        self._made, self._runner, self._error, self._days = made, made.Here(), error, days

    def run(self, task, request):
        if task is OBSERVE and (request.window.start - self._made.START) / self._made.DAY in self._days:
            raise self._error
        return self._runner.run(task, request)


def _unreadable(world):
    return {one.trigger: one.firing for one in world.store.firings.all("m")}.get("source-down")


def test_a_source_that_fails_is_told_once_and_its_return_too(world, made):
    """Each round raises, one message goes out, nothing else changes; then the missed windows are checked."""
    world.with_retrain(made.MANY | {"action": "retrain"}, mode="observe")
    world.write("log.parquet", made.rows(0, 2))
    world.check(2)
    before = world.store.firings.all("m"), world.store.episodes.all("m")
    (world.folder / "log.parquet").unlink()
    for day in (2.2, 2.4, 2.6):
        with pytest.raises(SourceError, match="there is no such file"):
            world.check(day)
    assert _unreadable(world)
    assert world.said().count("source") == 1
    assert [one for one in world.store.firings.all("m") if one.trigger != "source-down"] == before[0][:]
    assert world.store.episodes.all("m") == before[1]
    world.write("log.parquet", made.rows(0, 4))
    assert world.days(world.check(4)) == [2, 3]
    assert _unreadable(world) is False
    assert world.said().count("source") == 2


@pytest.mark.parametrize("content", [b"", b"PAR1 half a file"])
def test_a_half_written_file_is_one_clear_sentence(world, made, content):
    """The file is named and what to do is said; the state stays as it was."""
    world.model()
    (world.folder / "log.parquet").write_bytes(content)
    with pytest.raises(SourceError, match=r"log\.parquet: is not a complete Parquet file"):
        world.check(1)
    assert world.snapshots() == []
    assert world.said() == ["source"]


def test_a_silent_log_is_stale_and_suppresses_a_retrain(world, made):
    """When no rows come any more people are told once, what fires stays firing, and no retrain is asked for."""
    world.with_retrain(made.MANY | {"action": "retrain"}, mode="observe")
    world.write("log.parquet", made.rows(0, 2))
    world.check(2)
    world.change(mode="act")
    for day in (3.5, 4.5, 5.5):
        for verdict in world.check(day):
            assert verdict.action != "retrain"
            assert "stale-source" in verdict.guards
    assert "many" in {one.trigger for one in world.store.firings.all("m") if one.firing}
    assert _unreadable(world)
    assert world.store.requests.all("m") == []
    world.write("log.parquet", made.rows(0, 2), made.rows(5, 2))
    assert world.check(7)[-1].action == "retrain"
    assert _unreadable(world) is False


def test_a_log_that_stopped_within_a_window_suppresses_its_retrain(world, made):
    """With `stale` set, a window that has rows asks for nothing while the newest row is too old; told once."""
    world.with_retrain(made.MANY | {"action": "retrain"}, quality={"stale": "3h"})
    world.write("log.parquet", made.rows(0, 1.8, per_day=48))
    (verdict,) = world.check(1.9)
    assert (verdict.action, verdict.guards) == ("suppress", ("stale-source",))
    assert _unreadable(world)
    assert world.said().count("source") == 1


@pytest.mark.parametrize("error", [TaskTimeout("took over 30m"), WorkerDied("was killed at 4 GB")])
def test_a_window_that_cannot_be_measured_is_said_to_be_so_and_the_next_goes_on(world, made, error):
    """It becomes a failed snapshot with the reason; no vote, no retrain from it, and it is not tried for ever."""
    world.with_retrain(made.MANY | {"action": "retrain"})
    world.write("log.parquet", made.rows(0, 3))
    world.runner = Failing(made, error, {1})
    assert world.days(world.check(3)) == [0, 1, 2]
    assert [one.status for one in world.snapshots()] == ["ok", "source_failed", "ok"]
    failed = world.snapshots()[1]
    assert (failed.reason, failed.rows, failed.scores) == (str(error), 24, ())
    assert "source" in world.store.verdicts.newest_on(failed.window).fired
    assert world.store.verdicts.newest_on(world.snapshots()[2].window).action == "retrain"
    assert world.check(3.1) == []


def test_a_failed_newest_window_asks_for_nothing(world, made):
    """A need from the windows before it is held back by the silent source."""
    world.with_retrain(made.MANY | {"action": "retrain"}, mode="observe")
    world.write("log.parquet", made.rows(0, 3))
    world.check(2)
    world.change(mode="act")
    world.runner = Failing(made, TaskTimeout("took over 30m"), {2})
    (verdict,) = world.check(3)
    assert (verdict.action, verdict.guards) == ("suppress", ("stale-source",))


def test_stopping_says_nothing_about_a_window(world, made):
    """What is cut off by the daemon's end is neither recorded nor told; it is done at the next start."""
    world.model()
    world.write("log.parquet", made.rows(0, 2))
    world.runner = Failing(made, Stopping("stopping"), {1})
    with pytest.raises(Stopping):
        world.check(2)
    assert world.days(world.store.verdicts.all("m")) == [0]
    world.runner = made.Here()
    assert world.days(world.check(2.1)) == [1]


def test_a_changed_schema_suppresses_a_retrain(world, made):
    """A column that turned to text is broken data: an alert, no retrain, and the need is looked at again later."""
    world.with_retrain(
        made.MANY | {"action": "retrain"}, mode="observe", predictions={"path": str(world.folder / "*.parquet")},
        reference={"source": {"path": str(world.folder / "train.pq")}},
    )
    world.write("train.pq", made.rows(-20, 20))
    (world.folder / "reference.parquet").unlink()
    world.write("log.parquet", made.rows(0, 1))
    world.check(1)
    world.change(mode="act")
    day = made.rows(1, 1)
    world.write("more.parquet", day.set_column(day.schema.get_field_index("x"), "x", [["a"] * 24]))
    (broken,) = world.check(2)
    assert (broken.action, broken.guards) == ("suppress", ("broken-data",))
    assert world.snapshots()[1].status == "schema_changed"
    assert world.store.requests.all("m") == []


def test_too_few_rows_are_no_evidence(world, made):
    """A window under min_rows is insufficient, and asks for nothing."""
    few = {"name": "few", "metric": "rows", "below": 20, "action": "retrain"}
    world.with_retrain(few, window=made.DAILY | {"min_rows": 10})
    world.write("log.parquet", made.rows(0, 1).slice(0, 8))
    (verdict,) = world.check(1)
    assert world.snapshots()[0].status == "insufficient_data"
    assert verdict.action != "retrain"
