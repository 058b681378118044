"""Arrow tables in, Scores out: drift, data quality, performance, the rehearsal. Pure; runs in workers.

Names load on first use: `METRICS`, `better_by` and `default_metric` cost nothing, the others import pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.measure.drift import column_drift, drift_scores
    from monitor.measure.guess import guess_task
    from monitor.measure.methods import METHODS
    from monitor.measure.metrics import METRICS, Metric, better_by, default_metric
    from monitor.measure.performance import Beside, metric_sd, performance_scores
    from monitor.measure.quality import column_quality, quality_scores, schema_changes
    from monitor.measure.rehearsal import Challenger, fit, gains, rehearse

__all__ = [
    "METHODS",
    "METRICS",
    "Beside",
    "Challenger",
    "Metric",
    "better_by",
    "column_drift",
    "column_quality",
    "default_metric",
    "drift_scores",
    "fit",
    "gains",
    "guess_task",
    "metric_sd",
    "performance_scores",
    "quality_scores",
    "rehearse",
    "schema_changes",
]

_HOME = {
    "drift": ("column_drift", "drift_scores"),
    "guess": ("guess_task",),
    "methods": ("METHODS",),
    "metrics": ("METRICS", "Metric", "better_by", "default_metric"),
    "performance": ("Beside", "metric_sd", "performance_scores"),
    "quality": ("column_quality", "quality_scores", "schema_changes"),
    "rehearsal": ("Challenger", "fit", "gains", "rehearse"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
