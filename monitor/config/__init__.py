"""TOML → frozen, typed configuration. Light: nothing here imports pandas or pyarrow."""

from monitor.config.column_roles import USUAL_NAMES, Facts, FeatureKind, Roles, feature_kind, find_roles
from monitor.config.effective import Setting, settings
from monitor.config.load import Loaded, find_config, load, missing_secrets, redact, state_dir
from monitor.config.pipeline_sections import CommandPipeline, GithubPipeline, Pipeline, WebhookPipeline
from monitor.config.sections import (
    DEFAULT_TRIGGERS,
    ColumnDrift,
    Columns,
    Config,
    CsvSection,
    Daemon,
    DriftSection,
    ModelSection,
    NotifySection,
    QualitySection,
    ReferenceSection,
    RehearsalSection,
    RetrainSection,
    SourceSection,
    TriggerSection,
    WindowSection,
)
from monitor.config.spanning_rules import wrongly_private
from monitor.config.values import Budget, Change, Level, Persistence, Secret
from monitor.metric_catalogue import Task

__all__ = [
    "DEFAULT_TRIGGERS",
    "USUAL_NAMES",
    "Budget",
    "Change",
    "ColumnDrift",
    "Columns",
    "CommandPipeline",
    "Config",
    "CsvSection",
    "Daemon",
    "DriftSection",
    "Facts",
    "FeatureKind",
    "GithubPipeline",
    "Level",
    "Loaded",
    "ModelSection",
    "NotifySection",
    "Persistence",
    "Pipeline",
    "QualitySection",
    "ReferenceSection",
    "RehearsalSection",
    "RetrainSection",
    "Roles",
    "Secret",
    "Setting",
    "SourceSection",
    "Task",
    "TriggerSection",
    "WebhookPipeline",
    "WindowSection",
    "feature_kind",
    "find_config",
    "find_roles",
    "load",
    "missing_secrets",
    "redact",
    "settings",
    "state_dir",
    "wrongly_private",
]
