"""The reference of a model in a worker: its rows, and what is computed from them once for all windows."""

from base64 import b64decode, b64encode
from collections import OrderedDict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor import __version__
from monitor.config import Facts, ModelSection, Roles, Task, find_roles, wrongly_private
from monitor.config.column_roles import feature_kind
from monitor.errors import CannotJudge, ConfigError, SourceError
from monitor.metric_catalogue import default_metric
from monitor.performance.class_evidence import require_better_than_chance, score_column, settle
from monitor.performance.labelled_rows import guess_task
from monitor.performance.labels import delays_of, labels_digest, maturity_age
from monitor.performance.lost_performance import Norm
from monitor.performance.performance_scores import Keep, ReferenceMetrics, Segments, sd_and_norm
from monitor.records import Reference, Score, Window, from_json, to_json
from monitor.reference.profile import Profile, kept, kept_beside, profile_folder
from monitor.reference.role_evidence import Evidence
from monitor.sources import Source, open_source
from monitor.sources.column_types import is_number
from monitor.sources.log import Log, column_facts, facts, facts_of, known_types, open_part, reference_rows
from monitor.sources.row_counts import label_counts
from monitor.sources.rows import Mask, Rows
from monitor.sources.windows import closed_windows, first_stretch
from monitor.tables import columns
from monitor.tables.columns import Ints, counts
from monitor.times import format_duration, format_moment


@dataclass(frozen=True, slots=True, kw_only=True)
class Performance:
    """How the model's performance is judged, if there are labels."""

    task: Task
    metric: str
    sd: Score                            # sd of the metric over windows of the reference
    norm: Norm                           # what a window's performance is held against
    reference: ReferenceMetrics          # every metric on the whole reference
    segments: Segments                   # every metric on its segments, computed on demand


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


@dataclass(frozen=True, kw_only=True, eq=False)
class ReferenceData:
    """The reference's data, the same for every window. Its rows are read when they are first asked for."""

    id: str
    stretch: datetime | None             # its start, if it is the first part of the log
    rows: int
    opened: Callable[[], Rows]
    keep: Keep                           # what is worked out from rows and labels, as long as these are the same
    schema: pa.Schema                    # of all its columns
    profile: Profile                     # the digests of its columns
    roles: Roles
    performance: Performance | None      # None without labels
    maturity: timedelta                  # age at which nearly all labels are known
    said: tuple[str, ...] = ()           # on what the columns' roles and the classes rest

    @property
    def answers(self) -> pa.Table:
        """Every row with its time, groups, prediction and label, and with its id where one is needed."""
        return self.opened().table

    def read(self, chosen: Mask | None = None) -> pa.Table:
        """Return all columns of all rows, or of the chosen ones."""
        return self.opened().whole(chosen)

    @property
    def table(self) -> pa.Table:
        """All columns in memory; the tables of the last few references are kept."""
        key = (self.id, self.rows, len(self.schema))
        if key not in _tables:
            _tables[key] = self.read()
            while len(_tables) > KEPT:
                _tables.popitem(last=False)
        return _tables[key]

    @property
    def labelled(self) -> Mask:
        """Of each row whether its label is known."""
        label = self.roles.label
        if label is None or label not in self.answers.column_names:
            return np.zeros(self.rows, np.bool_)
        present: Mask = columns.is_present(self.answers[label]).to_numpy()
        return present

    def newest(self, among: Mask, most: int) -> pa.Table:
        """Return all columns of the newest `most` of these rows, in the order of the reference."""
        return self.read(self._chosen(self._by_time(among)[-most:]))

    def spread(self, most: int) -> Mask:
        """Return which rows are a sample of at most `most` labelled ones, evenly over the rows in order of time."""
        places = self._by_time(self.labelled)
        return self._chosen(places[np.unique(np.linspace(0, len(places) - 1, min(len(places), most)).astype(np.int64))])

    def _by_time(self, among: Mask) -> Ints:
        places = np.flatnonzero(among)
        times = self.answers[self.roles.timestamp].take(places)
        ordered: Ints = places[pc.sort_indices(times).to_numpy()]
        return ordered

    def _chosen(self, places: Ints) -> Mask:
        chosen = np.zeros(self.rows, np.bool_)
        chosen[places] = True
        return chosen


