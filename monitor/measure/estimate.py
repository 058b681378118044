"""Performance before the labels are known: CBPE for classifiers that give probabilities, DLE for regressors.

CBPE (confidence-based performance estimation): each row counts as positive with its calibrated probability p and
as negative with 1 − p; a metric's estimate is the metric on those fractional rows. DLE (direct loss estimation): a
regressor learns on the reference how large the model's error is; a metric's estimate is the mean of what it says.
Both after NannyML 0.13.1 (docs "how it works", performance estimation), thresholds and sampling errors likewise. Both
suppose that the relation between features and label has not changed: see docs/estimation.md.

The estimator is fitted on the whole reference, for windows never belong to it. What it says of the reference itself
is cross-fitted over five stretches of time, so that no row is judged by an estimator that saw its label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from monitor.config.model import Task
from monitor.config.roles import Roles
from monitor.config.rules import ESTIMABLE, ESTIMATED
from monitor.errors import CannotJudge
from monitor.measure import columns
from monitor.measure.answers import Answers, answers, classes_of, unlabelled
from monitor.measure.columns import Category, Floats, Ints
from monitor.measure.formulas import usable, value_of
from monitor.measure.intervals import Z, placements
from monitor.measure.metrics import METRICS
from monitor.measure.performance import block_values
from monitor.records import Score, ScoreStatus

FEWEST_ROWS = 200            # labelled rows of the reference
MOST_ROWS = 20_000           # a regressor of errors is fitted on at most so many, spread over the reference
MOST_CATEGORIES = 255        # of one column, the limit of scikit-learn's bins
FOLDS = 5
DEVIATIONS = 3               # a threshold lies so many sd of the reference's windows from their mean
UNBOUNDED = ("log_loss", "mae", "rmse", "mape")

Values = Callable[[str], float]      # a metric's estimate by its name; raises CannotJudge


@dataclass(frozen=True, slots=True)
class Norm:
    """What the reference says of one metric.

    `reference`: the cross-fitted estimate on the reference. `threshold`: of the worse side. `error`: the sampling
    error of one row, to be divided by the root of a window's rows.
    """

    reference: float | None
    threshold: float | None
    error: float | None


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """A fitted estimator; `read` returns the rows of a table it can judge, and each metric's estimate on them."""

    method: Literal["cbpe", "dle"]
    read: Callable[[pa.Table], tuple[int, Values]]
    norms: dict[str, Norm]


def fit_estimator(
    reference: pa.Table, roles: Roles, task: Task, metrics: Sequence[str], blocks: Sequence[pa.Table]
) -> Estimator:
    """Fit on the labelled rows of the reference; `blocks` is the reference cut as windows are, for thresholds.

    Costs: CBPE sorts the reference some tens of times; DLE fits six regressors a metric on at most 20,000 rows.
    Raises CannotJudge where nothing can be estimated: too few labels, no probability, no features.
    """
    wanted = [name for name in metrics if name in ESTIMABLE[task]]
    if not wanted:
        can = ", ".join(ESTIMABLE[task]) or "nothing"
        raise CannotJudge(f"of a {task} model {can} can be estimated without labels")
    rows = reference.sort_by(roles.timestamp) if roles.timestamp in reference.column_names else reference
    classes = classes_of([rows], roles, task)
    known = answers(rows, roles, task, classes)
    if task != "regression":
        known = usable("roc_auc", known)
    if len(known) < FEWEST_ROWS:
        raise CannotJudge(f"the reference has {len(known)} labelled rows, an estimate needs {FEWEST_ROWS}")
    read, across = _cbpe(known, roles) if task == "binary" else _dle(rows, known, roles, wanted)
    cut = [block for one in blocks if len(block := answers(one, roles, task, classes))]
    norms = {name: _norm(name, known, across, cut) for name in wanted}
    return Estimator("cbpe" if task == "binary" else "dle", read, norms)


def estimate_scores(estimator: Estimator, window: pa.Table) -> list[Score]:
    """Estimate each metric on all rows of a window that have a prediction, labelled or not.

    `low` and `high` are the 95 % interval of the sampling error alone: how far the estimate's assumption is wrong,
    no window tells by itself. Worse than the threshold is `drifted`.
    """
    try:
        n, value = estimator.read(window)
    except CannotJudge as error:
        return [_blank(estimator, name, str(error)) for name in estimator.norms]
    return [_score(estimator, name, n, value) for name in estimator.norms]


