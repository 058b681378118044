"""Sources that fail, fall silent or hang: one message each way, no retrain, and the next window goes on."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.check.checker import Checker
from monitor.check.requests import OBSERVE
from monitor.errors import SourceError, SourceSilent, Stopping, TaskTimeout, WorkerDied


class Failing:
    """A Runner whose measuring of some windows fails, by the day they start."""

    def __init__(self, made, error, days):
        self._made, self._runner, self._error, self.days, self.failed = made, made.Here(), error, days, 0

    def run(self, task, request):
        if task is OBSERVE and (request.window.start - self._made.START) / self._made.DAY in self.days:
            self.failed += 1
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


def _workdays(made, first, days):
    """Rows of Mondays to Fridays; day 0 is a Monday."""
    return pa.concat_tables(made.rows(day, 1) for day in range(first, first + days) if day % 7 < 5)


def test_a_log_that_rests_at_weekends_as_its_reference_does_is_not_silent(world, made):
    """Nobody is told of a usual weekend, its windows are judged by nothing; a Monday without rows is told."""
    world.model()
    world.write("reference.parquet", _workdays(made, -28, 28))
    world.write("log.parquet", _workdays(made, 0, 12))
    checks = [day + part for day in range(1, 8) for part in (0.0, 0.5)]
    for day in checks:
        world.check(day)
    assert [one.status for one in world.snapshots()] == 5 * ["ok"] + 2 * ["insufficient_data"]
    assert world.said() == []
    for day in range(8, 16):
        world.check(day)
    assert world.said() == ["source"]
    assert [one.status for one in world.snapshots()[-4:]] == ["ok", *2 * ["insufficient_data"], "source_failed"]
    assert "expected one within 2d" in {one.trigger: one for one in world.store.firings.all("m")}["source-down"].reason


def test_windows_without_rows_that_are_caught_up_with_are_judged_by_the_pause_around_them(world, made):
    """Of a log read late, a weekend is a pause, and an outage of a Wednesday and a Thursday is none."""
    world.model()
    world.write("reference.parquet", _workdays(made, -28, 28))
    world.write("log.parquet", _workdays(made, 0, 8), _workdays(made, 11, 2))
    world.check(12)
    found = {(one.window.start - made.START) / made.DAY: one.status for one in world.snapshots() if one.rows == 0}
    assert found == {5: "insufficient_data", 6: "insufficient_data", 8: "source_failed", 9: "source_failed",
                     10: "source_failed"}


@pytest.mark.parametrize("error", [TaskTimeout("took over 30m"), WorkerDied("was killed at 4 GB")])
def test_a_window_that_cannot_be_measured_is_said_to_be_so_and_the_next_goes_on(world, made, error):
    """It becomes a failed snapshot with the reason; no vote, no retrain from it; failing again is no news."""
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
    assert world.snapshots()[1].revision == 0
    world.runner = made.Here()
    assert world.days(world.check(3.2)) == [1]
    assert [one.status for one in world.snapshots()] == ["ok", "ok", "ok"]
    assert world.check(3.3) == []


def test_a_failed_window_is_measured_again_however_old_it_is(world, made):
    """Two months later, far behind all that may still be revised, the window is judged as soon as it can be."""
    world.model(made.MANY)
    world.write("log.parquet", made.rows(0, 60))
    world.runner = Failing(made, WorkerDied("was killed at 4 GB"), {1})
    world.check(3)
    assert world.days(world.check(60)) == list(range(3, 60))
    world.runner = made.Here()
    assert world.days(world.check(60.1)) == [1]
    assert {one.status for one in world.snapshots()} == {"ok"}


def test_a_window_that_fails_again_and_again_is_left_alone_for_longer_and_longer(world, made):
    """One checker measures it after a minute, then after twice as long each time, and an hour at most."""
    world.model(made.MANY)
    world.write("log.parquet", made.rows(0, 2))
    world.runner = failing = Failing(made, WorkerDied("was killed at 4 GB"), {1})
    now = [made.START + 2 * made.DAY]
    checker = Checker(made.loaded(world.section), world.store, world.runner, lambda: now[0])
    for _ in range(600):
        checker.check("m")
        now[0] += made.HOUR / 60
    assert 12 <= failing.failed <= 16
    failing.days = set()
    for _ in range(60):
        checker.check("m")
        now[0] += made.HOUR / 60
    assert [one.status for one in world.snapshots()] == ["ok", "ok"]


def test_another_failure_of_a_window_is_news(world, made):
    """Where a window fails for another reason than before, the new one is recorded."""
    world.model(made.MANY)
    world.write("log.parquet", made.rows(0, 2))
    for error in (WorkerDied("was killed at 4 GB"), TaskTimeout("took over 30m")):
        world.runner = Failing(made, error, {1})
        world.check(2)
    assert [world.snapshots()[1].reason, world.snapshots()[1].revision] == ["took over 30m", 1]


def test_a_source_that_gives_no_sign_of_life_ends_the_check_and_loses_no_window(world, made):
    """The windows behind it are not tried one after the other; people are told once, and all are judged later."""
    world.model(made.MANY)
    world.write("log.parquet", made.rows(0, 4))
    world.runner = Failing(made, SourceSilent("waited 2m"), {1, 2, 3})
    with pytest.raises(SourceSilent):
        world.check(4)
    assert world.runner.failed == 1
    assert world.said().count("source") == 1
    world.runner = made.Here()
    assert world.days(world.check(4.2)) == [1, 2, 3]


@pytest.mark.parametrize("harm", ["flip", "truncate"])
def test_a_feature_column_that_cannot_be_read_fails_its_window_until_it_can(world, made, harm):
    """A page of one column is damaged: the window asks for nothing, and is judged when the file is whole again."""
    world.with_retrain(made.MANY | {"action": "retrain"})
    path = world.folder / "log.parquet"
    pq.write_table(made.rows(0, 2), path, write_page_checksum=True, row_group_size=24, compression="none")
    whole = path.read_bytes()
    column = pq.ParquetFile(path).metadata.row_group(1).column(2)
    at = column.dictionary_page_offset + column.total_compressed_size - 3
    path.write_bytes(whole[:at] + bytes([whole[at] ^ 255]) + whole[at + 1:] if harm == "flip" else whole[:-500])
    if harm == "truncate":
        with pytest.raises(SourceError, match="is not a complete Parquet file"):
            world.check(2)
    else:
        world.check(2)
        assert world.snapshots()[1].status == "source_failed"
        assert world.store.requests.all("m") == []
        assert "is not a complete Parquet file" in world.snapshots()[1].reason
    path.write_bytes(whole)
    world.check(2.1)
    assert [one.status for one in world.snapshots()] == ["ok", "ok"]


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


def test_a_window_whose_file_was_damaged_is_due_once_the_file_is_another(world, made):
    """A window that could not be read rests; it is measured at once when the file has been put right."""
    world.model()
    world.runner = failing = Failing(made, SourceError("log.parquet: is damaged"), {1.0})
    world.write("log.parquet", made.rows(0, 2))
    checker = world.checker(2)
    checker.check("m")
    assert (checker.check("m"), failing.failed) == ([], 1)
    failing.days = set()
    world.write("log.parquet", made.rows(0, 2).slice(0, 47))
    assert world.days(checker.check("m")) == [1]


def test_a_source_that_hangs_while_it_is_measured_is_down_until_a_window_is_measured(world, made):
    """The look answers, measuring hangs: people are told once, not at every check, and once when it is over."""
    world.model()
    world.runner = failing = Failing(made, SourceSilent("no sign of life"), {0.0})
    world.write("log.parquet", made.rows(0, 1))
    for minute in range(3):
        with pytest.raises(SourceSilent):
            world.check(1 + minute / 1440)
        assert _unreadable(world)
    assert world.said().count("source") == 1
    failing.days = set()
    assert world.days(world.check(1.01)) == [0]
    assert _unreadable(world) is False
    assert world.said().count("source") == 2


def test_a_schema_that_is_put_right_is_measured_again(world, made):
    """A file that lost a column breaks the contract of its window until the column is back; then it is measured."""
    world.model()
    world.write("log.parquet", made.rows(0, 1).drop_columns(["x"]))
    checker = world.checker(1)
    checker.check("m")
    assert [one.status for one in world.snapshots()] == ["schema_changed"]
    assert checker.check("m") == []
    world.write("log.parquet", made.rows(0, 1))
    checker.check("m")
    assert [(one.status, one.revision) for one in world.snapshots()] == [("ok", 1)]


def test_a_reference_that_is_put_back_is_the_one_it_was(world, made):
    """While its file holds other rows there is another reference; the windows that closed meanwhile are measured."""
    world.model()
    world.write("log.parquet", made.rows(0, 3))
    world.check(1)
    world.write("reference.parquet", made.rows(-20, 20, seed=5))
    world.check(3)
    world.write("reference.parquet", made.rows(-20, 20))
    assert world.days(world.check(3.1)) == [1, 2]
    assert len({one.id for one in world.store.references.all("m")}) == 2


@pytest.mark.parametrize("rows", [0, 48])
def test_a_window_without_a_value_has_changed_no_type(world, made, rows):
    """Text of numbers is a number in the reference; a window of nulls, or of no row, cannot tell: no schema change."""
    def codes(table, value):
        return table.append_column("code", pa.array([value] * len(table), pa.string()))

    world.write("reference.parquet", codes(made.rows(-20, 20), "7"))
    days = [codes(made.rows(0, 1), "8"), *([codes(made.rows(1, 1, per_day=rows), None)] if rows else [])]
    world.write("log.parquet", pa.concat_tables(days))
    world.model()
    verdicts = world.check(2)
    [score] = [one for one in world.store.snapshots.newest_revisions("m")[-1].scores if one.metric == "schema_changes"]
    assert (score.value, score.reason) == (0, None)
    assert not any("broken-data" in one.fired and "code holds" in " ".join(one.reasons) for one in verdicts)
