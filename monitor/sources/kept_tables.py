"""Tables that this process keeps in memory for the next look: rows of text files, and labels that are kept apart."""

from collections import OrderedDict
from collections.abc import Callable, Hashable

import pyarrow as pa

MOST_MB = 64        # of all tables together; a larger one is read again each time


class KeptTables:
    """The tables that were used last, at most `most` bytes of them."""

    def __init__(self, most: int = MOST_MB << 20) -> None:
        self._most, self._bytes = most, 0
        self._tables: OrderedDict[Hashable, tuple[Hashable, pa.Table]] = OrderedDict()     # with their marks

    def get(self, key: Hashable, mark: Hashable = None) -> pa.Table | None:
        """Return the table of the key; None if none is kept, or one of another mark."""
        if key not in self._tables or self._tables[key][0] != mark:
            return None
        self._tables.move_to_end(key)
        return self._tables[key][1]

    def keep(self, key: Hashable, table: pa.Table, mark: Hashable = None) -> None:
        """Keep a table instead of that of the same key, and of those that were not used for longest where it takes more
        room than there is; one that is too large is not kept.
        """
        if key in self._tables:
            self._bytes -= _size(self._tables.pop(key)[1])
        if _size(table) > self._most:
            return
        self._tables[key] = (mark, table)
        self._bytes += _size(table)
        while self._bytes > self._most:
            self._bytes -= _size(self._tables.popitem(last=False)[1][1])

    def made(self, key: Hashable, make: Callable[[], pa.Table], mark: Hashable = None) -> pa.Table:
        """Return the table of key and mark, which is made if it is not kept."""
        if (table := self.get(key, mark)) is None:
            self.keep(key, table := make(), mark)
        return table


def _size(table: pa.Table) -> int:
    return int(table.get_total_buffer_size())


TABLES = KeptTables()
