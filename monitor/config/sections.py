"""The configuration as frozen, typed models: every key a user may write, its default, its limits.

Reading files, locating lines and collecting errors is `load`'s work; nothing here touches the outside.
A model dumped with `model_dump(mode="json")` reads back equal, and holds no secret, only where they are kept.
"""

from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Literal
from zoneinfo import ZoneInfo

from pydantic import Field, model_validator

from monitor.config.pipeline_sections import Pipeline
from monitor.config.section import Section
from monitor.config.values import (
    Budget,
    BudgetText,
    ChangeText,
    Duration,
    Level,
    LevelText,
    Persistence,
    PersistenceText,
    PositiveDuration,
    SecretRef,
    TextOrSecret,
    WindowSize,
    Zone,
)

Task = Literal["binary", "multiclass", "regression"]
ChallengerKind = Literal["gradient_boosting", "linear", "forest"]


class Daemon(Section):
    state_dir: Path | None = None            # default: $STATE_DIRECTORY, then ./state
    listen: str = "127.0.0.1:9745"           # host:port of the HTTP side
    workers: int | None = Field(default=None, ge=1)  # processes that read and measure; default: one a core, at least 2
    worker_memory_mb: int = Field(default=4096, ge=256)
    worker_timeout: PositiveDuration = timedelta(minutes=30)
    heartbeat: TextOrSecret | None = None    # fetched after each round of checks
    log_format: Literal["text", "json"] = "text"
    callback_secret: SecretRef | None = None  # whsec_ + base64: takes what pipelines report of their runs
    retention: PositiveDuration | None = None  # what is older is removed; None: nothing is


class WindowSection(Section):
    size: WindowSize = timedelta(days=7)
    step: PositiveDuration | None = None     # default: size, so that windows tumble
    lateness: Duration = timedelta(0)        # how long after its end a window still waits for rows
    min_rows: int = Field(default=100, ge=1)
    sample: int | None = Field(default=None, ge=1)  # at most so many rows, chosen by hash of the id
    memory_mb: int = Field(default=32, ge=1)  # a column that takes more is never held whole


class Columns(Section):
    """Names of the columns that play a part. Each that is not named is found by its usual name."""

    timestamp: str | None = None
    id: str | None = None
    prediction: str | None = None
    probability: str | None = None           # of the positive class
    label: str | None = None
    label_timestamp: str | None = None
    model_version: str | None = None
    features: tuple[str, ...] | None = None  # default: every column without another part
    categorical: tuple[str, ...] | None = None  # default: by type
    segments: tuple[str, ...] = ()           # performance is told for each value of these
    private: tuple[str, ...] = ()            # never told as values, only as numbers about them


class CsvSection(Section):
    """How a CSV file is read; what is not given is guessed and shown by `validate --show`."""

    delimiter: str | None = None
    decimal: Literal[".", ","] | None = None
    encoding: str | None = None
    day_first: bool | None = None


class SourceSection(Section):
    """Rows: a file, a glob or a folder (path), or a read-only PostgreSQL table (database + table)."""

    path: str | None = None
    format: Literal["parquet", "csv", "jsonl"] | None = None   # default: by the file's ending
    csv: CsvSection = CsvSection()
    database: SecretRef | None = None
    table: str | None = None

    @model_validator(mode="after")
    def _one_place(self) -> "SourceSection":
        if (self.path is None) == (self.database is None):
            raise ValueError("expected either path, or database with table")
        if (self.database is None) != (self.table is None):
            raise ValueError("expected both, database and table")
        return self


class ReferenceSection(Section):
    """A place like a source's, or the first stretch of the log."""

    source: SourceSection | None = None
    template: str | None = None              # the path before {version} was filled in, set by `load`
    first: PositiveDuration | None = None


class ColumnDrift(Section):
    method: str | None = None
    threshold: float | Literal["calibrated", "evidently"] | None = None


class DriftSection(Section):
    method: str = "auto"                      # as Evidently chooses
    threshold: float | Literal["calibrated", "evidently"] = "calibrated"
    false_alarms: BudgetText = Budget(1, timedelta(days=90))   # that calibrated thresholds allow, all triggers together
    share: float = Field(default=0.5, gt=0, le=1)   # of drifted columns that makes the data drifted
    columns: dict[str, ColumnDrift] = {}
    multivariate: bool = False               # all features together: costs seconds a window
    embeddings: dict[str, str] = {}          # name → glob of the columns that are judged together


class QualitySection(Section):
    missing: float = Field(default=0.2, gt=0, le=1)  # a share this far above the reference's is broken
    stale: PositiveDuration | None = None    # newest row older is a stale source; default: one window


class FairnessSection(Section):
    """Protected columns: what the model answers to one group of people, beside another."""

    columns: tuple[str, ...] = Field(min_length=1)   # features only where `columns.features` lists them
    comparison: dict[str, str] = {}          # column → the group others are compared with; else the largest
    windows: int = Field(default=4, ge=1)    # so many are pooled, that small groups have enough rows


class EvidentlySection(Section):
    """One metric of Evidently's reports, measured on every window."""

    metric: str
    options: dict[str, Any] = {}             # as Evidently's class takes them


