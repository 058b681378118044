"""Performance without labels, held to NannyML's recorded figures; what cannot be estimated says so."""

import json
import warnings
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest
from scipy.stats import beta
from sklearn.isotonic import IsotonicRegression
from threadpoolctl import threadpool_limits

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.estimation.cbpe_and_dle import row_losses
from monitor.estimation.estimators import Estimator, estimate_scores, fit_estimator
from monitor.metric_catalogue import estimable, performance_of
from monitor.performance.labelled_rows import Answers
from monitor.performance.performance_scores import ReferenceMetrics, performance_scores
from monitor.records import Score

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
BINARY = Roles("timestamp", None, "prediction", "chance", "label", None, None, {})
CHUNK = 5000


def chunks(table: pa.Table) -> list[pa.Table]:
    return [table.slice(at, CHUNK) for at in range(0, len(table), CHUNK)]


def by_metric(scores: list[Score]) -> dict[str, Score]:
    return {score.metric.removeprefix("estimated_"): score for score in scores}


def binary(rows: int, seed: int, power: float = 1.0) -> pa.Table:
    """Labels that come true as often as `chance ** power` says; `power` 1 is a calibrated model."""
    generator = np.random.default_rng(seed)
    chance = beta.rvs(2, 2, size=rows, random_state=generator)
    label = (generator.random(rows) < chance**power).astype(int)
    return pa.table({"prediction": (chance > 0.5).astype(int), "chance": chance, "label": label})


def fit(reference: pa.Table, *metrics: str, windows: int = 5) -> Estimator:
    size = len(reference) // windows
    blocks = [reference.slice(at * size, size) for at in range(windows)]
    return fit_estimator(reference, BINARY, "binary", metrics or performance_of("binary"), blocks)


@pytest.mark.skipif(not (DATA / "car_loan").is_dir(), reason="the car_loan data are not here")
def test_cbpe_is_nannymls() -> None:
    """On car_loan every metric NannyML estimates, its sampling error, its threshold and its alerts agree."""
    roles = Roles("timestamp", None, "prediction", "prediction_proba", "label", None, None, {})
    reference = pq.read_table(DATA / "car_loan/reference.parquet")
    estimator = fit_estimator(reference, roles, "binary", performance_of("binary"), chunks(reference))
    recorded = json.loads((DATA / "oracle/nannyml_car_loan.json").read_text())["cbpe"]
    analysed = [row for row in recorded if row["chunk.period"] == "analysis"]
    alerts, compared = [], set()
    for place, (row, window) in enumerate(
        zip(analysed, chunks(pq.read_table(DATA / "car_loan/production.parquet")), strict=True)
    ):
        found = by_metric(estimate_scores(estimator, window.drop_columns(["label", "label_timestamp"])))
        for name, score in found.items():
            if f"{name}.value" in row:
                error = (score.value - score.low) / 1.96
                assert score.value == pytest.approx(row[f"{name}.value"], abs=1e-3), (name, place)
                assert error == pytest.approx(row[f"{name}.sampling_error"], abs=1e-3), (name, place)
                assert score.threshold == pytest.approx(row[f"{name}.lower_threshold"], abs=1e-9), (name, place)
                assert (score.status == "drifted") == row[f"{name}.alert"], (name, place)
                compared.add(name)
        alerts += [place] if found["roc_auc"].status == "drifted" else []
    assert compared == {"roc_auc", "f1", "precision", "recall", "specificity", "accuracy", "average_precision"}
    documented = json.loads((DATA / "oracle/nannyml_car_loan_documented.json").read_text())
    assert alerts == documented["alert_chunks_cbpe"] == [5, 6, 7, 8, 9]


def test_a_calibrated_model_is_estimated_well_without_its_labels() -> None:
    """Where the chances are true, every metric's estimate is about what the labels say later."""
    estimator = fit(binary(6000, 2))
    window = binary(4000, 102)
    estimates = by_metric(estimate_scores(estimator, window.drop_columns(["label"])))
    own = ReferenceMetrics(lambda: window, BINARY, "binary")
    realised = {s.metric: s for s in performance_scores(own, window, "roc_auc", False)}
    assert estimates.keys() == realised.keys()
    for name, score in estimates.items():
        assert (score.method, score.n) == ("cbpe", 4000)
        assert score.low < score.value < score.high
        assert score.value == pytest.approx(realised[name].value, abs=0.04), name


def test_chances_that_are_not_true_are_calibrated_on_the_reference() -> None:
    """A model that overstates its chances is put right: the estimated log loss, accuracy and Brier score agree."""
    estimator = fit(binary(8000, 2, power=3), "accuracy", "brier")
    window = binary(8000, 3, power=3)
    found = by_metric(estimate_scores(estimator, window))
    said, label = window["prediction"].to_numpy(), window["label"].to_numpy()
    assert found["accuracy"].value == pytest.approx(np.mean(said == label), abs=0.015)
    assert found["brier"].value == pytest.approx(np.mean((window["chance"].to_numpy() - label) ** 2), abs=0.01)


def test_labels_of_the_window_are_not_looked_at() -> None:
    """The estimate is the same whatever the window's labels say, or where there are none."""
    estimator, window = fit(binary(2000, 4)), binary(500, 5)
    turned = window.set_column(2, "label", pa.array(1 - window["label"].to_numpy()))
    assert estimate_scores(estimator, window) == estimate_scores(estimator, turned)
    assert estimate_scores(estimator, window) == estimate_scores(estimator, window.drop_columns(["label"]))


