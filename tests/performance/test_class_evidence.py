"""Which class a classifier's scores are of, on which scale they are, and what is refused."""

from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from sklearn import metrics as sk

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge, ConfigError
from monitor.performance.class_evidence import follows, require_better_than_chance, settle
from monitor.performance.labelled_rows import guess_task
from monitor.performance.performance_scores import ReferenceMetrics, performance_scores
from monitor.records import Score, ScoreStatus

ROLES = Roles("timestamp", None, "prediction", "probability", "label", None, None, {})
ALONE = Roles("timestamp", None, "prediction", None, "label", None, None, {})
ROWS = 1400


def log(negative: Any, positive: Any, chance_of: Any = None, threshold: float = 0.5) -> pa.Table:
    """Rows of a fair model; the probability is of `chance_of`, by default of the positive class."""
    generator = np.random.default_rng(0)
    chance = 1 / (1 + np.exp(-1.5 * generator.normal(size=ROWS) + 1))
    names = [negative, positive]
    label = [names[int(one)] for one in generator.random(ROWS) < chance]
    said = [names[int(one)] for one in chance >= threshold]
    return pa.table({
        "prediction": said, "label": label,
        "probability": chance if chance_of in (None, positive) else 1 - chance,
    })


def with_scores(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, pa.array(values))


def scores(table: pa.Table, roles: Roles) -> dict[str, Score]:
    found = performance_scores(ReferenceMetrics(lambda: table, roles, "binary"), table, "roc_auc", provisional=False)
    return {score.metric: score for score in found}


@pytest.mark.parametrize("threshold", [0.5, 0.2, 0.7])
@pytest.mark.parametrize(
    ("negative", "positive", "chance_of", "found"),
    [
        ("legit", "fraud", "fraud", "fraud"),
        ("legit", "fraud", "legit", "legit"),
        ("a", "b", "a", "a"),
        ("z", "b", "b", "b"),
        ("no", "yes", "yes", "1"),
        ("no", "yes", "no", "0"),
        ("false", "true", "true", "1"),
        (False, True, True, "1"),
        ("0", "1", "1", "1"),
        ("0", "1", "0", "0"),
        (0, 1, 0, "0"),
        (-1, 1, 1, "1"),
        (-1, 1, -1, "-1"),
        (1, 2, 2, "2"),
        (1, 2, 1, "1"),
    ],
)
def test_the_probability_is_of_the_class_it_agrees_with(
    negative: Any, positive: Any, chance_of: Any, found: str, threshold: float
) -> None:
    """Whatever the classes are called and whichever class the probability is of, the ROC AUC is scikit-learn's."""
    table = log(negative, positive, chance_of, threshold)
    roles, said = settle(ROLES, table, "binary")
    assert (roles.positive, roles.scale, roles.scored) == (found, "probability", False)
    assert said == (f'positive class "{found}": probability is larger where it is predicted',)
    require_better_than_chance(roles, table, configured=False)
    truth = [one == chance_of for one in table["label"].to_pylist()]
    assert scores(table, roles)["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, table["probability"]))
    assert scores(table, roles)["log_loss"].value == pytest.approx(sk.log_loss(truth, table["probability"]))


@pytest.mark.parametrize(
    ("classes", "found"),
    [
        (("legit", "fraud"), "fraud"), (("not fraud", "fraud"), "fraud"), (("no_churn", "churn"), "churn"),
        (("negative", "positive"), "1+"), (("0", "1"), "1"), ((1, 2), "2"), ((-1, 1), "1"), (("n", "y"), "y"),
        (("benign", "anomaly"), "anomaly"), (("spam", "ham"), "spam"), (("a", "b"), "b"), ((9, 10), "10"),
    ],
)
def test_without_evidence_the_class_is_told_by_its_name(classes: Any, found: str) -> None:
    """A model that gives no probability has its positive class by name, else the greatest; this is said."""
    table = log(*classes).drop_columns("probability")
    roles, said = settle(ALONE, table, "binary")
    assert roles.positive == found.replace("1+", "positive")
    assert "by its name or order" in said[0]


def test_the_name_of_the_score_may_name_the_class() -> None:
    """Where predictions are scores alone, `p_legit` is the probability of "legit"."""
    table = log("legit", "fraud", "legit")
    table = table.drop_columns("prediction").rename_columns(["label", "p_legit"])
    roles = Roles("timestamp", None, "p_legit", None, "label", None, None, {})
    settled, said = settle(roles, table, "binary")
    assert (settled.positive, settled.scored) == ("legit", True)
    assert said[0] == 'positive class "legit": p_legit names it'


def test_what_is_configured_wins_and_must_exist() -> None:
    """`columns.positive` is taken as it is; a class that no row has is refused with those there are."""
    table = log("a", "b", "a")
    assert settle(ROLES, table, "binary", "b")[0].positive == "b"
    assert settle(ROLES, log(0, 1), "binary", True)[0].positive == "1"
    with pytest.raises(ConfigError, match=r'columns\.positive: there is no class "c", expected one of a, b'):
        settle(ROLES, table, "binary", "c")


@pytest.mark.parametrize("configured", [False, True])
def test_a_reference_worse_than_chance_is_refused(configured: bool) -> None:
    """Scores that rank the labels upside down are not judged by; the sentence has the figure and what to set."""
    table = log("legit", "fraud")
    table = with_scores(table.drop_columns("prediction"), "probability", 1 - table["probability"].to_numpy())
    table = table.rename_columns(["label", "prediction"])
    roles, _ = settle(ALONE, table, "binary", "fraud" if configured else None)
    with pytest.raises(CannotJudge, match=r'worse than chance: ROC AUC 0\.1.*columns.positive = "legit"'):
        require_better_than_chance(roles, table, configured=configured)


def test_chance_itself_is_not_refused() -> None:
    """A useless model, whose area is near 0.5 on either side, is judged as every other."""
    for seed in range(20):
        generator = np.random.default_rng(seed)
        table = pa.table({"prediction": generator.random(300), "label": generator.integers(0, 2, 300)})
        roles, _ = settle(ALONE, table, "binary")
        require_better_than_chance(roles, table, configured=False)
        assert roles.positive == "1"


@pytest.mark.parametrize("odd", [1.0000000000000002, 1 + 5e-7, -1e-17, -3e-8])
@pytest.mark.parametrize("alone", [True, False])
def test_a_hair_outside_0_to_1_is_a_probability(odd: float, *, alone: bool) -> None:
    """Rounding beyond 0 or 1 makes no regression of a classifier: the value is clipped, and that is said."""
    table = log(0, 1)
    chance = table["probability"].to_numpy().copy()
    chance[-7:-4] = 1, 0, odd
    name = "prediction" if alone else "probability"
    table = with_scores(table, name, chance)
    table = table.drop_columns("probability") if alone else table
    assert guess_task(table["label"], table["prediction"]) == "binary"
    roles, said = settle(ALONE if alone else ROLES, table, "binary")
    assert said[1:] == (f"1 value of {name} a hair outside 0 to 1, taken as 0 or 1",)
    found, truth = scores(table, roles), table["label"].to_numpy()
    assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, np.clip(chance, 0, 1)))
    assert found["log_loss"].value == pytest.approx(sk.log_loss(truth, np.clip(chance, 0, 1)))
    assert found["roc_auc"].reason == "1 probabilities a hair outside 0 to 1 are taken as 0 or 1"


