"""Performance before the labels are known: CBPE for classifiers that give probabilities, DLE for regressors.

CBPE (confidence-based performance estimation): each row counts as positive with its calibrated probability p and
as negative with 1 − p; a metric's estimate is the metric on those fractional rows. DLE (direct loss estimation): a
regressor learns the size of the model's error on the reference; a metric's estimate is the mean of its predictions.
Both follow NannyML 0.13.1 (docs "how it works", performance estimation), as do thresholds and sampling errors. Both
assume that the relation between features and label has not changed: see docs/estimation.md.

The estimator is fitted on the reference, because windows never overlap it. Its estimates on the reference are
cross-fitted over five contiguous folds, so that no row is judged by an estimator that saw its label.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Literal

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.errors import CannotJudge
from monitor.estimation.cbpe_and_dle import Curves, Read, Values, by_curves, cbpe, cbpe_of_classes, dle, row_losses
from monitor.metric_catalogue import ESTIMATED, METRICS, Task, Unit, estimable
from monitor.performance.confidence_intervals import Z, placements
from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import Answers, answers, classes_of
from monitor.performance.performance_scores import block_values
from monitor.records import Score, ScoreStatus
from monitor.tables.columns import Floats

FEWEST_ROWS = 200            # labelled rows of the reference
FEWEST_OF_A_CLASS = 10
DEVIATIONS = 3               # sd of the reference's windows between their mean and the threshold


@dataclass(frozen=True, slots=True)
class Norm:
    """The figures of one metric on the reference.

    `reference`: the cross-fitted estimate on the reference. `threshold`: on the worse side. `error`: the sampling
    error of one row, to be divided by the square root of a window's rows.
    """

    reference: float | None
    threshold: float | None
    error: float | None


@dataclass(frozen=True, slots=True)
class Fitted:
    """What a fit learned of the reference, in a form that can be kept."""

    norms: dict[str, Norm]
    classes: tuple[str, ...] = ()
    curves: Curves | None = None         # None: DLE, whose regressors are fitted anew in each process


@dataclass(frozen=True, slots=True, eq=False)
class Estimator:
    """A fitted estimator; `read` returns the rows of a table it can judge, and each metric's estimate on them."""

    method: Literal["cbpe", "dle"]
    read: Read
    fitted: Fitted

    @property
    def norms(self) -> dict[str, Norm]:
        return self.fitted.norms


def fit_estimator(
    reference: pa.Table, roles: Roles, task: Task, metrics: Sequence[str], blocks: Sequence[pa.Table],
    before: Fitted | None = None,
) -> Estimator:
    """Fit on the labelled rows of the reference; `blocks` is the reference cut into windows, for thresholds.

    `before`: what an earlier fit of DLE learned of the same rows, which is not worked out again. Cost: CBPE sorts the
    reference some tens of times; DLE fits six regressors per metric on at most 20,000 rows. Raises CannotJudge if
    nothing can be estimated: too few labels, no probability, no features.
    """
    wanted = [name for name in metrics if name in estimable(task)]
    if not wanted:
        can = ", ".join(estimable(task)) or "nothing"
        raise CannotJudge(f"of a {task} model {can} can be estimated without labels")
    rows = reference.sort_by(roles.timestamp) if roles.timestamp in reference.column_names else reference
    classes = classes_of([rows], roles, task)
    known = answers(rows, roles, task, classes)
    if task != "regression":
        known = usable("roc_auc", known)
    if len(known) < FEWEST_ROWS:
        raise CannotJudge(f"the reference has {len(known)} labelled rows, an estimate needs {FEWEST_ROWS}")
    if task == "binary" and min(known.truth.sum(), len(known) - known.truth.sum()) < FEWEST_OF_A_CLASS:
        raise CannotJudge(f"an estimate needs {FEWEST_OF_A_CLASS} labelled rows of each class in the reference")
    if before is not None:
        return Estimator("dle", dle(rows, known, roles, wanted, judged=True)[0], before)
    cut = [block for table in blocks if len(block := answers(table, roles, task, classes))]
    if task == "regression":
        read, across = dle(rows, known, roles, wanted)
        return Estimator("dle", read, Fitted({name: _norm(name, known, across, cut) for name in wanted}))
    curves, across = cbpe(known) if task == "binary" else cbpe_of_classes(known)
    return cbpe_estimator(Fitted({name: _norm(name, known, across, cut) for name in wanted}, classes, curves),
                          roles, task)


def cbpe_estimator(fitted: Fitted, roles: Roles, task: Task) -> Estimator:
    """Return CBPE as it was fitted."""
    assert fitted.curves is not None
    return Estimator("cbpe", by_curves(fitted.curves, roles, task, fitted.classes), fitted)


def estimate_scores(estimator: Estimator, window: pa.Table) -> list[Score]:
    """Estimate each metric on all rows of a window that have a prediction, labelled or not.

    `low` and `high` are the 95 % interval of the sampling error alone. The error of the estimate's assumption is not
    included: no window can show it. Worse than the threshold is `drifted`.
    """
    try:
        n, value = estimator.read(window)
    except CannotJudge as error:
        return [_blank(estimator, name, str(error)) for name in estimator.norms]
    return [_score(estimator, name, n, value) for name in estimator.norms]


