"""The two estimators of performance, each fitted on labelled rows, as NannyML 0.13.1's.

CBPE, confidence-based performance estimation: what calibrated probabilities say of a classifier. DLE, direct loss
estimation: a regressor learns how large another regressor's errors are.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.performance.formulas import losses, value_of
from monitor.performance.labelled_rows import Answers, unlabelled
from monitor.tables.columns import Features, Floats, Ints, features_of

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

MOST_ROWS = 20_000           # a regressor is fitted on at most so many, spread over the reference
FOLDS = 5
Values = Callable[[str], float]                         # a metric's estimate by its name; raises CannotJudge
Read = Callable[[pa.Table], tuple[int, Values]]         # how many rows of a window can be judged, and what of them


def cbpe(known: Answers, roles: Roles) -> tuple[Read, Values]:
    """Fit on labelled rows in the order of time. Return how a window is read, and the cross-fitted estimates on the
    rows themselves. Raises CannotJudge where the probabilities are none."""
    assert known.probability is not None
    calibrated = _needs_calibration(known.truth, known.probability)
    if not calibrated and (known.probability.min() < 0 or known.probability.max() > 1):
        raise CannotJudge("an estimate needs probabilities between 0 and 1")
    mine = _calibration(known.truth, known.probability) if calibrated else _as_it_is
    across = np.empty(len(known))
    for fold in folds(len(known)):
        rest = np.delete(np.arange(len(known)), fold)
        other = _calibration(known.truth[rest], known.probability[rest]) if calibrated else _as_it_is
        across[fold] = other(known.probability[fold])

    def read(window: pa.Table) -> tuple[int, Values]:
        said = unlabelled(window, roles, known.task, known.classes)
        if said.probability is None:
            raise CannotJudge("an estimate needs a probability column")
        said = said.take(~np.isnan(said.probability))
        if said.probability is None or not len(said):
            raise CannotJudge("no row has both a prediction and a probability")
        return len(said), partial(_on_fractions, said, mine(said.probability))

    return read, partial(_on_fractions, known, across)


def _on_fractions(said: Answers, chance: Floats, name: str) -> float:
    """The metric where each row is positive to the extent of its calibrated chance, and negative to the rest."""
    twice = np.tile(np.arange(len(said)), 2)
    truth = np.repeat(np.array([1, 0]), len(said))
    return value_of(name, replace(said.take(twice), truth=truth, weight=np.concatenate([chance, 1 - chance])))


def _calibration(truth: Ints, chance: Floats) -> Callable[[Floats], Floats]:
    from sklearn.isotonic import IsotonicRegression

    predict: Callable[[Floats], Floats] = IsotonicRegression(out_of_bounds="clip").fit(chance, truth).predict
    return predict


def _as_it_is(chance: Floats) -> Floats:
    return chance


def _needs_calibration(truth: Ints, chance: Floats) -> bool:
    """Whether calibration lowers the expected calibration error on held-out tenths, ten random splits pooled."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedShuffleSplit

    if roc_auc_score(truth, chance) > 0.999:
        return False
    labels, before, after = [], [], []
    splits = StratifiedShuffleSplit(n_splits=10, test_size=0.1, random_state=42)   # NannyML's own
    for train, test in splits.split(chance, truth):
        labels.append(truth[test])
        before.append(chance[test])
        after.append(_calibration(truth[train], chance[train])(chance[test]))
    held = np.concatenate(labels)
    return _calibration_error(held, np.concatenate(before)) > _calibration_error(held, np.concatenate(after))


def _calibration_error(truth: Ints, chance: Floats) -> float:
    """Expected calibration error over ten bins of equally many rows."""
    order = np.argsort(chance)
    bins = np.array_split(order, 10)
    gaps = [abs(float(np.mean(chance[rows]) - np.mean(truth[rows]))) * len(rows) for rows in bins]
    return sum(gaps) / len(truth)


def dle(
    table: pa.Table, known: Answers, roles: Roles, metrics: Sequence[str]
) -> tuple[Read, Values]:
    """Fit a regressor of the error for each metric on labelled rows in the order of time (`known`, of `table`).

    Returns how a window is read, and the cross-fitted estimates on the rows themselves. Raises CannotJudge where
    there are no features.
    """
    features = features_of(table, roles)
    if not features.names:
        raise CannotJudge("there are no features to learn the errors from")
    rows = known.take(np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_ROWS)).astype(np.int64)))
    matrix = _matrix(features, table, rows)
    models: dict[str, HistGradientBoostingRegressor] = {}
    across: dict[str, float] = {}
    for name in metrics:
        wrong = row_losses(name, rows)
        there = np.flatnonzero(np.isfinite(wrong))
        models[name] = _regressor(features, matrix[there], wrong[there])
        across[name] = _mean_loss(name, np.concatenate(list(_cross_fitted(features, matrix[there], wrong[there]))))

    def read(window: pa.Table) -> tuple[int, Values]:
        said = unlabelled(window, roles, "regression")
        if not len(said):
            raise CannotJudge("no row has a prediction")
        seen = _matrix(features, window, said)
        return len(said), lambda name: _mean_loss(name, models[name].predict(seen))

    return read, lambda name: across[name]


def _matrix(features: Features, table: pa.Table, said: Answers) -> Floats:
    """Rows × (features, prediction)."""
    return np.column_stack([features.matrix(table.take(said.at)), said.predicted.astype(np.float64)])


def _regressor(features: Features, matrix: Floats, errors: Floats) -> "HistGradientBoostingRegressor":
    """Gradient boosting with as many and as large trees as NannyML's regressor has by default."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    categorical = [*features.categorical, False]
    model = HistGradientBoostingRegressor(random_state=0, early_stopping=False, categorical_features=categorical)
    return model.fit(matrix, errors)


def _cross_fitted(features: Features, matrix: Floats, errors: Floats) -> Iterator[Floats]:
    for fold in folds(len(errors)):
        rest = np.delete(np.arange(len(errors)), fold)
        yield _regressor(features, matrix[rest], errors[rest]).predict(matrix[fold])


def _mean_loss(name: str, errors: Floats) -> float:
    """Predicted errors are never below zero, whatever the regressor says."""
    mean = float(np.mean(np.maximum(0, errors)))
    return float(np.sqrt(mean)) if name == "rmse" else mean


def row_losses(metric: str, given: Answers) -> Floats:
    """Return the error of each row that the metric is the mean of; NaN where it is not defined."""
    if metric != "mape":
        return losses(metric, given)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(given.truth == 0, np.nan, losses(metric, given))


def folds(rows: int) -> list[Ints]:
    """Cut rows that stand in the order of time into stretches: rows next to each other are alike."""
    return np.array_split(np.arange(rows), FOLDS)
