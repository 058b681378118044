"""The reference of a model in a worker: its rows, and what is computed from them once for all windows."""

from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cache, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor import __version__
from monitor.config import Facts, ModelSection, Roles, Task
from monitor.config.column_roles import feature_kind
from monitor.errors import CannotJudge, SourceError
from monitor.performance.labels import labels_digest
from monitor.performance.lost_performance import Norm
from monitor.performance.performance_scores import Keep, ReferenceMetrics, Segments
from monitor.records import Reference, Score, Window, from_json, to_json
from monitor.reference.final_rows import is_final
from monitor.reference.known_reference import KeptStretch, Known, known_of, schema_of
from monitor.reference.profile import (
    Profile,
    keep_rows,
    keep_with_rows,
    kept,
    kept_beside,
    kept_rows,
    kept_with_rows,
    profile_folder,
)
from monitor.reference.role_evidence import log_roles, roles_in
from monitor.sources import open_source
from monitor.sources.column_types import is_number
from monitor.sources.log import (
    Log,
    answer_columns,
    column_facts,
    facts_of,
    known_types,
    open_part,
    reference_rows,
)
from monitor.sources.rows import Mask, Rows
from monitor.sources.windows import first_stretch
from monitor.tables import columns
from monitor.tables.columns import Ints
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
    pause: timedelta = timedelta(0)      # how long rows may stay away, as they did in it
    said: tuple[str, ...] = ()           # on what the columns' roles and the classes rest
    gone: str | None = None              # that rows of it have vanished from the log, and what is compared with now

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


PINNED = "pinned"        # what is kept of a reference that is the beginning of a log, whose rows may go
KEPT = 2  # references with all their columns in this worker's memory; and beginnings of logs, while files are the same
_final: OrderedDict[tuple[str, datetime, Path | None, bool, str | None], ReferenceData] = OrderedDict()
_tables: OrderedDict[tuple[str, int, int], pa.Table] = OrderedDict()


def load_reference(
    model: ModelSection, as_of: datetime, stretch: datetime | None, profiles: Path | None, *, hold: bool = False,
    taken: int | None = None,
) -> ReferenceData:
    """Return the reference, from this worker's memory if neither data nor configuration has changed.

    `stretch` is the start of a reference of the form "first 90d"; None: the log's first row. Digests are stored in the
    folder `profiles`, and `taken` is how many rows it had: if some have vanished, what was kept of it is returned.

    Raises SourceError, ConfigError, and CannotJudge while such a period is not over.
    """
    if model.reference.source is not None:
        mark = open_source(model.reference.source, model.timezone).fingerprint()
        labels = open_source(model.labels, model.timezone).fingerprint() if model.labels else ""
        return _from_source(model.model_dump_json(), mark, labels, profiles)
    return _from_log(model, as_of, stretch, profiles, hold, taken)


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
        roles = roles_in(model, source, from_json(dict[str, Facts], found), f"reference {source.origin}")
        rows = reference_rows(model, open_part(section, model, roles), roles)
        read.append(rows)
        if source.costs and _may_keep_values(model):
            keep_rows(folder, _rows_of(model), labels, rows)
        return known_of(model, rows, _with_types(model, roles, rows), None)

    told = _kept_for(model, folder, labels, known)

    def again() -> Rows:
        by_id = not told.each_once or model.labels is not None or model.attributes is not None
        return reference_rows(model, open_part(section, model, told.roles), told.roles, by_id=by_id)

    opened = cache(lambda: read[0]) if read else _opened(model, folder, labels, told.roles.id, again)

    return _data(model, Reference.new_id(content, model.version), None, opened, folder, told, labels)


def _opened(
    model: ModelSection, folder: Path | None, mark: str, id: str | None, read: Callable[[], Rows]
) -> Callable[[], Rows]:
    """Return what gives the rows of a reference: those that are kept, else what `read` returns, once."""
    memory = model.window.memory_mb
    return cache(lambda: kept_rows(folder, _rows_of(model), mark, memory, id) or read())


def _rows_of(model: ModelSection) -> str:
    return "\x1f".join(("rows", __version__, model.model_dump_json()))


def _kept_for(model: ModelSection, folder: Path | None, labels: str, make: Callable[[], Known]) -> Known:
    """Return what is known of the reference of this model, with its classes."""
    key = "\x1f".join(("reference", __version__, model.model_dump_json()))
    stored = kept(folder if _may_keep_values(model) else None, key, lambda: to_json(make()), labels)
    return from_json(Known, stored)


def _may_keep_values(model: ModelSection) -> bool:
    """Tell whether classes and scores may be written to files: not where some of them may be private."""
    return not model.columns.private