def cannot_estimate(metrics: Sequence[str], reason: str) -> list[Score]:
    """Return insufficient scores whose reason says why there is no estimate."""
    return [
        Score(metric=ESTIMATED + name, status=ScoreStatus.INSUFFICIENT, reason=reason) for name in metrics
    ]


def _blank(estimator: Estimator, name: str, reason: str) -> Score:
    return replace(cannot_estimate([name], reason)[0], method=estimator.method)


def _score(estimator: Estimator, name: str, n: int, value: Values) -> Score:
    try:
        estimate = value(name)
    except CannotJudge as error:
        return _blank(estimator, name, str(error))
    norm = estimator.norms[name]
    half = None if norm.error is None else Z * norm.error / np.sqrt(n)
    score = Score(
        metric=ESTIMATED + name,
        method=estimator.method,
        value=estimate,
        reference=norm.reference,
        low=None if half is None else _clipped(name, estimate - half),
        high=None if half is None else _clipped(name, estimate + half),
        threshold=norm.threshold,
        n=n,
    )
    return replace(score, status=ScoreStatus.DRIFTED) if _worse(name, estimate, norm.threshold) else score


def _worse(name: str, value: float, threshold: float | None) -> bool:
    if threshold is None:
        return False
    return value < threshold if METRICS[name].higher_is_better else value > threshold


def _clipped(name: str, value: float) -> float:
    return float(max(0.0, min(1.0, value) if METRICS[name].unit is Unit.SHARE else value))


def _norm(name: str, known: Answers, across: Values, blocks: list[Answers]) -> Norm:
    threshold, error = partial(_threshold, blocks), partial(row_error, known)
    return Norm(_tried(across, name), _tried(threshold, name), _tried(error, name))


def _tried(value: Values, name: str) -> float | None:
    try:
        figure = value(name)
    except CannotJudge:
        return None
    return figure if np.isfinite(figure) else None


def _threshold(blocks: list[Answers], name: str) -> float:
    """Mean ± 3 sd (ddof 0) of the realised metric over blocks of the reference, on the worse side."""
    if not blocks:
        raise CannotJudge("the reference has no complete window")
    values, _ = block_values(blocks, name)
    side = -DEVIATIONS if METRICS[name].higher_is_better else DEVIATIONS
    return _clipped(name, float(np.mean(values) + side * np.std(values)))


def row_error(known: Answers, name: str) -> float:
    """Return the sampling error of a metric on one row, in the metric's unit.

    It is the sd of the rows' contributions over the square root of the share of rows that contribute.
    """
    return _ERRORS[name](known)


def _per_row(values: Floats, rows: int) -> float:
    return float(np.std(values) * np.sqrt(rows / len(values))) if len(values) else np.nan


def _of_hits(which: Callable[[Answers], Any]) -> Callable[[Answers], float]:
    """Return the error of a share of correct predictions among the rows that `which` keeps."""
    return lambda known: _per_row((known.predicted == known.truth)[which(known)].astype(np.float64), len(known))


def _of_f1(known: Answers) -> float:
    there = (known.predicted == 1) | (known.truth == 1)
    hits = ((known.predicted == 1) & (known.truth == 1))[there].astype(np.float64)
    if not hits.any():
        return np.nan
    return _per_row(hits * len(hits) / (hits.sum() + 0.5 * (len(hits) - hits.sum())), len(known))


def _of_roc_auc(known: Answers) -> float:
    """Return the error from the rarer class alone, which contributes the larger part of the variance."""
    if known.chances is not None:
        return float(np.mean([_of_roc_auc(known.against_rest(int(place))) for place in np.unique(known.truth)]))
    assert known.probability is not None
    above, below = placements(known.truth, known.probability)
    return _per_row(above if len(above) <= len(below) else below, len(known))


def _of_average_precision(known: Answers) -> float:
    """Return the binomial error (Boyd, Eng and Page 2013, section 3.1)."""
    area, positives = value_of("average_precision", known), float(np.sum(known.truth == 1))
    return float(np.sqrt(area * (1 - area) * len(known) / positives))


def _of_balanced_accuracy(known: Answers) -> float:
    return float(np.hypot(_ERRORS["recall"](known), _ERRORS["specificity"](known))) / 2


def _of_loss(name: str) -> Callable[[Answers], float]:
    def error(known: Answers) -> float:
        wrong = row_losses(name, known)
        return _per_row(wrong[np.isfinite(wrong)], len(known))

    return error


def _of_rmse(known: Answers) -> float:
    squares = row_losses("rmse", known)
    return float(np.std(squares) / (2 * np.sqrt(np.mean(squares))))


_ERRORS: dict[str, Callable[[Answers], float]] = {
    "accuracy": _of_hits(lambda known: slice(None)),
    "balanced_accuracy": _of_balanced_accuracy,
    "precision": _of_hits(lambda known: known.predicted == 1),
    "recall": _of_hits(lambda known: known.truth == 1),
    "specificity": _of_hits(lambda known: known.truth == 0),
    "f1": _of_f1,
    "roc_auc": _of_roc_auc,
    "average_precision": _of_average_precision,
    "log_loss": _of_loss("log_loss"),
    "brier": _of_loss("brier"),
    "mae": _of_loss("mae"),
    "rmse": _of_rmse,
    "mape": _of_loss("mape"),
}
