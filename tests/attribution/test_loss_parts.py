"""The cause that was planted is the one that is named, and the parts add up to the loss."""

from collections.abc import Callable
from functools import cache

import numpy as np
import pytest

from monitor.attribution.broken_columns import broken_columns
from monitor.attribution.loss_parts import Cause, Loss, loss_parts
from monitor.attribution.sides import Side
from monitor.metric_catalogue import better_by
from monitor.performance.formulas import value_of
from monitor.performance.labelled_rows import Answers
from monitor.tables.columns import Floats

CATEGORICAL = [False, False, True, False]
BEFORE, NOW = 1500, 900
Make = Callable[[Floats, Floats, np.random.Generator], Side]


def logit(x: Floats) -> Floats:
    """What the labels of the reference follow; where column 1 is high they are hard to foretell."""
    return (2.5 * x[:, 0] + (x[:, 2] == 1)) * np.where(x[:, 1] > 0.7, 0.15, 1.0)


def rows(count: int, chance: np.random.Generator) -> Floats:
    x = chance.normal(size=(count, 4))
    x[:, 2] = chance.integers(0, 4, count)
    return x


def binary(seen: Floats, true: Floats, chance: np.random.Generator) -> Side:
    """The model knows the reference's relation; `true`: the logit of the labels."""
    label = (chance.random(len(seen)) < 1 / (1 + np.exp(-true))).astype(np.int64)
    probability = 1 / (1 + np.exp(-np.clip(logit(np.nan_to_num(seen)), -50, 50)))
    predicted = (probability >= 0.5).astype(np.int64)
    return Side(Answers("binary", ("0", "1"), label, predicted, np.arange(len(seen)), probability), seen)


def regression(seen: Floats, true: Floats, chance: np.random.Generator) -> Side:
    noise = np.where(seen[:, 1] > 0.7, 3.0, 0.7)
    truth = true + noise * chance.normal(size=len(seen))
    return Side(Answers("regression", (), truth, logit(np.nan_to_num(seen)), np.arange(len(seen))), seen)


def hard_rows(make: Make, chance: np.random.Generator) -> Side:
    x = rows(NOW, chance)
    x[:, 1] += 1.2
    return make(x, logit(x), chance)


def other_relation(make: Make, chance: np.random.Generator) -> Side:
    """A column without any meaning has moved besides."""
    x = rows(NOW, chance)
    x[:, 3] += 3
    return make(x, logit(x) - 2.5 * x[:, 0], chance)


def one_group(make: Make, chance: np.random.Generator) -> Side:
    x = rows(NOW, chance)
    return make(x, np.where(x[:, 2] == 2, -1, 1) * logit(x), chance)


def missing(make: Make, chance: np.random.Generator) -> Side:
    x = rows(NOW, chance)
    seen = x.copy()
    seen[chance.random(NOW) < 0.5, 0] = np.nan
    return make(seen, logit(x), chance)


def stuck(make: Make, chance: np.random.Generator) -> Side:
    x = rows(NOW, chance)
    seen = x.copy()
    seen[:, 0] = 0.1
    return make(seen, logit(x), chance)


def thousandfold(make: Make, chance: np.random.Generator) -> Side:
    x = rows(NOW, chance)
    seen = x.copy()
    seen[chance.random(NOW) < 0.4, 0] *= -1000
    return make(seen, logit(x), chance)


PLANTED = {
    hard_rows: Cause.INPUTS, other_relation: Cause.RELATION, one_group: Cause.RELATION, missing: Cause.BROKEN,
    stuck: Cause.BROKEN, thousandfold: Cause.BROKEN,
}


@cache
def split(plant: Callable[..., Side], metric: str, seed: int = 1) -> tuple[Loss, float]:
    """The loss, and how much worse the metric is."""
    chance, make = np.random.default_rng(seed), regression if metric in ("rmse", "mae", "r2") else binary
    x = rows(BEFORE, chance)
    before = make(x, logit(x), chance)
    now = plant(make, chance)
    worse = better_by(metric, value_of(metric, before.answers), value_of(metric, now.answers))
    return loss_parts(metric, before, now, CATEGORICAL), worse


