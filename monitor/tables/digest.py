"""One column as drift methods use it: counts below bin edges, category counts, sorted values; no missing values.

A digest is made from pieces: Arrow arrays that can be iterated repeatedly. They are in memory, or are read at each
iteration, so that only one piece of a large column is in memory. Each figure is computed once, on first use.
"""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import cached_property

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
    def _extent(self) -> tuple[int, float, float, np.dtype[np.generic]]:
        """The number of present values, the smallest, the largest, and the type pandas would use."""
        present, low, high, kinds = 0, np.inf, -np.inf, set()
        for chunk in self.chunks():
            kinds.add(chunk.dtype)
            if len(chunk):
                present, low, high = present + len(chunk), min(low, chunk.min()), max(high, chunk.max())
        return present, float(low), float(high), np.result_type(*kinds) if kinds else np.dtype(np.float64)

    @cached_property
    def missing(self) -> int:
        try:
            return self.rows - self.n
        except CannotJudge:      # text in place of numbers is not missing
            return sum(columns.missing(piece) for piece in self._pieces)

    @cached_property
    def n(self) -> int:
        return self._extent[0]

    @cached_property
    def low(self) -> float:
        return self._extent[1]

    @cached_property
    def high(self) -> float:
        return self._extent[2]

    @cached_property
    def kind(self) -> "np.dtype[np.generic]":
        return self._extent[3]

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
        totals: Counter[Category] = Counter()
        for chunk in self.chunks():
            for start in range(0, len(chunk), _BLOCK):
                values, times = np.unique(chunk[start : start + _BLOCK], return_counts=True)
                if len(values) > FEW or len(totals) > FEW:
                    return None
                totals.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        return dict(totals) if len(totals) <= FEW else None

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
        totals = np.zeros(len(edges), np.int64)
        for block in self._blocks():
            totals += np.array([np.count_nonzero(block < edge) for edge in edges], np.int64)
        return totals

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
    def _extent(self) -> tuple[int, float, float, np.dtype[np.generic]]:
        values = self.ascending
        ends = (float(values[0]), float(values[-1])) if len(values) else (np.inf, -np.inf)
        return len(values), *ends, values.dtype

    def binned(self, edges: Floats) -> tuple[Ints, Floats]:
        cuts = np.concatenate([[0], np.searchsorted(self.ascending, edges, "left"), [self.n]])
        sums = np.concatenate([[0.0], np.cumsum(self.ascending, dtype=np.float64)])[cuts]
        return np.diff(cuts).astype(np.int64), np.diff(sums)


class CategoryDigest(Digest):
    """A column of categories: how often each occurs."""

    @cached_property
    def counts(self) -> Counts:
        totals: Counter[Category] = Counter()
        for piece in self._pieces:
            totals.update(columns.counts(piece))
        return dict(totals)

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
