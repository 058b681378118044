"""What checks ask of a reference but its rows, worked out once: it is kept with the reference's profile."""

from base64 import b64decode, b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor import __version__
from monitor.config import ModelSection, Roles, Task
from monitor.errors import CannotJudge, ConfigError
from monitor.metric_catalogue import default_metric
from monitor.performance.class_evidence import require_better_than_chance, score_column, settle
from monitor.performance.labelled_rows import guess_task
from monitor.performance.labels import delays_of, maturity_age
from monitor.performance.lost_performance import Norm
from monitor.performance.performance_scores import sd_and_norm
from monitor.records import Score, Window, from_json, to_json
from monitor.reference.profile import keep_beside, last_beside
from monitor.sources.log import Log, once_a_look
from monitor.sources.row_counts import label_counts
from monitor.sources.rows import Rows
from monitor.sources.windows import closed_windows
from monitor.tables.columns import Ints, counts
from monitor.times import format_duration

MINUTE, HOUR, DAY = timedelta(minutes=1), timedelta(hours=1), timedelta(days=1)
LONGEST_PAUSE = timedelta(days=7)    # a reference that is no log may have one row a month: its pauses say nothing
_US = timedelta(microseconds=1)
_FEWEST = 3                          # gaps that tell what is usual
_BY_CHANCE = 0.001


@dataclass(frozen=True, slots=True, kw_only=True)
class Known:
    """All that checks ask of a reference but its rows and its columns' digests; kept with its profile."""

    rows: int
    each_once: bool                      # no row is repeated, so that no id is needed to read them again
    schema: str                          # of all columns, as Arrow writes it, in base 64
    roles: Roles
    task: Task | None                    # None without labels, as the next three
    metric: str | None
    sd: Score | None
    norm: Norm | None
    maturity: timedelta
    said: tuple[str, ...]
    pause: timedelta = timedelta(0)      # how long rows may stay away: over night, over the weekend


def known_of(model: ModelSection, rows: Rows, roles: Roles, known_until: datetime | None) -> Known:
    """Work out what is known of a reference. `known_until`: when its labels were last read; None for a file of
    unknown age.

    Raises CannotJudge if the model's scores are worse than chance on it, and ConfigError if `columns.positive` is no
    class of it.
    """
    task = _task(model, rows.table, roles)
    roles, said = _settled(model, rows.table, roles, task)
    metric, sd, norm = None, None, None
    if task is not None:
        metric = model.metric or default_metric(task, score_column(roles) is not None)
        sd, norm = sd_and_norm(list(blocks(model, rows.table, roles)), roles, task, metric)
    return Known(
        rows=len(rows.table), each_once=rows.each_once, schema=b64encode(rows.schema.serialize()).decode(),
        roles=roles, task=task, metric=metric, sd=sd, norm=norm,
        maturity=_maturity(model, rows.table, roles, known_until),
        said=(*roles.why, *said, *_undated(model, rows.table, roles),
              *_seldom(model, rows.table[roles.timestamp])),
        pause=usual_pause(rows.table[roles.timestamp], model.window.size),
    )


