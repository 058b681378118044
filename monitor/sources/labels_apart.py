"""Labels that are kept apart from the log, with their id under the name that it has in the log."""

from collections.abc import Hashable, Sequence
from datetime import datetime

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.config.keys import did_you_mean
from monitor.errors import ConfigError
from monitor.private import quoted
from monitor.sources import Source
from monitor.sources.column_types import UTC_US
from monitor.sources.ids import LabelCounts, count_labels, joined, newest_labels, shared
from monitor.sources.kept_tables import TABLES, KeptTables


def column_of_ids(ids: pa.ChunkedArray, labels: pa.Table) -> str | None:
    """Return the one column of the labels with a value for each row, most of which are among the ids; None without.

    Both are as they are written.
    """
    found = [name for name in labels.column_names if pc.count_distinct(labels[name]).as_py() > len(labels) / 2
             and shared(labels[name], ids) > 1 / 2]
    return found[0] if len(found) == 1 else None


class LabelsApart:
    """`own` is the id's name in the labels, `id` its name in the log; `how`: what else decides how they are read, None
    where it costs more to see whether they are as they were than to read them.

    Raises ConfigError if the labels lack the id.
    """

    def __init__(self, source: Source, own: str | None, id: str | None, how: Hashable = None) -> None:
        self._source, self._how = source, how
        self.origin, self.costs = source.origin, source.costs
        self._own, self._id = (own, id) if own is not None and id is not None else ("", "")

    def fingerprint(self) -> str:
        return self._source.fingerprint()

    def schema(self) -> pa.Schema:
        return self._named(self._source.schema().empty_table()).schema

    def read(
        self, columns: Sequence[str] | None, *, timestamp: str | None = None, moments: Sequence[str] = ()
    ) -> pa.Table:
        """Return columns of all labels, the times among them, `moments`, in UTC."""
        wanted = None if columns is None else [self._own if name == self._id else name for name in columns]
        return self._named(self._source.read(wanted, timestamp=timestamp, moments=moments))

    def known(self, id: str, label: str, when: str | None, as_of: datetime | None) -> "KnownLabels":
        """Return the labels that were known at `as_of`, None: all; one without a time of its own, `when`, counts by its
        row's.
        """
        which = None if self._how is None else (self._how, self._own, self._source.fingerprint())
        return KnownLabels(self, which, id, label, when, as_of)

    def head(self, values: int) -> pa.Table:
        """Return the first labels, as the source does."""
        return self._named(self._source.head(values))

    def _named(self, table: pa.Table) -> pa.Table:
        """Return the table with the id under its name in the log, instead of another column of that name."""
        if not self._own:
            return table
        if self._own not in table.column_names:
            near, there = did_you_mean(self._own, table.column_names) or ",", quoted(escape.names(table.column_names))
            raise ConfigError([f'columns.label_id: the labels have no column "{self._own}"{near} they have {there}'])
        if self._own != self._id and self._id in table.column_names:
            table = table.drop_columns([self._id])
        return table.rename_columns([self._id if name == self._own else name for name in table.column_names])


class KnownLabels:
    """Labels as they were known at a moment. What is made of them stays in memory: one check asks several times.

    `which` tells the source and its state; None: nothing is kept.
    """

    def __init__(
        self, source: LabelsApart, which: Hashable, id: str, label: str, when: str | None, as_of: datetime | None
    ) -> None:
        self._source, self._id, self._label, self._when, self._as_of = source, id, label, when, as_of
        self._key, self._kept = (which, id, label, when), KeptTables(0) if which is None else TABLES

    def joined(self, rows: pa.Table) -> pa.Table:
        """Return the rows with the newest label of each."""
        newest = self._kept.made(("newest", *self._key), lambda: newest_labels(
            self._table(), self._id, self._label, self._when), mark=self._as_of)
        return joined(rows, newest, self._id)

    def counts(self) -> LabelCounts:
        return count_labels(self._table(), self._id, self._label)

    def _table(self) -> pa.Table:
        times = [self._when] if self._when else []
        labels = self._kept.made(
            ("read", *self._key), lambda: self._source.read([self._id, self._label, *times], moments=times))
        if not self._when or self._as_of is None:
            return labels
        known = pc.less_equal(labels[self._when], pa.scalar(self._as_of, UTC_US))
        return labels.filter(pc.fill_null(known, True))
