"""The configuration as frozen, typed models: every key a user may write, its default, its limits.

`load` reads files, locates lines and collects errors; this module does no I/O.
A model dumped with `model_dump(mode="json")` reads back equal. It holds no secret, only where each secret is kept.
"""

from datetime import timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import ConfigDict, Field, model_validator
from pydantic.config import JsonDict
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
Scope = Literal["metrics", "read", "act"]    # of the HTTP side: scrape; pages and API; actions of people


_HOST_PORT: JsonDict = {"pattern": r"^\S+:\d{1,5}$"}


class TokenSection(Section):
    """A bearer token with which a program authenticates."""

    secret: SecretRef
    """The token, of at least 16 characters."""
    scopes: tuple[Scope, ...] = Field(min_length=1)
    """What it gives access to: `"metrics"`, `"read"`, `"act"`; see [security](security.md)."""


class ProxySection(Section):
    """A proxy that authenticates people and names them in a header."""

    header: str
    """Header with the user's name, such as `"X-Forwarded-User"`; ignored when it comes from any other address."""
    peers: tuple[str, ...] = Field(min_length=1)
    """Addresses or networks of the proxy, such as `"10.0.0.7"`."""


class BackupSection(Section):
    """Copies of the state that the service makes while it runs."""

    folder: Path
    """Folder for the copies, best on another disk."""
    every: PositiveDuration = timedelta(days=1)
    """Time from one copy to the next."""
    keep: int = Field(default=7, ge=1)
    """How many copies are kept; older ones are removed."""


class Daemon(Section):
    """The service itself."""

    state_dir: Path | None = None
    """Folder for what driftd remembers. Default: `$STATE_DIRECTORY`, then `./state`."""
    listen: str = Field(default="127.0.0.1:9745", json_schema_extra=_HOST_PORT)
    """HOST:PORT that serves the status page, `/metrics`, `/healthz` and `/readyz`. Beyond this machine clients must
    [authenticate](security.md)."""
    health_listen: str | None = Field(default=None, json_schema_extra=_HOST_PORT)
    """HOST:PORT of a second listener for probes, always plain HTTP, that serves `/healthz` and `/readyz` only. Default:
    none."""
    url: Address | None = None
    """Address under which people reach the status page, such as `"https://driftd.example.org"`. Default: `listen`."""
    allowed_hosts: tuple[str, ...] = ()
    """Host names that requests may use besides those of `listen`, `url` and this machine's loopback. Default: none."""
    web_config: Path | None = None
    """File with TLS settings and users: a [web configuration file](security.md#the-web-configuration-file) as for
    Prometheus. Default: no TLS, no users."""
    users: dict[str, tuple[Scope, ...]] = {}
    """Scopes of a user, such as `ann = ["metrics", "read", "act"]`. Default: `"metrics"` and `"read"`."""
    tokens: dict[str, TokenSection] = {}
    """Bearer tokens for programs, see below. Default: none."""
    proxy: ProxySection | None = None
    """A proxy that authenticates people, see below. Default: none."""
    allow_unauthenticated: bool = False
    """`true` lets `listen` serve other machines without authentication."""
    workers: int | None = Field(default=None, ge=1)
    """Largest number of processes that read and measure. Default: one for each core, at least 2."""
    worker_memory_mb: int = Field(default=4096, ge=256)
    """Memory limit of one worker in MB; a worker that needs more is killed."""
    worker_timeout: PositiveDuration = timedelta(minutes=30)
    """Time limit of one task; a worker that takes longer is killed."""
    heartbeat: AddressOrSecret | None = None
    """A URL fetched after each round of checks, for a dead-man's switch that notices when driftd stops."""
    allow_inner: tuple[str, ...] | None = None
    """Inner networks that may be called: `["10.20.0.0/16", "::1"]`. Default: all that the file
    [names](security.md#inner-addresses)."""
    metrics_columns: Literal["notable", "all"] = "notable"
    """Columns with [series of their own](metrics.md) in `/metrics`: `"notable"`, those that drift, broke or are named
    by a trigger or in `drift`; or `"all"`, at most 200 of each model."""
    log_format: Literal["text", "json"] = "text"
    """Form of the log lines: `"text"` or `"json"`."""
    callback_secret: SecretRef | None = None
    """Secret with which pipelines [report](promotion.md) how their runs ended: `whsec_` + base64 of 24 to 64 bytes.
    Default: no reports are accepted."""
    backup: BackupSection | None = None
    """[Copies of the state](operations.md#backup-and-restore), see below. Default: none are made."""
    retention: PositiveDuration | None = None
    """Windows, messages and runs older than this are [removed](governance.md#retention). At least `"60d"`. Default:
    everything is kept."""


