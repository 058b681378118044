"""One column as drift methods use it: counts below bin edges, category counts, sorted values; no missing values.

A digest is made from pieces: Arrow arrays that can be iterated repeatedly. They are in memory, or are read at each
iteration, so that only one piece of a large column is in memory. Each figure is computed once, on first use.

What adds up is counted in partials: Extent, Tally, Below. One is made from one piece of the rows by `of`; `merged` adds
any number of them up. However rows are divided (into batches, days, sites), and in whatever order and grouping their
partials are merged, the outcome equals that of all rows at once, to the last digit. Their fields are numbers, texts and
collections of these, so that a partial can be kept or sent as JSON: counts as pairs of a value and how often it occurs.
Sums of fractions, quantiles and ranks do not add up exactly; a digest takes them from the values.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import FeatureKind
from monitor.errors import CannotJudge
from monitor.tables import columns
from monitor.tables.columns import Category, Counts, Floats, Ints, Numbers

Pieces = Iterable[pa.Array]

FEW = 20         # a column with at most so many distinct numbers is counted number by number
_BLOCK = 1 << 17 # rows compared at once, so that they stay in the processor's cache
_MANY = 64       # with at most so many edges, comparing is faster than sorting


@dataclass(frozen=True, slots=True)
class Extent:
    """`n` present numbers, the smallest and the largest (±inf of none), and the names of the types they came in."""

    n: int = 0
    low: float = np.inf
    high: float = -np.inf
    kinds: tuple[str, ...] = ()

    @classmethod
    def of(cls, present: Numbers) -> Self:
        kinds = (present.dtype.str,)
        if not len(present):
            return cls(kinds=kinds)
        return cls(len(present), float(present.min()), float(present.max()), kinds)

    @classmethod
    def merged(cls, parts: Iterable[Self]) -> Self:
        n, low, high = 0, np.inf, -np.inf
        kinds: set[str] = set()
        for part in parts:
            n, low, high = n + part.n, min(low, part.low), max(high, part.high)
            kinds.update(part.kinds)
        return cls(n, low, high, tuple(sorted(kinds)))

    @property
    def kind(self) -> "np.dtype[np.generic]":
        """The type pandas would use for all of them. It is taken from all types at once: NumPy's rule for two of them
        depends on their order.
        """
        return np.result_type(*map(np.dtype, self.kinds)) if self.kinds else np.dtype(np.float64)


@dataclass(frozen=True, slots=True)
class Tally:
    """How often each value occurs; None where there are more different ones than were to be counted."""

    counts: Counts | None

    @classmethod
    def of(cls, piece: pa.Array) -> Self:
        """Count the categories of a piece, without missing values."""
        return cls(columns.counts(piece))

    @classmethod
    def of_few(cls, present: Numbers, most: int) -> Self:
        values, times = np.unique(present, return_counts=True)
        return cls(None if len(values) > most else dict(zip(values.tolist(), times.tolist(), strict=True)))

    @classmethod
    def merged(cls, parts: Iterable[Self], most: int | None = None) -> Self:
        """Add up; no further part is asked for once there are more than `most` different values."""
        totals: Counter[Category] = Counter()
        for part in parts:
            if part.counts is None:
                return part
            totals.update(part.counts)
            if most is not None and len(totals) > most:
                return cls(None)
        return cls(dict(totals))


@dataclass(frozen=True, slots=True)
class Below:
    """How many values are smaller than each of the edges that were asked for."""

    counts: tuple[int, ...]

    @classmethod
    def of(cls, present: Numbers, edges: Numbers) -> Self:
        return cls(tuple(int(np.count_nonzero(present < edge)) for edge in edges))

    @classmethod
    def merged(cls, parts: Iterable[Self], edges: Numbers) -> Self:
        """Add up counts of the same edges. Raises ValueError for others."""
        totals = np.zeros(len(edges), np.int64)
        for part in parts:
            totals += np.array(part.counts, np.int64)
        return cls(tuple(totals.tolist()))


class Digest:
    """A column of any kind: how many rows there are, and how many of them are missing."""

    def __init__(self, pieces: Pieces, rows: int) -> None:
        self._pieces = pieces
        self.rows = rows

    @property
    def in_memory(self) -> bool:
        """Whether the whole column is in memory, so that it may be sorted."""
        return isinstance(self._pieces, Sequence)

    @cached_property
    def missing(self) -> int:
        """How many rows are null, NaN or ±inf."""
        return sum(columns.missing(piece) for piece in self._pieces)

    @cached_property
    def n(self) -> int:
        """How many rows are not missing."""
        return self.rows - self.missing


class NumberDigest(Digest):
    """A column of numbers. Whole numbers without nulls and float32 keep their type: Evidently's bins depend on it.

    All but `rows` and `missing` raise CannotJudge if the column does not hold numbers.
    """

    def __init__(self, pieces: Pieces, rows: int) -> None:
        super().__init__(pieces, rows)
        self._asked: tuple[Numbers, Ints] | None = None
        self._ranked: tuple[NumberDigest, Ints] | None = None

    def chunks(self) -> Iterator[Numbers]:
        """Yield the present values, piece by piece, in row order."""
        return iter(self._whole) if self.in_memory else map(columns.present, self._pieces)

    @cached_property
    def _whole(self) -> list[Numbers]:
        return [columns.present(piece) for piece in self._pieces]

    @cached_property
    def _extent(self) -> Extent:
        return Extent.merged(map(Extent.of, self.chunks()))

    @cached_property
    def missing(self) -> int:
        try:
            return self.rows - self.n
        except CannotJudge:      # text in place of numbers is not missing
            return sum(columns.missing(piece) for piece in self._pieces)

    @cached_property
    def n(self) -> int:
        return self._extent.n

    @cached_property
    def low(self) -> float:
        return self._extent.low

    @cached_property
    def high(self) -> float:
        return self._extent.high

    @cached_property
    def kind(self) -> "np.dtype[np.generic]":
        return self._extent.kind

    @cached_property
    def spread(self) -> float:
        """Standard deviation (ddof 0) as pandas computes it: in double precision, rounded to the column's type."""
        if not self.n:
            return 0.0
        mean = sum(float(np.sum(chunk, dtype=np.float64)) for chunk in self.chunks()) / self.n
        squares = sum(float(np.sum((chunk - mean) ** 2, dtype=np.float64)) for chunk in self._doubles())
        kind = self.kind if self.kind.kind == "f" else np.dtype(np.float64)
        return float(np.sqrt(np.asarray(squares / self.n).astype(kind)))

    @cached_property
    def few(self) -> Counts | None:
        """How often each number occurs, if there are at most 20 distinct numbers; None if there are more."""
        return Tally.merged((Tally.of_few(block, FEW) for block in self._blocks()), FEW).counts

    @property
    def tallied(self) -> Counts:
        """How often each number occurs, however many there are."""
        if self.few is not None:
            return self.few
        values, times = np.unique(self.in_order, return_counts=True)
        return dict(zip(values.tolist(), times.tolist(), strict=True))

    @property
    def in_order(self) -> Numbers:
        """Every present value in row order; takes memory for all of them."""
        chunks = list(self.chunks())
        return chunks[0] if len(chunks) == 1 else np.concatenate([*chunks, np.empty(0, self.kind)])

    @cached_property
    def ascending(self) -> Numbers:
        """Every present value, sorted; takes memory for all of them."""
        return np.sort(self.in_order)

    def below(self, edges: Numbers) -> Ints:
        """Count the values smaller than each edge. The last result is cached: several methods use the same bins."""
        if self._asked is None or not np.array_equal(self._asked[0], edges):
            self._asked = (edges, self._below(edges))
        return self._asked[1]

    def _below(self, edges: Numbers) -> Ints:
        if self.in_memory and ("ascending" in self.__dict__ or len(edges) > _MANY):
            return np.searchsorted(self.ascending, edges, "left").astype(np.int64)
        blocks = (Below.of(block, edges) for block in self._blocks())
        return np.array(Below.merged(blocks, edges).counts, np.int64)

    def ranks_in(self, other: "NumberDigest") -> Ints:
        """Return how many values of the other column are at most as large as each value here, in ascending order.

        The last result is cached.
        """
        if self._ranked is None or self._ranked[0] is not other:
            self._ranked = (other, np.searchsorted(other.ascending, self.ascending, "right"))
        return self._ranked[1]

    def binned(self, edges: Floats) -> tuple[Ints, Floats]:
        """Return the count and the sum of the values in each bin between sorted inner edges.

        The outer bins are open; a value on an edge belongs to the bin above.
        """
        counts, sums = np.zeros(len(edges) + 1, np.int64), np.zeros(len(edges) + 1)
        for block in self._blocks():
            places = np.searchsorted(edges, block, "right")
            counts += np.bincount(places, minlength=len(counts))
            sums += np.bincount(places, block, minlength=len(counts))
        return counts, sums

    def _blocks(self) -> Iterator[Numbers]:
        for chunk in self.chunks():
            yield from (chunk[start : start + _BLOCK] for start in range(0, len(chunk), _BLOCK))

    def _doubles(self) -> Iterator[Floats]:
        return (block.astype(np.float64) for block in self._blocks())


