"""The rows of one query, kept in a file without a name: read once from the database, and then column by column.

A database gives rows in no order that a second query would repeat, so all columns of a row have to come from one.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from tempfile import SpooledTemporaryFile

import pyarrow as pa

from monitor.sources.column_types import text_columns
from monitor.sources.written_numbers import in_type, type_of

IN_MEMORY = 16 << 20             # bytes; more go to the folder of temporary files, in a file that has no name there


class Spool:
    """A `Scan` of rows that were read. Text in columns that are not among `texts` is what it holds, numbers or times.
    `moments` converts columns to timestamp[us, UTC].
    """

    def __init__(
        self, schema: pa.Schema, tables: Iterable[pa.Table], texts: Collection[str],
        moments: Callable[[pa.Table, Sequence[str]], pa.Table],
    ) -> None:
        self.schema = schema
        self.rows = 0
        self._moments = moments
        self._file = SpooledTemporaryFile(IN_MEMORY)      # noqa: SIM115 - read for as long as this object lives
        packed = pa.ipc.IpcWriteOptions(compression="lz4", use_threads=False)
        with pa.ipc.new_file(pa.PythonFile(self._file, "w"), schema, options=packed) as out:
            for table in tables:
                out.write_table(table)
                self.rows += len(table)
        for name in text_columns(schema) - set(texts):
            kind = type_of(part[name] for part in self._stored([name]))
            self.schema = self.schema.set(schema.get_field_index(name), pa.field(name, kind))

    def parts(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        schema = pa.schema([self.schema.field(name) for name in columns])
        for part in self._stored(columns):
            pieces = (column if column.type == field.type else in_type(column, field.type)
                      for field, column in zip(schema, part.columns, strict=True))
            yield pa.table(list(pieces), schema=schema)

    def _stored(self, columns: Sequence[str]) -> Iterator[pa.Table]:
        places = [self.schema.get_field_index(name) for name in columns]
        self._file.seek(0)
        chosen = pa.ipc.IpcReadOptions(included_fields=sorted(places), use_threads=False)
        stored = pa.ipc.open_file(pa.PythonFile(self._file, "r"), options=chosen)
        for place in range(stored.num_record_batches):
            yield pa.Table.from_batches([stored.get_batch(place)]).select(columns)

    def at_hand(self, columns: Sequence[str], moments: Sequence[str]) -> pa.Table:
        none = self.schema.empty_table().select(columns)
        return self._moments(pa.concat_tables([none, *self.parts(columns)]), moments)