class WindowSection(Section):
    """How the log is cut into windows; a duration or a number alone is the `size`."""

    size: WindowSize = timedelta(days=7)
    """Length in time, cut from local midnight (weeks from Monday), or a number of rows."""
    step: PositiveDuration | None = None
    """Time from the start of one window to the start of the next. Default: `size`, so that they do not overlap."""
    lateness: Duration = timedelta(0)
    """How long after its end a window still waits for rows before it is checked."""
    min_rows: int = Field(default=100, ge=1)
    """A window with fewer rows is not judged: too little data."""
    sample: int | None = Field(default=None, ge=1)
    """Largest number of rows that are measured, chosen by a hash of the id. Default: all rows."""
    memory_mb: int = Field(default=32, ge=1)
    """A column that takes more memory is read twice, a row group at a time; `ks` and `wasserstein` are then computed
    from 1,024 bins."""


class Columns(Section):
    """Names of the columns that driftd uses. A column that is not named here is found by its usual name."""

    timestamp: str | None = None
    """When the prediction was made."""
    id: str | None = None
    """Identifier of the prediction. Default: a hash of the row, unless labels are joined."""
    prediction: str | None = None
    """What the model predicted."""
    probability: str | None = None
    """Predicted probability of the positive class."""
    positive: str | int | float | bool | None = None
    """The positive class, whose probability it is: `"fraud"`. Default: [worked out](metrics.md#the-positive-class)
    from the reference."""
    label: str | None = None
    """The true outcome."""
    label_timestamp: str | None = None
    """When the label became known."""
    model_version: str | None = None
    """Version of the model that made the prediction."""
    features: tuple[str, ...] | None = None
    """Inputs of the model. Default: every column that has no other role."""
    categorical: tuple[str, ...] | None = None
    """Features to be treated as categories. Default: by type."""
    types: dict[str, Literal["number", "category", "text"]] = {}
    """What columns hold, `"number"`, `"category"` or `"text"`: `types.store = "category"`. What is no number in a
    `"number"` is missing. Default: by all rows of the reference."""
    ignore: tuple[str, ...] = ()
    """Columns that are left out, as if they were not there. Default: none."""
    segments: tuple[str, ...] = ()
    """Performance is also measured [for each value](fairness.md#segments) of these columns; they stay features."""
    private: tuple[str, ...] = ()
    """Columns whose values are never shown, only statistics about them: [privacy](governance.md#privacy)."""


class CsvSection(Section):
    """How a CSV file is read. A key that is not given is guessed; `validate --show` prints the guess."""

    delimiter: str | None = None
    """Character between the cells of a row, such as `";"`."""
    decimal: Literal[".", ","] | None = None
    """Decimal separator: `"."` or `","`."""
    thousands: str | None = None
    """Sign between groups of thousands, such as `"."` in 1.549,34."""
    comment: str | None = None
    """Sign at the beginning of lines that are no rows, such as `"#"`."""
    missing: tuple[str, ...] | None = None
    """More texts that mean "missing", in every column. The usual ones (NA, null, …) do among numbers; among words they
    are words."""
    encoding: str | None = None
    """Character encoding of the file, such as `"cp1252"`."""
    day_first: bool | None = None
    """True if 03/04 is the third of April."""


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
    """Address of a PostgreSQL database, which is only read."""
    table: str | None = None
    """Name of the table or view in that database."""
    timeout: PositiveDuration = timedelta(minutes=2)
    """How long it may give no sign of life while it is read; then the check fails, and is made again at its time."""

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
    """Length of the beginning of the log that serves as the reference, instead of a place."""


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
    """A source is stale if its newest row is older than this. Default: one window."""


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


