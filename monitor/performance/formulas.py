"""The performance metrics on answers (labels and predictions), as scikit-learn defines them, with their intervals."""

from collections.abc import Callable

import numpy as np

from monitor.errors import CannotJudge
from monitor.metric_catalogue import METRICS, Task
from monitor.performance import confidence_intervals
from monitor.performance.confidence_intervals import Interval
from monitor.performance.labelled_rows import Answers
from monitor.private import quoted
from monitor.tables.columns import Floats, Numbers

Tallies = tuple[Floats, Floats, Floats]    # rows of each class (last axis): predicted correctly, labelled, predicted

MOST_CLASSES = 100     # with more classes the interval of a macro average takes too long


def value_of(metric: str, given: Answers) -> float:
    """Return the metric on these answers. Raises CannotJudge with the reason if it is not defined on them."""
    if not len(given):
        raise CannotJudge("no row has both a label and a prediction yet")
    value = _VALUES[metric](usable(metric, given))
    if not np.isfinite(value):
        raise CannotJudge(f"{metric} has no finite value here")
    return value


def interval(metric: str, given: Answers) -> Interval | None:
    """Return the 95 % confidence interval of the metric on usable answers; None if it has none."""
    if given.task == "regression":
        return _of_errors(metric, given)
    if given.task == "multiclass" and given.chances is not None and METRICS[metric].needs_probability:
        return _of_chances(metric, given)
    if METRICS[metric].needs_probability and given.probability is not None:
        return _of_probabilities(metric, given, given.probability)
    matrix = _matrix(given)
    if metric == "accuracy":
        return confidence_intervals.wilson(np.trace(matrix), len(given))
    if given.task == "binary" and metric in ("precision", "recall"):
        denominator = matrix[:, 1] if metric == "precision" else matrix[1]
        return confidence_intervals.wilson(matrix[1, 1], denominator.sum())
    if metric == "specificity":
        return confidence_intervals.wilson(matrix[0, 0], matrix[0].sum())
    if len(given.classes) > MOST_CLASSES:
        return None
    return confidence_intervals.confusion(matrix, _of_matrices(metric, given.task))


def usable(metric: str, given: Answers) -> Answers:
    """Return the rows on which the metric is defined. Raises CannotJudge if none are left, or only one class."""
    if METRICS[metric].needs_probability and given.task == "multiclass":
        if given.chances is None:
            raise CannotJudge(f"{metric} needs a column with the probability of each class, such as p_cat")
        there = np.asarray(~np.isnan(given.chances).any(axis=1))
        given = given if there.all() else given.take(there)
    elif METRICS[metric].needs_probability:
        if given.probability is None:
            raise CannotJudge(f"{metric} needs a probability column")
        known = ~np.isnan(given.probability)
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
    if metric in ("log_loss", "brier") and given.probability is not None:
        if given.ranks_only:
            raise CannotJudge(f"{metric} needs probabilities, and the model's scores are none: they only rank the rows")
        if _outside(given.probability):
            raise CannotJudge(f"{metric} needs probabilities between 0 and 1")
    return given


def losses(metric: str, given: Answers) -> Floats:
    """Return the loss of each row, whose mean is the metric (for `rmse`: the square of the metric)."""
    per_row: Floats = _LOSSES[metric](given)
    return per_row


def _log_loss(given: Answers) -> Floats:
    tiny = np.finfo(np.float64).eps        # as scikit-learn clips
    if given.chances is not None:
        of_label: Floats = -np.log(np.clip(given.chances[np.arange(len(given)), given.truth], tiny, 1 - tiny))
        return of_label
    assert given.probability is not None
    right = np.where(given.truth == 1, given.probability, 1 - given.probability)
    per_row: Floats = -np.log(np.clip(right, tiny, 1 - tiny))
    return per_row


