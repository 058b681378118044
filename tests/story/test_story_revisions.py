"""When a window is measured again: late rows, labels that come, maturity; and what that does to its vote."""

from datetime import timedelta

import pyarrow as pa
import pytest


def test_rows_that_come_late_make_a_revision_that_counts_them(world, made):
    """The clinic that syncs later is seen: the window is measured again, with how many rows came late."""
    day = made.rows(0, 3)
    world.write("log.parquet", day.slice(0, 20), day.slice(24))
    world.model()
    world.check(3)
    world.write("log.parquet", day)
    assert world.days(world.check(3.1)) == [0]
    newest = world.snapshots()[0]
    assert (newest.revision, newest.rows, newest.late) == (1, 24, 4)
    assert world.check(3.2) == []


def test_late_rows_count_from_the_first_revision(world, made):
    """Rows that come in two goes are all late, and each go is one revision."""
    day = made.rows(0, 1)
    world.model()
    for count in (20, 22, 24):
        world.write("log.parquet", day.slice(0, count), made.rows(1, 1))
        world.check(2)
    assert [one.late for one in world.store.snapshots.revisions(world.snapshots()[0].window)] == [0, 2, 4]


def test_a_revision_replaces_the_windows_vote_and_never_adds_one(world, made):
    """A window looked at three times is still one of "2 of 3"; the second window decides."""
    world.model(made.MANY | {"windows": "2 of 3"})
    for count in (21, 22, 23):
        world.write("log.parquet", made.rows(0, 1).slice(0, count))
        assert world.check(1)[0].fired == ()
    world.write("log.parquet", made.rows(0, 1).slice(0, 23), made.rows(1, 1))
    assert world.check(2)[0].fired == ("many",)


def test_rows_that_vanish_are_no_news(world, made):
    """Old files are tidied away; what was measured stays as it was."""
    world.model(made.MANY)
    world.write("log.parquet", made.rows(0, 3))
    world.check(3)
    world.write("log.parquet", made.rows(2, 1))
    assert world.check(3.1) == []
    assert [(one.revision, one.rows) for one in world.snapshots()] == [(0, 24)] * 3


def test_a_window_is_measured_again_when_it_matures(world, made):
    """Its scores are provisional until nearly all labels can be known, then final, then left alone."""
    world.write("reference.parquet", made.rows(-20, 20, label_after=2 * made.DAY))
    world.write("log.parquet", made.rows(0, 6, label_after=2 * made.DAY))
    world.model(since=made.START, metric="mae", task="regression")
    world.check(1)
    assert world.days(world.check(3)) == [0, 1, 2]
    revisions = world.store.snapshots.revisions(world.snapshots()[0].window)
    assert [one.mature for one in revisions] == [False, True]
    assert [one.labelled for one in revisions] == [0, 24]
    mae = [next(s for s in one.scores if s.metric == "mae") for one in revisions]
    assert [(s.provisional, s.n) for s in mae] == [(True, 0), (False, 24)]
    assert world.check(3.01) == []


def test_a_provisional_window_is_measured_again_with_each_tenth_of_labels(world, made):
    """Coverage that grows by less than 0.1 is not worth a look; it goes on until the window is mature."""
    world.write("reference.parquet", made.rows(-20, 20, label_after=2 * made.DAY))
    world.write("log.parquet", made.rows(0, 1, label_after=2 * made.DAY))
    world.model(task="regression")
    for hour in range(24, 74):
        world.check(hour / 24)
    revisions = world.store.snapshots.revisions(world.snapshots()[0].window)
    assert [one.labelled for one in revisions] == [0, 3, 6, 9, 12, 15, 18, 21, 24, 24]
    assert [one.mature for one in revisions] == [False] * 9 + [True]


def corrected(table, row, *, at=None):
    """The same rows, but the label of one is another; `at`: when that became known."""
    labels, times = table["label"].to_pylist(), table["label_timestamp"].to_pylist()
    labels[row] += 5
    times[row] = at or times[row]
    for name, values in (("label", labels), ("label_timestamp", times)):
        place = table.schema.get_field_index(name)
        table = table.set_column(place, name, pa.array(values, table[name].type))
    return table


@pytest.mark.parametrize("later", [False, True])
def test_a_corrected_label_is_measured_once_more(world, made, later):
    """Also in a mature window, whether the correction says when it came or not; then the window is left alone."""
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.DAY))
    log = made.rows(0, 6, label_after=made.DAY)
    world.write("log.parquet", log)
    world.model(since=made.START, metric="mae", task="regression")
    world.check(7.5)
    before = world.snapshots()[1]
    world.write("log.parquet", corrected(log, 30, at=made.START + 5.5 * made.DAY if later else None))
    assert world.days(world.check(7.6)) == [1]
    after = world.snapshots()[1]
    assert (after.revision, after.labelled) == (before.revision + 1, 24)
    assert (before.reason, after.reason) == (None, "corrected: labels that were known before have changed")
    values = [next(s.value for s in one.scores if s.metric == "mae") for one in (before, after)]
    assert values[0] != values[1]
    assert world.check(7.7) == []