KEPT = 2  # references with all their columns in this worker's memory
_tables: OrderedDict[tuple[str, int, int], pa.Table] = OrderedDict()


def load_reference(
    model: ModelSection, as_of: datetime, stretch: datetime | None, profiles: Path | None, *, hold: bool = False
) -> ReferenceData:
    """Return the reference, from this worker's memory if neither data nor configuration has changed.

    `stretch` is the start of a reference of the form "first 90d"; None: the log's first row. Digests are stored in the
    folder `profiles`. Raises SourceError, ConfigError, and CannotJudge while such a period is not over.
    """
    if model.reference.source is not None:
        mark = open_source(model.reference.source, model.timezone).fingerprint()
        labels = open_source(model.labels, model.timezone).fingerprint() if model.labels else ""
        return _from_source(model.model_dump_json(), mark, labels, profiles)
    return _from_log(model, as_of, stretch, profiles, hold)


@lru_cache(maxsize=8)
def _from_source(text: str, mark: str, labels: str, profiles: Path | None) -> ReferenceData:
    model = ModelSection.model_validate_json(text)
    section = model.reference.source
    assert section is not None
    source = open_source(section, model.timezone, known_types(model))
    content = kept_beside(profiles, f"content\x1f{section.model_dump_json()}", mark, source.content_id)
    made_from = (content, section.model_dump_json(), model.timezone.key, model.columns.model_dump_json())
    folder = profile_folder(profiles, *made_from)
    read: list[Rows] = []

    def known() -> Known:
        found = kept(folder, "facts", lambda: to_json(facts_of(Rows.every(source, model.window.memory_mb))))
        roles = _roles(model, source, from_json(dict[str, Facts], found), f"reference {source.origin}")
        rows = reference_rows(model, open_part(section, model, roles), roles)
        read.append(rows)
        return _known(model, rows, _with_types(model, roles, rows), None)

    told = _kept_for(model, folder, labels, known)

    @cache
    def opened() -> Rows:
        part = open_part(section, model, told.roles)
        by_id = not told.each_once or model.labels is not None or model.attributes is not None
        return read[0] if read else reference_rows(model, part, told.roles, by_id=by_id)

    return _data(model, Reference.new_id(content, model.version), None, opened, folder, told, labels)


def _kept_for(model: ModelSection, folder: Path | None, labels: str, make: Callable[[], Known]) -> Known:
    """Return what is known of the reference of this model, with its classes."""
    key = "\x1f".join(("reference", __version__, model.model_dump_json()))
    stored = kept(folder if _may_keep_values(model) else None, key, lambda: to_json(make()), labels)
    return from_json(Known, stored)


def _may_keep_values(model: ModelSection) -> bool:
    """Tell whether classes and scores may be written to files: not where some of them may be private."""
    return not model.columns.private


def _from_log(
    model: ModelSection, as_of: datetime, stretch: datetime | None, profiles: Path | None, hold: bool
) -> ReferenceData:
    log = Log(model, log_roles(model), as_of, hold=hold)
    start, span = stretch or log.first(), model.reference.first
    assert span is not None
    if start is None or start + span > as_of:
        until = "a row has come" if start is None else format_moment(start + span)
        raise CannotJudge(
            f"{model.name}: the reference is the first {format_duration(span)} of the log, "
            f"nothing is judged until {until}"
        )
    window = Window(model=model.name, start=start, end=start + span, spec="")
    rows = log.window(window)
    id = Reference.new_id(first_stretch(span, start), model.version)
    folder = profile_folder(profiles, id, str(len(rows.table)), model.predictions.model_dump_json(),
                            model.columns.model_dump_json())
    told = _known(model, rows, _with_types(model, log.roles, rows), as_of)
    return _data(model, id, start, lambda: rows, folder, told, labels_digest(rows.table, told.roles) or "")


