"""What goes in and does not come out is said: rows without a time, ids that are none, references that vanish."""

from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from monitor.errors import SourceError
from monitor.ledger import unusual
from monitor.reference import reference_data
from monitor.store import Store

LABEL_AFTER = timedelta(hours=1)
GONE = "it takes the rows of the reference, which are no longer in the log"


def without(table, name, rows):
    """The table with nulls in one column, in the rows of a mask."""
    column = pc.if_else(pa.array(rows), pa.scalar(None, table[name].type), table[name])
    return table.set_column(table.column_names.index(name), name, column)


def score(snapshot, metric):
    return next(one for one in snapshot.scores if one.metric == metric)


def test_rows_without_a_timestamp_are_counted_and_alert(world, made):
    """Three of ten rows without a timestamp: used and lost rows add up, and broken-data fires."""
    log = made.rows(0, 3, label_after=LABEL_AFTER, per_day=50)
    lost = np.random.default_rng(0).random(len(log)) < 0.3
    world.write("log.parquet", without(log, "timestamp", lost))
    world.model()
    verdicts = world.check(3.1)
    ledgers = [snapshot.ledger for snapshot in world.snapshots()]
    assert sum(ledger.used for ledger in ledgers) == int((~lost).sum())
    assert sum(ledger.astray for ledger in ledgers) == int(lost.sum()) == ledgers[0].untimed
    assert all(ledger.read == ledger.used + ledger.astray for ledger in ledgers)
    assert score(world.snapshots()[0], "lost_rows_share").status == "breached"
    assert "broken-data" in verdicts[0].fired
    assert any("without a timestamp" in text for text in unusual(ledgers[0]))


def test_a_few_lost_rows_are_said_and_do_not_alert(world, made):
    """One of two hundred rows is below the limit; a lower limit, and a trigger on the share, fire on it."""
    log = made.rows(0, 1, per_day=200)
    world.write("log.parquet", without(log, "timestamp", np.arange(200) == 100))
    world.model()
    assert world.check(1.1)[0].fired == ()
    assert score(world.snapshots()[0], "lost_rows_share").value == 1 / 200
    world.model({"name": "lost", "metric": "lost_rows_share", "above": 0.004, "action": "alert"},
                quality={"lost": 0.004})
    log = made.rows(1, 1, per_day=200)
    world.write("log.parquet", without(log, "timestamp", np.arange(200) == 100))
    assert set(world.check(2.1)[-1].fired) == {"broken-data", "lost"}


@pytest.mark.parametrize("moment", [datetime(1970, 1, 1, tzinfo=UTC), datetime(1900, 1, 1, tzinfo=UTC)])
def test_one_absurd_timestamp_begins_no_reference(world, made, moment):
    """A reference of the first days begins with the log, and not with a row decades before it."""
    log = made.rows(0, 30, label_after=LABEL_AFTER)
    times = pa.array([moment, *log["timestamp"].to_pylist()[1:]], log["timestamp"].type)
    world.write("log.parquet", log.set_column(0, "timestamp", times))
    world.model(reference={"first": "20d"}, since=None)
    world.check(30.1)
    snapshot = world.snapshots()[-1]
    assert world.store.references.current("m").since == made.START + 20 * made.DAY + made.HOUR
    assert (snapshot.rows, snapshot.ledger.apart) == (24, 1)
    assert any("far from all others" in text for text in unusual(snapshot.ledger))


@pytest.mark.parametrize("id", [None, "", "  "])
def test_rows_of_one_day_without_an_id_all_count(world, made, id):
    """Rows that have the day for a timestamp and no id, or a blank one, are no repetitions of each other."""
    log = made.rows(0, 1, label_after=LABEL_AFTER, per_day=50)
    day = pa.array([made.START] * 50, log["timestamp"].type)
    ids = pa.array([id] * 20 + log["id"].to_pylist()[20:], pa.string())
    world.write("log.parquet", log.set_column(0, "timestamp", day).set_column(1, "id", ids))
    world.write("reference.parquet", made.rows(-20, 20, label_after=LABEL_AFTER))
    world.model()
    world.check(2.1)
    snapshot = world.snapshots()[0]
    assert (snapshot.rows, snapshot.ledger.without_id, snapshot.labelled) == (50, 20, 50)
    assert any("without an id" in text for text in unusual(snapshot.ledger))


