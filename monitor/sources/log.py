"""A model's prediction log with its labels, as it was known at a point in time."""

from collections import OrderedDict
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from functools import cached_property
from typing import Any, Literal

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import KEY, TEXT_SHARE, USUAL_NAMES, Facts, Roles, is_row_number
from monitor.config.sections import ModelSection, SourceSection
from monitor.records import Ledger, Window
from monitor.sources import Scan, Source, open_source
from monitor.sources.column_types import Bounds, as_text, is_number
from monitor.sources.hashed_ids import all_differ
from monitor.sources.ids import LabelCounts, Unjoined, given, join_labels, row_ids, sample, unjoined
from monitor.sources.known_types import KnownTypes
from monitor.sources.labels_apart import KnownLabels, LabelsApart
from monitor.sources.row_counts import Repeats, ledger_of, repeats
from monitor.sources.rows import Mask, RowKeys, Rows, contains, once_each, picked
from monitor.sources.strays import Strays
from monitor.times import BEGINNING

FEW = 0.1                # share of texts that are no codes, below which a column holds codes
_NO_CODE = r"\s|^[+-]?(0|[1-9]\d{0,14})?([.,]\d+)?$"      # with a blank, or a number
_EXACT = 2.0**53         # up to which a float holds every whole number
_NEAR = timedelta(days=2)  # of the oldest and the newest row, where naive times are known but nearly
MOST_IDS = 2_000_000     # a log with more rows is not searched for the ids of labels
_without_row: dict[tuple[str, ...], Unjoined] = {}
_looks: OrderedDict[tuple[datetime, str], Any] = OrderedDict()
_MOST_LOOKS = 32         # answers that are remembered


def once_a_look(as_of: datetime, key: str, ask: Callable[[], Any]) -> Any:
    """Return the answer, asked for once at each moment that data are looked at: a database reads all rows for it."""
    if (as_of, key) not in _looks:
        _looks[as_of, key] = ask()
        while len(_looks) > _MOST_LOOKS:
            _looks.popitem(last=False)
    return _looks[as_of, key]


