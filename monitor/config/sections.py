"""The configuration as frozen, typed models: every key a user may write, its default, its limits.

Reading files, locating lines and collecting errors is `load`'s work; nothing here touches the outside.
A model dumped with `model_dump(mode="json")` reads back equal, and holds no secret, only where they are kept.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, model_validator
from pydantic.json_schema import SkipJsonSchema

from monitor.config.pipeline_sections import Pipeline
from monitor.config.section import Section, exactly_one
from monitor.config.values import (
    Address,
    AddressOrSecret,
    Budget,
    BudgetText,
    ChangeText,
    Duration,
    Level,
    LevelText,
    Moment,
    Persistence,
    PersistenceText,
    PlainLevel,
    PositiveDuration,
    SecretRef,
    Threshold,
    WindowSize,
    Zone,
)
from monitor.metric_catalogue import Task

MEASURED = ("above", "below", "rise", "drop", "drifted")     # conditions of a trigger that go with a metric
CONDITIONS = (*MEASURED, "every", "cron", "all", "any")
ChallengerKind = Literal["gradient_boosting", "linear", "forest"]


class Daemon(Section):
    """The service itself."""

    state_dir: Path | None = None
    """What driftd remembers. Default: `$STATE_DIRECTORY`, then `./state`."""
    listen: str = Field(default="127.0.0.1:9745", json_schema_extra={"pattern": r"^\S+:\d{1,5}$"})
    """HOST:PORT of the page, `/metrics`, `/healthz`, `/readyz`; there is no password."""
    workers: int | None = Field(default=None, ge=1)
    """Processes that read and measure, started when needed. Default: one for each core, at least 2."""
    worker_memory_mb: int = Field(default=4096, ge=256)
    """A worker that needs more is ended."""
    worker_timeout: PositiveDuration = timedelta(minutes=30)
    """A task that takes longer is ended."""
    heartbeat: AddressOrSecret | None = None
    """A URL fetched after each round of checks, so that silence is noticed."""
    log_format: Literal["text", "json"] = "text"
    """`"text"` or `"json"`."""
    callback_secret: SecretRef | None = None
    """`whsec_` + base64 of 24 to 64 bytes: pipelines may [report](promotion.md) how their runs ended. Off without."""
    retention: PositiveDuration | None = None
    """What is older is [removed](governance.md#retention): windows, messages, runs. At least `"60d"`. Default:
    nothing is."""


class WindowSection(Section):
    """How the log is cut into windows; a duration or a number alone is the `size`."""

    size: WindowSize = timedelta(days=7)
    """Time, cut from local midnight (weeks from Monday); or so many rows."""
    step: PositiveDuration | None = None
    """From one window to the next. Default: `size`, so that they do not overlap."""
    lateness: Duration = timedelta(0)
    """How long after its end a window still waits for rows."""
    min_rows: int = Field(default=100, ge=1)
    """Fewer is too little data: not judged."""
    sample: int | None = Field(default=None, ge=1)
    """At most so many rows, chosen by a hash of the id. Default: all."""
    memory_mb: int = Field(default=32, ge=1)
    """A column that takes more is read a row group at a time, twice; `ks` and `wasserstein` then come from 1,024
    bins."""


class Columns(Section):
    """Names of the columns that play a part. Each that is not named is found by its usual name."""

    timestamp: str | None = None
    """When the prediction was made."""
    id: str | None = None
    """Of the prediction. Default: a hash of the row, unless labels are joined."""
    prediction: str | None = None
    """The answer."""
    probability: str | None = None
    """Of the positive class."""
    label: str | None = None
    """The truth."""
    label_timestamp: str | None = None
    """When the label became known."""
    model_version: str | None = None
    """Which model answered."""
    features: tuple[str, ...] | None = None
    """What the model is given. Default: every column without another part."""
    categorical: tuple[str, ...] | None = None
    """Features to be treated as categories. Default: by type."""
    segments: tuple[str, ...] = ()
    """Performance is told [for each value](fairness.md#segments) of these too; they stay features."""
    private: tuple[str, ...] = ()
    """Never told as values, only as numbers about them: [privacy](governance.md#privacy)."""


class CsvSection(Section):
    """How a CSV file is read. What is not given is guessed, and shown by `validate --show`."""

    delimiter: str | None = None
    """Between the cells of a row, such as `";"`."""
    decimal: Literal[".", ","] | None = None
    """`"."` or `","`."""
    encoding: str | None = None
    """Of the text, such as `"cp1252"`."""
    day_first: bool | None = None
    """Whether 03/04 is the third of April."""


class SourceSection(Section):
    """Rows: a file, a glob or a folder (`path`), or a PostgreSQL table (`database` with `table`). A text is the
    `path`."""

    model_config = ConfigDict(json_schema_extra=exactly_one("path", "database") | {
        "dependentRequired": {"database": ["table"], "table": ["database"]},
    })

    path: str | None = None
    """A file, a glob, or a folder."""
    format: Literal["parquet", "csv", "jsonl"] | None = None
    """`"parquet"`, `"csv"` or `"jsonl"`. Default: by the file's ending."""
    csv: CsvSection = CsvSection()
    """How a CSV file is read."""
    database: SecretRef | None = None
    """Address of a PostgreSQL database; only ever read."""
    table: str | None = None
    """Its table or view."""

    @model_validator(mode="after")
    def _one_place(self) -> "SourceSection":
        if (self.path is None) == (self.database is None):
            raise ValueError("expected either path, or database with table")
        if (self.database is None) != (self.table is None):
            raise ValueError("expected both, database and table")
        return self


class ReferenceSection(Section):
    """What windows are compared with: a place, or the first stretch of the log (`"first 90d"`)."""

    source: SkipJsonSchema[SourceSection | None] = None      # users write its keys directly into the table
    template: SkipJsonSchema[str | None] = None              # the path before {version} was filled in, set by `load`
    first: PositiveDuration | None = None
    """The beginning of the log, instead of a place."""


class ColumnDrift(Section):
    """What is different for one column."""

    method: str | None = None
    """As in `drift`. Default: as there."""
    threshold: Threshold | None = None
    """`"calibrated"`, `"evidently"` or a number. Default: as in `drift`."""


class DriftSection(Section):
    """How drift is measured, and from where on it counts."""

    method: str = "auto"
    """As Evidently chooses; or psi, jensenshannon, wasserstein, ks, chisquare, z, …"""
    threshold: Threshold = "calibrated"
    """`"calibrated"`: [keeps `false_alarms`](#calibrated-thresholds); `"evidently"`: as it chooses; or a number."""
    false_alarms: BudgetText = Budget(1, timedelta(days=90))
    """The rate calibrated thresholds keep where nothing has changed, all triggers on drift together; never more than
    one window in ten."""
    share: float = Field(default=0.5, gt=0, le=1)
    """Of drifted columns that makes the data drifted, where thresholds are not calibrated."""
    columns: dict[str, ColumnDrift] = {}
    """For one column: `columns.distance = { method = "psi", threshold = 0.2 }`."""
    multivariate: bool = False
    """All features together too; costs seconds of a core a window."""
    embeddings: dict[str, str] = {}
    """Name = glob of the columns that are judged together: `{ text = "emb_*" }`."""


class QualitySection(Section):
    """From where on data are broken."""

    missing: float = Field(default=0.2, gt=0, le=1)
    """A missing share so far above the reference's is broken data."""
    stale: PositiveDuration | None = None
    """A source whose newest row is older is stale. Default: one window."""


class FairnessSection(Section):
    """Protected columns: what the model answers to one group of people, beside another."""

    columns: tuple[str, ...] = Field(min_length=1)
    """Protected columns, in the log or in `attributes`; features only where `columns.features` lists them."""
    comparison: dict[str, str] = {}
    """The group others are compared with: `{ sex = "male" }`. Default: the largest of the reference."""
    windows: int = Field(default=4, ge=1)
    """So many of the newest mature windows are pooled, that small groups have enough rows."""


class EvidentlySection(Section):
    """One metric of Evidently's reports, measured on every window."""

    metric: str
    """Its class's name, such as `"QuantileValue"`."""
    options: dict[str, Any] = {}
    """What the class takes: `{ column = "age", quantile = 0.9 }`."""


class TriggerSection(Section):
    """One condition: a metric beside a number, a date, or what other triggers of the model do."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*CONDITIONS))

    name: str
    """What messages and metrics call it."""
    metric: str = ""
    """[Any metric](metrics.md#what-is-measured), with `above`, `below`, `rise`, `drop` or `drifted`."""
    column: str | None = None
    """Only this column."""
    segment: str | None = None
    """`"origin=JFK"`, or `"origin"`: every value of it, with bounds that [hold for all at
    once](fairness.md#triggers)."""
    method: str | None = None
    """Only this drift method."""
    above: LevelText | None = None
    """The metric is more than this. For `regret` also a price: `"0.02 for 30d"`, so much of the metric lost for so
    long."""
    about: BudgetText | None = None
    """A wish for `regret`: `"4 per year"`; stands beside the price that [`backtest --suggest`](commands.md#backtest)
    proposes for it."""
    below: PlainLevel | None = None
    """The metric is less than this."""
    rise: ChangeText | None = None
    """Against the reference: `"15%"` of its value, or `3.5`."""
    drop: ChangeText | None = None
    """The same, downwards."""
    drifted: Literal[True] | None = None
    """The method's own verdict."""
    every: PositiveDuration | None = None
    """So long after the model's data ended: `"90d"`."""
    cron: str | None = None
    """At these dates: `"0 6 1 * *"`, in the model's time zone."""
    all: tuple[str, ...] | None = Field(default=None, min_length=1)
    """These triggers of the model fire, all of them."""
    any: tuple[str, ...] | None = Field(default=None, min_length=1)
    """One of these triggers of the model fires."""
    unless: tuple[str, ...] = ()
    """While one of these triggers fires nothing changes: it neither begins nor clears, and asks for nothing."""
    windows: PersistenceText = Persistence(1, 1)
    """`"2 of 3"`: it fires when so many of the newest judged windows agree."""
    clear: float | None = None
    """The level at which it clears again. Default: the threshold."""
    action: Literal["alert", "retrain"] = "alert"
    """`"alert"` or `"retrain"`."""

    @property
    def members(self) -> tuple[str, ...]:
        """The triggers it is composed of."""
        return self.all or self.any or ()

    @model_validator(mode="after")
    def _one_condition(self) -> "TriggerSection":
        given = [k for k in CONDITIONS if getattr(self, k) is not None]
        if not given and self.about is not None:
            return self         # without its price yet: refused by a rule, which says how to find it
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of {', '.join(CONDITIONS)}, got {got}")
        return self


DEFAULT_TRIGGERS = (
    TriggerSection(name="drift", metric="drifted_share", drifted=True),
    TriggerSection(name="retraining-pays", metric="regret", above=Level(2.0), action="retrain"),
)


class ApprovalSection(Section):
    """Whose word a retrain needs."""

    request: Literal["automatic", "person"] = "automatic"
    """`"automatic"`, or `"person"`: a person's word is needed."""
    lapse: PositiveDuration = timedelta(days=7)
    """Without an answer for so long it is not asked for."""
    promotion: Literal["automatic", "person"] = "automatic"
    """`"automatic"`, or `"person"`: a new version waits for [`driftd approve --promotion`](promotion.md#promotion)."""


class RetrainSection(Section):
    """Where retrains of the model are asked for, and how often at most."""

    pipeline: str
    """Name of a `[pipelines.NAME]`."""
    cooldown: Duration = timedelta(days=3)
    """After an accepted request, before the next."""
    budget: BudgetText = Budget(4, timedelta(days=365))
    """So many accepted requests; also `"4 per year"`."""
    min_labels: int = Field(default=100, ge=0)
    """Labelled rows since the reference or the last request."""
    queue_timeout: PositiveDuration = timedelta(days=1)
    """From the accepted request; then a run that has not begun is `unknown`, and people are told."""
    run_timeout: PositiveDuration = timedelta(days=1)
    """From its beginning; then a run without an end is `unknown`; one that cannot be followed counts as over."""
    approval: ApprovalSection = ApprovalSection()
    """Whose word a retrain needs."""


class RehearsalSection(Section):
    """Whether a retrain would help: a small challenger is fitted on the log and scored beside the model in service."""

    enabled: bool = True
    """False where the data may not be used for fitting; then there is no regret."""
    challenger: ChallengerKind = "gradient_boosting"
    """Or `"linear"`, `"forest"`: the kind that is nearest to your own model ([why](decisions.md#regret-retrains))."""
    max_rows: int = Field(default=60_000, ge=1000)
    """The challenger is fitted on the newest so many."""


class GateSection(Section):
    """What a candidate must show before it replaces the model in service."""

    margin: float = 0.0
    """The improvement of the metric is above it, surely; below 0: it is not worse by more."""
    delta: float = Field(default=0.0, ge=0)
    """A segment blocks where it is worse by more, surely."""
    min_rows: int = Field(default=100, ge=1)
    """Labelled rows, of all and of each segment and group."""
    segments: tuple[str, ...] | None = None
    """Columns whose values are segments. Default: `columns.segments`."""
    limits: dict[str, float] = {}
    """Of fairness: `limits.demographic_parity_difference = 0.1`; a `…_ratio` may not be smaller."""


class RegistrySection(Section):
    """Where versions are kept, and which of them is in service."""

    kind: Literal["mlflow"]
    """`"mlflow"`."""
    url: Address
    """Address of the server, such as `"https://mlflow.example"`."""
    name: str
    """Name of the registered model."""
    alias: str = "champion"
    """Names the version in service."""
    token: SecretRef | None = None
    """Sent as `Authorization: Bearer`. Default: none."""
    ca: Path | None = None
    """Certificates to trust instead of the system's, PEM."""
    timeout: PositiveDuration = timedelta(seconds=15)
    """For one answer."""
    experiment: str | None = None
    """A run for each window, with its metrics, is logged there. Default: none is."""
    webhook_secret: SecretRef | None = None
    """Takes MLflow's webhooks that are signed with it. Default: takes none."""


class EstimationSection(Section):
    """Performance before the labels come."""

    enabled: bool = True
    """[Estimates](estimation.md) of performance before labels come; false where the data may not be used for
    fitting."""


class ModelSection(Section):
    """One model in service. Only `predictions` and `reference` are needed, here or in `[defaults]`."""

    model_config = ConfigDict(json_schema_extra={"not": {"required": ["every", "cron"]}})

    name: SkipJsonSchema[str] = ""           # the table's own name, set by `load`
    mode: Literal["observe", "act"] = "observe"
    """`"observe"`: records what it would have asked for, sends nothing; or `"act"`."""
    task: Task | None = None
    """`"binary"`, `"multiclass"` or `"regression"`. Default: told from the label."""
    metric: str | None = None
    """The one number the model is judged by. Default: `roc_auc`, `accuracy` or `rmse`, from the task."""
    version: str | None = None
    """Of the model in service; another one means a new reference."""
    timezone: Zone = ZoneInfo("UTC")
    """Windows begin at its midnight; timestamps without an offset are read in it."""
    every: PositiveDuration | None = None
    """How often to look. Default: `"1h"`."""
    cron: str | None = None
    """When to look, instead of `every`: `"15 * * * *"`, in the model's time zone."""
    since: Moment | None = None
    """Where a first start begins. Default: the newest closed window."""
    label_delay: Duration = timedelta(0)
    """Age at which labels are known, where no `label_timestamp` says it."""
    window: WindowSection = WindowSection()
    """How the log is cut into windows; a duration or a number alone is its `size`."""
    columns: Columns = Columns()
    """Names of the columns that play a part."""
    predictions: SourceSection
    """The log: what was asked, what was answered."""
    labels: SourceSection | None = None
    """Labels in a place of their own, joined on id."""
    attributes: SourceSection | None = None
    """Protected columns that are not in the log, joined on id."""
    reference: ReferenceSection
    """What windows are compared with: a place, or `"first 90d"` of the log."""
    drift: DriftSection = DriftSection()
    """How drift is measured, and from where on it counts."""
    quality: QualitySection = QualitySection()
    """From where on data are broken."""
    fairness: FairnessSection | None = None
    """Protected columns, whose groups are compared. Default: none are."""
    rehearsal: RehearsalSection = RehearsalSection()
    """Whether a retrain would help, tried on the log."""
    estimation: EstimationSection = EstimationSection()
    """Performance before the labels come."""
    evidently: tuple[EvidentlySection, ...] = ()
    """Metrics of Evidently's reports, measured on every window."""
    triggers: tuple[TriggerSection, ...] = DEFAULT_TRIGGERS
    """What alerts and what retrains. Default: `drift` alerts and `retraining-pays` retrains."""
    retrain: RetrainSection | None = None
    """Where retrains are asked for; without it nothing is asked for."""
    gate: GateSection = GateSection()
    """What a candidate must show before it replaces the model in service."""
    registry: RegistrySection | None = None
    """Where versions are kept; without it versions come by runs and this file."""


class NotifySection(Section):
    """Whom to tell."""

    urls: tuple[SecretRef, ...] = ()
    """[Apprise](https://github.com/caronc/apprise) addresses: mail, Slack, Teams, …"""


class SilenceSection(Section):
    """When people are not told: once (`until`), or again and again (`cron`, `duration`)."""

    model_config = ConfigDict(json_schema_extra=exactly_one("until", "cron") | {
        "dependentRequired": {"cron": ["duration"], "duration": ["cron"], "since": ["until"]},
    })

    model: str | None = None
    """Of which model. Default: of every model."""
    trigger: str | None = None
    """Only messages about this trigger. Default: every message about the model."""
    since: Moment | None = None
    """From when; without an offset in the model's time zone. Default: from now on."""
    until: Moment | None = None
    """The first moment after it."""
    cron: str | None = None
    """When it begins: `"0 22 * * *"`, in the model's time zone."""
    duration: PositiveDuration | None = None
    """For how long then."""
    maintenance: bool = False
    """Holds back requests too."""
    reason: str
    """Shown wherever the silence is."""

    @model_validator(mode="after")
    def _one_time(self) -> "SilenceSection":
        once, again = self.until is not None, self.cron is not None and self.duration is not None
        rest = (self.cron or self.duration) if once else (self.since or self.until)
        if once == again or rest:
            raise ValueError("expected either until (and since), or cron with duration")
        return self


class Config(Section):
    """One file of driftd's configuration."""

    daemon: Daemon = Daemon()
    """The service itself."""
    models: dict[str, ModelSection]
    """The models that are watched, each by its name."""
    pipelines: dict[str, Pipeline] = {}
    """Where retrain requests go, each by its name; `kind` says what it is."""
    silences: tuple[SilenceSection, ...] = ()
    """When people are not told."""
    notify: NotifySection = NotifySection()
    """Whom to tell."""
