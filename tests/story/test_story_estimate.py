"""What is known of a model before its labels come, and how it is believed once they have."""

from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest

from monitor.backtest.replay import backtest
from monitor.config import ModelSection

ELEC2 = Path(__file__).resolve().parents[2] / "../shared/data/elec2"
WORSE = {"name": "worse", "metric": "estimated_accuracy", "drop": "10%"}


def _answers(made, first, days, *, unsure=False, per_day=200):
    """A calibrated model: sure of itself, or unsure where the inputs have become hard. Labels take five days."""
    count = days * per_day
    chance = np.random.default_rng(first + 1000)
    at = [made.START + first * made.DAY + row * made.DAY / per_day for row in range(count)]
    sure = chance.uniform(0.0, 0.05, count) if not unsure else chance.uniform(0.2, 0.5, count)
    proba = np.where(chance.random(count) < 0.5, sure, 1 - sure)
    moments = pa.timestamp("us", "UTC")
    return pa.table({
        "timestamp": pa.array(at, moments),
        "id": [f"{first}-{row}" for row in range(count)],
        "x": proba,
        "prediction": (proba > 0.5).astype(int),
        "prediction_proba": proba,
        "label": (chance.random(count) < proba).astype(int),
        "label_timestamp": pa.array([moment + 5 * made.DAY for moment in at], moments),
    })


def _score(snapshot, metric):
    return next(one for one in snapshot.scores if one.metric == metric)


@pytest.fixture
def hard(world, made):
    """Twenty easy days of reference, six easy days of log, then six hard ones."""
    world.write("reference.parquet", _answers(made, -30, 20))
    world.write("log.parquet", _answers(made, 0, 6), _answers(made, 6, 6, unsure=True))
    return world


def test_a_fall_is_seen_days_before_the_labels_and_called_unvalidated(hard):
    """The first hard day alerts at its end, without a label; nobody has proven the estimate yet, and it says so."""
    hard.model(WORSE)
    last = [hard.check(day) for day in range(1, 8)][-1][-1]
    assert (last.action, last.fired) == ("alert", ("worse",))
    assert any("unvalidated" in sentence and "estimated_accuracy" in sentence for sentence in last.reasons)
    newest = hard.snapshots()[-1]
    assert newest.labelled == 0
    assert _score(newest, "estimated_accuracy").value == pytest.approx(0.65, abs=0.05)
    assert _score(newest, "accuracy").status == "insufficient"


def test_once_the_labels_have_come_the_estimate_is_believed(hard):
    """Twelve mature windows later the skill stands beside it."""
    hard.model(WORSE)
    for day in range(1, 18):
        hard.check(day)
    skill = _score(hard.snapshots()[-1], "estimate_skill")
    assert (skill.method, skill.n) == ("accuracy", 12)
    assert skill.value > 0.7
    assert "unvalidated" not in skill.reason


def test_switched_off_nothing_is_fitted(hard):
    """Where the data may not be used for fitting there are no estimates."""
    hard.model(estimation={"enabled": False})
    hard.check(1)
    assert not [s for s in hard.snapshots()[0].scores if s.metric.startswith("estimate")]


@pytest.mark.skipif(not ELEC2.is_dir(), reason="the elec2 data are not here")
def test_on_elec2_the_product_says_that_the_estimate_is_worse_than_a_constant(made):
    """The relation of inputs and price changes there, which no estimate can see: its skill is negative."""
    section = ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(ELEC2 / "production.parquet")},
        "reference": {"source": {"path": str(ELEC2 / "reference.parquet")}}, "rehearsal": {"enabled": False},
        "window": {"size": "28d", "lateness": "2d"},     # by then every label is known
        "triggers": [{"name": "worse", "metric": "estimated_roc_auc", "below": 0.99}],
    })
    told = backtest(made.loaded(section), "m", made.Here()).verdicts
    assert {one.action for one in told} == {"alert"}
    assert all("unvalidated" in " ".join(one.reasons) for one in told)
    assert "unvalidated: skill -" in " ".join(told[-1].reasons)
