"""Performance beside the reference, held to scikit-learn, to simulation and to NannyML's recorded figures."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sk

from monitor.config.column_roles import Roles
from monitor.metric_catalogue import METRICS, better_by, default_metric
from monitor.performance.labelled_rows import guess_task
from monitor.performance.performance_scores import ReferenceMetrics, metric_sd, performance_scores
from monitor.records import Score

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
CLASSES = Roles("timestamp", None, "prediction", "chance", "label", None, None, {})
PLAIN = Roles("timestamp", None, "prediction", None, "label", None, None, {})


def binary(rows: int, seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)
    chance = generator.random(rows)
    label = (generator.random(rows) < 0.2 + 0.6 * chance).astype(int)
    return pa.table({"prediction": (chance > 0.5).astype(int), "chance": chance, "label": label})


def regression(rows: int, seed: int = 0) -> pa.Table:
    generator = np.random.default_rng(seed)
    label = generator.uniform(5, 15, rows)
    return pa.table({"prediction": label + generator.normal(0.5, 1, rows), "label": label})


def scores(before: pa.Table, now: pa.Table, roles: Roles, task: Any, metric: str = "") -> dict[str, Score]:
    reference = ReferenceMetrics(lambda: before, roles, task)
    return {s.metric: s for s in performance_scores(reference, now, metric, provisional=False)}


def test_binary_metrics_are_scikit_learns() -> None:
    """Each binary metric is scikit-learn's number, on the window and on the reference."""
    before, now = binary(900, seed=1), binary(700)
    y, p, s = (now[name].to_numpy() for name in ("label", "prediction", "chance"))
    found = scores(before, now, CLASSES, "binary")
    expected = {
        "accuracy": sk.accuracy_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p),
        "precision": sk.precision_score(y, p),
        "recall": sk.recall_score(y, p),
        "specificity": sk.recall_score(y, p, pos_label=0),
        "f1": sk.f1_score(y, p),
        "roc_auc": sk.roc_auc_score(y, s),
        "average_precision": sk.average_precision_score(y, s),
        "log_loss": sk.log_loss(y, s),
        "brier": sk.brier_score_loss(y, s),
    }
    assert {name: score.value for name, score in found.items()} == pytest.approx(expected)
    reference = sk.roc_auc_score(before["label"].to_numpy(), before["chance"].to_numpy())
    assert found["roc_auc"].reference == pytest.approx(reference)
    assert {score.n for score in found.values()} == {700}


def test_multiclass_metrics_are_scikit_learns_macro_averages() -> None:
    """For text classes, precision, recall and F1 are means over the classes."""
    generator = np.random.default_rng(0)
    y = generator.choice(["cat", "dog", "owl"], 600)
    p = np.where(generator.random(600) < 0.7, y, generator.choice(["cat", "dog", "owl"], 600))
    now = pa.table({"prediction": p, "label": y})
    found = scores(now, now, PLAIN, "multiclass")
    expected = {
        "accuracy": sk.accuracy_score(y, p),
        "balanced_accuracy": sk.balanced_accuracy_score(y, p),
        "precision": sk.precision_score(y, p, average="macro"),
        "recall": sk.recall_score(y, p, average="macro"),
        "f1": sk.f1_score(y, p, average="macro"),
    }
    assert {name: score.value for name, score in found.items()} == pytest.approx(expected)
    assert all(s.low < s.value < s.high for s in found.values() if s.value and s.low and s.high)


def test_regression_metrics_are_scikit_learns() -> None:
    """Each regression metric is scikit-learn's; bias is the mean of prediction minus label."""
    now = regression(500)
    y, p = now["label"].to_numpy(), now["prediction"].to_numpy()
    found = scores(regression(400, seed=1), now, PLAIN, "regression", "mae")
    assert {name: score.value for name, score in found.items()} == pytest.approx({
        "mae": sk.mean_absolute_error(y, p),
        "rmse": sk.root_mean_squared_error(y, p),
        "r2": sk.r2_score(y, p),
        "mape": sk.mean_absolute_percentage_error(y, p),
        "bias": float(np.mean(p - y)),
    })
    assert next(iter(found)) == "mae"


@pytest.mark.parametrize(("task", "make"), [("binary", binary), ("regression", regression)])
def test_intervals_hold_the_true_value_about_95_times_in_a_hundred(task: Any, make: Any) -> None:
    """In at least 88 of 100 samples each interval contains the value of a very large sample."""
    roles = CLASSES if task == "binary" else PLAIN
    truth = scores(make(10), make(200_000, seed=999), roles, task)
    covered = dict.fromkeys(truth, 0)
    for seed in range(100):
        for name, score in scores(make(10), make(150, seed=seed), roles, task).items():
            low, value, high = (float(x) for x in (score.low, truth[name].value, score.high) if x is not None)
            covered[name] += low <= value <= high
    assert {name: times for name, times in covered.items() if times < 88} == {}


