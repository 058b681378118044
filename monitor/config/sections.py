"""The configuration as frozen, typed models: every key a user may write, its default, its limits.

`load` reads files, locates lines and collects errors; these models do no I/O. The sections stand by what they
configure in files of their own, and are all imported from here.
A model dumped with `model_dump(mode="json")` reads back equal. It holds no secret, only where each secret is kept.
"""

from datetime import timedelta
from pathlib import Path
from typing import Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field
from pydantic.json_schema import SkipJsonSchema

from monitor.config.daemon_sections import (
    BackupSection,
    Daemon,
    NotifySection,
    ProxySection,
    Scope,
    SilenceSection,
    TokenSection,
)
from monitor.config.data_sections import (
    Columns,
    CsvSection,
    ReferenceSection,
    ShadowSection,
    SourceSection,
    StorageSection,
    VersionsSection,
    WindowSection,
)
from monitor.config.measured_sections import (
    ChallengerKind,
    ColumnDrift,
    DriftSection,
    EstimationSection,
    EvidentlySection,
    FairnessSection,
    QualitySection,
    RehearsalSection,
)
from monitor.config.pipeline_sections import Pipeline
from monitor.config.section import Section
from monitor.config.trigger_sections import (
    BUILT_IN_TRIGGERS,
    CONDITIONS,
    DEFAULT_TRIGGERS,
    MEASURED,
    ApprovalSection,
    RetrainSection,
    TriggerSection,
    going_back,
)
from monitor.config.values import Address, Duration, Moment, PositiveDuration, SecretRef, Zone
from monitor.metric_catalogue import Task

__all__ = [
    "BUILT_IN_TRIGGERS",
    "CONDITIONS",
    "DEFAULT_TRIGGERS",
    "MEASURED",
    "ApprovalSection",
    "BackupSection",
    "ChallengerKind",
    "ColumnDrift",
    "Columns",
    "Config",
    "CsvSection",
    "Daemon",
    "DriftSection",
    "EstimationSection",
    "EvidentlySection",
    "FairnessSection",
    "GateSection",
    "ModelSection",
    "NotifySection",
    "PromotionSection",
    "ProxySection",
    "QualitySection",
    "ReferenceSection",
    "RegistrySection",
    "RehearsalSection",
    "RetrainSection",
    "Scope",
    "ShadowSection",
    "SilenceSection",
    "SourceSection",
    "StorageSection",
    "TokenSection",
    "TriggerSection",
    "VersionsSection",
    "WindowSection",
    "going_back",
]


class GateSection(Section):
    """What a candidate must show before it replaces the model in service."""

    margin: float = 0.0
    """The lower bound of the improvement must be above this. A negative margin allows a loss of that size."""
    delta: float = Field(default=0.0, ge=0)
    """A segment blocks the candidate if its loss is certainly larger than this."""
    min_rows: int = Field(default=100, ge=1)
    """Labelled rows needed, in total and in each segment and group."""
    always_valid: bool = False
    """The bounds hold at every look, however often the gate is asked as rows arrive. They are wider."""
    segments: tuple[str, ...] | None = None
    """Columns whose values are segments. Default: `columns.segments`."""
    limits: dict[str, float] = {}
    """Limits of fairness metrics: `limits.demographic_parity_difference = 0.1`; of a `…_ratio` it is the lowest value
    allowed."""


class PromotionSection(Section):
    """How another version comes into service."""

    shadow: ShadowSection | None = None
    """A candidate that serves [in shadow](how-to/shadow.md) and is judged as labels mature. Default: none."""


class RegistrySection(Section):
    """The registry that keeps the model's versions and names the one in service."""

    kind: Literal["mlflow"]
    """`"mlflow"`."""
    url: Address
    """Address of the server, such as `"https://mlflow.example"`."""
    name: str
    """Name of the registered model."""
    alias: str = "champion"
    """Alias that names the version in service."""
    token: SecretRef | None = None
    """Token sent as `Authorization: Bearer`. Default: none."""
    ca: Path | None = None
    """File of certificates to trust instead of the system's, PEM."""
    timeout: PositiveDuration = timedelta(seconds=15)
    """Longest wait for one answer."""
    experiment: str | None = None
    """MLflow experiment in which each window is logged as a run with its metrics. Default: windows are not logged."""
    webhook_secret: SecretRef | None = None
    """Secret that MLflow signs its webhooks with. Default: webhooks are refused."""