class Log:
    """Rows and labels of one model that were known at `as_of`. `hold`: the rows are kept in memory."""

    def __init__(self, model: ModelSection, roles: Roles, as_of: datetime, *, hold: bool = False) -> None:
        self.roles = roles
        self._as_of = as_of
        self._model = model
        self._source = _open(model, roles) if hold else open_part(model.predictions, model, roles)
        self._schema = self._source.schema()

    def schema(self) -> pa.Schema:
        """Return the columns of the log with the types of the source, including those of joined labels."""
        if self._model.labels is None:
            return self._schema
        labels = open_labels(self._model, self._model.labels, self.roles).schema()
        wanted = [n for n in (self.roles.label, self.roles.label_timestamp) if n in labels.names]
        return pa.schema([*self._schema, *(labels.field(n) for n in wanted if n not in self._schema.names)])

    def guesses(self) -> dict[str, str]:
        """Return how the files of the log are read, as guessed or configured."""
        return self._source.guesses()

    def files(self) -> str | None:
        """Return what changes whenever a file of the log or of its labels does; None where a database is read."""
        sections = [self._model.predictions, *([self._model.labels] if self._model.labels else [])]
        if any(section.path is None for section in sections):
            return None
        return " ".join(open_part(section, self._model, self.roles).fingerprint() for section in sections)

    def left_out(self) -> dict[str, str]:
        """Return the columns of the log that are not watched because of what they are, each with the reason."""
        numbers = {name: "a data frame's row numbers" for name in self._schema.names if is_row_number(name)}
        taken = {getattr(self.roles, role) for role in USUAL_NAMES} | set(self.roles.features)
        told = dict.fromkeys(self._model.columns.ignore, "columns.ignore names it")
        keys = dict.fromkeys(self.roles.keys, KEY)
        found = self._source.left_out() | numbers | keys | told
        return {name: why for name, why in found.items() if name not in taken}

    @cached_property
    def strays(self) -> Strays:
        """The rows that no window holds: without a timestamp, or with one far from all others."""
        section, timestamp = self._model.predictions, self.roles.timestamp
        if section.database is None:
            return self._source.strays(timestamp)
        key = "\x1f".join(("strays", section.model_dump_json(), self._model.timezone.key, timestamp))
        found: Strays = once_a_look(self._as_of, key, lambda: self._source.strays(timestamp))
        return found

    def first(self) -> datetime | None:
        """Return the timestamp of the oldest row that is not astray."""
        low = self.strays.low
        oldest: datetime | None = pc.min(self._times(_moved(low, -_NEAR), _moved(low, _NEAR))).as_py()
        return oldest if oldest or low is None else pc.min(self._times(None, None)).as_py()

    def newest(self) -> datetime | None:
        """Return the timestamp of the newest row that is not astray."""
        high = self.strays.high
        high = high and min(high, self._as_of)
        newest: datetime | None = pc.max(self._times(_moved(high, -_NEAR), _moved(high, _NEAR))).as_py()
        return newest if newest or high is None else pc.max(self._times(None, None)).as_py()

    def _times(self, start: datetime | None, end: datetime | None) -> pa.ChunkedArray:
        return self.rows(start, end, set())[self.roles.timestamp]

    def stamp(self, window: Window) -> str | None:
        """Return what changes whenever rows of a window do, their predictions or their labels; None where only reading
        them can tell.
        """
        last = window.end - timedelta(microseconds=1)
        answers = sorted({self.roles.timestamp, *answer_columns(self._model, self.roles)})
        found = self._source.stamp(answers, Bounds(self.roles.timestamp, window.start, last))
        apart = (self._model.labels, self._model.attributes)
        marks = (open_part(section, self._model, self.roles).fingerprint() for section in apart if section)
        return None if found is None else " ".join((found, *marks))

    def rows(self, start: datetime | None, end: datetime | None, columns: set[str] | None = None) -> pa.Table:
        """Return `columns` (None: all) of the rows of [start, end], both included.

        Labels not yet known at `as_of` are null. A repeated row is returned once, one astray is not.
        """
        return self._rows(start, end, columns)

    def _rows(
        self, start: datetime | None, end: datetime | None, columns: set[str] | None, *, ids: bool = True
    ) -> pa.Table:
        first, last = self.strays.bounded(start, self._as_of if end is None else min(end, self._as_of))
        wanted = None if columns is None else columns & set(self._schema.names)
        scan = None if ids else self._source.scan(self.roles.timestamp, first, last, wanted)
        table = read_rows(self._model, self._source, self.roles, first, last, columns, self._as_of, scan)
        return mask_labels(table, self.roles, self._as_of, self._model.label_delay)

    def window(self, window: Window, most: int | None = None, *, whole: bool = False) -> Rows:
        """Return the rows of one window, and a sample of at most `most` of them.

        `whole`: all columns are in memory. Otherwise only ids, times, groups, predictions and labels are.
        """
        by_id = bool(window.start_id or window.end_id or most)
        if not whole and not by_id and self.roles.id is None and self.roles.label is None:
            last = min(window.end - timedelta(microseconds=1), self._as_of)
            if scan := self._source.scan(self.roles.timestamp, window.start, last):
                unread = Rows.unread(scan, self.roles.timestamp, self._model.window.memory_mb)
                unread.ledger = ledger_of(unread.table, self.roles, window, self.strays, Repeats())
                return unread
        last = min(window.end, self._as_of)
        by_hash = self.roles.id is None and by_id
        read = _gather(
            self._model, self._source, self.roles, window.start, last, self._as_of, whole=whole or by_hash, ids=by_id
        )
        ids = self.ids(read.raw) if window.start_id or window.end_id else None
        inside = contains(read.raw, self.roles.timestamp, ids, window).to_numpy(zero_copy_only=False)
        table = picked(read.table, inside[read.keep])
        table = mask_labels(table, self.roles, self._as_of, self._model.label_delay)
        chosen = None if most is None else sample(self._whole_ids(table), most)
        rows = Rows(table, read.keep & inside, chosen, read.scan, self._model.window.memory_mb, self.roles.id)
        counted = repeats(read.raw, read.keep, inside, self.roles)
        rows.ledger = ledger_of(table, self.roles, window, self.strays, counted, read.labels, self._without_row())
        return rows

    def account(self) -> Ledger:
        """Return the ledger of all rows known at `as_of`."""
        low, high = self.strays.low or BEGINNING, self.strays.high or self._as_of
        window = Window(
            model=self._model.name, start=low, end=min(high, self._as_of) + timedelta(microseconds=1), spec=""
        )
        ledger = self.window(window).ledger
        assert ledger is not None
        return ledger

    def _without_row(self) -> Unjoined | None:
        """Count the ids that have a label and no row; None where labels are in the log, or it is too large to look."""
        model, roles, id = self._model, self.roles, self.roles.id
        if model.labels is None or roles.label is None or id is None or roles.label in self._schema.names:
            return None
        if self.strays.rows is None or self.strays.rows > MOST_IDS:
            return None
        labels = open_labels(model, model.labels, roles)
        key = (self._source.origin, id, roles.label, self._source.fingerprint(), labels.fingerprint())
        if key not in _without_row:
            _without_row.clear()
            told = labels.read([id, roles.label])
            known = pc.unique(given(as_text(told[id].filter(pc.is_valid(told[roles.label]))))).drop_null()
            there = pc.unique(given(as_text(self._source.read([id])[id]))).drop_null()
            _without_row[key] = unjoined(known, there)
        return _without_row[key]

    def keys(self, start: datetime | None) -> pa.Table:
        """Return time and label columns of every row from `start` on, and ids where windows are cut by them or labels
        joined: enough to cut windows and to count rows.
        """
        roles, by_id = self.roles, isinstance(self._model.window.size, int)
        wanted = {c for c in (roles.id, roles.label, roles.label_timestamp) if c}
        by_hash = roles.id is None and by_id
        return self._rows(start, None, None if by_hash else wanted, ids=by_id or self._model.labels is not None)

    def ids(self, table: pa.Table) -> pa.Array:
        """Return the id by which each row is ordered: from the id column, whichever other columns were read, or a hash
        of all columns but the label, which comes later. Rows without an id and of one moment have the same.
        """
        if self.roles.id is None:
            return self._whole_ids(table)
        return row_ids(table.select([self.roles.id, self.roles.timestamp]), self.roles.id)

    def _whole_ids(self, table: pa.Table) -> pa.Array:
        answers = [c for c in (self.roles.label, self.roles.label_timestamp) if c in table.column_names]
        return row_ids(table.drop_columns(answers), self.roles.id)

    def ordered_keys(self, table: pa.Table) -> RowKeys:
        """Return the sorted (timestamp, id) of every row, from which row-count windows are cut."""
        return RowKeys(table, self.roles.timestamp, self.ids(table))

    def newest_before(self, moment: datetime, count: int) -> pa.Table:
        """Return all columns of about the newest `count` rows before `moment`; times are read first, to save memory."""
        utc = pa.timestamp("us", "UTC")
        times = self.rows(None, moment, set())[self.roles.timestamp]
        times = times.filter(pc.less(times, pa.scalar(moment, utc)))
        if not len(times):
            return self.rows(moment, moment).slice(0, 0)
        newest = pc.top_k_unstable(times, min(count, len(times)))
        table = self.rows(pc.min(times.take(newest)).as_py(), moment)
        return table.filter(pc.less(table[self.roles.timestamp], pa.scalar(moment, utc)))