class TriggerSection(Section):
    """One condition: a metric compared with a number, a date, or a combination of other triggers of the model."""

    model_config = ConfigDict(json_schema_extra=exactly_one(*CONDITIONS))

    name: str
    """Name of the trigger in messages and metrics."""
    metric: str = ""
    """[Any metric](metrics.md#what-is-measured), with `above`, `below`, `rise`, `drop` or `drifted`."""
    column: str | None = None
    """Watch only this column."""
    segment: str | None = None
    """Watch one segment, `"origin=JFK"`, or every value of a column, `"origin"`, with bounds that [hold for all at
    once](fairness.md#triggers)."""
    method: str | None = None
    """Watch only this drift method."""
    above: LevelText | None = None
    """The metric is more than this. For `regret` also a price: `"0.02 for 30d"` is a loss of 0.02 of the metric for
    30 days."""
    about: BudgetText | None = None
    """How often retrains are wanted, such as `"4 per year"`. Only for `regret`, beside the price in `above` that
    [`backtest --suggest`](commands.md#backtest) proposes for it."""
    below: PlainLevel | None = None
    """The metric is less than this."""
    rise: ChangeText | None = None
    """The metric is higher than on the reference by `"15%"` of that value, or by `3.5`."""
    drop: ChangeText | None = None
    """The metric is lower than on the reference, by a percentage or a number."""
    drifted: Literal[True] | None = None
    """The score is beyond its own threshold."""
    every: PositiveDuration | None = None
    """This much time has passed since the last accepted request or the reference: `"90d"`."""
    cron: str | None = None
    """One of these dates has passed: `"0 6 1 * *"`, in the model's time zone."""
    all: tuple[str, ...] | None = Field(default=None, min_length=1)
    """All of these triggers of the model fire."""
    any: tuple[str, ...] | None = Field(default=None, min_length=1)
    """At least one of these triggers of the model fires."""
    unless: tuple[str, ...] = ()
    """While one of these triggers fires, this one keeps its state: it neither begins to fire nor clears, and asks for
    no retrain."""
    windows: PersistenceText = Persistence(1, 1)
    """`"2 of 3"`: it fires when two of the three newest judged windows meet the condition."""
    clear: float | None = None
    """The level at which it clears again. Default: the threshold."""
    action: Literal["alert", "retrain"] = "alert"
    """What follows when it fires: `"alert"` or `"retrain"`."""

    @property
    def members(self) -> tuple[str, ...]:
        """The triggers named by `all` or `any`."""
        return self.all or self.any or ()

    @model_validator(mode="after")
    def _one_condition(self) -> "TriggerSection":
        given = [k for k in CONDITIONS if getattr(self, k) is not None]
        if not given and self.about is not None:
            return self         # it has no price yet: a rule refuses it and says how to find one
        if len(given) != 1:
            got = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of {', '.join(CONDITIONS)}, got {got}")
        return self


DEFAULT_TRIGGERS = (
    TriggerSection(name="drift", metric="drifted_share", drifted=True),
    TriggerSection(name="retraining-pays", metric="regret", above=Level(2.0), action="retrain"),
)

# Every model has these too, unless a trigger of its file has the same name.
BUILT_IN_TRIGGERS = (
    TriggerSection(name="performance-lost", metric="performance_lost", drifted=True, windows=Persistence(2, 3)),
    TriggerSection(name="labels-lost", metric="labels_lost", drifted=True),
    TriggerSection(name="predictions-collapsed", metric="prediction_collapse", drifted=True, windows=Persistence(2, 2)),
)


class ApprovalSection(Section):
    """Which steps need a person's approval."""

    request: Literal["automatic", "person"] = "automatic"
    """`"automatic"`, or `"person"`: a retrain request waits for a person's approval."""
    lapse: PositiveDuration = timedelta(days=7)
    """A request that nobody answers for this long is dropped."""
    promotion: Literal["automatic", "person"] = "automatic"
    """`"automatic"`, or `"person"`: a new version waits for [`driftd approve --promotion`](promotion.md#promotion)."""


