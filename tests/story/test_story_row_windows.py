"""Windows of so many rows: their boundaries are fixed when they close."""

from itertools import pairwise

import pyarrow as pa
import pytest

FIFTY = {"size": 50, "min_rows": 5}


def _boundaries(world):
    return [(one.window.start, one.window.start_id, one.window.end, one.window.end_id) for one in world.snapshots()]


@pytest.mark.parametrize("with_id", [True, False])
def test_windows_hold_exactly_so_many_rows_whenever_we_look(world, made, with_id):
    """A growing log is cut as it would be at one look; what is left over waits for more rows."""
    whole = made.rows(0, 10) if with_id else made.rows(0, 10).drop_columns(["id"])
    if not with_id:
        world.write("reference.parquet", made.rows(-20, 20).drop_columns(["id"]))
    world.model(window=FIFTY)
    for count in (30, 70, 99, 100, 180, 240):
        world.write("log.parquet", whole.slice(0, count))
        world.check(count / 24)
    assert [(one.rows, one.revision) for one in world.snapshots()] == [(50, 0)] * 4
    ends = [one.window.end for one in world.snapshots()]
    assert ends == [whole["timestamp"][i].as_py() for i in (49, 99, 149, 199)]


def test_a_late_row_moves_no_boundary(world, made):
    """It belongs to the window its time lies in, which is measured again; the next windows stay where they are."""
    whole = made.rows(0, 10)
    world.model(window=FIFTY)
    world.write("log.parquet", whole.slice(0, 20), whole.slice(21, 130))
    world.check(7)
    before = _boundaries(world)
    world.write("log.parquet", whole)
    world.check(10)
    assert _boundaries(world)[: len(before)] == before
    assert [(one.rows, one.late, one.revision) for one in world.snapshots()][:3] == [(51, 1, 1), (50, 0, 0), (50, 0, 0)]


@pytest.mark.parametrize("with_id", [True, False])
def test_rows_of_one_moment_are_divided_by_their_ids(world, made, with_id):
    """A batch scored at one timestamp spans windows; every row is in exactly one of them."""
    batches = []
    for day in range(5):
        moment = pa.array([made.START + day * made.DAY] * 70, pa.timestamp("us", "UTC"))
        batches.append(made.rows(day, 1, per_day=70, seed=day).set_column(0, "timestamp", moment))
    tables = batches if with_id else [one.drop_columns(["id"]) for one in batches]
    reference = made.rows(-20, 20) if with_id else made.rows(-20, 20).drop_columns(["id"])
    world.write("reference.parquet", reference)
    world.model(window=FIFTY)
    for day in range(5):
        world.write("log.parquet", *tables[: day + 1])
        world.check(day + 0.5)
    assert [(one.rows, one.revision) for one in world.snapshots()] == [(50, 0)] * 7
    edges = _boundaries(world)
    assert all(a[2:] == b[:2] for a, b in pairwise(edges))


def test_rows_that_cannot_be_told_apart_stay_together(world, made):
    """Without an id the same row twice has one key: it is never divided, and never lost."""
    one = made.rows(0, 1, per_day=30).drop_columns(["id"])
    world.write("reference.parquet", made.rows(-20, 20).drop_columns(["id"]))
    world.write("log.parquet", *[one.slice(i, 1) for i in range(30) for _ in range(3)])
    world.model(window=FIFTY)
    world.check(2)
    assert [snapshot.rows for snapshot in world.snapshots()] == [51]


def test_a_row_window_waits_out_its_lateness(world, made):
    """Its last row must be that old before it closes."""
    world.write("log.parquet", made.rows(0, 4))
    world.model(window=FIFTY | {"lateness": "2h"})
    last = 49 / 24
    assert world.check(last + 1.9 / 24) == []
    assert len(world.check(last + 2 / 24)) == 1


def test_the_first_start_looks_at_the_newest_full_window(world, made):
    """Rows are counted from the log's first one; only the newest full window is checked."""
    world.write("log.parquet", made.rows(0, 10))
    world.model(window=FIFTY, since=None)
    assert len(world.check(10)) == 1
    assert world.snapshots()[0].window.end == made.rows(0, 10)["timestamp"][199].as_py()


def test_maturity_brings_a_revision_of_row_windows_too(world, made):
    """Nothing about revisions depends on how windows are cut."""
    world.write("reference.parquet", made.rows(-20, 20, label_after=2 * made.DAY))
    world.write("log.parquet", made.rows(0, 5, label_after=2 * made.DAY))
    world.model(window=FIFTY, task="regression")
    world.check(3)
    world.check(9)
    assert [(one.revision, one.mature, one.labelled) for one in world.snapshots()] == [(1, True, 50), (0, True, 50)]