def _moved(moment: datetime | None, by: timedelta) -> datetime | None:
    try:
        return None if moment is None else moment + by
    except OverflowError:
        return None


def _open(model: ModelSection, roles: Roles) -> Source:
    from monitor.sources.log_in_memory import open_in_memory

    when = [roles.label_timestamp] if roles.label_timestamp else []
    known = known_types(model, roles)
    return open_in_memory(model.predictions, model.timezone, roles.timestamp, when, roles.id, known)


def open_part(section: SourceSection, model: ModelSection, roles: Roles) -> Source:
    """Return a source of the model whose columns have the types that were decided for them."""
    return open_source(section, model.timezone, known_types(model, roles))


def open_labels(model: ModelSection, section: SourceSection, roles: Roles) -> LabelsApart:
    """Return labels that are kept apart, with their id under the name it has in the log."""
    known, own = known_types(model, roles), model.columns.label_id
    exact = known.exact | {own} if own is not None else known.exact
    known = replace(known, exact=exact)
    how = None if section.path is None else (section.model_dump_json(), model.timezone.key, known)
    return LabelsApart(open_source(section, model.timezone, known), own, roles.id, how)


def known_types(model: ModelSection, roles: Roles | None = None) -> KnownTypes:
    """Return the types that do not depend on the rows that are read; without roles those that are configured."""
    declared = model.columns.types
    named = {name for name, kind in declared.items() if kind != "number"}
    return KnownTypes(
        exact=frozenset([roles.id] if roles and roles.id else []),
        words=frozenset(named | (set(roles.words) - set(declared) if roles else set())),
        numbers=frozenset(set(declared) - named),
    )