@pytest.mark.parametrize("alone", [True, False])
def test_percent_are_read_as_probabilities(*, alone: bool) -> None:
    """A probability in percent gives the figures of the probability, and is said to be percent."""
    table, name = log(0, 1), "prediction" if alone else "probability"
    chance, truth = table["probability"].to_numpy(), table["label"].to_numpy()
    table = with_scores(table, name, 100 * chance)
    table = table.drop_columns("probability") if alone else table
    assert guess_task(table["label"], table["prediction"]) == "binary"
    roles, said = settle(ALONE if alone else ROLES, table, "binary")
    low, high = (f"{100 * end:.4g}" for end in (chance.min(), chance.max()))
    assert said[1] == f"{name} runs from {low} to {high}: read as percent"
    found = scores(table, roles)
    assert found["log_loss"].value == pytest.approx(sk.log_loss(truth, chance))
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(truth, chance >= 0.5))


@pytest.mark.parametrize("alone", [True, False])
def test_a_logit_ranks_and_is_said_to_be_no_probability(*, alone: bool) -> None:
    """Scores beyond 0 to 1 give the ROC AUC; metrics of probabilities say why they cannot be told."""
    table, name = log(0, 1), "prediction" if alone else "probability"
    chance, truth = table["probability"].to_numpy(), table["label"].to_numpy()
    table = with_scores(table, name, np.log(chance / (1 - chance)))
    table = table.drop_columns("probability") if alone else table
    assert guess_task(table["label"], table["prediction"]) == "binary"
    roles, said = settle(ALONE if alone else ROLES, table, "binary")
    assert "which is no probability" in said[1]
    found = scores(table, roles)
    assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, chance))
    assert found["accuracy"].value == pytest.approx(sk.accuracy_score(truth, chance >= 0.5))
    assert found["log_loss"].status is ScoreStatus.INSUFFICIENT
    assert "they only rank the rows" in str(found["log_loss"].reason)


def test_a_few_values_far_above_1_are_faults_and_no_percent() -> None:
    """Three values of 1.5 among probabilities do not make the others percent."""
    chance = log(0, 1)["probability"].to_numpy().copy()
    chance[:3] = 1.5
    roles, said = settle(ROLES, with_scores(log(0, 1), "probability", chance), "binary")
    assert (roles.scale, said[1]) == ("probability", "3 values of probability above 1, which is no probability")


def test_one_class_in_a_window_keeps_the_classes_of_the_reference() -> None:
    """The positive class is the reference's, also where a window has only the other one."""
    table = log("z", "b")
    roles, _ = settle(ROLES, table, "binary")
    window = table.slice(0, 50).set_column(1, "label", pa.array(["z"] * 50))
    found = performance_scores(ReferenceMetrics(lambda: table, roles, "binary"), window, "recall", provisional=False)
    assert {score.metric: score for score in found}["specificity"].value is not None
    assert roles.positive == "b"


