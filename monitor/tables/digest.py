"""One column as drift methods see it: counts below edges, categories, order. Missing values are left out.

A digest is made from pieces: Arrow arrays that can be gone through again and again, either held in memory or read
anew each time, so that no more than one piece of a large column is in memory. What is asked is computed once.
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

FEW = 20         # distinct numbers up to which they are worth naming one by one
_BLOCK = 1 << 17 # rows compared at once: they stay in the processor's cache
_MANY = 64       # edges up to which comparing is quicker than sorting


class Digest:
    """A column of any kind: how many rows there are, and how many of them are missing."""

    def __init__(self, pieces: Pieces, rows: int) -> None:
        self._pieces = pieces
        self.rows = rows

    @property
    def held(self) -> bool:
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

    All but `rows` and `missing` raise CannotJudge where the column does not hold numbers.
    """

    def __init__(self, pieces: Pieces, rows: int) -> None:
        super().__init__(pieces, rows)
        self._asked: tuple[Numbers, Ints] | None = None
        self._ranked: tuple[NumberDigest, Ints] | None = None

    def chunks(self) -> Iterator[Numbers]:
        """Present values, piece by piece, in the order of the rows."""
        return iter(self._whole) if self.held else map(columns.present, self._pieces)

    @cached_property
    def _whole(self) -> list[Numbers]:
        return [columns.present(piece) for piece in self._pieces]

    @cached_property
    def _extent(self) -> tuple[int, float, float, np.dtype[np.generic]]:
        """Rows that are present, the smallest, the largest, and the type pandas would hold them in."""
        found, low, high, kinds = 0, np.inf, -np.inf, set()
        for chunk in self.chunks():
            kinds.add(chunk.dtype)
            if len(chunk):
                found, low, high = found + len(chunk), min(low, chunk.min()), max(high, chunk.max())
        return found, float(low), float(high), np.result_type(*kinds) if kinds else np.dtype(np.float64)

    @cached_property
    def missing(self) -> int:
        try:
            return self.rows - self.n
        except CannotJudge:      # text where numbers are expected is not missing
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
        """Standard deviation (ddof 0) as pandas has it: in double precision, rounded to the column's type."""
        if not self.n:
            return 0.0
        mean = sum(float(np.sum(chunk, dtype=np.float64)) for chunk in self.chunks()) / self.n
        squares = sum(float(np.sum((chunk - mean) ** 2, dtype=np.float64)) for chunk in self._doubles())
        kind = self.kind if self.kind.kind == "f" else np.dtype(np.float64)
        return float(np.sqrt(np.asarray(squares / self.n).astype(kind)))

    @cached_property
    def few(self) -> Counts | None:
        """How often each number occurs, where there are at most 20 different ones; None where there are more."""
        found: Counter[Category] = Counter()
        for chunk in self.chunks():
            for start in range(0, len(chunk), _BLOCK):
                values, times = np.unique(chunk[start : start + _BLOCK], return_counts=True)
                if len(values) > FEW or len(found) > FEW:
                    return None
                found.update(dict(zip(values.tolist(), times.tolist(), strict=True)))
        return dict(found) if len(found) <= FEW else None

    @property
    def tallied(self) -> Counts:
        """How often each number occurs, however many there are."""
        if self.few is not None:
            return self.few
        values, times = np.unique(self.in_order, return_counts=True)
        return dict(zip(values.tolist(), times.tolist(), strict=True))

    @property
    def in_order(self) -> Numbers:
        """Every present value in the order of the rows; takes memory for all of them."""
        chunks = list(self.chunks())
        return chunks[0] if len(chunks) == 1 else np.concatenate([*chunks, np.empty(0, self.kind)])

    @cached_property
    def ascending(self) -> Numbers:
        """Every present value, sorted; takes memory for all of them."""
        return np.sort(self.in_order)

    def below(self, edges: Numbers) -> Ints:
        """Count the values smaller than each edge; what was asked last, as methods with the same bins do, is kept."""
        if self._asked is None or not np.array_equal(self._asked[0], edges):
            self._asked = (edges, self._below(edges))
        return self._asked[1]

    def _below(self, edges: Numbers) -> Ints:
        if self.held and ("ascending" in self.__dict__ or len(edges) > _MANY):
            return np.searchsorted(self.ascending, edges, "left").astype(np.int64)
        found = np.zeros(len(edges), np.int64)
        for block in self._blocks():
            found += np.array([np.count_nonzero(block < edge) for edge in edges], np.int64)
        return found

    def ranks_in(self, other: "NumberDigest") -> Ints:
        """How many values of the other column are at most as large as each of these, in ascending order; what was
        asked last is kept."""
        if self._ranked is None or self._ranked[0] is not other:
            self._ranked = (other, np.searchsorted(other.ascending, self.ascending, "right"))
        return self._ranked[1]

    def binned(self, edges: Floats) -> tuple[Ints, Floats]:
        """Count and add up the values of each bin between sorted inner edges, the outer bins open; a value on an
        edge belongs to the bin above."""
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
    """The digest of a reference, kept: its sorted values, perhaps memory-mapped, answer any edges at once.

    `rows` counts the missing too. `read` gives the pieces again, for the methods that need the order of the rows.
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
        found: Counter[Category] = Counter()
        for piece in self._pieces:
            found.update(columns.counts(piece))
        return dict(found)

    @cached_property
    def missing(self) -> int:
        return self.rows - self.n

    @cached_property
    def n(self) -> int:
        return sum(self.counts.values())

    @cached_property
    def words(self) -> frozenset[str]:
        """The categories as text: 1 and "1" are one."""
        return frozenset(str(key) for key in self.counts)

    @property
    def in_order(self) -> list[Category]:
        """The category of each row that has one, in order; takes memory for all of them."""
        return [key for piece in self._pieces for key in columns.categories(piece)]


class KeptCategories(CategoryDigest):
    """The digest of a reference's categories, kept: its counts. `read` gives the pieces again."""

    def __init__(self, counts: Counts, rows: int, read: Callable[[], Pieces]) -> None:
        super().__init__((), rows)
        self.__dict__.update(counts=counts)
        self._read = read

    @property
    def in_order(self) -> list[Category]:
        return CategoryDigest(list(self._read()), self.rows).in_order


class KeptText(Digest):
    """The digest of a reference's text, kept: how much of it is missing."""

    def __init__(self, rows: int, missing: int) -> None:
        super().__init__((), rows)
        self.__dict__.update(missing=missing)


def digest_of(pieces: Pieces, rows: int, kind: FeatureKind) -> Digest:
    """Return the digest for a kind of column; `rows` counts what is missing too."""
    return {"numerical": NumberDigest, "categorical": CategoryDigest, "text": Digest}[kind](pieces, rows)