def cannot_estimate(metrics: Sequence[str], reason: str) -> list[Score]:
    """Scores that say why there is no estimate."""
    return [
        Score(metric=ESTIMATED + name, status=ScoreStatus.INSUFFICIENT, reason=reason) for name in metrics
    ]


def _blank(estimator: Estimator, name: str, reason: str) -> Score:
    return replace(cannot_estimate([name], reason)[0], method=estimator.method)


def _score(estimator: Estimator, name: str, n: int, value: Values) -> Score:
    try:
        found = value(name)
    except CannotJudge as error:
        return _blank(estimator, name, str(error))
    norm = estimator.norms[name]
    half = None if norm.error is None else Z * norm.error / np.sqrt(n)
    score = Score(
        metric=ESTIMATED + name,
        method=estimator.method,
        value=found,
        reference=norm.reference,
        low=None if half is None else _clipped(name, found - half),
        high=None if half is None else _clipped(name, found + half),
        threshold=norm.threshold,
        n=n,
    )
    return replace(score, status=ScoreStatus.DRIFTED) if _worse(name, found, norm.threshold) else score


def _worse(name: str, value: float, threshold: float | None) -> bool:
    if threshold is None:
        return False
    return value < threshold if METRICS[name].higher_is_better else value > threshold


def _clipped(name: str, value: float) -> float:
    return float(max(0.0, value if name in UNBOUNDED else min(1.0, value)))


def _norm(name: str, known: Answers, across: Values, blocks: list[Answers]) -> Norm:
    return Norm(_tried(across, name), _tried(partial(_threshold, blocks), name), _tried(partial(_error, known), name))


def _tried(value: Values, name: str) -> float | None:
    try:
        found = value(name)
    except CannotJudge:
        return None
    return found if np.isfinite(found) else None


def _threshold(blocks: list[Answers], name: str) -> float:
    """Mean ± 3 sd (ddof 0) of the realised metric over blocks of the reference, on the worse side."""
    if not blocks:
        raise CannotJudge("the reference holds no whole window")
    values, _ = block_values(blocks, name)
    side = -DEVIATIONS if METRICS[name].higher_is_better else DEVIATIONS
    return _clipped(name, float(np.mean(values) + side * np.std(values)))


# --- CBPE


def _cbpe(known: Answers, roles: Roles) -> tuple[Callable[[pa.Table], tuple[int, Values]], Values]:
    assert known.chance is not None
    calibrated = _needs_calibration(known.truth, known.chance)
    if not calibrated and (known.chance.min() < 0 or known.chance.max() > 1):
        raise CannotJudge("an estimate needs probabilities between 0 and 1")
    mine = _calibration(known.truth, known.chance) if calibrated else _as_it_is
    across = np.empty(len(known))
    for fold in _folds(len(known)):
        rest = np.delete(np.arange(len(known)), fold)
        other = _calibration(known.truth[rest], known.chance[rest]) if calibrated else _as_it_is
        across[fold] = other(known.chance[fold])

    def read(window: pa.Table) -> tuple[int, Values]:
        said = unlabelled(window, roles, known.task, known.classes)
        if said.chance is None:
            raise CannotJudge("an estimate needs a probability column")
        said = said.take(~np.isnan(said.chance))
        if said.chance is None or not len(said):
            raise CannotJudge("no row has both a prediction and a probability")
        return len(said), partial(_on_fractions, said, mine(said.chance))

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


# --- DLE


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


def _dle(
    table: pa.Table, known: Answers, roles: Roles, metrics: Sequence[str]
) -> tuple[Callable[[pa.Table], tuple[int, Values]], Values]:
    features = _features(table, roles)
    if not features.names:
        raise CannotJudge("there are no features to learn the errors from")
    rows = known.take(np.unique(np.linspace(0, len(known) - 1, min(len(known), MOST_ROWS)).astype(np.int64)))
    matrix = features.matrix(table, rows)
    models: dict[str, Any] = {}
    across: dict[str, float] = {}
    for name in metrics:
        losses = _LOSSES[name](rows)
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
    for fold in _folds(len(losses)):
        rest = np.delete(np.arange(len(losses)), fold)
        yield _regressor(features, matrix[rest], losses[rest]).predict(matrix[fold])