def test_ids_that_stand_for_many_rows_are_a_loss(world, made):
    """Rows of one id and time that predict different things are no repetitions: the last counts, and it is said."""
    log = made.rows(0, 1, per_day=50)
    day = pa.array([made.START] * 50, log["timestamp"].type)
    ids = pa.array(["unknown"] * 20 + log["id"].to_pylist()[20:])
    world.write("log.parquet", log.set_column(0, "timestamp", day).set_column(1, "id", ids))
    world.model()
    verdicts = world.check(1.1)
    ledger = world.snapshots()[0].ledger
    assert (ledger.read, ledger.used, ledger.contradicting, ledger.repeated) == (50, 31, 19, 0)
    assert "broken-data" in verdicts[0].fired


def test_rows_delivered_twice_are_no_loss(world, made):
    """A log that is written at least once repeats rows: they are counted, left out, and alert nobody."""
    log = made.rows(0, 1, per_day=50)
    world.write("log.parquet", log, log.slice(0, 10))
    world.model()
    assert world.check(1.1)[0].fired == ()
    ledger = world.snapshots()[0].ledger
    assert (ledger.read, ledger.used, ledger.repeated, ledger.contradicting) == (60, 50, 10, 0)


def test_labels_kept_apart_are_accounted_for(world, made):
    """Labels without an id, given twice, contradicting each other, and of rows that do not exist are each counted."""
    log = made.rows(0, 1, label_after=LABEL_AFTER, per_day=50)
    labels = log.select(["id", "label", "label_timestamp"])
    again = labels.slice(0, 3)
    other = again.set_column(1, "label", pa.array([99.0, 99.0, again["label"][2].as_py()]))
    nobody = labels.slice(5, 4).set_column(0, "id", pa.array(["x1", "x2", None, None], pa.string()))
    world.write("labels.parquet", labels, other, nobody)
    world.write("log.parquet", log.drop_columns(["label", "label_timestamp"]))
    world.write("reference.parquet", made.rows(-20, 20, label_after=LABEL_AFTER))
    world.model(labels={"path": str(world.folder / "labels.parquet")})
    world.check(1.2)
    ledger = world.snapshots()[0].ledger
    assert (ledger.labels, ledger.labels_without_id, ledger.labels_repeated) == (57, 2, 3)
    assert (ledger.labels_contradicting, ledger.labels_without_row, ledger.labelled) == (2, 2, 50)
    assert score(world.snapshots()[0], "unmatched_labels_share").value == 2 / 52


def test_every_column_is_used_or_has_its_reason(world, made):
    """The ledger names each column of the log: as what it is used, or why it is not."""
    log = made.rows(0, 1, label_after=LABEL_AFTER, per_day=50)
    log = log.append_column("tags", pa.array([["a"]] * 50)).append_column("seen", log["timestamp"])
    log = log.append_column("new", pa.array(range(50)))
    world.write("log.parquet", log)
    world.write("reference.parquet", made.rows(-20, 20, label_after=LABEL_AFTER))
    world.model()
    world.check(1.2)
    ledger = world.snapshots()[0].ledger
    assert {**ledger.columns, **ledger.left_out}.keys() == set(log.column_names)
    assert ledger.columns["x"] == "numerical"
    assert ledger.left_out["new"] == "the reference has no such column"
    assert ledger.left_out["seen"] == "it holds times"
    assert "list" in ledger.left_out["tags"]


@pytest.fixture
def kept_state(tmp_path):
    """A state in a folder, where something can be kept of a reference."""
    with Store.open(tmp_path / "state") as store:
        yield store


