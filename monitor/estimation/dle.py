"""Direct loss estimation: a regressor learns how large another regressor's errors are (NannyML 0.13.1, DLE)."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.estimation.fitted import Read, Values, folds
from monitor.performance.labelled_rows import Answers, unlabelled
from monitor.tables.columns import Features, Floats, features_of

MOST_ROWS = 20_000           # a regressor is fitted on at most so many, spread over the reference


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
    models: dict[str, Any] = {}
    across: dict[str, float] = {}
    for name in metrics:
        losses = LOSSES[name](rows)
        there = np.flatnonzero(np.isfinite(losses))
        models[name] = _regressor(features, matrix[there], losses[there])
        across[name] = _mean_loss(name, np.concatenate(list(_cross_fitted(features, matrix[there], losses[there]))))

    def read(window: pa.Table) -> tuple[int, Values]:
        said = unlabelled(window, roles, "regression")
        if not len(said):
            raise CannotJudge("no row has a prediction")
        seen = _matrix(features, window, said)
        return len(said), lambda name: _mean_loss(name, models[name].predict(seen))

    return read, lambda name: across[name]


def _matrix(features: Features, table: pa.Table, said: Answers) -> Floats:
    """Rows × (features, prediction)."""
    return np.column_stack([features.matrix(table.take(said.at)), said.said.astype(np.float64)])


def _regressor(features: Features, matrix: Floats, losses: Floats) -> Any:
    """Gradient boosting with as many and as large trees as NannyML's regressor has by default."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    categorical = [*features.categorical, False]
    model = HistGradientBoostingRegressor(random_state=0, early_stopping=False, categorical_features=categorical)
    return model.fit(matrix, losses)


def _cross_fitted(features: Features, matrix: Floats, losses: Floats) -> Iterator[Floats]:
    for fold in folds(len(losses)):
        rest = np.delete(np.arange(len(losses)), fold)
        yield _regressor(features, matrix[rest], losses[rest]).predict(matrix[fold])


def _mean_loss(name: str, losses: Floats) -> float:
    """Predicted errors are never below zero, whatever the regressor says."""
    mean = float(np.mean(np.maximum(0, losses)))
    return float(np.sqrt(mean)) if name == "rmse" else mean


def _relative(given: Answers) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(given.truth == 0, np.nan, np.abs((given.said - given.truth) / given.truth))
    return found


LOSSES: dict[str, Callable[[Answers], Floats]] = {
    "mae": lambda given: np.abs(given.said - given.truth),
    "rmse": lambda given: (given.said - given.truth) ** 2,
    "mape": _relative,
}
