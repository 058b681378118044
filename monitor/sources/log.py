"""A model's prediction log with its labels, as it was known at one moment."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Literal

import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.model import ModelSection
from monitor.config.roles import Facts, Roles
from monitor.records import Window
from monitor.sources import Source, open_source
from monitor.sources.ids import row_ids
from monitor.sources.labels import join_labels
from monitor.sources.trim import RowKeys, contains
from monitor.sources.types import is_number


class Log:
    """Rows and labels of one model; nothing later than `as_of` exists in it."""

    def __init__(self, model: ModelSection, roles: Roles, as_of: datetime) -> None:
        self.roles = roles
        self._as_of = as_of
        self._model = model
        self._source = open_source(model.predictions, model.timezone)
        self._schema = self._source.schema()

    def schema(self) -> pa.Schema:
        """Columns of the log as they stand in the source, those of joined labels included."""
        if self._model.labels is None:
            return self._schema
        labels = open_source(self._model.labels, self._model.timezone).schema()
        wanted = [n for n in (self.roles.label, self.roles.label_timestamp) if n in labels.names]
        return pa.schema([*self._schema, *(labels.field(n) for n in wanted if n not in self._schema.names)])

    def first(self) -> datetime | None:
        """Timestamp of the oldest row."""
        found: datetime | None = pc.min(self.rows(None, None, set())[self.roles.timestamp]).as_py()
        return found

    def newest(self) -> datetime | None:
        """Timestamp of the newest row."""
        found: datetime | None = pc.max(self.rows(None, None, set())[self.roles.timestamp]).as_py()
        return found

    def rows(self, start: datetime | None, end: datetime | None, columns: set[str] | None = None) -> pa.Table:
        """Rows of [start, end], both included; labels not yet known at `as_of` are null; repeated ids come once.

        `columns` None means all.
        """
        last = self._as_of if end is None else min(end, self._as_of)
        table = read_rows(self._model, self._source, self.roles, start, last, columns, as_of=self._as_of)
        return mask_labels(table, self.roles, self._as_of, self._model.label_delay)

    def window(self, window: Window) -> pa.Table:
        """All columns of the rows of one window."""
        table = self.rows(window.start, window.end)
        return table.filter(contains(table, self.roles.timestamp, self.ids(table), window))

    def keys(self, start: datetime | None) -> pa.Table:
        """Time, label and what the id needs of every row from `start` on: enough to cut windows and to count."""
        roles = self.roles
        wanted = {c for c in (roles.id, roles.label, roles.label_timestamp) if c}
        by_hash = roles.id is None and isinstance(self._model.window.size, int)
        return self.rows(start, None, None if by_hash else wanted)

    def ids(self, table: pa.Table) -> pa.Array:
        """The id of each row: its own, or a hash of everything but the label, which may come later."""
        answers = [c for c in (self.roles.label, self.roles.label_timestamp) if c in table.column_names]
        return row_ids(table.drop_columns(answers), self.roles.id)

    def ordered_keys(self, table: pa.Table) -> RowKeys:
        """(timestamp, id) of every row, sorted: what windows of rows are cut from."""
        return RowKeys(table, self.roles.timestamp, self.ids(table))

    def newest_before(self, moment: datetime, count: int) -> pa.Table:
        """All columns of about the newest `count` rows before `moment`; their times are looked at first."""
        utc = pa.timestamp("us", "UTC")
        times = self.rows(None, moment, set())[self.roles.timestamp]
        times = times.filter(pc.less(times, pa.scalar(moment, utc)))
        if not len(times):
            return self.rows(moment, moment).slice(0, 0)
        newest = pc.top_k_unstable(times, min(count, len(times)))
        table = self.rows(pc.min(times.take(newest)).as_py(), moment)
        return table.filter(pc.less(table[self.roles.timestamp], pa.scalar(moment, utc)))


def read_rows(
    model: ModelSection,
    source: Source,
    roles: Roles,
    start: datetime | None = None,
    end: datetime | None = None,
    columns: set[str] | None = None,
    as_of: datetime | None = None,
) -> pa.Table:
    """Read rows of a log or a reference: times in UTC, repeated ids once, labels joined where they live apart.

    Of labels that live apart the newest known at `as_of` is joined: a later correction must not hide it.
    """
    there = set(source.schema().names)
    wanted = None if columns is None else sorted((columns | {roles.timestamp}) & there)
    when = roles.label_timestamp
    moments = [when] if when and when in there and (wanted is None or when in wanted) else []
    table = source.read(wanted, timestamp=roles.timestamp, start=start, end=end, moments=moments)
    if roles.id and roles.id in table.column_names:
        table = drop_repeated(table, roles)
    if model.labels is None or roles.label is None or roles.id is None:
        return table
    if roles.label in table.column_names or (columns is not None and roles.label not in columns):
        return table
    apart = open_source(model.labels, model.timezone)
    names = [roles.id, roles.label, *([when] if when else [])]
    labels = apart.read(names, moments=names[2:])
    if when and as_of is not None:
        labels = labels.filter(pc.less_equal(labels[when], pa.scalar(as_of, pa.timestamp("us", "UTC"))))
    return join_labels(table, labels, roles.id, roles.label, when)


def with_attributes(model: ModelSection, table: pa.Table, roles: Roles, names: Sequence[str]) -> pa.Table:
    """Join those of the columns that are not in the table from the model's attributes, null where an id has none.

    Raises SourceError where the attributes cannot be read or do not have a column.
    """
    apart = [name for name in names if name not in table.column_names]
    if model.attributes is None or roles.id is None or not apart:
        return table
    attributes = open_source(model.attributes, model.timezone).read([roles.id, *apart])
    for name in apart:
        table = join_labels(table, attributes, roles.id, name, None)
    return table


def drop_repeated(table: pa.Table, roles: Roles) -> pa.Table:
    """Keep the last of rows with the same id and time: what at-least-once logging writes twice. Order stays."""
    places = pa.array(range(len(table)), pa.int64())
    numbered = pa.table({"id": table[roles.id], "at": table[roles.timestamp], "place": places})
    last = numbered.group_by(["id", "at"], use_threads=False).aggregate([("place", "max")])["place_max"]
    return table if len(last) == len(table) else table.take(pc.take(last, pc.sort_indices(last)))


def mask_labels(table: pa.Table, roles: Roles, as_of: datetime, delay: timedelta) -> pa.Table:
    """Set labels to null that became known after `as_of`."""
    if roles.label is None or roles.label not in table.column_names:
        return table
    column = table[roles.label]
    known = pc.if_else(known_by(table, roles, as_of, delay), column, pa.scalar(None, column.type))
    return table.set_column(table.column_names.index(roles.label), roles.label, known)


def known_by(table: pa.Table, roles: Roles, moment: datetime, delay: timedelta) -> pa.ChunkedArray:
    """Whether each row's label was known at `moment`: by label_timestamp, else `delay` after the row's own time."""
    utc = pa.timestamp("us", "UTC")
    there = pc.is_valid(table[roles.label])
    if roles.label_timestamp and roles.label_timestamp in table.column_names:
        in_time = pc.less_equal(table[roles.label_timestamp], pa.scalar(moment, utc))
    else:
        in_time = pc.less_equal(table[roles.timestamp], pa.scalar(moment - delay, utc))
    return pc.fill_null(pc.and_(there, in_time), False)


def label_delays(table: pa.Table, roles: Roles) -> pa.ChunkedArray:
    """Seconds from each row to its label, of the rows that have both; empty where no label_timestamp is kept."""
    if roles.label_timestamp is None or roles.label_timestamp not in table.column_names:
        return pa.chunked_array([], pa.float64())
    late = pc.subtract(table[roles.label_timestamp], table[roles.timestamp])
    return pc.divide(late.cast(pa.int64()).cast(pa.float64()), 1e6).drop_null()


def facts(table: pa.Table) -> dict[str, Facts]:
    """What `find_roles` needs to know of each column: kind, distinct values, rows that are not missing."""
    return {name: _facts(table[name]) for name in table.column_names}


def _facts(column: pa.ChunkedArray) -> Facts:
    kind = _kind(column.type)
    present = column.drop_null()
    distinct = 0 if kind == "other" else pc.count_distinct(present).as_py()
    return Facts(kind=kind, distinct=distinct, rows=len(present))


def _kind(kind: pa.DataType) -> Literal["integer", "float", "boolean", "string", "timestamp", "other"]:
    if is_number(kind):
        return "integer" if pa.types.is_integer(kind) else "float"
    if pa.types.is_boolean(kind):
        return "boolean"
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return "timestamp"
    return "string" if pa.types.is_string(kind) else "other"
