"""The performance metrics of a set of answers, as scikit-learn defines them, and their confidence intervals."""

from collections.abc import Callable
from types import ModuleType
from typing import Any

import numpy as np

from monitor.errors import CannotJudge
from monitor.performance import confidence_intervals
from monitor.performance.confidence_intervals import Interval
from monitor.performance.labelled_rows import Answers
from monitor.performance.metrics import METRICS
from monitor.private import quoted
from monitor.tables.columns import Floats, Numbers

MOST_CLASSES = 100     # with more the interval of a macro average costs too much


def value_of(metric: str, given: Answers) -> float:
    """Return the metric on these answers. Raises CannotJudge, saying why, where it is not defined on them."""
    if not len(given):
        raise CannotJudge("no row has both a label and a prediction yet")
    value = _VALUES[metric](usable(metric, given))
    if not np.isfinite(value):
        raise CannotJudge(f"{metric} has no finite value here")
    return value


def interval(metric: str, given: Answers) -> Interval | None:
    """Return the 95 % confidence interval of the metric on usable answers; None where there is none."""
    if given.task == "regression":
        return _of_errors(metric, given)
    if METRICS[metric].needs_probability and given.chance is not None:
        return _of_probabilities(metric, given, given.chance)
    matrix = _matrix(given)
    if metric == "accuracy":
        return confidence_intervals.wilson(np.trace(matrix), len(given))
    if given.task == "binary" and metric in ("precision", "recall"):
        said_or_true = matrix[:, 1] if metric == "precision" else matrix[1]
        return confidence_intervals.wilson(matrix[1, 1], said_or_true.sum())
    if metric == "specificity":
        return confidence_intervals.wilson(matrix[0, 0], matrix[0].sum())
    if len(given.classes) > MOST_CLASSES:
        return None
    return confidence_intervals.confusion(matrix, _OF_MATRICES[f"{given.task} f1" if metric == "f1" else metric])


def usable(metric: str, given: Answers) -> Answers:
    """Keep the rows the metric is defined on. Raises CannotJudge where none are left, or one class only."""
    if METRICS[metric].needs_probability:
        if given.chance is None:
            raise CannotJudge(f"{metric} needs a probability column")
        known = ~np.isnan(given.chance)
        given = given if known.all() else given.take(known)
    if metric == "mape":
        given = given.take(given.truth != 0)
    if not len(given):
        raise CannotJudge(f"no labelled row is left that {metric} is defined on")
    if metric == "r2" and _alike(given.truth):
        raise CannotJudge("r2 needs labels that differ")
    if metric in ("roc_auc", "average_precision", "balanced_accuracy") and _alike(given.truth):
        only = given.classes[int(given.truth[0])]
        raise CannotJudge(f"{metric} needs labels of two classes, all are {quoted(only)}")
    if metric in ("log_loss", "brier") and given.chance is not None and _outside(given.chance):
        raise CannotJudge(f"{metric} needs probabilities between 0 and 1")
    return given


def _alike(values: Numbers) -> bool:
    return bool((values == values[0]).all())


def _outside(chance: Floats) -> bool:
    return bool(chance.min() < 0 or chance.max() > 1)


def _tallies(given: Answers) -> tuple[Floats, Floats, Floats]:
    """How many rows of each class are rightly said, labelled so, and said to be so; weighted."""
    size, right = len(given.classes), given.truth == given.said
    weight = given.weight
    hits = np.bincount(given.truth[right], None if weight is None else weight[right], size)
    labelled, said = (np.bincount(classes, weight, size) for classes in (given.truth, given.said))
    return hits.astype(np.float64), labelled.astype(np.float64), said.astype(np.float64)


def _of_classes(metric: str, share: Callable[[Floats, Floats, Floats], Floats]) -> Callable[[Answers], float]:
    """Precision, recall or F1: of the positive class where there are two, else the mean over the classes."""

    def value(given: Answers) -> float:
        with np.errstate(invalid="ignore", divide="ignore"):
            shares = share(*_tallies(given))
        if given.task == "multiclass":
            return _mean_of(shares, np.union1d(given.truth, given.said))
        if np.isnan(shares[1]):
            raise CannotJudge(f"{metric} is not defined here: there is no positive class {quoted(given.classes[1])}")
        return float(shares[1])

    return value


def _mean_of(shares: Floats, classes: Numbers) -> float:
    """Mean over these classes; what is not defined counts as zero, as scikit-learn's."""
    return float(np.mean(np.nan_to_num(shares[classes])))


def _accuracy(given: Answers) -> float:
    hits, labelled, _ = _tallies(given)
    return float(hits.sum() / labelled.sum())


def _balanced_accuracy(given: Answers) -> float:
    hits, labelled, _ = _tallies(given)
    with np.errstate(invalid="ignore", divide="ignore"):
        return _mean_of(hits / labelled, np.unique(given.truth))    # classes without labels have no recall


def _specificity(given: Answers) -> float:
    hits, labelled, _ = _tallies(given)
    if not labelled[0]:
        raise CannotJudge(f"specificity is not defined here: there is no negative class {quoted(given.classes[0])}")
    return float(hits[0] / labelled[0])


def _plain(name: str, **options: Any) -> Callable[[Answers], float]:
    return lambda given: float(
        getattr(_sklearn(), name)(given.truth, given.said, sample_weight=given.weight, **options)
    )