class RetrainSection(Section):
    """Where retrains of the model are asked for, and how often at most."""

    pipeline: str
    """Name of a `[pipelines.NAME]`."""
    cooldown: Duration = timedelta(days=3)
    """Shortest time between an accepted request and the next one."""
    budget: BudgetText = Budget(4, timedelta(days=365))
    """Largest number of accepted requests in a span of time; also `"4 per year"`."""
    min_labels: int = Field(default=100, ge=0)
    """Labelled rows that are needed since the reference or the last request."""
    queue_timeout: PositiveDuration = timedelta(days=1)
    """A run that has not begun this long after its request was accepted is `unknown`, and people are told."""
    run_timeout: PositiveDuration = timedelta(days=1)
    """A run that has not ended this long after it began is `unknown`; a run that cannot be followed counts as over."""
    approval: ApprovalSection = ApprovalSection()
    """Which steps need a person's approval."""


class RehearsalSection(Section):
    """Whether a retrain would help: a small challenger is fitted on the log and compared with the model in service."""

    enabled: bool = True
    """Set it to false if the data may not be used for fitting; then there is no regret."""
    challenger: ChallengerKind = "gradient_boosting"
    """`"gradient_boosting"`, `"linear"` or `"forest"`: the kind nearest to your own model
    ([why](decisions.md#regret-retrains))."""
    max_rows: int = Field(default=60_000, ge=1000)
    """The challenger is fitted on at most this many of the newest labelled rows."""


class GateSection(Section):
    """What a candidate must show before it replaces the model in service."""

    margin: float = 0.0
    """The lower bound of the improvement must be above this. A negative margin allows a loss of that size."""
    delta: float = Field(default=0.0, ge=0)
    """A segment blocks the candidate if its loss is certainly larger than this."""
    min_rows: int = Field(default=100, ge=1)
    """Labelled rows needed, in total and in each segment and group."""
    segments: tuple[str, ...] | None = None
    """Columns whose values are segments. Default: `columns.segments`."""
    limits: dict[str, float] = {}
    """Limits of fairness metrics: `limits.demographic_parity_difference = 0.1`; of a `…_ratio` it is the lowest value
    allowed."""


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


class EstimationSection(Section):
    """Estimates of performance before labels are known."""

    enabled: bool = True
    """[Estimate](estimation.md) performance before labels are known. Set it to false if the data may not be used for
    fitting."""


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
    registry: RegistrySection | None = None
    """The registry that keeps the model's versions. Default: runs and `version` say which one is in service."""

    @property
    def source_timeout(self) -> timedelta:
        """How long the most patient of its sources may give no sign of life."""
        places = (self.predictions, self.labels, self.attributes, self.reference.source)
        return max(place.timeout for place in places if place is not None)


class NotifySection(Section):
    """Where messages to people are sent."""

    urls: tuple[SecretRef, ...] = ()
    """[Apprise](https://github.com/caronc/apprise) addresses that messages are sent to: mail, Slack, Teams, …"""


class SilenceSection(Section):
    """A time in which no messages are sent: once (`until`), or repeatedly (`cron`, `duration`)."""

    model_config = ConfigDict(json_schema_extra=exactly_one("until", "cron") | {
        "dependentRequired": {"cron": ["duration"], "duration": ["cron"], "since": ["until"]},
    })

    model: str | None = None
    """The model that is silenced. Default: every model."""
    trigger: str | None = None
    """Silence only messages about this trigger. Default: every message about the model."""
    since: Moment | None = None
    """When it begins; a time without an offset is in the model's time zone. Default: at once."""
    until: Moment | None = None
    """When it ends: the first moment after the silence."""
    cron: str | None = None
    """When it begins each time: `"0 22 * * *"`, in the model's time zone."""
    duration: PositiveDuration | None = None
    """How long it lasts each time."""
    maintenance: bool = False
    """Hold back retrain requests too."""
    reason: str
    """Why; shown wherever the silence is shown."""

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
    """Times in which no messages are sent."""
    notify: NotifySection = NotifySection()
    """Where messages to people are sent."""