def usual_pause(times: pa.ChunkedArray, size: timedelta | int) -> timedelta:
    """Return how long rows may stay away without anything being wrong, in full minutes.

    That is the longest pause between neighbouring rows that came at least twice, at most `LONGEST_PAUSE`, or one window
    of `size` where that is longer; and a quarter more. Where all rows have one time of the day, as dates do, it is
    a day more: their time is when the day begins, and rows may come at its end. `times` are timestamps in
    microseconds, in any order. The first and last hundredth of the rows do not count, for a few may be astray.
    """
    order = np.sort(times.drop_null().cast(pa.int64()).to_numpy())
    order = order[len(order) // 100:len(order) - len(order) // 100]
    if len(order) < 3:
        return timedelta(0)
    most = LONGEST_PAUSE if isinstance(size, int) else max(LONGEST_PAUSE, size)
    pause = min(most, int(np.partition(np.diff(order), -2)[-2]) * _US)
    dated = pause and len(np.unique(order % (DAY // _US))) <= 2          # two: where summer time begins or ends
    return -(-(pause * 1.25) // MINUTE) * MINUTE + (DAY if dated else timedelta(0))


def usually_apart(times: pa.ChunkedArray) -> timedelta:
    """Return how far rows, or batches of them, usually are from the next ones; zero where there are too few to tell.

    That is the upper quartile of the gaps between the hours that have rows, or of those between the days, where that is
    more than a day: nights, weekends and outages are rarer, and a batch may take hours or some days.
    `times` are timestamps in microseconds.
    """
    hours = np.unique(times.drop_null().cast(pa.int64()).to_numpy() // (HOUR // _US))
    days = _usual_gap(np.unique(hours // 24)) * DAY
    return max(_usual_gap(hours) * HOUR, days if days > DAY else timedelta(0))


def paces(keys: pa.Table, roles: Roles, now: datetime) -> tuple[timedelta, timedelta]:
    """Return how far batches of rows are apart, and how late labels are where no column says so; each zero where there
    is none. `keys`: times and labels. A log whose newest row is old has ended, and its labels with it.
    """
    times = keys[roles.timestamp]
    apart = usually_apart(times)
    if roles.label is None or roles.label_timestamp is not None or not len(times):
        return apart, timedelta(0)
    newest = pc.max(times).as_py()
    until = newest if now - newest > 2 * max(apart, LONGEST_PAUSE) else now
    return apart, labels_behind(times, keys[roles.label], until)


def labels_behind(times: pa.ChunkedArray, labels: pa.ChunkedArray, until: datetime) -> timedelta:
    """Return how old the newest labelled row is at a moment, in full hours, from two days on in full days.

    It is zero where so many rows without a label at the end are chance, more than one in a thousand where labels are
    missing as often as before; and where labels are missing in a quarter of the log or more: then they do not come.
    `times` are timestamps in microseconds, of the same rows as `labels`.
    """
    at = times.cast(pa.int64()).to_numpy()
    order = np.argsort(at, kind="stable")
    known = pc.is_valid(labels).to_numpy()[order]
    if not known.any():
        return timedelta(0)
    last = int(np.flatnonzero(known)[-1])
    first, newest, labelled = (int(at[order[place]]) for place in (0, -1, last))
    missing = 1 - known[:last + 1].mean()
    if missing ** (len(known) - 1 - last) > _BY_CHANCE or 4 * (newest - labelled) >= newest - first:
        return timedelta(0)
    behind = int(until.timestamp() * 1_000_000 - labelled) * _US
    unit = DAY if behind > 2 * DAY else HOUR
    return -(-behind // unit) * unit if newest - labelled >= HOUR // _US else timedelta(0)


def _usual_gap(places: Ints) -> int:
    gaps = np.diff(places)
    return int(np.quantile(gaps, 0.75, method="higher")) if len(gaps) >= _FEWEST else 0


def schema_of(known: Known) -> pa.Schema:
    return pa.ipc.read_schema(pa.py_buffer(b64decode(known.schema)))


def _undated(model: ModelSection, table: pa.Table, roles: Roles) -> Iterator[str]:
    """Say how many labels of the reference have no time at which they became known, and what is done about it."""
    undated, labelled = label_counts(table, roles)
    if undated:
        yield (f"{undated} of {labelled} labels of the reference have no {roles.label_timestamp}: each counts from "
               f"label_delay ({format_duration(model.label_delay)}) after its row on")


def _seldom(model: ModelSection, times: pa.ChunkedArray) -> Iterator[str]:
    """Say that most windows will hold no rows, because these come in batches that are further apart."""
    apart, size = usually_apart(times), model.window.size
    if model.reference.first is not None and not isinstance(size, int) and apart > size:
        yield (f"rows come in batches about {format_duration(apart)} apart, most windows of {format_duration(size)} "
               "hold none; set window.size to more than that")


def _settled(
    model: ModelSection, table: pa.Table, roles: Roles, task: Task | None
) -> tuple[Roles, tuple[str, ...]]:
    """Return the roles with what the reference says of a classifier's scores, and sentences on it."""
    positive = model.columns.positive
    try:
        roles, said = settle(roles, table, task or _unlabelled_task(table, roles), positive)
        require_better_than_chance(roles, table, configured=positive is not None)
    except ConfigError as error:
        raise ConfigError([f"{model.name}: {text}" for text in error.problems]) from None
    except CannotJudge as error:
        raise CannotJudge(f"{model.name}: {error}") from None
    return roles, said


def _task(model: ModelSection, table: pa.Table, roles: Roles) -> Task | None:
    """Return the task; None without labels."""
    if not roles.label or not pc.any(pc.is_valid(table[roles.label])).as_py():
        return None
    return model.task or guess_task(table[roles.label], table[roles.prediction])


def _unlabelled_task(table: pa.Table, roles: Roles) -> Task | None:
    """Return "binary" if predictions of at most two classes come with a score."""
    if roles.probability is None or roles.prediction not in table.column_names:
        return None
    return "binary" if len(counts(table[roles.prediction])) <= 2 else None


def _maturity(model: ModelSection, table: pa.Table, roles: Roles, known_until: datetime | None) -> timedelta:
    delays = delays_of(table, roles, known_until)
    age = None if delays is None else maturity_age(delays)
    return model.label_delay if age is None else timedelta(seconds=age)


def blocks(model: ModelSection, table: pa.Table, roles: Roles) -> Iterator[pa.Table]:
    """Yield the rows of each window of the reference, cut as windows are."""
    size, times = model.window.size, table[roles.timestamp]
    if isinstance(size, int):
        ordered = table.sort_by(roles.timestamp)
        yield from (ordered.slice(at, size) for at in range(0, len(table) - size + 1, size))
        return
    first, last = pc.min(times).as_py(), pc.max(times).as_py()
    for window in closed_windows(
        model.window, model.timezone, model.name, after=None, first=first, until=last + model.window.lateness
    ):
        yield table.filter(pc.and_(pc.greater_equal(times, window.start), pc.less(times, window.end)))


@dataclass(frozen=True, slots=True)
class Stretch:
    """Of the rows of a stretch: what is known of them and which labels they have."""

    stamp: str                           # of the rows, their predictions and labels
    settled: datetime                    # since when each label that is there counts as known
    day: str                             # of the look, where a row has no label: its age counts; else empty
    known: Known
    labels: str


class KeptStretch:
    """The `Stretch` of a window of a log, where it can be told without reading that it is as it was."""

    def __init__(self, model: ModelSection, log: Log, window: Window, as_of: datetime, profiles: Path | None) -> None:
        self._folder, self._as_of, self._window, self._delay = profiles, as_of, window, model.label_delay
        self._key = "\x1f".join(("stretch", __version__, str(window.start), model.model_dump_json()))
        kept = profiles is not None and not model.columns.private
        self.stamp = once_a_look(as_of, self._key, lambda: log.stamp(window)) if kept else None

    def found(self) -> Stretch | None:
        kept = None if self.stamp is None else last_beside(self._folder, self._key)
        if kept is None:
            return None
        found = from_json(Stretch, kept)
        same = found.stamp == self.stamp and found.settled <= self._as_of and found.day in ("", self._day)
        return found if same else None

    def keep(self, known: Known, labels: str, rows: pa.Table) -> None:
        if self.stamp is None:
            return
        roles, settled, unlabelled = known.roles, self._window.end + self._delay, False
        if roles.label is not None:
            unlabelled = rows[roles.label].null_count > 0
        if roles.label_timestamp in rows.column_names:
            settled = max(settled, pc.max(rows[roles.label_timestamp]).as_py() or settled)
        if settled <= self._as_of:
            stretch = Stretch(self.stamp, settled, self._day if unlabelled else "", known, labels)
            keep_beside(self._folder, self._key, to_json(stretch))

    @property
    def _day(self) -> str:
        return self._as_of.date().isoformat()