@pytest.mark.parametrize(
    ("labels", "predictions"),
    [
        (["yes", "no", "yes", "no"], ["yes", "yes", "no", "no"]),
        ([True, False, True, False], [1, 1, 0, 0]),
        (["1", "0", "1", "0"], [1.0, 1.0, 0.0, 0.0]),
        (["True", "False", "True", "False"], [True, True, False, False]),
        (["no", "yes", "no", "yes"][::-1], ["yes", "yes", "no", "no"]),
        (["good", "bad", "good", "bad"], ["good", "good", "bad", "bad"]),
        ([1, -1, 1, -1], [1, 1, -1, -1]),
    ],
)
def test_classes_are_compared_as_words(labels: list[Any], predictions: list[Any]) -> None:
    """Booleans, numbers and words of the same meaning are the same class, on either side."""
    now = pa.table({"label": labels, "prediction": predictions, "chance": [0.9, 0.8, 0.2, 0.1]})
    found = scores(now, now, CLASSES, "binary")
    assert (found["accuracy"].value, found["roc_auc"].value) == (0.5, 0.75)


def test_a_prediction_column_of_probabilities_counts_as_both() -> None:
    """If the prediction is itself a probability, 0.5 and more is the positive class."""
    now = pa.table({"label": [1, 0, 1, 0], "prediction": [0.9, 0.8, 0.2, 0.1]})
    found = scores(now, now, PLAIN, "binary")
    assert (found["accuracy"].value, found["roc_auc"].value) == (0.5, 0.75)


def test_unlabelled_rows_do_not_count() -> None:
    """Only rows with a label and a prediction are scored, and provisional is passed on."""
    now = pa.table({"label": [1, None, 0, 1], "prediction": [1, 1, None, 0], "chance": [0.9, 0.1, 0.3, None]})
    listed = performance_scores(ReferenceMetrics(lambda: now, CLASSES, "binary"), now, "roc_auc", provisional=True)
    found = {score.metric: score for score in listed}
    assert (found["accuracy"].value, found["accuracy"].n, found["accuracy"].provisional) == (0.5, 2, True)
    assert (found["log_loss"].n, found["roc_auc"].status) == (1, "insufficient")


def test_what_cannot_be_said_is_insufficient_with_a_reason() -> None:
    """No label yet, one class only, no probability or no positive gives a reason and no value."""
    one = pa.table({"label": [0, 0], "prediction": [0, 0], "chance": [0.1, 0.2]})
    found = scores(binary(100), one, CLASSES, "binary")
    assert found["roc_auc"].reason == "roc_auc needs labels of two classes, all are 0"
    assert found["precision"].reason == "precision is not defined here: there is no positive class 1"
    assert (found["accuracy"].value, found["log_loss"].status) == (1.0, "ok")
    unknown = one.set_column(0, "label", pa.nulls(2, pa.int64()))
    assert {s.reason for s in scores(binary(100), unknown, CLASSES, "binary").values()} == {
        "no row has both a label and a prediction yet"
    }
    assert scores(one, binary(50), PLAIN, "binary")["brier"].reason == "brier needs a probability column"
    three = pa.table({"label": ["a", "b", "c"], "prediction": ["a", "b", "c"]})
    reason = scores(three, three, PLAIN, "binary")["f1"].reason
    assert reason == 'a binary task has two classes, found a, b, c: set task = "multiclass"'
    words = pa.table({"label": ["a"], "prediction": [1.0]})
    reason = scores(words, words, PLAIN, "regression")["mae"].reason
    assert reason == "the label column holds text, expected numbers"


@pytest.mark.parametrize("provisional", [False, True])
def test_what_is_provisional_is_so_with_a_value_and_without(provisional: bool) -> None:
    """Scores of all labels, of some, and of a window whose labels cannot be had, with the reason."""
    before = binary(400)
    late = pa.array([None] * 400, pa.int64())
    for now in (before, before.set_column(2, "label", late), before.drop(["label"])):
        found = performance_scores(ReferenceMetrics(lambda: before, CLASSES, "binary"), now, "roc_auc", provisional)
        assert found[0].metric == "roc_auc"
        assert {score.provisional for score in found} == {provisional}
        assert all((score.value is None) is (score.reason is not None) for score in found)


def test_mape_leaves_labels_of_zero_out() -> None:
    """A label of zero has no percentage error: such rows are left out, and the reason counts them."""
    now = pa.table({"label": [0.0, 2.0, 4.0], "prediction": [1.0, 3.0, 3.0]})
    found = scores(now, now, PLAIN, "regression")["mape"]
    assert (found.value, found.n, found.reason) == (0.375, 2, "1 rows with a label of zero left out")