_LOSSES: dict[str, Callable[[Answers], Numbers]] = {
    "log_loss": _log_loss,
    "brier": lambda given: (given.probability - given.truth) ** 2,
    "mae": lambda given: np.abs(given.predicted - given.truth),
    "rmse": lambda given: (given.predicted - given.truth) ** 2,
    "mape": lambda given: np.abs((given.predicted - given.truth) / given.truth),
    "bias": lambda given: given.predicted - given.truth,
}


def of_tallies(metric: str, task: Task, tallies: Tallies) -> Floats:
    """Return a classification metric from tallies, for many confusion matrices at once; NaN if it is not defined."""
    hits, labelled, predicted = tallies
    values: Floats
    with np.errstate(invalid="ignore", divide="ignore"):
        if metric == "accuracy":
            values = hits.sum(axis=-1) / labelled.sum(axis=-1)
        elif metric == "specificity":
            values = hits[..., 0] / labelled[..., 0]
        elif metric == "balanced_accuracy":
            values = _macro(_SHARES["recall"](*tallies), labelled > 0)
        else:
            shares = _SHARES[metric](*tallies)
            values = shares[..., 1] if task == "binary" else _macro(shares, labelled + predicted > 0)
    return values


_SHARES: dict[str, Callable[[Floats, Floats, Floats], Floats]] = {
    "precision": lambda hits, labelled, predicted: hits / predicted,
    "recall": lambda hits, labelled, predicted: hits / labelled,
    "f1": lambda hits, labelled, predicted: 2 * hits / (labelled + predicted),
}


def _macro(shares: Floats, mask: Numbers) -> Floats:
    """Mean over the classes in the mask; an undefined share counts as zero, as in scikit-learn."""
    means: Floats = np.where(mask, np.nan_to_num(shares), 0).sum(axis=-1) / mask.sum(axis=-1)
    return means


def _alike(values: Numbers) -> bool:
    return bool((values == values[0]).all())


def _outside(probability: Floats) -> bool:
    return bool(probability.min() < 0 or probability.max() > 1)


def _tallies(given: Answers) -> Tallies:
    """Return the (weighted) tallies of each class."""
    size, right = len(given.classes), given.truth == given.predicted
    weight = given.weight
    hits = np.bincount(given.truth[right], None if weight is None else weight[right], size)
    labelled, predicted = (np.bincount(classes, weight, size) for classes in (given.truth, given.predicted))
    return hits.astype(np.float64), labelled.astype(np.float64), predicted.astype(np.float64)


def _of_classes(metric: str) -> Callable[[Answers], float]:
    """Precision, recall or F1: of the positive class in a binary task, otherwise the mean over the classes."""

    def value(given: Answers) -> float:
        if given.task == "multiclass":
            return _mean_of(metric, given, np.union1d(given.truth, given.predicted))
        share = float(of_tallies(metric, given.task, _tallies(given)))
        if np.isnan(share):
            raise CannotJudge(f"{metric} is not defined here: there is no positive class {quoted(given.classes[1])}")
        return share

    return value


def _mean_of(metric: str, given: Answers, classes: Numbers) -> float:
    """Mean over these classes; an undefined value counts as zero, as in scikit-learn."""
    with np.errstate(invalid="ignore", divide="ignore"):
        shares = _SHARES[metric](*_tallies(given))
    return float(_macro(shares[classes], np.ones(len(classes), bool)))


def _balanced_accuracy(given: Answers) -> float:
    return _mean_of("recall", given, np.unique(given.truth))    # classes without labels have no recall


def _specificity(given: Answers) -> float:
    share = float(of_tallies("specificity", given.task, _tallies(given)))
    if np.isnan(share):
        raise CannotJudge(f"specificity is not defined here: there is no negative class {quoted(given.classes[0])}")
    return share


def _rmse(given: Answers) -> float:
    return float(np.sqrt(np.average(losses("rmse", given), weights=given.weight)))