def reference_rows(model: ModelSection, source: Source, roles: Roles, *, by_id: bool = True) -> Rows:
    """Return the rows of a reference that has its own source; not `by_id` where none of them is repeated."""
    if not by_id:
        roles = replace(roles, id=None)
    read = _gather(model, source, roles, None, None, None, whole=False)
    return Rows(read.table, read.keep, None, read.scan, model.window.memory_mb, roles.id)


def _gather(
    model: ModelSection, source: Source, roles: Roles, start: datetime | None, end: datetime | None,
    as_of: datetime | None, *, whole: bool, ids: bool = False,
) -> "_Gathered":
    """Read rows without repetitions and with their labels. `ids`: with their ids, where there is a column of these."""
    scan = None if whole else source.scan(roles.timestamp, start, end)
    ids = ids or model.labels is not None or model.attributes is not None
    wanted = answer_columns(model, roles) if scan else None
    raw, keep = _read_once(source, roles, start, end, wanted, scan, ids=ids)
    labels = _labels(model, picked(raw, keep), roles, None, as_of)
    table = labels.joined(picked(raw, keep)) if labels else picked(raw, keep)
    return _Gathered(raw, keep, table, scan, labels.counts() if labels else None)


@dataclass(frozen=True, slots=True)
class _Gathered:
    """`raw`: the rows as they were read; `table`: those to `keep`, with their labels."""

    raw: pa.Table
    keep: Mask
    table: pa.Table
    scan: Scan | None                    # reads the columns that were not read, of all `raw` rows
    labels: LabelCounts | None           # where labels are kept apart


def answer_columns(model: ModelSection, roles: Roles) -> set[str]:
    """Return the columns with the row's id, its groups, its prediction and its label."""
    chances = [column for _, column in roles.per_class]
    outcome = (roles.prediction, roles.probability, roles.label, roles.label_timestamp, *chances)
    groups = (*model.columns.segments, *(model.fairness.columns if model.fairness else ()))
    return {name for name in (roles.id, *outcome, *groups) if name}


def read_rows(
    model: ModelSection,
    source: Source,
    roles: Roles,
    start: datetime | None = None,
    end: datetime | None = None,
    columns: set[str] | None = None,
    as_of: datetime | None = None,
    scan: Scan | None = None,
) -> pa.Table:
    """Read rows of a log or a reference, with times in UTC and without repetitions; join separate labels.

    The newest label known at `as_of` is joined, because a later correction must not hide it. With a `scan` of the same
    rows, ids are left out where no row is repeated.
    """
    table = picked(*_read_once(source, roles, start, end, columns, scan))
    labels = _labels(model, table, roles, columns, as_of)
    return labels.joined(table) if labels else table


def _read(
    source: Source, roles: Roles, start: datetime | None, end: datetime | None, columns: set[str] | None,
    scan: Scan | None,
) -> pa.Table:
    there = set(source.schema().names)
    wanted = None if columns is None else sorted((columns | {roles.timestamp}) & there)
    when = roles.label_timestamp
    moments = [when] if when and when in there and (wanted is None or when in wanted) else []
    found = None if scan is None or wanted is None else scan.at_hand(wanted, moments)
    if found is None:
        found = source.read(wanted, timestamp=roles.timestamp, start=start, end=end, moments=moments)
    return found


def _read_once(
    source: Source, roles: Roles, start: datetime | None, end: datetime | None, columns: set[str] | None,
    scan: Scan | None = None, *, ids: bool = False,
) -> tuple[pa.Table, Mask]:
    """Read rows, and tell which of them to keep so that none is repeated.

    With a scan of the same rows, ids are left out of the table where every row has one of its own, unless the `ids`
    are wanted.
    """
    if not ids and scan is not None and columns is not None and roles.id in columns and roles.id in scan.schema.names:
        table = _read(source, roles, start, end, columns - {roles.id}, scan)
        if all_differ((part[roles.id] for part in scan.parts([roles.id])), table[roles.timestamp]):
            pa.default_memory_pool().release_unused()
            return table, np.ones(len(table), np.bool_)
    table = _read(source, roles, start, end, columns, scan)
    return table, _once_each(source, table, roles)


def _once_each(source: Source, table: pa.Table, roles: Roles) -> Mask:
    return np.ones(len(table), np.bool_) if source.each_once else once_each(table, roles.id, roles.timestamp)