def test_what_is_said_of_the_reference_is_cross_fitted() -> None:
    """Each fifth of the reference is judged by what the other four say of its chances, never by its own labels."""
    reference = binary(1000, 6, power=3)
    label, chance, said = (reference[name].to_numpy() for name in ("label", "chance", "prediction"))
    calibrated = np.empty(1000)
    for fold in np.arange(1000).reshape(5, 200):
        rest = np.setdiff1d(np.arange(1000), fold)
        calibrated[fold] = IsotonicRegression(out_of_bounds="clip").fit(chance[rest], label[rest]).predict(chance[fold])
    found = by_metric(estimate_scores(fit(reference, "accuracy"), reference))["accuracy"]
    assert found.reference == pytest.approx(np.mean(np.where(said == 1, calibrated, 1 - calibrated)))
    assert found.reference != pytest.approx(found.value, abs=1e-6)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda t: t.slice(0, 150), "150 labelled rows, an estimate needs 200"),
        (lambda t: t.drop_columns(["chance"]), "needs a probability column"),
        (lambda t: t.set_column(2, "label", pa.array([1] * len(t))), "needs labels of two classes"),
        (lambda t: t.set_column(2, "label", pa.array([0] * 3 + [1] * 397)), "10 labelled rows of each class"),
        (lambda t: t.set_column(1, "chance", pc.multiply(pc.subtract(t["label"], 0.5), 9.0)),
         "probabilities between 0 and 1"),          # a score that tells all rows apart needs no calibration
    ],
)
def test_a_reference_that_does_not_do_says_why(change: Any, said: str) -> None:
    """Too few labels, no probability, one class: one sentence instead of a number."""
    with pytest.raises(CannotJudge, match=said):
        fit(change(binary(400, 7)))


def test_a_window_that_does_not_do_is_insufficient() -> None:
    """No row with a probability, no such column: every estimate says so, none fails."""
    estimator, window = fit(binary(1000, 8)), binary(50, 9)
    empty = window.set_column(1, "chance", pa.array([None] * 50, pa.float64()))
    for table in (empty, window.drop_columns(["chance"])):
        found = estimate_scores(estimator, table)
        assert {score.status for score in found} == {"insufficient"}
        assert all(score.reason and score.value is None for score in found)


def regression(rows: int, seed: int, noise: float = 1.0) -> pa.Table:
    """A model whose error grows with `spread`, which is a feature."""
    generator = np.random.default_rng(seed)
    spread = generator.uniform(0.5, 3, rows) * noise
    label = generator.uniform(50, 100, rows)
    shift = np.where(generator.random(rows) < 0.5, "a", "b")
    said = label + generator.normal(0, 1, rows) * spread * np.where(shift == "a", 1, 2)
    return pa.table({"spread": spread, "shift": shift, "prediction": said, "label": label})


def test_dle_learns_where_the_model_errs() -> None:
    """A window with harder rows is estimated to be worse, as much as it is; its labels are not needed."""
    roles = Roles("timestamp", None, "prediction", None, "label", None, None,
                  {"spread": "numerical", "shift": "categorical"})
    reference = regression(2000, 0)
    blocks = [reference.slice(at, 400) for at in range(0, 2000, 400)]
    with threadpool_limits(1):      # as in a worker
        estimator = fit_estimator(reference, roles, "regression", estimable("regression"), blocks)
    hard = regression(2000, 1).filter(pc.greater(regression(2000, 1)["spread"], 2.0))
    error = hard["prediction"].to_numpy() - hard["label"].to_numpy()
    realised = {
        "mae": np.mean(np.abs(error)), "rmse": np.sqrt(np.mean(error**2)),
        "mape": np.mean(np.abs(error / hard["label"].to_numpy())),
    }
    found = by_metric(estimate_scores(estimator, hard.drop_columns(["label"])))
    for name, score in found.items():
        assert score.value == pytest.approx(realised[name], rel=0.12), name
        assert (score.status, score.method) == ("drifted", "dle")
        assert score.value > score.threshold > score.reference
    easy = by_metric(estimate_scores(estimator, regression(1000, 2)))
    assert {score.status for score in easy.values()} == {"ok"}


def test_what_a_task_cannot_estimate_is_said() -> None:
    """R² and bias of a regressor, and a model of many classes without the probability of each."""
    table = regression(300, 3)
    roles = Roles("timestamp", None, "prediction", None, "label", None, None, {"spread": "numerical"})
    with pytest.raises(CannotJudge, match="mae, rmse, mape can be estimated"):
        fit_estimator(table, roles, "regression", ["r2"], [table])
    with pytest.raises(CannotJudge, match="probability of each class"):
        fit_estimator(table, roles, "multiclass", ["accuracy"], [table])
    unfeatured = Roles("timestamp", None, "prediction", None, "label", None, None, {})
    with pytest.raises(CannotJudge, match="there are no features to learn the errors from"):
        fit_estimator(table, unfeatured, "regression", ["mae"], [table])
    estimator = fit_estimator(table, roles, "regression", ["mae"], [])
    assert estimator.norms["mae"].threshold is None          # no window of the reference to tell the spread from
    empty = table.set_column(2, "prediction", pa.nulls(300, pa.float64()))
    (score,) = estimate_scores(estimator, empty)
    assert (score.status, score.reason) == ("insufficient", "no row has a prediction")


def test_a_row_of_the_value_nothing_has_no_share_of_error() -> None:
    """The error of a row as a share of nothing is not defined; that is no warning either."""
    given = Answers("regression", (), np.array([0.0, 4.0]), np.array([1.0, 5.0]), np.arange(2))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert row_losses("mape", given) == pytest.approx([np.nan, 0.25], nan_ok=True)
        assert row_losses("mae", given) == pytest.approx([1, 1])