class TriggerSection(Section):
    """One condition: a metric beside a number, a date, or what other triggers of the model do."""

    name: str
    metric: str = ""                         # of above, below, rise, drop, drifted
    column: str | None = None
    segment: str | None = None               # a column's name, or one of its values: "origin=JFK"
    method: str | None = None
    above: LevelText | None = None
    about: BudgetText | None = None          # how often, of regret: `backtest --suggest` finds the price, `above`
    below: LevelText | None = None
    rise: ChangeText | None = None
    drop: ChangeText | None = None
    drifted: Literal[True] | None = None
    every: PositiveDuration | None = None    # so long after the model's data ended
    cron: str | None = None                  # a date since the model's data ended
    all: tuple[str, ...] | None = Field(default=None, min_length=1)    # all of these triggers fire
    any: tuple[str, ...] | None = Field(default=None, min_length=1)    # one of these triggers fires
    unless: tuple[str, ...] = ()             # nothing changes while one of these triggers fires
    windows: PersistenceText = Persistence(1, 1)
    clear: float | None = None               # the level at which it clears again; default: the threshold
    action: Literal["alert", "retrain"] = "alert"

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


MEASURED = ("above", "below", "rise", "drop", "drifted")     # conditions that go with a metric
CONDITIONS = (*MEASURED, "every", "cron", "all", "any")
DEFAULT_TRIGGERS = (
    TriggerSection(name="drift", metric="drifted_share", drifted=True),
    TriggerSection(name="retraining-pays", metric="regret", above=Level(2.0), action="retrain"),
)


class ApprovalSection(Section):
    """Whose word a retrain needs."""

    request: Literal["automatic", "person"] = "automatic"
    lapse: PositiveDuration = timedelta(days=7)      # without an answer for so long, it is not asked for
    promotion: Literal["automatic", "person"] = "automatic"  # whose word a new version needs


class RetrainSection(Section):
    pipeline: str
    cooldown: Duration = timedelta(days=3)
    budget: BudgetText = Budget(4, timedelta(days=365))
    min_labels: int = Field(default=100, ge=0)   # labelled rows since the reference or the last request
    queue_timeout: PositiveDuration = timedelta(days=1)    # then a run that has not begun is given up
    run_timeout: PositiveDuration = timedelta(days=1)  # then a run without an end, or that cannot be followed, is over
    approval: ApprovalSection = ApprovalSection()


class RehearsalSection(Section):
    enabled: bool = True                     # false where the data may not be used for fitting
    challenger: ChallengerKind = "gradient_boosting"   # the kind nearest to the model in service
    max_rows: int = Field(default=60_000, ge=1000)


class GateSection(Section):
    """Whether a candidate may replace the champion."""

    margin: float = 0.0                      # the improvement's lower bound is above it; negative: not worse by more
    delta: float = Field(default=0.0, ge=0)  # a segment blocks where it is certainly worse by more
    min_rows: int = Field(default=100, ge=1)     # labelled, of the whole and of each segment and group
    segments: tuple[str, ...] | None = None  # default: columns.segments
    limits: dict[str, float] = {}            # fairness metric → how large (a ratio: how small) it may be


class RegistrySection(Section):
    """Where versions are kept, and which of them is in service."""

    kind: Literal["mlflow"]
    url: str
    name: str                                # of the registered model
    alias: str = "champion"                  # names the version in service
    token: SecretRef | None = None
    ca: Path | None = None
    timeout: PositiveDuration = timedelta(seconds=15)
    experiment: str | None = None            # a run for each window is logged there
    webhook_secret: SecretRef | None = None  # takes MLflow's webhooks


class EstimationSection(Section):
    enabled: bool = True                     # false where the data may not be used for fitting


class ModelSection(Section):
    name: str = ""                           # the table's own name, set by `load`
    mode: Literal["observe", "act"] = "observe"
    task: Task | None = None                 # default: from the label
    metric: str | None = None                # default: from the task
    version: str | None = None
    timezone: Zone = ZoneInfo("UTC")
    every: PositiveDuration | None = None    # how often to look; default 1h
    cron: str | None = None
    since: datetime | None = None            # first start: begin here instead of at the newest closed window
    label_delay: Duration = timedelta(0)     # where no label_timestamp says when labels became known
    window: WindowSection = WindowSection()
    columns: Columns = Columns()
    predictions: SourceSection
    labels: SourceSection | None = None      # in a place of their own: joined on id
    attributes: SourceSection | None = None  # protected columns that are not in the log: joined on id
    reference: ReferenceSection
    drift: DriftSection = DriftSection()
    quality: QualitySection = QualitySection()
    fairness: FairnessSection | None = None
    rehearsal: RehearsalSection = RehearsalSection()
    estimation: EstimationSection = EstimationSection()
    evidently: tuple[EvidentlySection, ...] = ()
    triggers: tuple[TriggerSection, ...] = DEFAULT_TRIGGERS
    retrain: RetrainSection | None = None
    gate: GateSection = GateSection()
    registry: RegistrySection | None = None


class NotifySection(Section):
    urls: tuple[SecretRef, ...] = ()         # Apprise addresses


class SilenceSection(Section):
    """When people are not told: once (until), or again and again (cron, duration)."""

    model: str | None = None                 # default: every model
    trigger: str | None = None               # default: every message about the model
    since: datetime | None = None            # default: from now on
    until: datetime | None = None
    cron: str | None = None
    duration: PositiveDuration | None = None
    maintenance: bool = False                # holds back requests too
    reason: str

    @model_validator(mode="after")
    def _one_time(self) -> "SilenceSection":
        once, again = self.until is not None, self.cron is not None and self.duration is not None
        rest = (self.cron or self.duration) if once else (self.since or self.until)
        if once == again or rest:
            raise ValueError("expected either until (and since), or cron with duration")
        return self


class Config(Section):
    daemon: Daemon = Daemon()
    models: dict[str, ModelSection]
    pipelines: dict[str, Pipeline] = {}
    silences: tuple[SilenceSection, ...] = ()
    notify: NotifySection = NotifySection()
