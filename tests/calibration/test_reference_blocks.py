"""The reference divided into windows: a column without values costs no other column its thresholds."""

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from monitor.calibration.reference_blocks import divide
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
