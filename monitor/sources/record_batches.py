"""What the formats share whose groups of rows tell nothing unless they are read: ORC and Arrow IPC."""

from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from monitor.sources.row_groups import Told, holds_times


class Batches:
    """An open file. A subclass gives `schema` and `groups`, and reads single columns of a group.

    Text of the columns `coded` is dictionary encoded, as it takes less memory.
    """

    schema: pa.Schema
    groups: int
    rows: int | None = None

    def __init__(self, coded: Sequence[str]) -> None:
        self._coded = frozenset(coded)

    def _load(self, group: int, columns: list[str] | None) -> pa.Table:
        """Return a group's rows with at least these columns, of which there is one; None: all."""
        raise NotImplementedError

    def read(self, group: int, columns: Sequence[str] | None) -> pa.Table:
        table = self._load(group, None if columns is None else list(columns) or self.schema.names[:1])
        table.validate(full=True)
        for place, field in enumerate(table.schema):
            if field.name in self._coded and pa.types.is_string(field.type):
                table = table.set_column(place, field.name, table[place].dictionary_encode())
        return table

    def times(self, group: int, column: str) -> Told:
        ordered = column in self.schema.names and holds_times(self.schema.field(column).type)
        table = self.read(group, [column] if ordered else [])
        if not ordered:
            return Told(len(table), None, None)
        ends = pc.min_max(table[column])
        return Told(len(table), pa.chunked_array([pa.array([ends["min"], ends["max"]])]), table[column].null_count)
