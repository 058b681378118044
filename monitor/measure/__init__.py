"""Arrow tables in, Scores out: drift, data quality, performance, the rehearsal. Pure; runs in workers.

Names load on first use: `METRICS`, `better_by` and `default_metric` cost nothing, the others import pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.measure.drift import column_drift, prediction_kinds
    from monitor.measure.estimate import Estimator, cannot_estimate, estimate_scores, fit_estimator
    from monitor.measure.fairness import rate_scores
    from monitor.measure.guess import guess_task
    from monitor.measure.methods import METHODS
    from monitor.measure.metrics import METRICS, Metric, better_by, default_metric
    from monitor.measure.performance import Beside, metric_sd, performance_scores
    from monitor.measure.quality import quality_scores, schema_changes
    from monitor.measure.rehearsal import Challenger, fit, gains, rehearse
    from monitor.measure.segments import Segments, segment_scores
    from monitor.measure.watch import Side, TableSide, column_scores

__all__ = [
    "METHODS",
    "METRICS",
    "Beside",
    "Challenger",
    "Estimator",
    "Metric",
    "Segments",
    "Side",
    "TableSide",
    "better_by",
    "cannot_estimate",
    "column_drift",
    "column_scores",
    "default_metric",
    "estimate_scores",
    "fit",
    "fit_estimator",
    "gains",
    "guess_task",
    "metric_sd",
    "performance_scores",
    "prediction_kinds",
    "quality_scores",
    "rate_scores",
    "rehearse",
    "schema_changes",
    "segment_scores",
]

_HOME = {
    "drift": ("column_drift", "prediction_kinds"),
    "estimate": ("Estimator", "cannot_estimate", "estimate_scores", "fit_estimator"),
    "fairness": ("rate_scores",),
    "guess": ("guess_task",),
    "methods": ("METHODS",),
    "metrics": ("METRICS", "Metric", "better_by", "default_metric"),
    "performance": ("Beside", "metric_sd", "performance_scores"),
    "quality": ("quality_scores", "schema_changes"),
    "rehearsal": ("Challenger", "fit", "gains", "rehearse"),
    "segments": ("Segments", "segment_scores"),
    "watch": ("Side", "TableSide", "column_scores"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
