"""The reference divided into windows: a column without values costs no other column its thresholds."""

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from monitor.calibration.reference_blocks import cut, divide
from monitor.config import ModelSection
from monitor.config.column_roles import FeatureKind

EMPTY = {
    "null": pa.nulls(400),
    "null numbers": pa.nulls(400, pa.float64()),
    "not a number": pa.array(np.full(400, np.nan)),
    "null words": pa.nulls(400, pa.string()),
}


@pytest.mark.parametrize("kind", ["numerical", "categorical"])
@pytest.mark.parametrize("empty", EMPTY)
def test_a_column_without_values(empty: str, kind: FeatureKind, caplog: pytest.LogCaptureFixture) -> None:
    """A reference column of nothing but missing values is not calibrated, in words, and without a traceback."""
    begin = datetime(2026, 1, 1, tzinfo=UTC)
    times = pa.chunked_array([pa.array([begin + timedelta(hours=at) for at in range(400)], pa.timestamp("us", "UTC"))])
    place = {"path": "unread.csv"}
    model = ModelSection.model_validate({
        "name": "m", "predictions": place, "reference": {"source": place}, "window": {"size": "1d", "min_rows": 5},
    })
    values = {"x": pa.array(np.arange(400.0)), "empty": EMPTY[empty]}
    with caplog.at_level(logging.WARNING):
        made = divide(model, times, {"x": "numerical", "empty": kind}, {}, lambda name: [values[name]])
    assert set(made.blocks) == {"x"}
    assert "in the reference" in made.lack["empty"]
    assert not caplog.records


def rows_model(size: int | str) -> ModelSection:
    place = {"path": "unread.csv"}
    return ModelSection.model_validate({
        "name": "m", "predictions": place, "reference": {"source": place}, "window": {"size": size, "min_rows": 5},
    })


def test_windows_that_count_rows_are_cut_by_time_wherever_the_rows_stand() -> None:
    """250 shuffled rows in windows of 100: the oldest hundred, the next, and fifty in none; the pace is theirs."""
    order = np.random.default_rng(0).permutation(250)
    moments = order * 3_600_000_000                              # an hour between rows, in microseconds
    windows, block = cut(rows_model(100), moments)
    assert len(windows) == 2
    assert (block == np.where(order < 200, order // 100, -1)).all()
    assert windows[0].start == datetime(1970, 1, 1, tzinfo=UTC)
    assert windows[0].end == windows[1].start == datetime(1970, 1, 1, tzinfo=UTC) + timedelta(hours=100)
    times = pa.chunked_array([pa.array(moments, pa.timestamp("us", "UTC"))])
    values = {"x": pa.array(order * 1.0), "word": pa.array(["?"] * 250)}
    made = divide(rows_model(100), times, {"x": "numerical", "gone": "numerical"}, {}, lambda name: (
        [values[name]] if name in values else None))
    assert made.pace == timedelta(hours=249) * 100 / 250
    assert set(made.metrics) == {"x", "gone"}
    assert set(made.blocks) == {"x"}


def test_a_reference_without_rows_has_no_windows() -> None:
    """Whatever the windows are counted by."""
    for size in (100, "1d"):
        windows, block = cut(rows_model(size), np.array([], np.int64))
        assert (windows, len(block)) == ([], 0)