def _labels(
    model: ModelSection, table: pa.Table, roles: Roles, columns: set[str] | None, as_of: datetime | None
) -> KnownLabels | None:
    """Return the labels known at `as_of`, if they are kept apart and asked for; undated ones are told by the delay."""
    if model.labels is None or roles.label is None or roles.id is None:
        return None
    if roles.label in table.column_names or (columns is not None and roles.label not in columns):
        return None
    return open_labels(model, model.labels, roles).known(roles.id, roles.label, roles.label_timestamp, as_of)


def with_attributes(model: ModelSection, table: pa.Table, roles: Roles, names: Sequence[str]) -> pa.Table:
    """Join the columns `names` that the table lacks from the model's attributes; null for an id without attributes.

    Raises SourceError if the attributes cannot be read or lack a column.
    """
    missing = [name for name in names if name not in table.column_names]
    if model.attributes is None or roles.id is None or not missing:
        return table
    attributes = open_part(model.attributes, model, roles).read([roles.id, *missing])
    for name in missing:
        table = join_labels(table, attributes, roles.id, name, None)
    return table


def mask_labels(table: pa.Table, roles: Roles, as_of: datetime, delay: timedelta) -> pa.Table:
    """Set labels that became known after `as_of` to null."""
    if roles.label is None or roles.label not in table.column_names:
        return table
    column = table[roles.label]
    known = pc.if_else(known_by(table, roles, as_of, delay), column, pa.scalar(None, column.type))
    return table.set_column(table.column_names.index(roles.label), roles.label, known)


def known_by(table: pa.Table, roles: Roles, moment: datetime, delay: timedelta) -> pa.ChunkedArray:
    """Return for each row whether its label was known at `moment`: by label_timestamp, else `delay` after its time.

    A row whose label has no time of its own counts by `delay`, whether others have one or not.
    """
    utc = pa.timestamp("us", "UTC")
    there = pc.is_valid(table[roles.label])
    in_time = pc.less_equal(table[roles.timestamp], pa.scalar(moment - delay, utc))
    if roles.label_timestamp and roles.label_timestamp in table.column_names:
        told = pc.less_equal(table[roles.label_timestamp], pa.scalar(moment, utc))
        in_time = pc.coalesce(told, in_time)
    return pc.fill_null(pc.and_(there, in_time), False)


def facts(table: pa.Table) -> dict[str, Facts]:
    """Return what `find_roles` needs of each column: its type, distinct values, and rows that are not null."""
    return {name: column_facts(table[name]) for name in table.column_names}


def facts_of(rows: Rows, uncounted: Collection[str] = ()) -> dict[str, Facts]:
    """Return the same, reading a column at a time. Of `uncounted` columns, fractions, distinct values are counted only
    where they rise; else all count as distinct.
    """
    return {name: column_facts(rows.column(name), counted=name not in uncounted) for name in rows.schema.names}


def column_facts(column: pa.ChunkedArray, *, counted: bool = True) -> Facts:
    """Return what `find_roles` needs of one column."""
    kind = _kind(column.type)
    present = column.drop_null()
    if kind == "other":
        distinct = 0
    else:
        counted = (counted or _rises(present)) and not _is_rounded(present)
        distinct = pc.count_distinct(present).as_py() if counted else len(present)
    many = len(present) > 1 and distinct > len(present) * TEXT_SHARE
    rises = many and kind not in ("other", "boolean") and _rises(present)
    single = many and kind == "string" and pc.mean(pc.match_substring_regex(present, _NO_CODE)).as_py() < FEW
    return Facts(kind=kind, distinct=distinct, rows=len(present), rises=rises, single=single)


def _is_rounded(present: pa.ChunkedArray) -> bool:
    """Tell whether numbers have more digits than they are read with, such as ids of twenty: several are one then."""
    return pa.types.is_floating(present.type) and bool(pc.any(pc.greater_equal(pc.abs(present), _EXACT)).as_py())


def _rises(present: pa.ChunkedArray) -> bool:
    return bool(pc.all(pc.less_equal(present[:-1], present[1:])).as_py())


def _kind(kind: pa.DataType) -> Literal["integer", "float", "boolean", "string", "timestamp", "other"]:
    if is_number(kind):
        return "integer" if pa.types.is_integer(kind) else "float"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "timestamp"
    return "string" if pa.types.is_string(kind) else "other"
