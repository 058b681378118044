"""Labels that are kept apart from the log, with their id under the name that it has in the log."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.config.keys import did_you_mean
from monitor.errors import ConfigError
from monitor.private import quoted
from monitor.sources import Source
from monitor.sources.ids import shared


def column_of_ids(ids: pa.ChunkedArray, labels: pa.Table) -> str | None:
    """Return the one column of the labels with a value for each row, most of which are among the ids; None without.

    Both are as they are written.
    """
    found = [name for name in labels.column_names if pc.count_distinct(labels[name]).as_py() > len(labels) / 2
             and shared(labels[name], ids) > 1 / 2]
    return found[0] if len(found) == 1 else None


class LabelsApart:
    """`own` is the id's name in the labels, `id` its name in the log. Raises ConfigError if the labels lack it."""

    def __init__(self, source: Source, own: str | None, id: str | None) -> None:
        self._source = source
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
