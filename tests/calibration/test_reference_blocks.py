"""The reference divided into windows: a column without values costs no other column its thresholds."""

import logging
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow as pa
import pytest

from monitor.calibration.reference_blocks import calibrate, cut, divide
from monitor.calibration.smallest_shift import noticed
from monitor.config import ModelSection
from monitor.config.column_roles import FeatureKind
from monitor.config.sections import QualitySection
from monitor.config.values import Budget
from monitor.drift.column_scores import TableSide, column_scores
from monitor.records import Score

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


@pytest.mark.parametrize("method", ["wasserstein", "ks", "psi_quantile"])
def test_the_shift_that_is_told_is_seen_in_about_half_of_the_windows(method: str) -> None:
    """Of windows that moved by what `validate` says, 40 to 80 in a hundred are beyond; a column that stays has none."""
    chance = np.random.default_rng(2)
    columns = {
        "x": pa.array(chance.normal(size=8000)), "still": pa.array(np.ones(8000)),
        "word": pa.array(chance.choice(["a", "b", "c"], 8000, p=[0.4, 0.4, 0.2])),
    }
    kinds: dict[str, FeatureKind] = {"x": "numerical", "still": "numerical", "word": "categorical"}
    model = rows_model(200)
    model = model.model_copy(update={"drift": model.drift.model_copy(update={"method": method})})
    hours = pa.chunked_array([pa.array(np.arange(8000) * 3_600_000_000, pa.timestamp("us", "UTC"))])
    divided = divide(model, hours, kinds, {}, lambda name: [columns[name]])
    drift = model.drift.model_copy(update={"false_alarms": Budget(1, divided.pace / 0.05)})
    model = model.model_copy(update={"drift": drift})
    limits, reference = calibrate(model, divided), TableSide(pa.table(columns))
    found = {one.column: one for one in noticed(reference, kinds, limits)}
    assert set(found) == {"x", "word"}
    shift, change = found["x"].shift, found["word"].shift
    assert shift
    assert change
    assert 0.05 < change < 0.3
    seen = 0
    for _ in range(100):
        window = TableSide(pa.table({"x": chance.normal(shift, size=200)}))
        scores = column_scores(reference, window, {"x": "numerical"}, {}, drift, QualitySection(), 5, limits)
        seen += next(score.status == "drifted" for score in scores if score.metric == "drift")
    assert 40 <= seen <= 80


def by_calibrated_limits(change: str, missing: float = 0.0) -> dict[str, Score]:
    """The drift scores of a window of 200 rows in which one thing has changed, beside forty like it."""
    chance = np.random.default_rng(4)

    def made(rows: int) -> dict[str, pa.Array]:
        word, x = chance.choice(["a", "b", "c"], rows, p=[0.3, 0.5, 0.2]), chance.normal(size=rows)
        return {"word": pa.array(word), "x": pa.array(x, mask=chance.uniform(size=rows) < missing)}

    reference, window = made(8000), made(200)
    if change == "new":
        window["word"] = pa.array([*window["word"].to_pylist()[:-2], "d", "d"])
    if change == "missing":
        window["x"] = pa.array(np.arange(200.0) / 60 - 1.7, mask=np.arange(200) % 20 < 3 + 20 * missing)
    model = rows_model(200)
    hours = pa.chunked_array([pa.array(np.arange(8000) * 3_600_000_000, pa.timestamp("us", "UTC"))])
    kinds: dict[str, FeatureKind] = {"word": "categorical", "x": "numerical"}
    divided = divide(model, hours, kinds, {}, lambda name: [reference[name]])
    drift = model.drift.model_copy(update={"false_alarms": Budget(1, divided.pace / 0.05)})
    limits = calibrate(model.model_copy(update={"drift": drift}), divided)
    sides = TableSide(pa.table(reference)), TableSide(pa.table(window))
    found = column_scores(*sides, kinds, {}, model.drift, QualitySection(), 5, limits)
    return {str(score.column): score for score in found if score.metric in ("drift", "drifted_share")}


@pytest.mark.parametrize(("change", "missing", "drifted", "reason"), [
    ("nothing", 0.0, None, None),
    ("nothing", 0.1, None, None),
    ("new", 0.0, "word", "1.0% is in categories that the reference never had"),
    ("missing", 0.0, "x", "15.0% is missing, 0.0% in the reference"),
    ("missing", 0.1, "x", "25.0% is missing, 10."),
])
def test_new_categories_and_missing_values_are_drift(
    change: str, missing: float, drifted: str | None, reason: str | None
) -> None:
    """Two rows of a category never seen, and 15 points more of missing values; the reason names them."""
    found = by_calibrated_limits(change, missing)
    assert [name for name in ("word", "x") if found[name].status == "drifted"] == ([drifted] if drifted else [])
    assert found["None"].status == ("drifted" if drifted else "ok")
    if drifted:
        assert str(found[drifted].reason).startswith(str(reason))