def _from_log(
    model: ModelSection, as_of: datetime, stretch: datetime | None, profiles: Path | None, hold: bool,
    taken: int | None,
) -> ReferenceData:
    log = Log(model, log_roles(model, profiles), as_of, hold=hold)
    start, span = stretch or log.first(), model.reference.first
    assert span is not None
    if start is None or start + span > as_of:
        until = "a row has come" if start is None else format_moment(start + span)
        raise CannotJudge(
            f"{model.name}: the reference is the first {format_duration(span)} of the log, "
            f"nothing is judged until {until}"
        )
    window = Window(model=model.name, start=start, end=start + span, spec="")
    id = Reference.new_id(first_stretch(span, start), model.version)

    def folder_of(count: int | None) -> Path | None:
        return profile_folder(profiles, id, str(count), model.predictions.model_dump_json(),
                              model.columns.model_dump_json())

    def vanished_of(count: int) -> bool:
        return taken is not None and taken - count > model.quality.lost * taken

    key = (model.model_dump_json(), start, profiles, hold, log.files())
    if (final := _final.get(key)) is not None and not vanished_of(final.rows):
        return final
    stretch_kept = KeptStretch(model, log, window, as_of, profiles)
    found = stretch_kept.found()
    if found is not None and not vanished_of(found.known.rows):
        return _data(model, id, start, _opened(model, folder_of(found.known.rows), found.stamp, found.known.roles.id,
                                               lambda: log.window(window)),
                     folder_of(found.known.rows), found.known, found.labels)
    rows = log.window(window)
    vanished = vanished_of(len(rows.table))
    folder = folder_of(taken if vanished else len(rows.table))
    if vanished:
        count = f"had {taken} rows when it was taken, {len(rows.table)} of them"
        return _from_kept(model, id, start, folder, count, as_of)
    told = known_of(model, rows, _with_types(model, log.roles, rows), as_of)
    labels = labels_digest(rows.table, told.roles) or ""
    if _may_keep_values(model):
        without = set() if model.attributes else {told.roles.id}
        needed = {told.roles.timestamp, *answer_columns(model, told.roles)} - without
        answers = rows.table.select([name for name in rows.table.column_names if name in needed])
        value = {"by": __version__, "labels": labels, "known": to_json(told)}
        mark = "\x1f".join((labels, __version__, str(to_json(told.roles)), *answers.column_names))
        keep_with_rows(folder, PINNED, mark, value, answers)
    if stretch_kept.stamp is not None:
        stretch_kept.keep(told, labels, rows.table)
        keep_rows(folder, _rows_of(model), stretch_kept.stamp, rows)
    data = _data(model, id, start, lambda: rows, folder, told, labels)
    if key[-1] is not None and is_final(model, log, window, rows.table, told.roles, as_of, hold=hold):
        _final[key] = data
        while len(_final) > KEPT:
            _final.popitem(last=False)
    return data


def _from_kept(
    model: ModelSection, id: str, start: datetime, folder: Path | None, count: str, as_of: datetime
) -> ReferenceData:
    """Return a reference whose rows are in the log no more, by what was kept of it. Raises SourceError if nothing is.

    Digests, thresholds, times, predictions and labels are kept, the rows of other columns are not. What an earlier
    version of driftd kept is used as it is; settings that are others now are worked out from the answers.
    """
    remedy = ("Put the rows back, keep them in a file and name it as reference, or set another version to begin a new "
              "reference")
    found = kept_with_rows(folder, PINNED) if _may_keep_values(model) else None
    first = model.reference.first
    what = f"the reference (first {format_duration(first or timedelta(0))}) {count} are left"
    try:
        value, answers = found or ({}, pa.table({}))
        by, labels, told = value["by"], value["labels"], from_json(Known, value["known"])
    except (KeyError, TypeError, ValueError):            # nothing is kept, or in a form that is no longer known
        raise SourceError(f"{what}; nothing is judged. {remedy}") from None
    scan = Vanished(schema_of(told), told.rows)
    rows = Rows(answers, None, None, scan, model.window.memory_mb)
    told = known_of(model, rows, told.roles, as_of)
    gone = (f"{what}; windows are compared with what was kept of it, which is enough for drift of single columns, data "
            f"quality and performance, and for nothing else. {remedy}")
    return replace(_data(model, id, start, lambda: rows, folder, told, labels, by), gone=gone)


class Vanished:
    """A Scan of rows that are nowhere any more."""

    def __init__(self, schema: pa.Schema, rows: int) -> None:
        self.schema, self.rows = schema, rows

    def parts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        raise CannotJudge("it takes the rows of the reference, which are no longer in the log")

    def at_hand(self, columns: Sequence[str], moments: Sequence[str]) -> None:
        return None


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


def _data(
    model: ModelSection, id: str, stretch: datetime | None, opened: Callable[[], Rows], folder: Path | None,
    known: Known, labels: str, by: str = __version__,
) -> ReferenceData:
    profile = Profile(known.rows, opened, folder, model.columns.private)
    made_from = "\x1f".join((by, str(to_json(known.roles)), str(known.task)))

    def keep(key: str, make: Callable[[], Any]) -> Any:
        return profile.kept(f"{made_from}\x1f{key}", make, labels) if _may_keep_values(model) else make()

    return ReferenceData(
        id=id,
        stretch=stretch,
        rows=known.rows,
        opened=opened,
        keep=keep,
        schema=schema_of(known),
        profile=profile,
        roles=known.roles,
        performance=_performance(model, opened, known, keep),
        maturity=known.maturity,
        pause=known.pause,
        said=known.said,
    )


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


