"""Sampling errors of estimated metrics: how far a window's own rows may lead astray (as in NannyML 0.13.1)."""

from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.estimation.dle import LOSSES
from monitor.performance.confidence_intervals import placements
from monitor.performance.formulas import losses, value_of
from monitor.performance.labelled_rows import Answers
from monitor.tables.columns import Floats


def row_error(known: Answers, name: str) -> float:
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


def _of_chances(name: str) -> Callable[[Answers], float]:
    def error(known: Answers) -> float:
        assert known.chance is not None
        return _per_row(losses(name, known.truth, known.chance), len(known))

    return error


def _of_loss(name: str) -> Callable[[Answers], float]:
    def error(known: Answers) -> float:
        losses = LOSSES[name](known)
        held = losses[np.isfinite(losses)]
        return _per_row(held, len(known))

    return error


def _of_rmse(known: Answers) -> float:
    squares = LOSSES["rmse"](known)
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
    "log_loss": _of_chances("log_loss"),
    "brier": _of_chances("brier"),
    "mae": _of_loss("mae"),
    "rmse": _of_rmse,
    "mape": _of_loss("mape"),
}
