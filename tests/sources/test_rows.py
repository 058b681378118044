from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pytest

from monitor.errors import SourceError
from monitor.sources.ids import join_labels, row_ids, sample


def test_the_newest_label_wins_and_every_row_keeps_its_place() -> None:
    """Repeated ids share a label, ids without a label get null, and text ids match number ids."""
    log = pa.table({"id": [3, 1, 2, 1, None], "x": [0, 1, 2, 3, 4]})
    times = [datetime(2026, 1, day, tzinfo=UTC) for day in (5, 9, 7, 8)]
    labels = pa.table({"id": ["1", "1", "1", "2"], "y": [0, 1, 0, None], "known": times})
    joined = join_labels(log, labels, "id", "y", "known")
    assert joined["x"].to_pylist() == [0, 1, 2, 3, 4]
    assert joined["y"].to_pylist() == [None, 1, None, 1, None]
    assert joined["known"].to_pylist() == [None, times[1], None, times[1], None]


def test_without_times_the_last_label_wins_and_replaces_the_logs_own() -> None:
    """A label of the separate source replaces the log's own."""
    joined = join_labels(pa.table({"id": ["a"], "y": [7]}), pa.table({"y": [1, 2], "id": ["a", "a"]}), "id", "y", None)
    assert joined.to_pydict() == {"id": ["a"], "y": [2]}


def test_no_labels_yet_is_null_everywhere() -> None:
    """An empty labels file gives null labels; one without the label column is an error."""
    log = pa.table({"id": ["a"]})
    empty = pa.table({"id": pa.array([], pa.null()), "y": pa.array([], pa.null())})
    assert join_labels(log, empty, "id", "y", None)["y"].to_pylist() == [None]
    with pytest.raises(SourceError, match="the labels: has no column y"):
        join_labels(log, pa.table({"id": ["a"]}), "id", "y", None)


def test_ids_are_text_whatever_their_type() -> None:
    """17, 17.0 and "17" are the same id; a row without an id gets the hash of the row."""
    expected = ["17", "9007199254740993"]
    assert row_ids(pa.table({"id": [17, 9007199254740993]}), "id").to_pylist() == expected
    found = row_ids(pa.table({"id": [17.0, None], "x": [1, 2]}), "id").to_pylist()
    assert found[0] == "17"
    assert len(found[1]) == 16
    with pytest.raises(SourceError, match="the id column key is missing"):
        row_ids(pa.table({"id": [1]}), "key")


def test_a_rows_hash_depends_on_its_values_only() -> None:
    """Column order, row order and a file's choice of number type do not matter; values and names do."""
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    table = pa.table({"a": [1, 2], "b": ["x", None], "t": [moment, moment]})
    other = pa.table({"t": [moment, moment], "b": ["x", None], "a": [1.0, 2.0]})
    ids = row_ids(table, None).to_pylist()
    assert row_ids(other, None).to_pylist() == ids
    assert row_ids(table.take([1, 0]), None).to_pylist() == ids[::-1]
    changed: list[Any] = [
        table.set_column(0, "a", [[1, 3]]),
        table.set_column(1, "b", [["x", ""]]),
        table.rename_columns(["b", "a", "t"]),
        table.set_column(2, "t", [[moment, moment + timedelta(microseconds=1)]]),
    ]
    assert len({row_ids(one, None)[1].as_py() for one in [table, *changed]}) == 5


def test_a_hash_is_the_same_tomorrow_and_elsewhere() -> None:
    """The state stores ids as window boundaries, so the hash must never change."""
    table = pa.table({"a": [1.5, None], "b": ["é", None], "c": [True, False]})
    assert row_ids(table, None).to_pylist() == ["e818319f2f5c80eb", "592cab3610277b32"]


def test_hashes_of_many_rows_differ() -> None:
    """A hundred thousand rows of a few values each have a hundred thousand ids."""
    n = np.arange(100_000)
    table = pa.table({"a": n % 317, "b": n // 317, "c": pa.array([str(v % 7) for v in n])})
    assert len(set(row_ids(table, None).to_pylist())) == 100_000


def test_a_sample_keeps_the_same_rows_whatever_else_is_there() -> None:
    """A smaller sample is a subset of a larger one, and does not depend on the other rows."""
    ids = pa.array([f"row-{n}" for n in range(20_000)])
    large, small = sample(ids, 5000), sample(ids, 1000)
    half = sample(ids.slice(0, 10_000), 2600)
    assert 0 < small.sum() <= 1000
    assert small.sum() < large.sum() <= 5000
    assert not (small & ~large).any()
    assert half.tolist() == large[:10_000].tolist()


def test_a_sample_of_few_rows_is_all_of_them() -> None:
    """A window with few enough rows is its own sample."""
    assert sample(pa.array(["a"]), 1).tolist() == [True]
