"""Direct loss estimation: a regressor learns how large another regressor's errors are (NannyML 0.13.1, DLE)."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.config.roles import Roles
from monitor.errors import CannotJudge
from monitor.measure import columns
from monitor.measure.answers import Answers, unlabelled
from monitor.measure.columns import Category, Floats
from monitor.measure.fitted import Read, Values, folds

MOST_ROWS = 20_000           # a regressor is fitted on at most so many, spread over the reference
MOST_CATEGORIES = 255        # of one column, the limit of scikit-learn's bins


@dataclass(frozen=True, slots=True)
class _Features:
    """The columns a regressor of errors reads, the places of their categories, and the prediction."""

    names: tuple[str, ...]
    categories: dict[str, dict[Category, int]]

    def matrix(self, table: pa.Table, said: Answers) -> Floats:
        """Rows × (features, prediction): numbers, or places of known categories; NaN for missing and unknown."""
        rows = table.take(said.at)
        found = [self._column(rows, name) for name in self.names]
        return np.column_stack([*found, said.said.astype(np.float64)])

    def _column(self, rows: pa.Table, name: str) -> Floats:
        if name not in rows.column_names:
            return np.full(len(rows), np.nan)
        if name not in self.categories:
            return columns.numeric(rows[name])
        codes = columns.codes(rows[name], self.categories[name])
        return np.where(codes < 0, np.nan, codes)


def dle(
    table: pa.Table, known: Answers, roles: Roles, metrics: Sequence[str]
) -> tuple[Read, Values]:
    """Fit a regressor of the error for each metric on labelled rows in the order of time (`known`, of `table`).

    Returns how a window is read, and the cross-fitted estimates on the rows themselves. Raises CannotJudge where
    there are no features.
    """
    features = _features(table, roles)
    if not features.names:
        raise CannotJudge("there are no features to learn the errors from")
    rows = known.take(np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_ROWS)).astype(np.int64)))
    matrix = features.matrix(table, rows)
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
        seen = features.matrix(window, said)
        return len(said), lambda name: _mean_loss(name, models[name].predict(seen))

    return read, lambda name: across[name]


def _features(table: pa.Table, roles: Roles) -> _Features:
    kinds = {n: kind for n, kind in roles.features.items() if kind != "text" and n in table.column_names}
    categories = {name: _places(table[name]) for name, kind in kinds.items() if kind == "categorical"}
    return _Features(tuple(kinds), categories)


def _places(column: pa.ChunkedArray) -> dict[Category, int]:
    often = sorted(columns.counts(column).items(), key=lambda pair: (-pair[1], str(pair[0])))
    return {key: place for place, (key, _) in enumerate(often[:MOST_CATEGORIES])}


def _regressor(features: _Features, matrix: Floats, losses: Floats) -> Any:
    """Gradient boosting with as many and as large trees as NannyML's regressor has by default."""
    from sklearn.ensemble import HistGradientBoostingRegressor

    categorical = [*(name in features.categories for name in features.names), False]
    model = HistGradientBoostingRegressor(random_state=0, early_stopping=False, categorical_features=categorical)
    return model.fit(matrix, losses)


def _cross_fitted(features: _Features, matrix: Floats, losses: Floats) -> Iterator[Floats]:
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