class ModelSection(Section):
    """One model in service. Only `predictions` and `reference` are needed, here or in `[defaults]`."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["every", "cron"]}})

    name: SkipJsonSchema[str] = ""           # the table's own name, set by `load`
    mode: Literal["observe", "act"] = "observe"
    """`"observe"`: retrain requests are recorded but not sent; `"act"`: they are sent."""
    task: Task | None = None
    """`"binary"`, `"multiclass"` or `"regression"`. Default: inferred from the label."""
    metric: str | None = None
    """The primary metric, by which the model is judged. Default: `roc_auc`, `accuracy` or `rmse`, from the task."""
    version: str | None = None
    """Version of the model in service; a changed version brings a new reference."""
    timezone: Zone = ZoneInfo("UTC")
    """Windows begin at its midnight; timestamps without an offset are read in it."""
    every: PositiveDuration | None = None
    """How often to look. Default: `"1h"`."""
    cron: str | None = None
    """When to look, instead of `every`: `"15 * * * *"`, in the model's time zone."""
    since: Moment | None = None
    """Where the first check begins. Default: the newest closed window."""
    label_delay: Duration = timedelta(0)
    """Age at which labels are known, if there is no `label_timestamp` column."""
    window: WindowSection = WindowSection()
    """How the log is cut into windows; a duration or a number alone is its `size`."""
    columns: Columns = Columns()
    """Names of the columns that driftd uses."""
    predictions: SourceSection
    """The log: the model's inputs and predictions."""
    labels: SourceSection | None = None
    """Labels that are stored apart from the log, joined on id."""
    attributes: SourceSection | None = None
    """Protected columns that are not in the log, joined on id."""
    reference: ReferenceSection
    """What windows are compared with: a place, or `"first 90d"` of the log."""
    drift: DriftSection = DriftSection()
    """How drift is measured, and the threshold beyond which a column has drifted."""
    quality: QualitySection = QualitySection()
    """When data count as broken."""
    fairness: FairnessSection | None = None
    """Protected columns, whose groups are compared. Default: none."""
    rehearsal: RehearsalSection = RehearsalSection()
    """The challenger that shows on the log whether a retrain would help."""
    versions: VersionsSection | None = None
    """Predictions of versions that served before. Default: they are not compared."""
    estimation: EstimationSection = EstimationSection()
    """Estimates of performance before labels are known."""
    evidently: tuple[EvidentlySection, ...] = ()
    """Metrics of Evidently's reports, measured on every window."""
    triggers: tuple[TriggerSection, ...] = DEFAULT_TRIGGERS
    """Conditions that alert or retrain. Default: `drift` alerts and `retraining-pays` retrains. Some are
    [built in](#built-in-triggers) beside them."""
    retrain: RetrainSection | None = None
    """Where retrains are asked for. Default: none are asked for."""
    gate: GateSection = GateSection()
    """What a candidate must show before it replaces the model in service."""
    promotion: PromotionSection = PromotionSection()
    """How another version comes into service."""
    registry: RegistrySection | None = None
    """The registry that keeps the model's versions. Default: runs and `version` say which one is in service."""

    @property
    def source_timeout(self) -> timedelta:
        """How long the most patient of its sources may give no sign of life."""
        earlier = self.versions and (self.versions.predictions or self.versions)
        places = (self.predictions, self.labels, self.attributes, self.reference.source, earlier, self.promotion.shadow)
        return max(place.timeout for place in places if place is not None)


class Config(Section):
    """One file of driftd's configuration."""

    daemon: Daemon = Daemon()
    """The service itself."""
    models: dict[str, ModelSection]
    """The models that are watched, each by its name."""
    pipelines: dict[str, Pipeline] = {}
    """Where retrain requests go, each by its name; `kind` says what it is."""
    silences: tuple[SilenceSection, ...] = ()
    """Times in which no messages are sent."""
    notify: NotifySection = NotifySection()
    """Where messages to people are sent."""
