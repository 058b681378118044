"""The shared data sets through the backtest: what it says of them is what is known of them."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from monitor.backtest.replay import backtest

DATA = Path(__file__).resolve().parents[2] / "../shared/data"


def _play(world, made, name, *triggers, **given):
    folder = DATA / name
    if not folder.is_dir():
        pytest.skip(f"the shared data set {name} is not here")
    world.model(
        *triggers, since=None, predictions={"path": str(folder / "production.parquet")},
        reference={"source": {"path": str(folder / "reference.parquet")}}, **given,
    )
    return backtest(made.loaded(world.section), "m", made.Here())


def _last_verdicts(result):
    """The newest verdict on each window, in the windows' order."""
    newest = {one.window: one for one in result.verdicts}
    return [newest[window] for window in sorted(newest, key=lambda one: (one.start, one.start_id))]


def test_car_loan_drifts_from_its_documented_middle_on(world, made):
    """Ten windows of 5,000 rows: the first five are quiet, the last five drift, and ask after accuracy fell."""
    falls = {"name": "falls", "metric": "roc_auc", "drop": 0.005, "action": "retrain"}
    drifts = {"name": "drift", "metric": "drift", "column": "salary_range", "drifted": True}
    fixed = {"threshold": "evidently"}      # a calibrated one alarms as often as stated: once in three such months
    result = _play(world, made, "car_loan", falls, drifts, window={"size": 5000}, drift=fixed)
    fired = [set(one.fired) for one in _last_verdicts(result)]
    assert len(fired) == 10
    assert not any("drift" in one for one in fired[:5])
    assert all("drift" in one for one in fired[5:])
    asked = [one.window for one in result.retrains if not one.suppressed_by]
    assert asked
    assert min(one.start for one in asked) >= _last_verdicts(result)[5].window.start


def test_flights_are_watched_as_their_labels_come(world, made):
    """Every four weeks are seen once provisional and once mature; nothing is broken but the last days' weather."""
    result = _play(world, made, "flights_nyc13", {"name": "drift", "metric": "drifted_share", "drifted": True},
                   window={"size": "28d"}, metric="roc_auc")
    seen = _last_verdicts(result)
    assert [one.revision for one in seen] == [1] * 10        # the log ends within the eleventh
    assert not any("broken-data" in one.fired for one in seen[:-1])
    assert result.retrains == ()


def test_rentals_grow_beyond_what_the_model_can_see(world, made):
    """Bike sharing: the error rises against the reference for most of the second year."""
    rises = {"name": "rises", "metric": "mae", "rise": "30%"}
    result = _play(world, made, "bike_sharing", rises, window={"size": "28d"}, metric="mae")
    later = [one for one in _last_verdicts(result) if one.window.start.year == 2012]
    assert sum("rises" in one.fired for one in later) > len(later) / 2


def test_electricity_changes_after_its_constant_columns_end(world, made):
    """elec2: the columns that were constant before drift once the market opened, not before."""
    result = _play(world, made, "elec2", {"name": "transfer", "metric": "drift", "column": "transfer", "drifted": True},
                   window={"size": "56d"})
    opened = datetime(1997, 5, 5, tzinfo=UTC)
    for one in _last_verdicts(result):
        assert ("transfer" in one.fired) == (one.window.end > opened)