def _with_types(model: ModelSection, roles: Roles, rows: Rows) -> Roles:
    """Return the roles with the types that all rows of the reference show: windows are read with these.

    A column of numbers that got its first word after the reference was text in the whole log; here it is numbers.
    """
    apart = {roles.id, roles.timestamp, roles.label_timestamp}
    words = [field.name for field in rows.schema if pa.types.is_string(field.type) and field.name not in apart]
    declared = {*model.columns.types, *(model.columns.categorical or ())}
    features = dict(roles.features)
    for name in (name for name, kind in features.items() if kind != "numerical" and name not in declared):
        pieces = rows.pieces(name) if name in rows.schema.names and is_number(rows.schema.field(name).type) else None
        if pieces is not None and (kind := feature_kind(column_facts(pa.chunked_array(list(pieces))), False)):
            features[name] = kind
    return replace(roles, features=features, words=tuple(words))


def log_roles(model: ModelSection) -> Roles:
    """Return the role of each column, as found in the log."""
    return _log_roles(model.model_dump_json())


@lru_cache(maxsize=32)
def _log_roles(text: str) -> Roles:
    """Return the roles; they are cached per configuration, so that later rows do not change them."""
    model = ModelSection.model_validate_json(text)
    source = open_source(model.predictions, model.timezone, known_types(model))
    found = facts_of(Rows.every(source, model.window.memory_mb))
    return _roles(model, source, found, f"predictions {source.origin}")


def _roles(model: ModelSection, source: Source, found: dict[str, Facts], where: str) -> Roles:
    labels = open_source(model.labels, model.timezone, known_types(model)) if model.labels else None
    protected = model.fairness.columns if model.fairness else ()
    roles = find_roles(
        model.columns,
        found,
        facts(labels.read(None)) if labels else None,
        where,
        protected=protected,
        attributes=_attributes(model, [*found, *protected, *model.columns.private]) if model.attributes else None,
        evidence=Evidence(source, found, labels),
        watched={*model.drift.columns, *(trigger.column for trigger in model.triggers if trigger.column)},
    )
    if problems := wrongly_private(model, roles):
        raise ConfigError(problems)
    return roles


def _attributes(model: ModelSection, otherwise: list[str]) -> list[str]:
    """Return the columns of the attributes, or `otherwise` if they cannot be read, so that only fairness fails."""
    assert model.attributes is not None
    try:
        return list(open_source(model.attributes, model.timezone).schema().names)
    except SourceError:
        return otherwise


def _known(model: ModelSection, rows: Rows, roles: Roles, known_until: datetime | None) -> Known:
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
        said=(*roles.why, *said, *_undated(model, rows.table, roles)),
    )


def _data(
    model: ModelSection, id: str, stretch: datetime | None, opened: Callable[[], Rows], folder: Path | None,
    known: Known, labels: str,
) -> ReferenceData:
    profile = Profile(known.rows, opened, folder, model.columns.private)
    made_from = "\x1f".join((__version__, str(to_json(known.roles)), str(known.task)))

    def keep(key: str, make: Callable[[], Any]) -> Any:
        return profile.kept(f"{made_from}\x1f{key}", make, labels) if _may_keep_values(model) else make()

    return ReferenceData(
        id=id,
        stretch=stretch,
        rows=known.rows,
        opened=opened,
        keep=keep,
        schema=pa.ipc.read_schema(pa.py_buffer(b64decode(known.schema))),
        profile=profile,
        roles=known.roles,
        performance=_performance(model, opened, known, keep),
        maturity=known.maturity,
        said=known.said,
    )


def _undated(model: ModelSection, table: pa.Table, roles: Roles) -> Iterator[str]:
    """Say how many labels of the reference have no time at which they became known, and what is done about it."""
    undated, labelled = label_counts(table, roles)
    if undated:
        yield (f"{undated} of {labelled} labels of the reference have no {roles.label_timestamp}: each counts from "
               f"label_delay ({format_duration(model.label_delay)}) after its row on")


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


def _performance(
    model: ModelSection, opened: Callable[[], Rows], known: Known, keep: Keep
) -> Performance | None:
    if known.task is None or known.metric is None or known.sd is None or known.norm is None:
        return None

    def rows() -> pa.Table:
        return opened().table

    whole = ReferenceMetrics(rows, known.roles, known.task, keep)
    segments = Segments(rows, known.roles, known.task, known.metric, model.window.min_rows)
    return Performance(
        task=known.task, metric=known.metric, sd=known.sd, norm=known.norm, reference=whole, segments=segments
    )


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
