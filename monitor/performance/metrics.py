"""The performance metrics of the catalogue: which one judges a model, and which of two values is better."""

from monitor.metric_catalogue import CATALOGUE, PERFORMANCE, Metric, Task

METRICS: dict[str, Metric] = {name: CATALOGUE[name] for name in PERFORMANCE}


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
