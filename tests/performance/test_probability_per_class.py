"""One probability column per class: it is recognised, no feature, and the figures are scikit-learn's."""

from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from sklearn import metrics as sk

from monitor.config import Columns, Roles, SourceSection, find_roles
from monitor.estimation.estimators import estimate_scores, fit_estimator
from monitor.performance.labelled_rows import answers, word
from monitor.performance.performance_scores import ReferenceMetrics, performance_scores
from monitor.reference.role_evidence import Evidence
from monitor.sources import open_source
from monitor.sources.log import facts

ROWS = 3000


def log(classes: list[Any], names: list[str], seed: int = 0) -> pa.Table:
    """A calibrated model of as many classes."""
    generator = np.random.default_rng(seed)
    weights = np.exp(1.5 * generator.normal(size=(ROWS, len(classes))))
    chances = weights / weights.sum(axis=1, keepdims=True)
    label = [classes[int(generator.choice(len(classes), p=row))] for row in chances]
    table = pa.table({
        "timestamp": pa.array(np.arange(ROWS) * 10**9 * 60 + 1_700_000_000 * 10**9, pa.timestamp("ns", "UTC")),
        "x": generator.normal(size=ROWS), "prediction": [classes[int(one)] for one in chances.argmax(axis=1)],
        "label": label,
    })
    for at, name in enumerate(names):
        table = table.append_column(name, pa.array(chances[:, at]))
    return table


def roles_of(folder: Path, table: pa.Table, **given: Any) -> Roles:
    pq.write_table(table, folder / "log.parquet")
    source = open_source(SourceSection(path=str(folder / "log.parquet")), ZoneInfo("UTC"))
    found = facts(table)
    return find_roles(Columns(**given), found, None, "log", evidence=Evidence(source, found))


@pytest.mark.parametrize(("classes", "names"), [
    (["cat", "dog", "owl"], ["p_cat", "p_dog", "p_owl"]), ([0, 1, 2], ["proba_0", "proba_1", "proba_2"]),
    (["cat", "dog", "owl"], ["cat", "dog", "owl"]), (["a", "b", "c", "d"], ["P(a)", "P(b)", "P(c)", "P(d)"]),
    (["high risk", "low", "mid"], ["high risk_probability", "low_probability", "mid_probability"]),
    ([0, 1, 2], ["class_0_prob", "class_1_prob", "class_2_prob"]), ([0, 1, 2], ["p_0", "p_1", "p_2"]),
    ([0, 1, 2], ["prob_class_0", "prob_class_1", "prob_class_2"]), ([1, 2, 3], ["Class1", "Class2", "Class3"]),
    ([0, 1, 2], ["pred_proba[0]", "pred_proba[1]", "pred_proba[2]"]), ([0, 1, 2], ["probs.0", "probs.1", "probs.2"]),
    (["cat", "dog", "owl"], ["proba_0", "proba_1", "proba_2"]),
    (["cat", "dog", "owl"], ["confidence 1", "confidence 2", "confidence 3"]),
    (["0.0", "1.0", "2.0"], ["class_0_score", "class_1_score", "class_2_score"]),
])
def test_each_class_has_its_column(tmp_path: Path, classes: list[Any], names: list[str]) -> None:
    """Log loss and the ROC AUC of each class against the rest are scikit-learn's; the columns are no features."""
    table = log(classes, names)
    roles = roles_of(tmp_path, table)
    assert dict(roles.per_class) == {word(one): name for one, name in zip(classes, names, strict=True)}
    assert list(roles.features) == ["x"]
    reference = ReferenceMetrics(lambda: table, roles, "multiclass")
    found = performance_scores(reference, table, "accuracy", provisional=False)
    by_name = {score.metric: score for score in found}
    chances = np.column_stack([table[name].to_numpy() for name in names])
    truth = [classes.index(one) for one in table["label"].to_pylist()]
    assert by_name["log_loss"].value == pytest.approx(sk.log_loss(truth, chances), rel=1e-5)
    area = np.mean([sk.roc_auc_score(np.array(truth) == at, chances[:, at]) for at in range(len(classes))])
    assert by_name["roc_auc"].value == pytest.approx(area)
    assert by_name["roc_auc"].low is not None
    assert by_name["log_loss"].high is not None


