"""The metrics that are counted here, held to scikit-learn on every kind of answers."""

import warnings
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sklearn import metrics as sk

from monitor.errors import CannotJudge
from monitor.performance.formulas import interval, value_of
from monitor.performance.labelled_rows import Answers

BINARY = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": lambda y, p, **weight: sk.precision_score(y, p, zero_division=np.nan, **weight),
    "recall": lambda y, p, **weight: sk.recall_score(y, p, zero_division=np.nan, **weight),
    "f1": lambda y, p, **weight: sk.f1_score(y, p, zero_division=np.nan, **weight),
    "specificity": lambda y, p, **weight: sk.recall_score(y, p, pos_label=0, zero_division=np.nan, **weight),
}
MULTICLASS = {
    "accuracy": sk.accuracy_score,
    "balanced_accuracy": sk.balanced_accuracy_score,
    "precision": lambda y, p, **weight: sk.precision_score(y, p, average="macro", zero_division=0, **weight),
    "recall": lambda y, p, **weight: sk.recall_score(y, p, average="macro", zero_division=0, **weight),
    "f1": lambda y, p, **weight: sk.f1_score(y, p, average="macro", zero_division=0, **weight),
}


def answers_of(task, rows, weighted):
    truth, said, weight = (np.array(column) for column in zip(*rows, strict=True))
    classes = ("no", "yes") if task == "binary" else ("a", "b", "c", "d", "e")
    return Answers(task, classes, truth, said, np.arange(len(rows)), weight=weight if weighted else None)


def rows_of(classes):
    one = st.tuples(st.integers(0, classes - 1), st.integers(0, classes - 1), st.floats(0.1, 10))
    return st.lists(one, min_size=1, max_size=40)


@pytest.mark.parametrize(
    ("task", "metric"), [("binary", name) for name in BINARY] + [("multiclass", name) for name in MULTICLASS]
)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), weighted=st.booleans())
def test_counts_are_scikit_learns(task, metric, data, weighted):
    """Any labels, predictions and weights, also with classes absent, give its number; where it has none we say so."""
    found = answers_of(task, data.draw(rows_of(2 if task == "binary" else 5)), weighted)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")          # about classes that are absent
        oracle = (BINARY if task == "binary" else MULTICLASS)[metric]
        expected = oracle(found.truth, found.predicted, sample_weight=found.weight)
    if np.isnan(expected) or (metric == "balanced_accuracy" and len(set(found.truth)) < 2):
        with pytest.raises(CannotJudge):
            value_of(metric, found)
    else:
        assert value_of(metric, found) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize(
    ("metric", "oracle"), [("roc_auc", sk.roc_auc_score), ("average_precision", sk.average_precision_score)]
)
@settings(max_examples=60, deadline=None)
@given(data=st.data(), weighted=st.booleans())
def test_rankings_are_scikit_learns(metric, oracle, data, weighted):
    """Any chances, many of them tied, and any weights give its number."""
    found = answers_of("binary", [(0, 0, 1.0), (1, 1, 2.0), *data.draw(rows_of(2))], weighted)
    chance = np.array(data.draw(st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), min_size=len(found),
                                         max_size=len(found))))
    found = replace(found, probability=chance)
    assert value_of(metric, found) == pytest.approx(oracle(found.truth, chance, sample_weight=found.weight), rel=1e-9)


@pytest.mark.parametrize(
    ("task", "metric", "given", "reason"),
    [
        ("multiclass", "log_loss", {}, "log_loss needs a column with the probability of each class"),
        ("binary", "log_loss", {"probability": np.array([0.1, 1.5, 0.3])}, "log_loss needs probabilities between 0"),
        ("regression", "r2", {"truth": np.array([2.0, 2.0, 2.0])}, "r2 needs labels that differ"),
        ("regression", "mape", {"truth": np.zeros(3)}, "no labelled row is left that mape is defined on"),
        ("regression", "rmse", {"predicted": np.full(3, 1e308)}, "rmse has no finite value here"),
    ],
)
@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
def test_a_metric_that_is_not_defined_says_why(task, metric, given, reason):
    """One sentence, and never a number that means nothing."""
    numbers = np.array([0, 1, 1]) if task != "regression" else np.array([0.0, 1.0, 2.0])
    classes = {"binary": ("a", "b"), "multiclass": ("a", "b", "c"), "regression": ()}[task]
    answers = replace(Answers(task, classes, numbers, numbers, np.arange(3)), **given)
    with pytest.raises(CannotJudge, match=reason):
        value_of(metric, answers)


def test_an_interval_needs_rows_to_tell_it_from():
    """One row, one row of a class, or labels that are all alike have a value and no interval."""
    one = Answers("regression", (), np.array([1.0]), np.array([2.0]), np.arange(1))
    assert [interval(name, one) for name in ("mae", "rmse", "r2")] == [None] * 3
    truth, chance = np.array([1, 0, 0, 0]), np.array([0.9, 0.1, 0.2, 0.3])
    few = Answers("binary", ("no", "yes"), truth, truth, np.arange(4), chance)
    assert (value_of("roc_auc", few), interval("roc_auc", few)) == (1.0, None)
    nobody = replace(few, predicted=np.zeros(4, int))
    assert interval("precision", nobody) is None              # nothing was answered with yes
    assert interval("f1", few.take(np.array([0]))) is None


def test_many_classes_have_values_and_no_interval():
    """The matrix of more than a hundred classes is not drawn again and again."""
    truth = np.arange(200) % 120
    said = np.where(np.arange(200) % 2, truth, np.roll(truth, 1))
    many = Answers("multiclass", tuple(map(str, range(120))), truth, said, np.arange(200))
    assert value_of("f1", many) == pytest.approx(sk.f1_score(truth, many.predicted, average="macro", zero_division=0))
    assert interval("f1", many) is None
