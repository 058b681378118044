"""The kinds of model a challenger may be. All are seeded, run on one thread, and read a matrix of features with NaN
for what is missing; categories are whole numbers, from 0 for the most frequent."""

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.config.sections import ChallengerKind, Task
from monitor.tables.columns import Floats, Ints

TREES = 100                # of a forest …
TREE_ROWS = 10_000         # … each fitted on so many rows at the most, drawn with replacement
LEAF_ROWS = 5
STEPS = 200                # of a logistic regression


def learn(
    kind: ChallengerKind, task: Task, metric: str, categorical: list[bool], matrix: Floats, truth: Floats | Ints
) -> Any:
    """Fit a model of the kind for the task, with `predict`, and `predict_proba` where labels are classes."""
    model = _KINDS[kind](task, metric, categorical, len(matrix))
    with warnings.catch_warnings():      # linear: a model that stands still to the third digit is as good
        warnings.filterwarnings("ignore", message="lbfgs failed to converge")
        return model.fit(matrix, truth)


def _gradient_boosting(task: Task, metric: str, categorical: list[bool], rows: int) -> Any:
    from sklearn.ensemble import HistGradientBoostingClassifier, HistGradientBoostingRegressor

    options: dict[str, Any] = {
        "random_state": 0, "early_stopping": False, "categorical_features": categorical,
    }
    if task == "regression":
        return HistGradientBoostingRegressor(loss=_LOSSES.get(metric, "squared_error"), **options)
    return HistGradientBoostingClassifier(**options)


_LOSSES = {"mae": "absolute_error"}


def _linear(task: Task, metric: str, categorical: list[bool], rows: int) -> Any:
    """Ridge or logistic regression: numbers scaled, with the median for what is missing; one column a category."""
    from sklearn.compose import ColumnTransformer
    from sklearn.impute import SimpleImputer
    from sklearn.linear_model import LogisticRegression, Ridge
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import OneHotEncoder, StandardScaler

    numbers = make_pipeline(SimpleImputer(strategy="median", keep_empty_features=True), StandardScaler())
    read = ColumnTransformer([
        ("numbers", numbers, np.flatnonzero(~np.array(categorical))),
        ("words", OneHotEncoder(handle_unknown="ignore"), np.flatnonzero(categorical)),
    ])
    return make_pipeline(read, Ridge(random_state=0) if task == "regression" else LogisticRegression(max_iter=STEPS))


def _forest(task: Task, metric: str, categorical: list[bool], rows: int) -> Any:
    from sklearn.ensemble import RandomForestClassifier, RandomForestRegressor

    options: dict[str, Any] = {
        "n_estimators": TREES, "min_samples_leaf": LEAF_ROWS, "max_samples": min(rows, TREE_ROWS), "random_state": 0,
    }
    if task == "regression":
        return RandomForestRegressor(max_features=1 / 3, **options)
    return RandomForestClassifier(**options)


_KINDS: dict[ChallengerKind, Callable[[Task, str, list[bool], int], Any]] = {
    "gradient_boosting": _gradient_boosting,
    "linear": _linear,
    "forest": _forest,
}