def test_labels_in_another_order_are_no_correction(world, made):
    """A log that is written anew, its rows turned round, says the same."""
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.DAY))
    log = made.rows(0, 6, label_after=made.DAY)
    world.write("log.parquet", log)
    world.model(since=made.START, task="regression")
    world.check(6)
    world.write("log.parquet", log.take(list(reversed(range(len(log))))))
    assert world.check(6.1) == []


def test_a_corrected_class_is_seen_without_moments_of_labels(world, made):
    """Where nobody says when labels came, as many labels as before that read otherwise are a correction."""
    def classes(table, wrong=()):
        said = ["yes" if at % 2 else "no" for at in range(len(table))]
        label = ["no" if at in wrong else one for at, one in enumerate(said)]
        return table.select(["timestamp", "id", "x"]).append_column("prediction", pa.array(said)).append_column(
            "label", pa.array(label))

    world.write("reference.parquet", classes(made.rows(-20, 20)))
    world.write("log.parquet", classes(made.rows(0, 6)))
    world.model(since=made.START, task="binary", label_delay="1h")
    world.check(6.5)
    world.write("log.parquet", classes(made.rows(0, 6), wrong=(31,)))
    assert world.days(world.check(6.6)) == [1]


def test_old_windows_are_left_alone(world, made):
    """Rows that come after more than five weeks are not looked for any more."""
    whole = made.rows(0, 60, per_day=8)
    world.model()
    world.write("log.parquet", whole.slice(2))
    world.check(60)
    world.write("log.parquet", whole)
    assert world.check(60.1) == []
    world.write("log.parquet", whole, made.rows(40, 1, seed=1))
    assert world.days(world.check(60.2)) == [40]


def test_late_rows_can_clear_what_fired(world, made):
    """A window that looked thin fires, and clears when the rest of it arrives: the votes are those of today."""
    world.model({"name": "thin", "metric": "rows", "below": 20})
    world.write("log.parquet", made.rows(0, 1), made.rows(1, 1).slice(0, 10))
    assert world.check(2)[-1].fired == ("thin",)
    world.write("log.parquet", made.rows(0, 2))
    assert world.check(2.1)[-1].fired == ()
    assert world.said() == ["firing", "cleared"]


def test_without_label_times_labels_count_after_the_delay(world, made):
    """`label_delay` stands in for label_timestamp: no label is known before, and maturity is that age."""
    delay = timedelta(days=3)
    kept = made.rows(-20, 20, label_after=delay).drop_columns(["label_timestamp"])
    world.write("reference.parquet", kept)
    world.write("log.parquet", made.rows(0, 2, label_after=delay).drop_columns(["label_timestamp"]))
    world.model(label_delay="3d", task="regression")
    world.check(2)
    assert [(one.labelled, one.mature) for one in world.snapshots()] == [(0, False), (0, False)]
    world.check(3.5)
    assert [one.labelled for one in world.snapshots()[:2]] == [13, 0]
    world.check(5)
    assert [(one.labelled, one.mature) for one in world.snapshots()[:2]] == [(24, True), (24, True)]


def test_other_rules_judge_the_newest_window_again_at_once(world, made):
    """A changed threshold shows its effect in a revision of the newest window, once; what is the same does nothing."""
    world.write("log.parquet", made.rows(0, 3))
    world.model(made.MANY | {"above": 30})
    assert [v.fired for v in world.check(3)] == [(), (), ()]
    world.model(made.MANY)
    assert [(v.window.start, v.fired) for v in world.check(3.1)] == [(made.START + 2 * made.DAY, ("many",))]
    assert [one.revision for one in world.snapshots()] == [0, 0, 1]
    world.model(made.MANY)
    assert world.check(3.2) == []
    assert world.said() == ["firing"]


def test_other_rules_never_ask_twice_for_one_need(world, made):
    """Whatever threshold is tried on a window, the need that it opened asks once; one below which nothing stands
    takes an unsent request back.
    """
    world.write("log.parquet", made.rows(0, 1))
    for above in (20, 21, 22):
        world.with_retrain(made.MANY | {"action": "retrain", "above": above})
        assert [v.fired for v in world.check(1)] == [("many",)]
    assert len(world.store.requests.all("m")) == 1
    world.with_retrain(made.MANY | {"action": "retrain", "above": 30})
    world.check(1)
    world.with_retrain(made.MANY | {"action": "retrain"})
    world.check(1)
    assert [one.state for one in world.store.requests.all("m")] == ["withdrawn"]
