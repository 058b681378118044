"""The two estimators of performance, each fitted on labelled rows, as NannyML 0.13.1's.

CBPE, confidence-based performance estimation: a classifier's metrics follow from its calibrated probabilities. DLE,
direct loss estimation: a second regressor predicts the errors of the regressor in service.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task
from monitor.performance.formulas import losses, value_of
from monitor.performance.labelled_rows import Answers, unlabelled
from monitor.tables.columns import Features, Floats, Ints, features_of

if TYPE_CHECKING:
    from sklearn.ensemble import HistGradientBoostingRegressor

MOST_ROWS = 20_000           # a regressor is fitted on at most so many, spread over the reference
FOLDS = 5
FEWEST = 10                  # rows of a class, without which its probability is not calibrated
Values = Callable[[str], float]                         # a metric's estimate by its name; raises CannotJudge
Read = Callable[[pa.Table], tuple[int, Values]]         # the rows that can be judged, and their estimates


@dataclass(frozen=True, slots=True)
class Curve:
    """Isotonic calibration, fitted: linear between its points, constant beyond them."""

    points: tuple[float, ...]            # probabilities, ascending …
    values: tuple[float, ...]            # … and what they are calibrated to

    def __call__(self, probability: Floats) -> Floats:
        return np.interp(probability, self.points, self.values)


Curves = tuple[Curve | None, ...]        # of the positive class, or of each class; None: the probability is kept


def cbpe(known: Answers) -> tuple[Curves, Values]:
    """Fit CBPE on labelled rows in time order.

    Returns the calibration, and the cross-fitted estimates on the labelled rows. Raises CannotJudge if the
    probabilities are not between 0 and 1.
    """
    assert known.probability is not None
    calibrated = _needs_calibration(known.truth, known.probability)
    if not calibrated and (known.probability.min() < 0 or known.probability.max() > 1):
        raise CannotJudge("an estimate needs probabilities between 0 and 1")
    across = np.empty(len(known))
    for fold in folds(len(known)):
        rest = np.delete(np.arange(len(known)), fold)
        other = _calibration(known.truth[rest], known.probability[rest]) if calibrated else None
        across[fold] = _through(other, known.probability[fold])
    curve = _calibration(known.truth, known.probability) if calibrated else None
    return (curve,), partial(_on_fractions, known, across)


def cbpe_of_classes(known: Answers) -> tuple[Curves, Values]:
    """Fit CBPE of more than two classes on labelled rows in time order.

    Each class's probability is calibrated against the rest, where that helps, and the rows add up to 1 again, as in
    NannyML. Returns the calibration, and the cross-fitted estimates on the labelled rows.
    """
    assert known.chances is not None
    pairs = [(known.chances[:, place], (known.truth == place).astype(np.int64)) for place in range(len(known.classes))]
    wanted = [min(truth.sum(), len(truth) - truth.sum()) >= FEWEST and _needs_calibration(truth, chance)
              for chance, truth in pairs]

    def fitted(rows: Ints) -> Curves:
        return tuple(_calibration(truth[rows], chance[rows]) if calibrated else None
                     for (chance, truth), calibrated in zip(pairs, wanted, strict=True))

    across = np.empty_like(known.chances)
    for fold in folds(len(known)):
        across[fold] = _shares(fitted(np.delete(np.arange(len(known)), fold)), known.chances[fold])
    return fitted(np.arange(len(known))), partial(_on_shares, known, across)


def by_curves(curves: Curves, roles: Roles, task: Task, classes: tuple[str, ...]) -> Read:
    """Return the function that reads a window by a fitted CBPE."""
    return partial(_read_binary if task == "binary" else _read_classes, curves, roles, classes)


def _read_binary(curves: Curves, roles: Roles, classes: tuple[str, ...], window: pa.Table) -> tuple[int, Values]:
    predictions = unlabelled(window, roles, "binary", classes)
    if predictions.probability is None:
        raise CannotJudge("an estimate needs a probability column")
    predictions = predictions.take(~np.isnan(predictions.probability))
    if predictions.probability is None or not len(predictions):
        raise CannotJudge("no row has both a prediction and a probability")
    return len(predictions), partial(_on_fractions, predictions, _through(curves[0], predictions.probability))


def _read_classes(curves: Curves, roles: Roles, classes: tuple[str, ...], window: pa.Table) -> tuple[int, Values]:
    predictions = unlabelled(window, roles, "multiclass", classes)
    if predictions.chances is None:
        raise CannotJudge("an estimate needs the probability of each class")
    predictions = predictions.take(np.asarray(~np.isnan(predictions.chances).any(axis=1)))
    if predictions.chances is None or not len(predictions):
        raise CannotJudge("no row has both a prediction and the probability of each class")
    return len(predictions), partial(_on_shares, predictions, _shares(curves, predictions.chances))


def _through(curve: Curve | None, probability: Floats) -> Floats:
    return probability if curve is None else curve(probability)


def _shares(curves: Curves, chances: Floats) -> Floats:
    return _adding_up(np.column_stack([_through(curve, chances[:, at]) for at, curve in enumerate(curves)]))


def _adding_up(chances: Floats) -> Floats:
    total = chances.sum(axis=1, keepdims=True)
    shares: Floats = np.where(total > 0, chances / np.where(total > 0, total, 1), 1 / chances.shape[1])
    return shares


def _on_shares(predictions: Answers, shares: Floats, name: str) -> float:
    """Return the metric where each row is of each class with its calibrated probability as weight."""
    size = shares.shape[1]
    rows = np.tile(np.arange(len(predictions)), size)
    truth, weight = np.repeat(np.arange(size), len(predictions)), shares.T.ravel()
    there = weight > 0
    return value_of(name, replace(predictions.take(rows[there]), truth=truth[there], weight=weight[there]))


def _on_fractions(predictions: Answers, probability: Floats, name: str) -> float:
    """Return the metric where each row is positive with weight p, its calibrated probability, else negative."""
    twice = np.tile(np.arange(len(predictions)), 2)
    truth = np.repeat(np.array([1, 0]), len(predictions))
    weight = np.concatenate([probability, 1 - probability])
    return value_of(name, replace(predictions.take(twice), truth=truth, weight=weight))


def _calibration(truth: Ints, probability: Floats) -> Curve:
    from sklearn.isotonic import IsotonicRegression

    fitted = IsotonicRegression(out_of_bounds="clip").fit(probability, truth)
    return Curve(tuple(fitted.X_thresholds_.tolist()), tuple(fitted.y_thresholds_.tolist()))


def _needs_calibration(truth: Ints, probability: Floats) -> bool:
    """Tell whether calibration lowers the expected calibration error on held-out tenths, over ten random splits."""
    from sklearn.metrics import roc_auc_score
    from sklearn.model_selection import StratifiedShuffleSplit

    if roc_auc_score(truth, probability) > 0.999:
        return False
    labels, before, after = [], [], []
    splits = StratifiedShuffleSplit(n_splits=10, test_size=0.1, random_state=42)   # NannyML's own
    for train, test in splits.split(probability, truth):
        labels.append(truth[test])
        before.append(probability[test])
        after.append(_calibration(truth[train], probability[train])(probability[test]))
    held_out = np.concatenate(labels)
    return _calibration_error(held_out, np.concatenate(before)) > _calibration_error(held_out, np.concatenate(after))


def _calibration_error(truth: Ints, probability: Floats) -> float:
    """Expected calibration error over ten bins of equally many rows."""
    order = np.argsort(probability)
    bins = np.array_split(order, 10)
    gaps = [abs(float(np.mean(probability[rows]) - np.mean(truth[rows]))) * len(rows) for rows in bins]
    return sum(gaps) / len(truth)


def dle(
    table: pa.Table, known: Answers, roles: Roles, metrics: Sequence[str], *, judged: bool = False
) -> tuple[Read, Values]:
    """Fit DLE: a regressor of the error for each metric, on labelled rows in time order (`known`, rows of `table`).

    Returns the function that reads a window, and the cross-fitted estimates on the labelled rows, unless these are
    `judged` already. Raises CannotJudge if there are no features.
    """
    features = features_of(table, roles)
    if not features.names:
        raise CannotJudge("there are no features to learn the errors from")
    rows = known.take(np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_ROWS)).astype(np.int64)))
    matrix = _matrix(features, table, rows)
    models: dict[str, HistGradientBoostingRegressor] = {}
    across: dict[str, float] = {}
    for name in metrics:
        errors = row_losses(name, rows)
        defined = np.flatnonzero(np.isfinite(errors))
        models[name] = _regressor(features, matrix[defined], errors[defined])
        if not judged:
            every = _cross_fitted(features, matrix[defined], errors[defined])
            across[name] = _mean_loss(name, np.concatenate(list(every)))

    def read(window: pa.Table) -> tuple[int, Values]:
        predictions = unlabelled(window, roles, "regression")
        if not len(predictions):
            raise CannotJudge("no row has a prediction")
        seen = _matrix(features, window, predictions)
        return len(predictions), lambda name: _mean_loss(name, models[name].predict(seen))

    return read, lambda name: across[name]


def _matrix(features: Features, table: pa.Table, predictions: Answers) -> Floats:
    """Rows × (features, prediction)."""
    return np.column_stack([features.matrix(table.take(predictions.at)), predictions.predicted.astype(np.float64)])


def _regressor(features: Features, matrix: Floats, errors: Floats) -> "HistGradientBoostingRegressor":
    """Return gradient boosting with the number and size of trees of NannyML's default regressor, fitted."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    categorical = [*features.categorical, False]
    model = HistGradientBoostingRegressor(random_state=0, early_stopping=False, categorical_features=categorical)
    return model.fit(matrix, errors)


def _cross_fitted(features: Features, matrix: Floats, errors: Floats) -> Iterator[Floats]:
    for fold in folds(len(errors)):
        rest = np.delete(np.arange(len(errors)), fold)
        yield _regressor(features, matrix[rest], errors[rest]).predict(matrix[fold])


def _mean_loss(name: str, errors: Floats) -> float:
    """Return the metric of predicted errors; negative predictions count as zero."""
    mean = float(np.mean(np.maximum(0, errors)))
    return float(np.sqrt(mean)) if name == "rmse" else mean


def row_losses(metric: str, given: Answers) -> Floats:
    """Return the error of each row, whose mean is the metric; NaN if it is not defined."""
    if metric != "mape":
        return losses(metric, given)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(given.truth == 0, np.nan, losses(metric, given))


def folds(rows: int) -> list[Ints]:
    """Cut rows in time order into contiguous folds, because neighbouring rows are correlated."""
    return np.array_split(np.arange(rows), FOLDS)
