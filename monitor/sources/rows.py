"""Rows of a log or a reference, which of them a window contains, and their sorted keys, by which windows are cut.

A few columns are in memory; the others are read on demand.
"""

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cached_property
from typing import Self, overload

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.config.column_roles import Roles
from monitor.errors import SourceError
from monitor.records import Ledger, Window
from monitor.sources import Scan, Source
from monitor.sources.column_types import UTC_US, as_text
from monitor.sources.hashed_ids import all_differ, hash_ids
from monitor.sources.ids import given, row_ids, sample, sample_of_hashes, sample_of_numbers
from monitor.sources.windows import Key

Mask = npt.NDArray[np.bool_]
Ints = npt.NDArray[np.int64]

_NO_TIME = ""   # instead of a timestamp's name, where all rows are read
_VALUE = 8      # bytes
_READING = 2    # memory that reading a column takes, as a multiple of its size


@dataclass(frozen=True, slots=True, eq=False)
class Drawn:
    """Rows, and from how many they were drawn."""

    table: pa.Table
    of: int

    @property
    def words(self) -> str | None:
        """What is to be said of the sample; None where it has all rows."""
        return f"on a sample of {len(self.table)} of {self.of} rows" if len(self.table) < self.of else None


class Rows:
    """`table` has every row, with the columns that are in memory. Other columns are read from the scan on demand,
    several at once if they fit in `memory_mb` MiB, otherwise one row group at a time.

    `keep` tells which of the scan's rows these are (None: all), `chosen` which of them are in the sample.
    """

    def __init__(
        self, table: pa.Table, keep: Mask | None, chosen: Mask | None, scan: Scan | None, memory_mb: int,
        id: str | None = None,
    ) -> None:
        self.table = table
        self._id = id                    # read by itself: it takes more memory than other columns
        self._keep = keep
        self._chosen = chosen
        self._scan = scan
        self._memory = memory_mb << 20
        self._in_memory = set(table.column_names)
        apart = [name for name in scan.schema.names if name not in self._in_memory] if scan else []
        self._apart = {name: place for place, name in enumerate(apart)}
        self._batch: dict[str, list[pa.Array]] = {}
        self.ledger: Ledger | None = None
        self.unreadable: SourceError | None = None       # what the scan raised, whoever caught it

    @classmethod
    def unread(cls, scan: Scan, timestamp: str, memory_mb: int) -> Self:
        """Return all rows of a scan with no column in memory, if no id, label or sample needs one."""
        return cls(pa.table({timestamp: pa.nulls(scan.rows)}), None, None, scan, memory_mb)

    @classmethod
    def every(cls, source: Source, memory_mb: int) -> Self:
        """Return all rows of a source, with no column in memory where it reads single ones."""
        if (scan := source.scan(_NO_TIME, None, None)) is None:
            return cls(source.read(None), None, None, None, memory_mb)
        least = _READING * _VALUE * scan.rows >> 20      # a whole column is never read in parts
        return cls.unread(scan, _NO_TIME, max(memory_mb, least + 1))

    def column(self, name: str) -> pa.ChunkedArray:
        """Return a column of the sample in its plain type. Raises KeyError if there is none."""
        pieces, kind = self.pieces(name), self.schema.field(name).type
        return pa.chunked_array([p.cast(kind) if p.type != kind else p for p in pieces or ()], kind)

    def columns(self, names: Collection[str]) -> pa.Table:
        """Return those of the columns that there are, in memory."""
        return pa.table({name: self.column(name) for name in self.schema.names if name in names})

    @cached_property
    def sample(self) -> pa.Table:
        """The rows on which drift and performance are measured: all of them, unless a sample is configured."""
        return self.table if self._chosen is None else picked(self.table, self._chosen)

    @property
    def each_once(self) -> bool:
        """Whether every row that was read is here."""
        return self._keep is None or bool(self._keep.all())

    @property
    def schema(self) -> pa.Schema:
        """Every column with its type in these rows."""
        apart = [self._scan.schema.field(name) for name in self._apart] if self._scan else []
        return pa.schema([field for field in (*self.table.schema, *apart) if field.name != _NO_TIME])

    @property
    def sampled(self) -> float:
        """The share of the rows that are in the sample."""
        return len(self.sample) / len(self.table) if len(self.table) else 1.0

    def pieces(self, name: str) -> Iterable[pa.Array] | None:
        """Return the sample's values of a column, which can be iterated repeatedly; None if there is no such column.

        A list is in memory; anything else is read from the scan at each iteration. Raises SourceError, here or
        while iterating.
        """
        if name in self._in_memory:
            return list(self.sample[name].chunks)
        if name not in self._apart:
            return None
        fitting = self._fitting
        if not fitting:
            return _Column(self, name)
        if name not in self._batch:
            later = [other for other in list(self._apart)[self._apart[name] :] if other != self._id]
            names = [name] if name == self._id else later[: max(1, fitting // _READING)]
            parts = list(self.parts(names))
            self._batch = {column: [piece for part in parts for piece in part[column].chunks] for column in names}
        return self._batch[name]

    def release(self) -> None:
        """Forget columns that were read together with one that was asked for."""
        self._batch = {}

    @property
    def _fitting(self) -> int:
        """How many columns of all rows fit in the memory."""
        return self._memory // (_VALUE * max(1, len(self.table)))

    def whole(self, chosen: Mask | None = None) -> pa.Table:
        """Return the sample with all its columns, or the `chosen` rows of it; takes memory for all of them."""
        both = self.sample if chosen is None else picked(self.sample, chosen)
        if not self._scan:
            return both
        names, each = list(self._apart), max(1, self._fitting // _READING)
        for some in (names[at : at + each] for at in range(0, len(names), each)):
            none = self._scan.schema.empty_table().select(some)
            apart = pa.concat_tables([none, *map(_plain, self.parts(some, chosen))])
            for name in some:
                both = both.append_column(name, apart[name])
        return both

    def drawn(self, most: int, roles: Roles, *, labelled: bool = False, whole: bool = True) -> Drawn:
        """Return at most `most` of the sample's rows, `labelled`: of those with a label; with all their columns if
        they are wanted `whole`, else with those in memory.

        They are drawn by a hash of the id, or, where rows lack an id, of the row's number: the same each time.
        """
        rows = self.sample
        able = np.ones(len(rows), np.bool_)
        if labelled and roles.label in rows.column_names:
            able = pc.is_valid(rows[roles.label]).to_numpy()
        places, chosen = np.flatnonzero(able), np.zeros(len(rows), np.bool_)
        chosen[places[self._drawn(places, roles.id, most)]] = True
        return Drawn(self.whole(chosen) if whole else picked(rows, chosen), len(places))

    def _drawn(self, places: Ints, id: str | None, most: int) -> Mask:
        """Return which of the sample's rows at these places are among `most` of them."""
        if len(places) <= most:
            return np.ones(len(places), np.bool_)
        if id is not None and id in self._apart:         # so that none is missing
            parts = self.parts([id])
            hashes = np.concatenate([hash_ids(chunk) for part in parts for chunk in part[id].chunks])
            return sample_of_hashes(hashes[places], most)
        if id not in self.table.column_names or given(as_text(self.sample[id])).null_count:
            return sample_of_numbers(len(places), most)
        return sample(row_ids(self.sample.select([id]).take(places), id), most)

    def parts(self, names: Sequence[str], chosen: Mask | None = None) -> Iterator[pa.Table]:
        """Read columns of the sample, or of the `chosen` rows of it, part by part.

        Raises SourceError if the log changed during the read.
        """
        try:
            yield from self._parts(names, among(self._sampled_places, chosen))
        except SourceError as error:
            self.unreadable = error
            raise

    def _parts(self, names: Sequence[str], keep: Mask | None) -> Iterator[pa.Table]:
        assert self._scan
        if keep is None:
            yield from self._scan.parts(names)
            return
        at = 0
        for part in self._scan.parts(names):
            inside = keep[at : at + len(part)]
            at += len(part)
            if len(inside) < len(part):
                break
            yield picked(part, inside)
        if at != len(keep):
            raise SourceError("the log was written during the read; write to a name ending in .tmp, then rename")

    @cached_property
    def _sampled_places(self) -> Mask | None:
        return among(self._keep, self._chosen)


class _Column:
    """A column too large for memory, read from the scan at each iteration."""

    def __init__(self, rows: Rows, name: str) -> None:
        self._rows, self._name = rows, name

    def __iter__(self) -> Iterator[pa.Array]:
        for part in self._rows.parts([self._name]):
            yield from part[self._name].chunks


def among(keep: Mask | None, chosen: Mask | None) -> Mask | None:
    """Return which rows are chosen among those that are kept; None stands for all."""
    if keep is None or chosen is None:
        return chosen if keep is None else keep
    both = keep.copy()
    both[both] = chosen
    return both


def _plain(part: pa.Table) -> pa.Table:
    """Decode dictionary-encoded columns, because each part has its own dictionary."""
    return part.cast(pa.schema([
        (f.name, f.type.value_type if pa.types.is_dictionary(f.type) else f.type) for f in part.schema
    ]))


def once_each(table: pa.Table, id: str | None, timestamp: str) -> Mask:
    """Return which rows to keep: the last of those with the same id and time, which at-least-once logging repeats.

    Rows without an id, or with a blank one, are all kept: they cannot be told to be repetitions.
    """
    keep = np.ones(len(table), np.bool_)
    if id not in table.column_names or all_differ([table[id]], table[timestamp]):
        return keep
    ids = given(table[id])
    keep &= pc.is_null(ids).to_numpy()
    places = pa.array(np.arange(len(table)))
    numbered = pa.table({"id": ids, "at": table[timestamp], "place": places})
    numbered = numbered.filter(pc.is_valid(numbered["id"]))
    last = numbered.group_by(["id", "at"], use_threads=False).aggregate([("place", "max")])["place_max"]
    keep[last.to_numpy()] = True
    return keep


def picked(table: pa.Table, keep: Mask) -> pa.Table:
    """Return the rows to keep; the table itself if all of them are kept."""
    return table if keep.all() else table.filter(pa.array(keep))


class RowKeys(Sequence[Key]):
    """The sorted (timestamp, id) of every row that has a timestamp; each Python tuple is made on access."""

    def __init__(self, table: pa.Table, timestamp: str, ids: pa.Array) -> None:
        keys = pa.table({"at": table[timestamp], "id": ids})
        keys = keys.filter(pc.is_valid(keys["at"])).combine_chunks()
        self._keys = keys.sort_by([("at", "ascending"), ("id", "ascending")]).combine_chunks()

    def __len__(self) -> int:
        return int(self._keys.num_rows)

    @overload
    def __getitem__(self, place: int) -> Key: ...
    @overload
    def __getitem__(self, place: slice) -> list[Key]: ...
    def __getitem__(self, place: int | slice) -> Key | list[Key]:
        if isinstance(place, slice):
            return [self[index] for index in range(*place.indices(len(self)))]
        return self._keys["at"][place].as_py(), self._keys["id"][place].as_py()


def contains(table: pa.Table, timestamp: str, ids: pa.Array | None, window: Window) -> pa.Array:
    """Return for each row whether (start, start_id) ≤ (timestamp, id) < (end, end_id). Time windows need no ids."""
    at = table[timestamp]
    not_early = pc.invert(_before(at, ids, window.start, window.start_id))
    mask = pc.and_(not_early, _before(at, ids, window.end, window.end_id)).fill_null(False)
    return mask.combine_chunks() if isinstance(mask, pa.ChunkedArray) else mask


def trim(table: pa.Table, timestamp: str, ids: pa.Array, window: Window) -> pa.Table:
    """Return the rows that the window contains."""
    return table.filter(contains(table, timestamp, ids, window))


def _before(at: pa.ChunkedArray, ids: pa.Array | None, moment: datetime, id: str) -> pa.ChunkedArray:
    limit = pa.scalar(moment, UTC_US)
    earlier = pc.less(at, limit)
    return pc.or_(earlier, pc.and_(pc.equal(at, limit), pc.less(ids, id))) if id else earlier
