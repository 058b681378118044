"""Labels that live apart, come late or are corrected; ids that repeat; samples."""

from datetime import datetime

import pyarrow as pa
import pyarrow.csv
import pytest

from monitor.reference.reference_data import load_reference


def _apart(world, made, answers):
    """Labels in a CSV of their own: (row, value, day it became known)."""
    log = world.rows_written
    table = pa.table({
        "id": [log["id"][row].as_py() for row, _, _ in answers],
        "label": [float(value) for _, value, _ in answers],
        "label_timestamp": [(made.START + day * made.DAY).isoformat() for _, _, day in answers],
    })
    pyarrow.csv.write_csv(table, world.folder / "labels.csv")


def _with_labels_apart(world, made, days=2):
    world.write("reference.parquet", made.rows(-20, 20, label_after=3 * made.DAY))
    world.rows_written = made.rows(0, days)
    world.write("log.parquet", world.rows_written)
    world.model(
        labels={"path": str(world.folder / "labels.csv")}, task="regression", metric="mae", since=made.START
    )


def _mae(snapshot):
    return next(one for one in snapshot.scores if one.metric == "mae")


def test_labels_in_a_place_of_their_own_are_joined_on_the_id(world, made):
    """Each row gets its own label, whatever the order; a label without a row is no matter."""
    _with_labels_apart(world, made)
    predicted = world.rows_written["prediction"].to_pylist()
    _apart(world, made, [(row, predicted[row] + 3, 1.5) for row in reversed(range(24))])
    world.check(2)
    first, second = world.snapshots()
    assert (first.labelled, second.labelled) == (24, 0)
    assert round(_mae(first).value, 4) == 3


def test_a_correction_does_not_leak_from_the_future(world, made):
    """A check sees the label as it stood then; the correction comes with the revision after it."""
    _with_labels_apart(world, made)
    predicted = world.rows_written["prediction"].to_pylist()
    first = [(row, predicted[row] + 3, 0.9 if row < 20 else 3.5) for row in range(24)]
    _apart(world, made, [*first, *[(row, predicted[row] + 9, 2.5) for row in range(20)]])
    seen = []
    for day in (1, 2, 4):
        world.check(day)
        seen.append((world.snapshots()[0].labelled, round(_mae(world.snapshots()[0]).value, 4)))
    assert seen == [(20, 3), (20, 3), (24, 8)]


def test_labels_that_are_not_there_yet_are_no_failure(world, made):
    """An empty place of labels means that nothing is known yet."""
    _with_labels_apart(world, made)
    (world.folder / "labels.csv").write_text("id,label,label_timestamp\n")
    world.check(1)
    (one,) = world.snapshots()
    assert (one.status, one.labelled, _mae(one).status) == ("ok", 0, "insufficient")


@pytest.mark.parametrize(("undated", "labelled"), [
    (lambda hour: True, 19), (lambda hour: hour >= 12, 12 + 7), (lambda hour: hour % 2 == 0, 12 + 10),
], ids=["all", "half", "every other"])
def test_labels_without_a_time_of_their_own_count_by_the_delay(world, made, undated, labelled):
    """A row whose label has no time is labelled `label_delay` after it, the others as they say; a sentence says so."""
    def written(first, days):
        rows = made.rows(first, days, label_after=made.HOUR)
        known = rows["label_timestamp"].to_pylist()
        times = [None if undated(at % 24) else one for at, one in enumerate(known)]
        return rows.set_column(rows.schema.get_field_index("label_timestamp"), "label_timestamp",
                               pa.array(times, pa.timestamp("us", "UTC")))

    world.write("reference.parquet", written(-20, 20))
    world.write("log.parquet", written(0, 1))
    section = world.model(task="regression", metric="mae", label_delay="6h")
    world.check(1)
    (one,) = world.snapshots()
    assert (one.labelled, _mae(one).status) == (labelled, "ok")
    said = load_reference(section, made.START, None, None).said
    assert any("labels of the reference have no label_timestamp: each counts from label_delay (6h)" in text
               for text in said)


def test_a_row_written_twice_counts_once(world, made):
    """Logging at least once repeats rows; the last writing of the same id and time stands."""
    day = made.rows(0, 1, label_after=made.HOUR)
    again = day.slice(10, 5).set_column(day.schema.get_field_index("x"), "x", pa.array([100.0] * 5))
    world.write("reference.parquet", made.rows(-20, 20, label_after=made.HOUR))
    world.write("log.parquet", day, again)
    world.model(task="regression")
    world.check(2)
    newest = world.snapshots()[0]
    assert (newest.rows, newest.labelled) == (24, 24)
    outside = next(s for s in newest.scores if (s.metric, s.column) == ("out_of_range_share", "x"))
    assert outside.value >= 5 / 24


def test_the_same_id_at_another_time_is_another_row(world, made):
    """Ids that begin again every day divide nothing."""
    day = made.rows(0, 1)
    later = made.rows(1, 1).set_column(1, "id", day["id"])
    world.write("log.parquet", day, later)
    world.model()
    world.check(2)
    assert [one.rows for one in world.snapshots()] == [24, 24]


def test_a_sample_is_reported(world, made):
    """Drift is judged on part of the rows, and the snapshot says on how much; counts are of all rows."""
    world.write("log.parquet", made.rows(0, 1, per_day=480))
    world.model(window=made.DAILY | {"sample": 200})
    world.check(1)
    (one,) = world.snapshots()
    assert one.rows == 480
    assert 0.1 < one.sampled < 1
    drift = next(s for s in one.scores if (s.metric, s.column) == ("drift", "x"))
    assert drift.n == round(one.sampled * 480)


def test_without_sampling_all_rows_are_read(world, made):
    """Sampling is off by default."""
    world.write("log.parquet", made.rows(0, 1))
    world.model()
    world.check(1)
    assert world.snapshots()[0].sampled == 1.0


def test_rows_from_the_future_do_not_exist_yet(world, made):
    """A log that runs ahead of the clock is seen up to now."""
    world.write("log.parquet", made.rows(0, 30))
    world.model()
    assert len(world.check(2.5)) == 2
    survey_newest = max(one.window.end for one in world.snapshots())
    assert survey_newest <= datetime.fromisoformat("2024-01-03T12:00:00+00:00")
