"""What `driftd init` finds in a log: the role of each column, how many rows there are, and over what time.

What columns are is told by the first rows, as checks do; task and classes, rows and times by all rows, and of a large
table of a database by its first rows and its newest window.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

from monitor.config import USUAL_NAMES, Columns, Facts, ModelSection, Roles, find_roles, stores
from monitor.config.column_roles import is_row_number, why_no_feature
from monitor.errors import CannotJudge, ConfigError
from monitor.escape import name as shown
from monitor.ledger import unusual_rows
from monitor.metric_catalogue import Task, default_metric
from monitor.records import Ledger, Window
from monitor.times import utcnow

if TYPE_CHECKING:
    from monitor.sources.log import Log

MOMENT, DAY = timedelta(microseconds=1), timedelta(days=1)
QUARTER = 90 * DAY
HOUR = timedelta(hours=1)
SIZES = (7 * DAY, DAY, HOUR)     # of a window, the usual one first
OF_A_MONTH = 35 * DAY            # of a window that no month falls between
WINDOWS = 9                      # this many windows at least should fit into the log
CALIBRATED = 11                  # windows that a reference should have, one of them for its two ends


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What was found in the log."""

    roles: Roles
    task: str
    metric: str
    rows: int                            # of the log, or of the sample that was looked at
    first: datetime
    newest: datetime
    apart: timedelta = timedelta(0)      # how far rows, or batches of them, usually are from the next ones
    label_delay: timedelta = timedelta(0)    # after which labels are known, where no column says so
    guesses: dict[str, str]              # how a CSV file was read
    recent: int | None = None            # rows of the newest window, where the others are a sample of the log
    said: tuple[str, ...] = ()           # which column is what, and why
    columns: Columns = field(default_factory=Columns)    # as given
    unusual: tuple[str, ...] = ()        # of its rows and labels
    left_out: dict[str, str] = field(default_factory=dict)       # columns that are not watched, with the reason

    @property
    def span(self) -> timedelta:
        return self.newest - self.first

    @property
    def size(self) -> timedelta:
        """The usual window size if enough windows fit into the log, else a shorter one that still holds a batch."""
        return _size(self.span, self.apart)

    @property
    def usual_rows(self) -> int:
        """Number of rows in a window: the mean, or that of the newest one."""
        return int(self.rows * self.size / max(self.span, self.size)) if self.recent is None else self.recent

    @property
    def stretch(self) -> timedelta:
        """Length of the reference at the beginning of the log: a quarter of a year, or a third of the log; of windows
        longer than a week eleven of them, or half of the log."""
        part, most = (self.span / 3, QUARTER) if self.size <= SIZES[0] else (self.span / 2, CALIBRATED * self.size)
        unit = DAY if part >= DAY else HOUR
        return min(most, max(unit, part // unit * unit))


def _size(span: timedelta, apart: timedelta) -> timedelta:
    by_span = next((size for size in SIZES if span >= WINDOWS * size), SIZES[-1])
    return next((size for size in (*SIZES[::-1], OF_A_MONTH) if size >= max(by_span, apart)), OF_A_MONTH)


ROLES = {
    "timestamp": "timestamp", "id": "id", "prediction": "prediction", "probability": "probability", "label": "label",
    "label_timestamp": "label-timestamp", "model_version": "version",
}       # and their flags


def look(data: str, columns: Columns, labels: str | None = None, task: Task | None = None) -> Found:
    """Read the log, and the labels if they are separate, and find the role of each column.

    Raises SourceError, CannotJudge if there are no rows or the scores are worse than chance, and ConfigError if the
    role of a column is unclear; the sentences name the flag to use.
    """
    from monitor.performance.class_evidence import require_better_than_chance, score_column, settle
    from monitor.performance.labelled_rows import guess_task
    from monitor.reference.known_reference import paces
    from monitor.reference.role_evidence import VALUES, Evidence, at_hand, is_sample, looked_at
    from monitor.sources import open_source
    from monitor.sources.known_types import KnownTypes
    from monitor.sources.labels_apart import LabelsApart, column_of_ids
    from monitor.sources.log import facts
    from monitor.sources.written_numbers import doubts, style_of

    source, other = (
        open_source(stores.section_of(place), ZoneInfo("UTC")) if place else None
        for place in (data, labels)
    )
    assert source is not None
    table, answers = source.head(VALUES), looked_at(other) if other else None
    known, of_labels = facts(table), facts(answers) if answers is not None else None
    columns = _joined_on(columns, known, of_labels)
    id = _id(columns, known)
    if answers is not None and columns.label_id is None and id in known and id not in answers.column_names:
        ids, others = (looked_at(open_source(stores.section_of(str(place)), ZoneInfo("UTC"),
                                              KnownTypes(exact=frozenset(names))), names)
                       for place, names in ((data, [id]), (labels, answers.column_names)))
        columns = columns.model_copy(update={"label_id": column_of_ids(ids[id], others)})
    try:
        elsewhere = LabelsApart(other, columns.label_id, id) if other else None
        answers = looked_at(elsewhere) if elsewhere else None
        of_labels = facts(answers) if answers is not None else None
        evidence = Evidence(at_hand(source, table), known, elsewhere and at_hand(elsewhere, answers))
        roles = find_roles(columns, known, of_labels, data, evidence=evidence)
        strays = source.strays(roles.timestamp)
        if strays.low is None or strays.high is None:
            raise CannotJudge(f"{data} has no rows with a {roles.timestamp}; expected a log of predictions")
        judged = table if strays.rows in (None, len(table)) else source.read(_judged(roles, table.column_names))
        labelled = judged if answers is None or roles.label is None else answers
        task = task or guess_task(labelled[roles.label or roles.prediction], judged[roles.prediction])
        roles, said = settle(roles, judged, task, columns.positive)
        require_better_than_chance(roles, judged, configured=columns.positive is not None)
    except ConfigError as error:
        raise ConfigError([_with_flags(text) for text in error.problems]) from None
    except CannotJudge as error:
        raise CannotJudge(_with_flags(str(error))) from None
    unclear = [name for name in (*roles.features, roles.prediction, roles.probability, roles.label)
               if name in table.column_names]
    used = {*roles.features, *(getattr(roles, role) for role in ROLES), *(column for _, column in roles.per_class)}
    sampled, log = is_sample(source, table), _log(data, labels, roles, columns.label_id)
    apart, delay = (timedelta(0), timedelta(0)) if sampled else paces(log.keys(None), roles, utcnow())
    ledger = _newest(log, strays.high, _size(strays.high - strays.low, apart)) if sampled else log.account()
    return Found(
        roles=roles, columns=columns, task=task, metric=default_metric(task, score_column(roles) is not None),
        rows=len(table) if sampled else (strays.rows or len(table)) - strays.untimed - strays.apart,
        first=strays.low, newest=strays.high, apart=apart, label_delay=delay,
        recent=ledger.used if sampled else None, guesses=dict(source.guesses()),
        unusual=(*unusual_rows(ledger), *doubts(table.select(unclear), style_of(source.guesses()))),
        left_out=source.left_out() | {name: _why_not(name, one) for name, one in known.items()
                                      if name not in used and name not in columns.ignore},
        said=(*_chosen(columns, roles), *roles.why, *said),
    )


def _judged(roles: Roles, names: Collection[str]) -> list[str]:
    """Return the columns that tell the task and the classes, of which some may be rare."""
    chances = [column for _, column in roles.per_class]
    return [name for name in (roles.prediction, roles.probability, roles.label, *chances) if name and name in names]


def _why_not(name: str, facts: Facts) -> str:
    return "a data frame's row numbers" if is_row_number(name) else why_no_feature(facts)


def _joined_on(columns: Columns, log: dict[str, Facts], labels: dict[str, Facts] | None) -> Columns:
    """Name as the id the one column that labels share with the log, where it tells the rows of both apart."""
    if labels is None or columns.id is not None or any(name in log for name in USUAL_NAMES["id"]):
        return columns
    shared = [name for name, one in labels.items()
              if name in log and min(one.distinct / max(1, one.rows), log[name].distinct / max(1, log[name].rows)) > 0.5
              and one.kind in ("integer", "string")]
    return columns.model_copy(update={"id": shared[0]}) if len(shared) == 1 else columns


def _id(columns: Columns, log: Collection[str]) -> str | None:
    """Return the id of the log, as given or by its usual name, if there is one."""
    usual = [name for name in log if name.lower() in USUAL_NAMES["id"]]
    return columns.id or (usual[0] if len(usual) == 1 else None)


def _chosen(columns: Columns, roles: Roles) -> Iterator[str]:
    """Say of each role which column it is, and why."""
    for role, flag in ROLES.items():
        name = getattr(roles, role)
        if name is None:
            yield f"{role}: none found; --{flag} COLUMN names it"
        else:
            given = getattr(columns, role) is not None
            yield f"{role}: {shown(name)}, {'as given' if given else 'by its usual name'}"
    if columns.label_id is not None:
        yield f"label_id: {shown(columns.label_id)}, the id in the labels"


def _with_flags(text: str) -> str:
    """Name the flags of `init` where a sentence names keys of the file."""
    for role, flag in {**ROLES, "label_id": "label-id"}.items():
        text = re.sub(rf"columns\.{role}\b", f"--{flag}", text)
    text = re.sub(r"columns\.positive( = )?", "--positive ", text)
    return text.replace("under columns", "by its flag")


def _log(data: str, labels: str | None, roles: Roles, label_id: str | None) -> "Log":
    from monitor.sources.log import Log

    section, apart = (stores.section_of(place) if place else None for place in (data, labels))
    model = ModelSection.model_validate({"name": "init", "predictions": section, "labels": apart,
                                         "reference": {"source": section}, "columns": {"label_id": label_id}})
    return Log(model, roles, utcnow())


def _newest(log: "Log", newest: datetime, size: timedelta) -> Ledger:
    """Return what became of the rows of the newest window."""
    end = min(newest, utcnow()) + MOMENT
    ledger = log.window(Window(model="init", start=end - size, end=end, spec="")).ledger
    assert ledger is not None
    return ledger