def _r2(given: Answers) -> float:
    """1 − (sum of squared errors) / (sum of squared deviations of the labels from their mean)."""
    about = given.truth - np.average(given.truth, weights=given.weight)
    return float(1 - np.average(losses("rmse", given), weights=given.weight)
                 / np.average(about ** 2, weights=given.weight))


def against_rest(given: Answers) -> list[Answers]:
    """Each class against the rest, of those that some labels have."""
    return [given.against_rest(int(place)) for place in np.unique(given.truth)]


def _roc_auc(given: Answers) -> float:
    if given.chances is not None:
        return float(np.mean([_roc_auc(one) for one in against_rest(given)]))
    hits, others = given.down_to_each_probability
    with np.errstate(invalid="ignore", divide="ignore"):
        steps, both = np.diff(others, prepend=0.0), hits.copy()
        both[1:] += hits[:-1]
        steps *= both
        steps /= 2
        return float(np.sum(steps) / (hits[-1] * others[-1]))


def _average_precision(given: Answers) -> float:
    hits, others = given.down_to_each_probability
    with np.errstate(invalid="ignore", divide="ignore"):
        precision = np.where(hits > 0, hits / (hits + others), 0.0)
        return float(np.sum(np.diff(hits, prepend=0.0) * precision) / hits[-1])


def _of_losses(metric: str) -> Callable[[Answers], float]:
    return lambda given: float(np.average(losses(metric, given), weights=given.weight))


_VALUES: dict[str, Callable[[Answers], float]] = {
    "accuracy": lambda given: float(of_tallies("accuracy", given.task, _tallies(given))),
    "balanced_accuracy": _balanced_accuracy,
    "precision": _of_classes("precision"),
    "recall": _of_classes("recall"),
    "f1": _of_classes("f1"),
    "specificity": _specificity,
    "roc_auc": _roc_auc,
    "average_precision": _average_precision,
    "log_loss": _of_losses("log_loss"),
    "brier": _of_losses("brier"),
    "mae": _of_losses("mae"),
    "rmse": _rmse,
    "r2": _r2,
    "mape": _of_losses("mape"),
    "bias": _of_losses("bias"),
}


def _of_errors(metric: str, given: Answers) -> Interval | None:
    if metric == "rmse":
        return confidence_intervals.root_mean(losses(metric, given))
    if metric == "r2":
        return confidence_intervals.r_squared(losses("bias", given), given.truth - np.mean(given.truth))
    return confidence_intervals.mean(losses(metric, given))


def _of_probabilities(metric: str, given: Answers, probability: Floats) -> Interval | None:
    if metric == "roc_auc":
        return confidence_intervals.roc_auc(given.truth, probability)
    if metric == "average_precision":
        return confidence_intervals.average_precision(_average_precision(given), int(np.sum(given.truth)))
    return confidence_intervals.mean(losses(metric, given))


def _of_chances(metric: str, given: Answers) -> Interval | None:
    """Interval of the log loss; of the ROC AUC the mean of the classes' intervals, which is wide enough."""
    if metric == "log_loss":
        return confidence_intervals.mean(losses(metric, given))
    each = [confidence_intervals.roc_auc(one.truth, one.probability) for one in against_rest(given)
            if one.probability is not None]
    ends = [one for one in each if one is not None]
    if not ends or len(ends) < len(each):
        return None
    return float(np.mean([low for low, _ in ends])), float(np.mean([high for _, high in ends]))


def _matrix(given: Answers) -> Numbers:
    """Counts by (label, prediction)."""
    k = len(given.classes)
    cells: Numbers = np.bincount(given.truth * k + given.predicted, minlength=k * k).reshape(k, k)
    return cells


def _of_matrices(metric: str, task: Task) -> Callable[[Numbers], Numbers]:
    return lambda matrices: of_tallies(metric, task, (
        np.diagonal(matrices, axis1=-2, axis2=-1), matrices.sum(axis=-1), matrices.sum(axis=-2)
    ))
