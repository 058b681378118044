"""Arrow tables in, Scores out: drift, data quality, performance, the rehearsal. Pure; runs in workers.

Names load on first use: `METRICS`, `better_by` and `default_metric` cost nothing, the others import pyarrow.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from monitor.measure.digest import Digest, digest_of
    from monitor.measure.drift import column_drift, prediction_kinds
    from monitor.measure.estimate import Estimator, cannot_estimate, estimate_scores, fit_estimator
    from monitor.measure.evidently import wrong_option
    from monitor.measure.fairness import rate_scores
    from monitor.measure.guess import guess_task
    from monitor.measure.maturity import delays_of, maturity_age
    from monitor.measure.methods import METHODS
    from monitor.measure.metrics import METRICS, Metric, better_by, default_metric
    from monitor.measure.multivariate import embedding_columns, multivariate_scores, one_by_one
    from monitor.measure.paired import Pair, improvements, pair_of
    from monitor.measure.performance import Beside, metric_sd, performance_scores
    from monitor.measure.quality import quality_scores, schema_changes
    from monitor.measure.rehearsal import Challenger, fit, gains, gap, on_windows, rehearse
    from monitor.measure.report import report_scores
    from monitor.measure.segments import Segments, segment_scores
    from monitor.measure.text import text_scores
    from monitor.measure.watch import Side, TableSide, column_scores

__all__ = [
    "METHODS",
    "METRICS",
    "Beside",
    "Challenger",
    "Digest",
    "Estimator",
    "Metric",
    "Pair",
    "Segments",
    "Side",
    "TableSide",
    "better_by",
    "cannot_estimate",
    "column_drift",
    "column_scores",
    "default_metric",
    "delays_of",
    "digest_of",
    "embedding_columns",
    "estimate_scores",
    "fit",
    "fit_estimator",
    "gains",
    "gap",
    "guess_task",
    "improvements",
    "maturity_age",
    "metric_sd",
    "multivariate_scores",
    "on_windows",
    "one_by_one",
    "pair_of",
    "performance_scores",
    "prediction_kinds",
    "quality_scores",
    "rate_scores",
    "rehearse",
    "report_scores",
    "schema_changes",
    "segment_scores",
    "text_scores",
    "wrong_option",
]

_HOME = {
    "digest": ("Digest", "digest_of"),
    "drift": ("column_drift", "prediction_kinds"),
    "estimate": ("Estimator", "cannot_estimate", "estimate_scores", "fit_estimator"),
    "fairness": ("rate_scores",),
    "evidently": ("wrong_option",),
    "guess": ("guess_task",),
    "maturity": ("delays_of", "maturity_age"),
    "methods": ("METHODS",),
    "metrics": ("METRICS", "Metric", "better_by", "default_metric"),
    "multivariate": ("embedding_columns", "multivariate_scores", "one_by_one"),
    "paired": ("Pair", "improvements", "pair_of"),
    "performance": ("Beside", "metric_sd", "performance_scores"),
    "quality": ("quality_scores", "schema_changes"),
    "rehearsal": ("Challenger", "fit", "gains", "gap", "on_windows", "rehearse"),
    "segments": ("Segments", "segment_scores"),
    "report": ("report_scores",),
    "text": ("text_scores",),
    "watch": ("Side", "TableSide", "column_scores"),
}


def __getattr__(name: str) -> Any:
    for module, names in _HOME.items():
        if name in names:
            return getattr(import_module(f"{__name__}.{module}"), name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