def test_a_feature_does_not_follow_the_prediction() -> None:
    """A score that is the model's follows its predictions up or down; a feature between 0 and 1 does not."""
    table = log("legit", "fraud")
    other = pa.chunked_array([np.random.default_rng(1).random(ROWS)])
    assert follows(table["probability"], table["prediction"])
    assert follows(pa.chunked_array([1 - table["probability"].to_numpy()]), table["prediction"])
    assert not follows(other, table["prediction"])
    assert follows(other.slice(0, 5), table["prediction"].slice(0, 5)) is None


def test_what_says_nothing_of_the_class_leaves_it_to_its_name() -> None:
    """A probability column of text, of nothing, or with few rows of a class is no evidence."""
    table = log("a", "b")
    for values in (["x"] * ROWS, pa.nulls(ROWS, pa.float64()), [0.5] * 9 + [None] * (ROWS - 9)):
        _, said = settle(ROLES, with_scores(table, "probability", values), "binary")
        assert any("by its name or order" in one for one in said)


def test_without_enough_to_tell_a_reference_is_not_called_worse_than_chance() -> None:
    """No label column, labels that are no classes of it, a few rows of a class: nothing is said, nothing refused."""
    upside_down = log("legit", "fraud")
    upside_down = with_scores(upside_down, "probability", 1 - upside_down["probability"].to_numpy())
    roles, _ = settle(ROLES, log("legit", "fraud"), "binary", "fraud")
    with pytest.raises(CannotJudge, match="worse than chance"):
        require_better_than_chance(roles, upside_down, configured=True)
    for silent in (upside_down.drop_columns("label"), upside_down.slice(0, 12),
                   with_scores(upside_down, "label", ["legit"] * ROWS),
                   with_scores(upside_down, "label", pa.nulls(ROWS, pa.string())),
                   with_scores(upside_down, "probability", ["?"] * ROWS)):
        require_better_than_chance(roles, silent, configured=True)


@pytest.mark.parametrize("whole", [1, 100])
@pytest.mark.parametrize(("negative", "positive"), [("legit", "fraud"), (0, 1), ("no", "yes")])
def test_the_confidence_in_the_predicted_class_becomes_the_probability_of_the_positive_one(
    negative: Any, positive: Any, whole: int
) -> None:
    """A column that is never below one half, whatever is predicted, gives the ROC AUC and log loss of the model."""
    table = log(negative, positive)
    chance = table["probability"].to_numpy()
    given = with_scores(table, "probability", whole * np.maximum(chance, 1 - chance))
    roles, said = settle(ROLES, given, "binary")
    assert any("probability of the predicted class" in text for text in said)
    truth = [one == positive for one in table["label"].to_pylist()]
    found = scores(given, roles)
    assert found["roc_auc"].value == pytest.approx(sk.roc_auc_score(truth, chance))
    assert found["log_loss"].value == pytest.approx(sk.log_loss(truth, chance))
    assert follows(given["probability"], given["prediction"])


def test_large_probabilities_by_a_high_threshold_are_of_the_positive_class() -> None:
    """Never below one half either, but a threshold of them gives the predictions."""
    table = log("legit", "fraud")
    given = with_scores(table, "probability", 0.5 + table["probability"].to_numpy() / 2)
    roles, _ = settle(ROLES, given, "binary")
    assert (roles.positive, roles.of_predicted) == ("fraud", False)


@pytest.mark.parametrize(("labels", "said"), [
    (("Legit", "Fraud"), "labels hold Fraud, Legit, predictions fraud, legit: write both alike"),
    ((-1, 1), "labels hold -1, 1, predictions 0, 1: write both alike"),
])
def test_two_classes_written_in_two_ways_are_refused_with_what_differs(labels: tuple[Any, Any], said: str) -> None:
    """They are no four classes, and no matter of the task."""
    table = log(*(("legit", "fraud") if labels[0] == "Legit" else (0, 1)))
    truth = [labels[int(one in ("fraud", 1))] for one in table["label"].to_pylist()]
    with pytest.raises(CannotJudge, match=said):
        settle(ROLES, with_scores(table, "label", truth), "binary")


def test_blanks_around_a_class_are_none() -> None:
    """ "fraud " is fraud."""
    table = log("legit", "fraud")
    padded = with_scores(table, "label", [f"{one} " for one in table["label"].to_pylist()])
    assert scores(padded, settle(ROLES, padded, "binary")[0]) == scores(table, settle(ROLES, table, "binary")[0])


def test_labels_that_nothing_predicts_are_said() -> None:
    """A text for "not known" makes no third class in silence."""
    table = log("legit", "fraud")
    odd = with_scores(table, "label", ["pending", *table["label"].to_pylist()[1:]])
    _, said = settle(ROLES, odd, "multiclass")
    assert said[0].startswith('1 label that no row predicts: pending; where that means "not known", write nothing')