@pytest.mark.parametrize("names", [["size_0", "size_1", "size_2"], ["p_0", "p_1", "p_3"], ["p_2", "p_1", "p_0"]])
def test_numbered_columns_that_do_not_agree_with_the_prediction_are_features(tmp_path: Path, names: list[str]) -> None:
    """Numbers alone say little: the class with the largest one must be the one that is predicted."""
    assert not roles_of(tmp_path, log(["cat", "dog", "owl"], names)).per_class


def test_a_probability_beyond_one_counts_as_one(tmp_path: Path) -> None:
    """What rounding or a sum of a hair more than one leaves is held to the range of a probability."""
    classes, names = ["cat", "dog", "owl"], ["p_cat", "p_dog", "p_owl"]
    table = log(classes, names)
    beyond = table.set_column(4, "p_cat", pa.array(table["p_cat"].to_numpy() * 1.5 - 0.1))
    chances = answers(beyond, roles_of(tmp_path, table), "multiclass", tuple(classes)).chances
    assert chances is not None
    assert (chances.min(), chances.max()) == (0, 1)


def test_their_performance_is_estimated(tmp_path: Path) -> None:
    """CBPE of a calibrated model comes near what its labels say, for accuracy, log loss and ROC AUC."""
    classes, names = ["cat", "dog", "owl"], ["p_cat", "p_dog", "p_owl"]
    before, now = log(classes, names), log(classes, names, seed=1)
    roles = roles_of(tmp_path, before)
    wanted = ["accuracy", "log_loss", "roc_auc"]
    blocks = [before.slice(at, 500) for at in range(0, ROWS, 500)]
    estimator = fit_estimator(before, roles, "multiclass", wanted, blocks)
    estimates = {score.metric: score.value for score in estimate_scores(estimator, now)}
    reference = ReferenceMetrics(lambda: before, roles, "multiclass")
    real = {score.metric: score.value for score in performance_scores(reference, now, "accuracy", False)}
    for name in wanted:
        assert estimates[f"estimated_{name}"] == pytest.approx(real[name], abs=0.03), name


@pytest.mark.parametrize("fault", ["not all", "no sum"])
def test_what_is_no_probability_stays_a_feature(tmp_path: Path, fault: str) -> None:
    """Columns that name only some of the classes, or do not add up to 1, are features."""
    table = log(["cat", "dog", "owl"], ["p_cat", "p_dog", "p_owl"])
    if fault == "not all":
        table = table.drop_columns("p_owl")
    else:
        table = table.set_column(4, "p_cat", pa.array(np.random.default_rng(3).random(ROWS)))
    roles = roles_of(tmp_path, table)
    assert roles.per_class == ()
    assert "p_dog" in roles.features


def test_of_two_classes_one_column_is_the_probability(tmp_path: Path) -> None:
    """With a column for each of two classes neither is a feature, and one is the probability, also if named."""
    for said in ({"positive": "fraud"}, {"probability": "p_fraud"}):
        roles = roles_of(tmp_path, log(["legit", "fraud"], ["p_legit", "p_fraud"]), **said)
        assert (roles.probability, roles.per_class, list(roles.features)) == ("p_fraud", (), ["x"])


def test_a_window_without_the_probabilities_is_not_estimated(tmp_path: Path) -> None:
    """One of the columns gone, or no row that has them all: each estimate says so and has no value."""
    before = log(["cat", "dog", "owl"], ["p_cat", "p_dog", "p_owl"]).slice(0, 600)
    roles = roles_of(tmp_path, before)
    estimator = fit_estimator(before, roles, "multiclass", ["accuracy"], [])
    none = before.set_column(before.column_names.index("p_dog"), "p_dog", pa.nulls(600, pa.float64()))
    for window, reason in ((before.drop_columns("p_dog"), "an estimate needs the probability of each class"),
                           (none, "no row has both a prediction and the probability of each class")):
        (score,) = estimate_scores(estimator, window)
        assert (score.status, score.value, score.reason) == ("insufficient", None, reason)