class KeptNumbers(NumberDigest):
    """The stored digest of a reference's numbers: its sorted values, which may be memory-mapped.

    `rows` includes missing values. `read` returns the pieces, for the methods that need the row order.
    """

    def __init__(self, ascending: Numbers, rows: int, spread: float, read: Callable[[], Pieces]) -> None:
        super().__init__((), rows)
        self.__dict__.update(ascending=ascending, spread=spread)
        self._read = read

    def chunks(self) -> Iterator[Numbers]:
        return iter((self.ascending,))

    @property
    def in_order(self) -> Numbers:
        return NumberDigest(list(self._read()), self.rows).in_order

    @cached_property
    def _extent(self) -> Extent:
        values = self.ascending
        ends = (float(values[0]), float(values[-1])) if len(values) else (np.inf, -np.inf)
        return Extent(len(values), *ends, (values.dtype.str,))

    def binned(self, edges: Floats) -> tuple[Ints, Floats]:
        cuts = np.concatenate([[0], np.searchsorted(self.ascending, edges, "left"), [self.n]])
        sums = np.concatenate([[0.0], np.cumsum(self.ascending, dtype=np.float64)])[cuts]
        return np.diff(cuts).astype(np.int64), np.diff(sums)


class CategoryDigest(Digest):
    """A column of categories: how often each occurs."""

    @cached_property
    def counts(self) -> Counts:
        counts = Tally.merged(map(Tally.of, self._pieces)).counts
        assert counts is not None, "categories are counted however many there are"
        return counts

    @cached_property
    def missing(self) -> int:
        return self.rows - self.n

    @cached_property
    def n(self) -> int:
        return sum(self.counts.values())

    @cached_property
    def texts(self) -> frozenset[str]:
        """The categories as text; 1 and "1" are the same category."""
        return frozenset(str(key) for key in self.counts)

    @property
    def in_order(self) -> list[Category]:
        """The category of each row that has one, in row order; takes memory for all of them."""
        return [key for piece in self._pieces for key in columns.categories(piece)]


class KeptCategories(CategoryDigest):
    """The stored digest of a reference's categories: its counts. `read` returns the pieces."""

    def __init__(self, counts: Counts, rows: int, read: Callable[[], Pieces]) -> None:
        super().__init__((), rows)
        self.__dict__.update(counts=counts)
        self._read = read

    @property
    def in_order(self) -> list[Category]:
        return CategoryDigest(list(self._read()), self.rows).in_order


class KeptText(Digest):
    """The stored digest of a reference's text column: how many rows are missing."""

    def __init__(self, rows: int, missing: int) -> None:
        super().__init__((), rows)
        self.__dict__.update(missing=missing)


def digest_of(pieces: Pieces, rows: int, kind: FeatureKind) -> Digest:
    """Return the digest for a kind of column; `rows` includes missing values."""
    return {"numerical": NumberDigest, "categorical": CategoryDigest, "text": Digest}[kind](pieces, rows)
