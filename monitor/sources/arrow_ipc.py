"""Arrow IPC, of which Feather is another name: files, whose batches can be read alone, and streams, which are read from
the beginning.
"""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa

from monitor.errors import SourceError
from monitor.sources.extents import Stamp
from monitor.sources.record_batches import Batches
from monitor.sources.row_groups import RowGroups

_FILE, _FEATHER_1 = b"ARROW1", b"FEA1"
_END = b"\xff\xff\xff\xff\0\0\0\0"    # which a writer puts behind a stream's last batch
_TOGETHER = 4 << 20                      # bytes of a file: small batches are read together, about so many at once

_MOST = 10_000                           # streams whose batches are known
_counts: dict[Stamp, int] = {}           # the batches of each stream, by its file as it was


class ArrowIpc(RowGroups):
    _NAME = "Arrow"

    @contextmanager
    def _open(self, path: Path, stamp: Stamp, coded: Sequence[str]) -> Iterator[Batches]:
        with pa.OSFile(str(path)) as source:
            head = source.read(8)
            if head.startswith(_FEATHER_1):
                raise SourceError(f"{path}: is Feather of version 1, which is not read; write it as version 2, or as "
                                  "Parquet")
            if head.startswith(_FILE):
                yield _File(source, coded)
                return
            source.seek(max(0, source.size() - len(_END)))
            if source.read() != _END:
                raise pa.ArrowInvalid("it ends without the mark of a stream's end")
            yield _Stream(source, coded, stamp)


class _Batched(Batches):
    """A subclass opens a reader of some columns, counts batches, and reads them with it."""

    def __init__(self, source: pa.NativeFile, coded: Sequence[str]) -> None:
        super().__init__(coded)
        self._source = source
        self._columns: list[str] | None = None
        self._reader = self._open()
        self.schema = self._reader.schema
        self._count = self._batches()
        self._together = max(1, _TOGETHER * self._count // max(1, source.size()))
        self.groups = -(-self._count // self._together)

    def _open(self) -> Any:
        """Return a reader of the columns."""
        raise NotImplementedError

    def _batches(self) -> int:
        raise NotImplementedError

    def _batch(self, place: int) -> pa.RecordBatch:
        raise NotImplementedError

    def _load(self, group: int, columns: list[str] | None) -> pa.Table:
        if columns != self._columns:
            self._columns = columns
            self._reader = self._open()
        first = group * self._together
        places = range(first, min(self._count, first + self._together))
        return pa.Table.from_batches([self._batch(place) for place in places], self._reader.schema)

    def _options(self) -> pa.ipc.IpcReadOptions:
        """Return the options that read the columns, of a field of a struct the whole struct."""
        if self._columns is None:
            return pa.ipc.IpcReadOptions(use_threads=False)
        wanted = {name for column in self._columns for name in _with_parents(column)}
        places = [place for place, name in enumerate(self.schema.names) if name in wanted]
        return pa.ipc.IpcReadOptions(use_threads=False, included_fields=places)


class _File(_Batched):
    def _open(self) -> pa.ipc.RecordBatchFileReader:
        return pa.ipc.open_file(self._source, options=self._options())

    def _batches(self) -> int:
        return int(self._reader.num_record_batches)

    def _batch(self, place: int) -> pa.RecordBatch:
        return _apart(self._reader.get_batch(place))


class _Stream(_Batched):
    def __init__(self, source: pa.NativeFile, coded: Sequence[str], stamp: Stamp) -> None:
        self._stamp = stamp
        super().__init__(source, coded)

    def _open(self) -> pa.ipc.RecordBatchStreamReader:
        self._source.seek(0)
        self._next = 0
        return pa.ipc.open_stream(self._source, options=self._options())

    def _batches(self) -> int:
        """Count them once for each state of the file."""
        if self._stamp not in _counts:
            while len(_counts) >= _MOST:
                _counts.pop(next(iter(_counts)))
            _counts[self._stamp] = sum(1 for _ in self._reader)
            self._reader = self._open()
        return _counts[self._stamp]

    def _batch(self, place: int) -> pa.RecordBatch:
        if place < self._next:
            self._reader = self._open()
        while True:
            batch = self._reader.read_next_batch()
            self._next += 1
            if self._next > place:
                return _apart(batch)


def _apart(batch: pa.RecordBatch) -> pa.RecordBatch:
    """Return a copy of the columns, which may hold the memory of all that was read with them."""
    table = pa.Table.from_batches([batch, batch.slice(0, 0)]).combine_chunks()
    return table.to_batches()[0] if len(batch) else batch


def _with_parents(column: str) -> list[str]:
    """Return a column, and those of which it may be a field: "a.b.c", "a.b", "a"."""
    parts = column.split(".")
    return [".".join(parts[:end]) for end in range(len(parts), 0, -1)]
