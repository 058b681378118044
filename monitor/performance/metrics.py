"""The performance metrics by name: for which tasks, and which way is better. Imports nothing heavy."""

from dataclasses import dataclass

from monitor.config.sections import Task

_CLASSES: tuple[Task, ...] = ("binary", "multiclass")
_BINARY: tuple[Task, ...] = ("binary",)
_REGRESSION: tuple[Task, ...] = ("regression",)


@dataclass(frozen=True, slots=True)
class Metric:
    """What a metric is for. A `signed` one is best at zero: its size is judged."""

    tasks: tuple[Task, ...]
    higher_is_better: bool
    needs_probability: bool = False
    signed: bool = False


METRICS: dict[str, Metric] = {
    "accuracy": Metric(_CLASSES, True),
    "balanced_accuracy": Metric(_CLASSES, True),
    "precision": Metric(_CLASSES, True),
    "recall": Metric(_CLASSES, True),
    "f1": Metric(_CLASSES, True),
    "specificity": Metric(_BINARY, True),
    "roc_auc": Metric(_BINARY, True, needs_probability=True),
    "average_precision": Metric(_BINARY, True, needs_probability=True),
    "log_loss": Metric(_BINARY, False, needs_probability=True),
    "brier": Metric(_BINARY, False, needs_probability=True),
    "mae": Metric(_REGRESSION, False),
    "rmse": Metric(_REGRESSION, False),
    "r2": Metric(_REGRESSION, True),
    "mape": Metric(_REGRESSION, False),
    "bias": Metric(_REGRESSION, False, signed=True),
}


def default_metric(task: Task, has_probability: bool) -> str:
    """Return the one number a model of this task is judged by unless told otherwise."""
    if task == "binary":
        return "roc_auc" if has_probability else "balanced_accuracy"
    return "rmse" if task == "regression" else "accuracy"


def better_by(metric: str, a: float, b: float) -> float:
    """Return how much better `a` is than `b`, in the metric's own unit; negative where it is worse."""
    kind = METRICS[metric]
    if kind.signed:
        a, b = abs(a), abs(b)
    return a - b if kind.higher_is_better else b - a