def _mean_loss(name: str, losses: Floats) -> float:
    """Predicted errors are never below zero, whatever the regressor says."""
    mean = float(np.mean(np.maximum(0, losses)))
    return float(np.sqrt(mean)) if name == "rmse" else mean


def _folds(rows: int) -> list[Ints]:
    """Stretches of time, for rows next to each other are alike."""
    return np.array_split(np.arange(rows), FOLDS)


def _relative(given: Answers) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore"):
        found: Floats = np.where(given.truth == 0, np.nan, np.abs((given.said - given.truth) / given.truth))
    return found


_LOSSES: dict[str, Callable[[Answers], Floats]] = {
    "mae": lambda given: np.abs(given.said - given.truth),
    "rmse": lambda given: (given.said - given.truth) ** 2,
    "mape": _relative,
}


# --- sampling errors


def _error(known: Answers, name: str) -> float:
    """The sampling error of a metric on one row: the sd of what single rows say of it, over the root of the share
    of rows that say anything."""
    return _ERRORS[name](known)


def _per_row(values: Floats, rows: int) -> float:
    return float(np.std(values) * np.sqrt(rows / len(values))) if len(values) else np.nan


def _of_hits(which: Callable[[Answers], Any]) -> Callable[[Answers], float]:
    """Of a share: right answers among the rows that `which` keeps."""
    return lambda known: _per_row((known.said == known.truth)[which(known)].astype(np.float64), len(known))


def _of_f1(known: Answers) -> float:
    there = (known.said == 1) | (known.truth == 1)
    hits = ((known.said == 1) & (known.truth == 1))[there].astype(np.float64)
    if not hits.any():
        return np.nan
    return _per_row(hits * len(hits) / (hits.sum() + 0.5 * (len(hits) - hits.sum())), len(known))


def _of_roc_auc(known: Answers) -> float:
    """By the rarer class alone, whose share of the variance is the larger one."""
    assert known.chance is not None
    above, below = placements(known.truth, known.chance)
    return _per_row(above if len(above) <= len(below) else below, len(known))


def _of_average_precision(known: Answers) -> float:
    """Binomial (Boyd, Eng and Page 2013, section 3.1)."""
    area, positives = value_of("average_precision", known), float(np.sum(known.truth == 1))
    return float(np.sqrt(area * (1 - area) * len(known) / positives))


def _of_balanced_accuracy(known: Answers) -> float:
    return float(np.hypot(_ERRORS["recall"](known), _ERRORS["specificity"](known))) / 2


def _of_log_loss(known: Answers) -> float:
    assert known.chance is not None
    tiny = np.finfo(np.float64).eps
    right = np.where(known.truth == 1, known.chance, 1 - known.chance)
    return _per_row(-np.log(np.clip(right, tiny, 1 - tiny)), len(known))


def _of_brier(known: Answers) -> float:
    assert known.chance is not None
    return _per_row((known.chance - known.truth) ** 2, len(known))


def _of_loss(name: str) -> Callable[[Answers], float]:
    def error(known: Answers) -> float:
        losses = _LOSSES[name](known)
        held = losses[np.isfinite(losses)]
        return _per_row(held, len(known))

    return error


def _of_rmse(known: Answers) -> float:
    squares = _LOSSES["rmse"](known)
    return float(np.std(squares) / (2 * np.sqrt(np.mean(squares))))


_ERRORS: dict[str, Callable[[Answers], float]] = {
    "accuracy": _of_hits(lambda known: slice(None)),
    "balanced_accuracy": _of_balanced_accuracy,
    "precision": _of_hits(lambda known: known.said == 1),
    "recall": _of_hits(lambda known: known.truth == 1),
    "specificity": _of_hits(lambda known: known.truth == 0),
    "f1": _of_f1,
    "roc_auc": _of_roc_auc,
    "average_precision": _of_average_precision,
    "log_loss": _of_log_loss,
    "brier": _of_brier,
    "mae": _of_loss("mae"),
    "rmse": _of_rmse,
    "mape": _of_loss("mape"),
}