def test_what_is_kept_of_a_reference_that_was_rotated_away_goes_on_judging(world, made, tmp_path):
    """The scores are those that the whole log gives, but for what takes its rows; people are told once, then again."""
    log = made.rows(0, 30, label_after=LABEL_AFTER)
    later = made.rows(30, 2, label_after=LABEL_AFTER, shift=5)
    found, model = {}, {"reference": {"first": "20d"}, "since": None}
    for kept in (False, True):
        with Store.open(tmp_path / f"state-{kept}") as store:
            world.store = store
            world.write("log.parquet", log)
            world.model(**model)
            world.check(30.1)
            world.write("log.parquet", log.slice(20 * 24 if kept else 0), later)
            assert world.days(world.check(31.1)) == [30]
            found[kept] = world.snapshots()[-1]
            if kept:
                gone = {one.trigger: one for one in store.firings.all("m")}["reference-gone"]
                assert gone.firing
                assert "had 480 rows when it was taken, 0 of them are left; windows are compared with" in gone.reason
                world.write("log.parquet", log, later)
                world.check(32.1)
                assert world.said().count("source") == 2
    assert {score for score in found[True].scores if score.reason != GONE} <= set(found[False].scores)
    assert {(one.metric, one.column) for one in found[True].scores} == {
        (one.metric, one.column) for one in found[False].scores}
    assert found[True].reference_id == found[False].reference_id


@pytest.mark.parametrize("change", [
    "driftd", {"task": "regression", "metric": "rmse", "label_delay": "2d"},
    {"triggers": [{"name": "drift", "drifted": True, "windows": "2 of 2"}]},
], ids=str)
def test_it_goes_on_judging_after_an_upgrade_and_with_other_settings(world, made, change, kept_state, monkeypatch):
    """What an earlier version kept is used, and what the new settings ask for is worked out from the answers."""
    world.store = kept_state
    world.write("log.parquet", made.rows(0, 30, label_after=LABEL_AFTER))
    world.model(reference={"first": "20d"}, since=None)
    world.check(30.1)
    if change == "driftd":
        monkeypatch.setattr(reference_data, "__version__", "99.0.0")
    world.model(reference={"first": "20d"}, since=None, **(change if isinstance(change, dict) else {}))
    world.write("log.parquet", made.rows(20, 10, label_after=LABEL_AFTER),
                made.rows(30, 1, label_after=LABEL_AFTER, shift=5))
    world.check(31.1)
    snapshot = world.snapshots()[-1]
    drift = next(one for one in snapshot.scores if one.metric == "drift" and one.column == "x")
    assert (drift.status, score(snapshot, "rmse").status) == ("drifted", "ok")
    assert score(snapshot, "rmse").reference == pytest.approx(1, abs=0.1)
    assert {one.trigger: one.firing for one in world.store.firings.all("m")}["reference-gone"]


def test_a_reference_whose_columns_are_others_judges_nothing_and_says_so(world, made, kept_state):
    """What was kept of columns that are read otherwise now is of no use: one sentence says so, at each check."""
    world.store = kept_state
    world.write("log.parquet", made.rows(0, 30, label_after=LABEL_AFTER))
    world.model(reference={"first": "20d"}, since=None)
    world.check(30.1)
    world.model(reference={"first": "20d"}, since=None, columns={"types": {"x": "category"}})
    world.write("log.parquet", made.rows(20, 11, label_after=LABEL_AFTER))
    with pytest.raises(SourceError, match="480 rows when it was taken, 0 of them are left; nothing is judged"):
        world.check(31.1)
    assert world.said() == ["source"]


def test_a_reference_of_which_nothing_was_kept_is_told_and_nothing_is_judged(world, made):
    """Once the rows of the first days are gone, checks fail with a sentence, and people are told once."""
    log = made.rows(0, 30, label_after=LABEL_AFTER)
    world.write("log.parquet", log)
    world.model(reference={"first": "20d"}, since=None)
    world.check(30.1)
    assert world.store.references.current("m").rows == 20 * 24
    world.write("log.parquet", log.slice(20 * 24), made.rows(30, 1, label_after=LABEL_AFTER, shift=5))
    for _ in range(2):
        with pytest.raises(SourceError, match=r"had 480 rows when it was taken, 0 of them are left"):
            world.check(31.1)
    assert world.said() == ["source"]
    world.write("log.parquet", log.slice(2), made.rows(30, 1, label_after=LABEL_AFTER))     # two rows of 480 are few
    assert world.days(world.check(31.1)) == [30]