@pytest.mark.parametrize(("plant", "metric"), [
    (hard_rows, "roc_auc"), (hard_rows, "rmse"), (other_relation, "accuracy"), (other_relation, "rmse"),
    (one_group, "roc_auc"), (missing, "log_loss"), (stuck, "roc_auc"), (thousandfold, "roc_auc"),
])
def test_the_planted_cause_is_named(plant: Callable[..., Side], metric: str) -> None:
    loss, worse = split(plant, metric)
    assert sum(part.value for part in loss.parts) == pytest.approx(worse)
    assert loss.main is not None
    assert loss.main.cause is PLANTED[plant]
    assert loss.main.value > 0.6 * worse
    assert [part.cause for part in loss.sure] == [PLANTED[plant]]


def test_columns_and_rows_are_told() -> None:
    """The column whose spread made the rows hard, the broken column, and the only rows with another relation."""
    assert split(hard_rows, "rmse")[0].effects[0][0] == 1
    assert split(stuck, "roc_auc")[0].broken == (0,)
    assert split(one_group, "roc_auc")[0].group == (2, 2)


def test_other_shares_of_the_labels() -> None:
    """More positive labels among rows that are, for each label, as before: log loss rises where these are hard."""
    chance = np.random.default_rng(3)

    def drawn(count: int, positive: float) -> Side:
        label = (chance.random(count) < positive).astype(np.int64)
        x = chance.normal(size=(count, 4))
        x[:, 0] += np.where(label == 1, 0.8 * chance.normal(size=count) + 0.6, -1.5)
        x[:, 2] = chance.integers(0, 4, count)
        probability = 1 / (1 + np.exp(-(1.8 * x[:, 0] + 0.3)))
        return Side(Answers("binary", ("0", "1"), label, (probability >= 0.5).astype(np.int64), np.arange(count),
                            probability), x)

    loss = loss_parts("log_loss", drawn(BEFORE, 0.2), drawn(NOW, 0.8), CATEGORICAL)
    assert loss.main is not None
    assert loss.main.cause is Cause.LABELS


def test_other_labels_are_no_other_shares() -> None:
    """Labels of one category turn positive: more labels are positive than before, but of other rows."""
    chance = np.random.default_rng(5)

    def made(count: int, turned: float) -> Side:
        x = rows(count, chance)
        likely = 1 / (1 + np.exp(1.5 - logit(x) / 4))
        label = (chance.random(count) < likely) | ((x[:, 2] == 2) & (chance.random(count) < turned))
        return Side(Answers("binary", ("0", "1"), label.astype(np.int64), (likely >= 0.5).astype(np.int64),
                            np.arange(count), likely), x)

    loss = loss_parts("log_loss", made(BEFORE, 0.0), made(NOW, 0.4), CATEGORICAL)
    assert loss.main is not None
    assert loss.main.cause is Cause.RELATION


def test_another_unit_shows_in_the_steps_of_values() -> None:
    """Whole miles in kilometres lie between whole numbers; the same miles, only measured better, are not broken."""
    chance = np.random.default_rng(6)
    x, y = rows(BEFORE, chance), rows(NOW, chance)
    x[:, 1], y[:, 1] = np.rint(20 + 5 * x[:, 1]), 20 + 5 * y[:, 1]
    before = binary(x, logit(x), chance)
    assert broken_columns(before, binary(y, logit(y), chance), CATEGORICAL) == ()
    y[:, 1] = 1.609 * np.rint(y[:, 1])
    assert broken_columns(before, binary(y, logit(y), chance), CATEGORICAL) == (1,)


def test_a_season_is_not_broken() -> None:
    """It stands still in a window, or brings a value that the reference never had, as it always does."""
    chance = np.random.default_rng(4)
    x, y = rows(BEFORE, chance), rows(NOW, chance)
    x[:, 2], y[:, 2] = np.arange(BEFORE) * 4 // BEFORE, 1
    x[:, 3], y[:, 3] = np.arange(BEFORE) * 3 // BEFORE, 3
    before, now = binary(x, logit(x), chance), binary(y, logit(y), chance)
    assert broken_columns(before, now, CATEGORICAL) == ()
    y[:, 3] = np.nan
    assert broken_columns(before, binary(y, logit(y), chance), CATEGORICAL) == (3,)