@pytest.mark.parametrize(
    ("labels", "predictions", "task"),
    [
        ([0, 1, 1], [0, 1, 0], "binary"),
        ([0, 1, 1], [0.2, 0.7, 0.1], "binary"),
        (["a", "b", None], ["a", "a", "a"], "binary"),
        ([True, False], [True, True], "binary"),
        (["a", "b", "c"], ["a", "b", "b"], "multiclass"),
        ([0, 1, 2, 2], [0, 1, 1, 2], "multiclass"),
        ([1.5, 2.5], [1.0, 2.0], "regression"),
        (list(range(40)), list(range(40)), "regression"),
        ([3, 4, 9], [3.3, 4.1, 8.7], "regression"),
        ([10, 20], [10.5, 19.2], "regression"),
    ],
)
def test_the_task_is_told_from_labels_and_predictions(labels: Any, predictions: Any, task: str) -> None:
    """Text and few integers are classes; quantities and fractional predictions mean regression."""
    assert guess_task(pa.chunked_array([labels]), pa.chunked_array([predictions])) == task


def test_the_primary_metric_and_its_direction() -> None:
    """Each task has a default metric, and better_by is in the metric's own unit."""
    assert default_metric("binary", True) == "roc_auc"
    assert default_metric("binary", False) == "balanced_accuracy"
    assert default_metric("regression", False) == "rmse"
    assert default_metric("multiclass", False) == "accuracy"
    assert better_by("roc_auc", 0.8, 0.75) == pytest.approx(0.05)
    assert better_by("rmse", 0.8, 0.75) == pytest.approx(-0.05)
    assert better_by("bias", -1, 3) == 2
    assert METRICS["accuracy"].higher_is_better


def test_the_spread_of_the_metric_over_blocks() -> None:
    """With three blocks or more it is their standard deviation; a last crumb of a block is left out."""
    blocks = [binary(300, seed) for seed in range(5)]
    values = [sk.roc_auc_score(b["label"].to_numpy(), b["chance"].to_numpy()) for b in blocks]
    score = metric_sd([*blocks, binary(20, seed=9)], CLASSES, "binary", "roc_auc")
    assert score.value == pytest.approx(np.std(values, ddof=1))
    assert (score.metric, score.method, score.n) == ("metric_sd", "roc_auc", 1520)


def test_the_interval_of_the_spread_holds_the_true_one() -> None:
    """Of many references of six blocks, about 95 % have an interval that holds the spread of all blocks."""
    every = metric_sd([binary(200, seed) for seed in range(600)], CLASSES, "binary", "accuracy").value
    scores = [
        metric_sd([binary(200, seed) for seed in range(first, first + 6)], CLASSES, "binary", "accuracy")
        for first in range(0, 600, 6)
    ]
    held = [(score.low or 0) < (every or 0) < (score.high or 0) for score in scores]
    assert 0.88 <= np.mean(held) <= 1


def test_the_spread_from_too_few_blocks_is_resampled() -> None:
    """One block alone is resampled, which gives about the same spread, and says so."""
    many = metric_sd([binary(500, seed) for seed in range(60)], CLASSES, "binary", "accuracy")
    one = metric_sd([binary(500)], CLASSES, "binary", "accuracy")
    assert one.value == pytest.approx(many.value, rel=0.3)
    assert "from resamples of 500 rows" in str(one.reason)
    none = metric_sd([], CLASSES, "binary", "accuracy")
    assert (none.status, none.value) == ("insufficient", None)
    assert none.reason == "the reference has no labelled rows"


@pytest.mark.skipif(not DATA.is_dir(), reason="the shared data (shared/data) are not here")
def test_car_loan_is_scored_as_nannyml_recorded_it() -> None:
    """Realised performance in chunks of 5,000 rows agrees with NannyML's figures."""
    figures = json.loads((DATA / "oracle/nannyml_car_loan.json").read_text())["realised"]
    log = {
        "reference": pq.read_table(DATA / "car_loan/reference.parquet"),
        "analysis": pq.read_table(DATA / "car_loan/production.parquet"),
    }
    roles = Roles("timestamp", None, "prediction", "prediction_proba", "label", None, None, {})
    for at, chunk in enumerate(figures):
        table = log[chunk["chunk.period"]].sort_by("timestamp").slice(5000 * (at % 10), 5000)
        found = scores(log["reference"].slice(0, 10), table, roles, "binary")
        for name in ("roc_auc", "f1", "precision", "recall", "accuracy"):
            assert found[name].value == pytest.approx(chunk[f"{name}.value"], abs=1e-12), (at, name)
