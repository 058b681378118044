"""Tables parsed from text files, which this process keeps in memory for the next read of the same file."""

from collections import OrderedDict
from collections.abc import Hashable

import pyarrow as pa

MOST_MB = 64        # of all tables together; a larger one is parsed at each read


class KeptTables:
    """The tables that were used last, at most `most` bytes of them."""

    def __init__(self, most: int = MOST_MB << 20) -> None:
        self._most, self._bytes = most, 0
        self._tables: OrderedDict[Hashable, pa.Table] = OrderedDict()

    def get(self, key: Hashable) -> pa.Table | None:
        if key in self._tables:
            self._tables.move_to_end(key)
        return self._tables.get(key)

    def keep(self, key: Hashable, table: pa.Table) -> None:
        """Keep a table instead of those that were not used for longest; one that is too large is not kept."""
        if key in self._tables or _size(table) > self._most:
            return
        self._tables[key] = table
        self._bytes += _size(table)
        while self._bytes > self._most:
            self._bytes -= _size(self._tables.popitem(last=False)[1])


def _size(table: pa.Table) -> int:
    return int(table.get_total_buffer_size())
