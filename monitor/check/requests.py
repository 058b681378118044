"""What workers are asked about a model: each task, with the record of its request and of its result.

The daemon's parent imports this, and nothing of what does the work.
"""

from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

from monitor.calibration.outlook import Outlook
from monitor.config import ModelSection, Roles
from monitor.config.sections import ShadowSection
from monitor.config.trigger_rules import TriggerProblem
from monitor.gate_result import ShadowAnswer
from monitor.records import Content, Counted, Ledger, Snapshot, Spread, Survey, Window
from monitor.workers.task import Asker, Task


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """Which model is looked at, and as what was known at which moment: later rows and labels do not exist."""

    model: ModelSection
    as_of: datetime
    stretch: datetime | None = None      # where a reference of the form "first 90d" begins, once it is known
    taken: int | None = None             # how many rows the reference had then
    profiles: Path | None = None         # where digests of references are kept
    hold: bool = False                   # keep the log in memory: it is looked at again and again

    @property
    def asker(self) -> Asker:
        return Asker(self.model.name, self.model.source_timeout)


@dataclass(frozen=True, slots=True, kw_only=True)
class Resolved:
    """The columns' parts, what the model is judged by, and what its triggers may be expected to do."""

    roles: Roles
    extra: tuple[str, ...]               # columns of the log that the reference lacks
    types: tuple[str, ...]               # what each feature is, and on which values of the reference that rests
    left_out: dict[str, str]             # columns that are not watched because of what they are, with the reason
    task: str | None                     # None where there are no labels
    metric: str | None
    reference_rows: int
    maturity: timedelta                  # age at which nearly all reference labels were known
    pause: timedelta                     # how long rows may stay away, as in the reference
    outlook: Outlook
    ledger: Ledger | None = None         # of all rows of the log
    said: tuple[str, ...] = ()           # on what the roles and classes rest
    problems: tuple[TriggerProblem, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Extent:
    """The timestamps of the log's oldest and newest row; None where it has no rows."""

    first: datetime | None
    newest: datetime | None


@dataclass(frozen=True, slots=True, kw_only=True)
class SurveyRequest(Look):
    """Count the windows in `recount` again, and all that closed after `last`, or without one that start at `since`."""

    since: datetime
    last: Window | None = None
    recount: tuple[Counted, ...] = ()    # what was counted of each before


@dataclass(frozen=True, slots=True, kw_only=True)
class ObserveRequest(Look):
    """Measure one revision of one window."""

    window: Window
    revision: int
    mature: bool                         # every row is older than nearly all reference label delays
    first_rows: int | None               # what revision 0 counted: what is more now came late
    corrected: bool                      # labels that were known before have changed
    earlier: datetime | None             # start of the window before, whose challenger is the placebo
    newest: datetime | None              # timestamp of the log's newest row
    config_hash: str
    paused: bool = False                 # no row, in a pause such as the reference has
    versions: tuple[str, ...] = ()       # that served before and are compared with the one in service, newest first


@dataclass(frozen=True, slots=True, kw_only=True)
class SpreadRequest(Look):
    """Tell how a column's values are spread in one window, and in the reference."""

    window: Window
    column: str


@dataclass(frozen=True, slots=True, kw_only=True)
class EvidentlyRequest(Look):
    """Have Evidently write its report of one window beside the reference."""

    window: Window


@dataclass(frozen=True, slots=True)
class EvidentlyPage:
    html: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ContentsRequest(Look):
    """Hash the data of a model that are not as they were when they were `known`, of the log those of the windows."""

    known: tuple[Content, ...]
    timestamp: str
    windows: tuple[Window, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowRequest(Look):
    """Judge the candidate whose predictions are at `shadow`, on rows from `since` on."""

    shadow: ShadowSection
    since: datetime


@dataclass(frozen=True, slots=True, kw_only=True)
class Contents:
    """The data that are not as they were known."""

    changed: tuple[Content, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class AheadRequest(Look):
    """Score the challenger fitted at `moment`, or without one the model in service, on each of the windows."""

    moment: datetime | None
    windows: tuple[Window, ...]
    metrics: tuple[str, ...]             # besides the one the model is judged by


@dataclass(frozen=True, slots=True, kw_only=True)
class Ahead:
    """What one model scores on each of the windows."""

    metric: str                          # the one the model is judged by
    values: tuple[dict[str, float], ...] # of each window, by metric; empty where it cannot be scored
    of_age: tuple[dict[str, float], ...] = ()    # the same of a challenger as old as the model in service, beside it


RESOLVE = Task("monitor.check.resolve:resolve", Look, Resolved)
EXTENT = Task("monitor.check.resolve:extent", Look, Extent)
SURVEY = Task("monitor.check.survey:survey", SurveyRequest, Survey)
OBSERVE = Task("monitor.check.measure_window:observe", ObserveRequest, Snapshot)
SPREAD = Task("monitor.check.column_values:spread", SpreadRequest, Spread)
SHADOW = Task("monitor.check.shadow_look:look_at_shadow", ShadowRequest, ShadowAnswer)
EVIDENTLY = Task("monitor.check.evidently_page:evidently_page", EvidentlyRequest, EvidentlyPage)
CONTENTS = Task("monitor.check.data_seen:contents", ContentsRequest, Contents)
AHEAD = Task("monitor.backtest.challenger_scores:ahead", AheadRequest, Ahead)