def _by_chance(given: Answers) -> tuple[Floats, Floats]:
    """How many rows are positive, and how many negative, down to each distinct chance, highest first; weighted."""
    assert given.chance is not None
    order = given.falling
    chance, truth = given.chance[order], given.truth[order]
    weight = np.ones(len(given)) if given.weight is None else given.weight[order]
    last = np.append(np.flatnonzero(np.diff(chance)), len(chance) - 1)
    return np.cumsum(weight * truth)[last], np.cumsum(weight * (1 - truth))[last]


def _roc_auc(given: Answers) -> float:
    hits, others = _by_chance(given)
    with np.errstate(invalid="ignore", divide="ignore"):
        steps = np.diff(others, prepend=0.0) * (hits + np.append(0.0, hits[:-1])) / 2
        return float(np.sum(steps) / (hits[-1] * others[-1]))


def _average_precision(given: Answers) -> float:
    hits, others = _by_chance(given)
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(hits > 0, hits / (hits + others), 0.0)
        return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def _of_losses(name: str) -> Callable[[Answers], float]:
    def value(given: Answers) -> float:
        assert given.chance is not None
        return float(np.average(losses(name, given.truth, given.chance), weights=given.weight))

    return value


def _sklearn() -> ModuleType:
    from sklearn import metrics

    found: ModuleType = metrics
    return found


_VALUES: dict[str, Callable[[Answers], float]] = {
    "accuracy": _accuracy,
    "balanced_accuracy": _balanced_accuracy,
    "precision": _of_classes("precision", lambda hits, labelled, said: hits / said),
    "recall": _of_classes("recall", lambda hits, labelled, said: hits / labelled),
    "f1": _of_classes("f1", lambda hits, labelled, said: 2 * hits / (labelled + said)),
    "specificity": _specificity,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _of_losses("log_loss"),
    "brier": _of_losses("brier"),
    "mae": _plain("mean_absolute_error"),
    "rmse": _plain("root_mean_squared_error"),
    "r2": _plain("r2_score"),
    "mape": _plain("mean_absolute_percentage_error"),
    "bias": lambda given: float(np.average(given.said - given.truth, weights=given.weight)),
}


def _of_errors(metric: str, given: Answers) -> Interval | None:
    errors = given.said - given.truth
    if metric == "rmse":
        return confidence_intervals.root_mean(errors**2)
    if metric == "r2":
        return confidence_intervals.r_squared(errors, given.truth - np.mean(given.truth))
    if metric == "bias":
        return confidence_intervals.mean(errors)
    return confidence_intervals.mean(np.abs(errors / given.truth) if metric == "mape" else np.abs(errors))


def _of_probabilities(metric: str, given: Answers, chance: Floats) -> Interval | None:
    if metric == "roc_auc":
        return confidence_intervals.roc_auc(given.truth, chance)
    if metric == "average_precision":
        return confidence_intervals.average_precision(_average_precision(given), int(np.sum(given.truth)))
    return confidence_intervals.mean(losses(metric, given.truth, chance))


def losses(metric: str, truth: Numbers, chance: Floats) -> Floats:
    """Return what each row adds to the mean that is the `log_loss` or `brier` score."""
    found: Floats
    if metric == "brier":
        found = (chance - truth) ** 2
    else:
        tiny = np.finfo(np.float64).eps        # as scikit-learn clips
        found = -np.log(np.clip(np.where(truth == 1, chance, 1 - chance), tiny, 1 - tiny))
    return found


def _matrix(given: Answers) -> Numbers:
    """Counts by (label, prediction)."""
    k = len(given.classes)
    cells: Numbers = np.bincount(given.truth * k + given.said, minlength=k * k).reshape(k, k)
    return cells


def _macro(per_class: Numbers, held: Numbers) -> Numbers:
    """Mean over the classes held, an undefined share counting as zero, as scikit-learn's."""
    means: Numbers = np.where(held, np.nan_to_num(per_class), 0).sum(axis=-1) / held.sum(axis=-1)
    return means


def _shares(matrices: Numbers, axis: int) -> Numbers:
    with np.errstate(invalid="ignore", divide="ignore"):
        shares: Numbers = np.diagonal(matrices, axis1=-2, axis2=-1) / matrices.sum(axis=axis)
    return shares


def _held(matrices: Numbers) -> Numbers:
    held: Numbers = (matrices.sum(axis=-1) + matrices.sum(axis=-2)) > 0
    return held


def _f1_by_class(matrices: Numbers) -> Numbers:
    with np.errstate(invalid="ignore", divide="ignore"):
        hits = np.diagonal(matrices, axis1=-2, axis2=-1)
        found: Numbers = 2 * hits / (matrices.sum(axis=-1) + matrices.sum(axis=-2))
    return found


_OF_MATRICES: dict[str, Callable[[Numbers], Numbers]] = {
    "balanced_accuracy": lambda m: _macro(_shares(m, -1), m.sum(axis=-1) > 0),
    "precision": lambda m: _macro(_shares(m, -2), _held(m)),
    "recall": lambda m: _macro(_shares(m, -1), _held(m)),
    "multiclass f1": lambda m: _macro(_f1_by_class(m), _held(m)),
    "binary f1": lambda m: _f1_by_class(m)[..., 1],
}
