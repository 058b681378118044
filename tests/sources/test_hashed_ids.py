"""Repeated ids are found by 64 bits of each, and ids of a Parquet log stay on disk where none is repeated."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import ModelSection
from monitor.records import Window
from monitor.reference.role_evidence import log_roles
from monitor.sources.hashed_ids import all_differ, hash_ids
from monitor.sources.log import Log

NOW = datetime(2026, 3, 8, tzinfo=UTC)
TEXTS = st.text(st.sampled_from("ab é\0"), max_size=20).map("a".__add__) | st.integers(1020, 1030).map("x".__mul__)


@settings(deadline=None)
@given(st.lists(st.tuples(TEXTS, st.integers(0, 2)), max_size=30), st.booleans())
def test_repeated_rows_are_found_as_a_set_finds_them(rows: list[tuple[str, int]], encoded: bool) -> None:
    """Whatever their length and letters, ids differ exactly where the texts with their times do."""
    ids = pa.array([text for text, _ in rows], pa.string())
    times = pa.chunked_array([pa.array([at for _, at in rows], pa.timestamp("us", "UTC"))])
    column = pa.chunked_array([ids.dictionary_encode() if encoded else ids])
    assert all_differ([column], times) is (len(set(rows)) == len(rows))
    assert len(set(hash_ids(column.chunk(0)).tolist())) == len({text for text, _ in rows})


@pytest.mark.parametrize("odd", ["", " ", " a", None])
def test_rows_without_an_id_are_looked_at_closely(odd: str | None) -> None:
    """Missing and blank ids are no ids, so they are never said to differ."""
    times = pa.chunked_array([pa.array([1, 2], pa.timestamp("us", "UTC"))])
    assert not all_differ([pa.chunked_array([pa.array(["a", odd])])], times)


def test_hashes_are_the_same_tomorrow_and_in_any_part_of_an_array() -> None:
    """Samples are drawn by them, so they must never change; a slice has the hashes of its rows."""
    ids = pa.array(["a", "row-17", "ü" * 9, "é"])
    assert [f"{hash:016x}" for hash in hash_ids(ids)] == [
        "5e025f9ade9eaf3e", "5338f3458be9454d", "b4267f2e1e11dbf1", "a97db34df00033e7",
    ]
    assert hash_ids(ids.slice(1, 2)).tolist() == hash_ids(ids)[1:3].tolist()


@pytest.mark.parametrize(("repeated", "blank"), [(0, 0), (3, 0), (0, 2), (3, 2)])
def test_a_window_counts_the_same_whether_ids_are_in_memory(tmp_path: Path, repeated: int, blank: int) -> None:
    """Rows, repeated rows and rows without an id are the same from Parquet as from CSV; a sample has the same rows."""
    rows = 500
    ids = [f"row-{number}" for number in range(rows)]
    ids[:blank] = [""] * blank
    places = [*range(rows), *range(100, 100 + repeated)]
    start = NOW - timedelta(days=7)
    table = pa.table({
        "id": ids, "timestamp": [start + timedelta(minutes=number) for number in range(rows)],
        "x": np.arange(rows) / 7, "prediction": np.arange(rows) % 2, "label": np.arange(rows) % 2,
    }).take(places)
    pq.write_table(table, tmp_path / "log.parquet", row_group_size=200)
    table.to_pandas().to_csv(tmp_path / "log.csv", index=False)
    found = []
    for name in ("log.parquet", "log.csv"):
        model = ModelSection.model_validate({
            "name": "m", "predictions": {"path": str(tmp_path / name)},
            "reference": {"source": {"path": str(tmp_path / name)}},
        })
        roles = log_roles(model, None)
        window = Log(model, roles, NOW).window(Window(model="m", start=start, end=NOW, spec=""))
        drawn = window.drawn(50, roles).table
        assert window.ledger is not None
        assert ("id" in window.table.column_names) is (name.endswith("csv") or bool(repeated or blank))
        found.append((window.ledger, len(window.table), drawn["x"].to_pylist()))
    assert found[0] == found[1]
    assert found[0][0].repeated == repeated
    assert found[0][0].without_id == blank
