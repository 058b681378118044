"""What is measured of a model's windows: drift, quality, fairness, estimates, a challenger, metrics of Evidently."""

from datetime import timedelta
from typing import Any, Literal

from pydantic import Field

from monitor.config.section import Section
from monitor.config.values import Budget, BudgetText, PositiveDuration, Threshold

ChallengerKind = Literal["gradient_boosting", "linear", "forest"]


class ColumnDrift(Section):
    """Drift settings for one column."""

    method: str | None = None
    """Drift method of this column. Default: `drift.method`."""
    threshold: Threshold | None = None
    """`"calibrated"`, `"evidently"` or a number. Default: `drift.threshold`."""


class DriftSection(Section):
    """How drift is measured, and the threshold beyond which a column has drifted."""

    method: str = "auto"
    """`"auto"`: the method that Evidently would choose; or psi, jensenshannon, wasserstein, ks, chisquare, z, …"""
    threshold: Threshold = "calibrated"
    """`"calibrated"`: [keeps `false_alarms`](#calibrated-thresholds); `"evidently"`: Evidently's own; or a number."""
    false_alarms: BudgetText = Budget(1, timedelta(days=90))
    """False-alarm rate that calibrated thresholds keep, for all triggers on drift together; at most one window in
    ten."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Share of drifted columns from which the data as a whole have drifted, if thresholds are not calibrated."""
    columns: dict[str, ColumnDrift] = {}
    """Settings for single columns: `columns.distance = { method = "psi", threshold = 0.2 }`."""
    multivariate: bool = False
    """Measure drift of all features together too; this takes seconds of processor time for each window."""
    embeddings: dict[str, str] = {}
    """Groups of columns that are judged together, each a name and a glob: `{ text = "emb_*" }`."""


class QualitySection(Section):
    """When data count as broken."""

    missing: float = Field(default=0.2, gt=0, le=1)
    """Data are broken if a column's missing share is this far above its missing share in the reference."""
    lost: float = Field(default=0.01, gt=0, le=1)
    """Data are broken if a larger share of the rows cannot be used: without a timestamp, with one far from all others,
    or contradicted by another row of the same id and time. Rows of a reference that vanish are held to it too."""
    stale: PositiveDuration | None = None
    """A source is stale if its newest row is older than this. Default: one window, or a quarter more than the longest
    pause that the reference has at least twice, such as a weekend, where that is longer; a day more where all rows of a
    day have one time, as dates do."""


class FairnessSection(Section):
    """Protected columns: the model's predictions are compared between groups of people."""

    columns: tuple[str, ...] = Field(min_length=1)
    """Protected columns, in the log or in `attributes`; they are features only if `columns.features` lists them."""
    comparison: dict[str, str] = {}
    """For each column, the group the others are compared with: `{ sex = "male" }`. Default: the largest group of the
    reference."""
    windows: int = Field(default=4, ge=1)
    """Number of newest mature windows that are pooled, so that small groups have enough rows."""


class EvidentlySection(Section):
    """One metric of Evidently's reports, measured on every window."""

    metric: str
    """Class name of the metric, such as `"QuantileValue"`."""
    options: dict[str, Any] = {}
    """Arguments of the class: `{ column = "age", quantile = 0.9 }`."""


class RehearsalSection(Section):
    """Whether a retrain would help: a small challenger is fitted on the log and compared with the model in service."""

    enabled: bool = True
    """Set it to false if the data may not be used for fitting; then there is no regret."""
    challenger: ChallengerKind | Literal["auto"] = "auto"
    """`"gradient_boosting"`, `"linear"` or `"forest"`: the kind nearest to your own model
    ([why](decisions.md#regret-retrains)). `"auto"`: linear where a
    linear model imitates yours on the reference better than gradient boosting, else that."""
    max_rows: int = Field(default=60_000, ge=1000)
    """The challenger is fitted on at most this many of the newest labelled rows."""


class EstimationSection(Section):
    """Estimates of performance before labels are known."""

    enabled: bool = True
    """[Estimate](estimation.md) performance before labels are known. Set it to false if the data may not be used for
    fitting."""
