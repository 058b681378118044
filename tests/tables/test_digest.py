"""Columns as digests: counted by NumPy's rules, the same from memory, in pieces and from a kept profile."""

from collections.abc import Callable, Iterator
from decimal import Decimal
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats
from scipy.special import smirnov

from monitor.config.column_roles import FeatureKind
from monitor.config.drift_methods import METHODS
from monitor.drift.count_tests import BINNED, COUNTED, sturges
from monitor.drift.methods import work_out
from monitor.drift.rank_tests import one_sided
from monitor.reference.profile import Profile
from monitor.sources.rows import Rows
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest, digest_of

STREAMED = (*BINNED, *COUNTED)       # exact however the window comes; ks and wasserstein come near


def normal(*size: int, seed: int = 1, shift: float = 0.0) -> Any:
    return np.random.default_rng(seed).normal(shift, 1, size)


class Again:
    """Pieces that are read at each iteration, as for a column too large for memory."""

    def __init__(self, *pieces: pa.Array) -> None:
        self._pieces = pieces

    def __iter__(self) -> Iterator[pa.Array]:
        return iter(self._pieces)


def cut(column: pa.Array, *places: int) -> Again:
    """Cut a column into pieces, some of them empty; dictionary-encoded pieces have their own dictionaries."""
    edges = [0, 0, *(min(place, len(column)) for place in places), len(column), len(column)]
    pieces = [column.slice(a, b - a) for a, b in pairwise(edges)]
    coded = pa.types.is_string(column.type)
    return Again(*(piece.dictionary_encode() if coded and i % 2 else piece for i, piece in enumerate(pieces)))


COLUMNS: dict[str, Callable[[], tuple[Any, Any]]] = {
    "float64": lambda: (normal(3000), normal(2000, seed=2, shift=0.3)),
    "float32": lambda: (normal(3000).astype("f4"), normal(2000, seed=2).astype("f4")),
    "narrow integers": lambda: (np.arange(3000) % 40, np.arange(2000) % 37 + 5),
    "wide integers": lambda: ((normal(3000) * 1e9).astype("i8"), (normal(2000, seed=2) * 1e9).astype("i8")),
    "int8": lambda: ((np.arange(3000) % 256 - 128).astype("i1"), (np.arange(2000) % 200 - 100).astype("i1")),
    "ties on edges": lambda: (np.arange(4096) / 16, np.arange(2048) / 8),
    "one row": lambda: (normal(3000), np.array([0.25])),
    "huge spans": lambda: (normal(3000) * 1e150, np.append(normal(2000), [1e151, -1e151])),
    "tiny spans": lambda: (1 + normal(3000) * 1e-13, 1 + normal(2000, seed=2) * 1e-13),
}


@pytest.mark.parametrize("name", COLUMNS)
@pytest.mark.parametrize("bins", [7, 30, 500])
@pytest.mark.parametrize("streamed", [False, True])
def test_counts_below_edges_are_numpys(name: str, bins: int, streamed: bool) -> None:
    """How many values lie in each bin is what numpy.histogram counts, few edges or many, in memory or in pieces."""
    values = COLUMNS[name]()[0]
    counts, edges = np.histogram(values, bins=bins)
    column = pa.array(values)
    digest = NumberDigest(cut(column, 5, 5, 1700) if streamed else [column], len(values))
    found = np.diff([0, *digest.below(edges[1:-1]), len(values)])
    assert found.tolist() == np.histogram(values, bins=edges)[0].tolist()
    if values.dtype == np.float64:       # of other types NumPy's shortcut for equal widths rounds by itself
        assert found.tolist() == counts.tolist()


@pytest.mark.parametrize("values", [np.full(50, 3.0), np.full(50, 7), np.array([2.5]), np.full(9, -1e-300)])
def test_a_constant_lies_in_one_bin(values: Any) -> None:
    """A column of one value has NumPy's Sturges bins, with every row in one of them."""
    digest = NumberDigest([pa.array(values)], len(values))
    edges = sturges(digest, digest, 2 * len(values))
    np.testing.assert_array_equal(edges, np.histogram_bin_edges(np.concatenate([values, values]), "sturges"))
    found = np.diff([0, *digest.below(edges[1:-1]), len(values)])
    assert found.tolist() == np.histogram(values, edges)[0].tolist()
    assert (digest.low, digest.high, digest.spread) == (values[0], values[0], 0)


@pytest.mark.parametrize("name", [n for n in COLUMNS if n != "huge spans"])
def test_bins_of_both_sides_are_numpys(name: str) -> None:
    """The edges are those numpy.histogram_bin_edges lays over both columns together by Sturges' rule."""
    before, now = COLUMNS[name]()
    digests = [NumberDigest([pa.array(side)], len(side)) for side in (before, now)]
    edges = sturges(digests[0], digests[1], len(before) + len(now))
    np.testing.assert_array_equal(edges, np.histogram_bin_edges(np.concatenate([before, now]), "sturges"))


def _holed(values: Any) -> list[Any]:
    return [None if i % 11 == 0 else float("nan") if i % 13 == 0 else float("-inf") if i % 17 == 0 else value
            for i, value in enumerate(values.tolist())]


def pieces_of_every_type() -> Iterator[tuple[str, FeatureKind, pa.Array, pa.Array]]:
    for name, make in COLUMNS.items():
        yield name, "numerical", *map(pa.array, make())
    holed = [pa.array(_holed(normal(2000, seed=s)), pa.float64()) for s in (3, 4)]
    yield "nulls, NaN and infinities", "numerical", *holed
    yield "integers with nulls", "numerical", *(pa.array([None if i % 9 == 0 else i % 90 for i in range(n)])
                                               for n in (2000, 1500))
    decimals = [pa.array([Decimal(int(v * 100)) / 100 for v in normal(1500, seed=s)], pa.decimal128(12, 2))
                for s in (5, 6)]
    yield "decimals", "numerical", *decimals
    truth = [pa.array([None if i % 7 == 0 else i % k == 0 for i in range(1200)]) for k in (2, 3)]
    yield "booleans", "categorical", *truth
    yield "booleans as numbers", "numerical", *truth
    words = [pa.array([None if i % 10 == 0 else f"w{i % k}" for i in range(1200)]) for k in (5, 6)]
    yield "words", "categorical", *words
    yield "few numbers", "numerical", *(pa.array(np.arange(1200) % k / 2) for k in (5, 6))
    yield "codes", "categorical", *(pa.array(np.arange(1200) % k) for k in (5, 6))


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(("kind", "before", "now"), [pytest.param(*c[1:], id=c[0]) for c in pieces_of_every_type()])
def test_pieces_give_the_numbers_of_the_column_in_memory(kind: FeatureKind, before: pa.Array, now: pa.Array) -> None:
    """A window read in pieces has the same missing values, spread and streaming figures as one in memory."""
    reference = digest_of([before], len(before), kind)
    held, streamed = digest_of([now], len(now), kind), digest_of(cut(now, 1, 1, 900), len(now), kind)
    assert (streamed.missing, streamed.n) == (held.missing, held.n)
    if isinstance(held, NumberDigest) and isinstance(streamed, NumberDigest):
        assert (streamed.low, streamed.high, streamed.few) == (held.low, held.high, held.few)
        assert streamed.spread == pytest.approx(held.spread, rel=1e-12)
    for method in (m for m in STREAMED if kind in METHODS[m].kinds):
        assert _number(method, reference, streamed) == _number(method, reference, held), method


def _number(method: str, reference: Digest, window: Digest) -> float | str:
    try:
        return work_out(method, reference, window)
    except Exception as error:  # noqa: BLE001  what a method says is compared too
        return f"{type(error).__name__}: {error}"


@pytest.mark.parametrize("shift", [0.0, 0.01, 0.5])
@pytest.mark.parametrize("draw", ["normal", "exponential", "integers"])
def test_bins_come_as_near_as_documented(shift: float, draw: str) -> None:
    """From 1,024 bins ks's distance is within 1.5e-4 of SciPy's, and wasserstein within 3e-4, at 200,000 rows."""
    chance = np.random.default_rng(8)
    before, now = ({
        "normal": lambda n, s: chance.normal(s, 1, n),
        "exponential": lambda n, s: chance.exponential(1 + s, n),
        "integers": lambda n, s: chance.integers(0, 1000, n) + round(1000 * s),
    }[draw](n, s) for n, s in ((200_000, 0.0), (150_000, shift)))
    reference = NumberDigest([pa.array(before)], len(before))
    streamed = NumberDigest(cut(pa.array(now), 50_000), len(now))
    assert not streamed.in_memory
    exact = stats.wasserstein_distance(before, now) / np.std(before)
    assert work_out("wasserstein", reference, streamed) == pytest.approx(exact, abs=3e-4)
    gap = stats.ks_2samp(before, now, method="asymp").statistic
    rows = round(len(before) * len(now) / (len(before) + len(now)))
    least, most = (stats.kstwo.sf(max(gap + off, 0), rows) for off in (1.5e-4, -1.5e-4))
    assert least - 1e-12 <= work_out("ks", reference, streamed) <= most + 1e-12


def kept_sides(tmp_path: Path, column: pa.Array, kind: FeatureKind) -> Iterator[Digest]:
    """The digests of a reference, computed from its rows and loaded from its files."""
    table = pa.table({"x": column})
    for folder in (None, tmp_path):
        rows = Rows(table, np.ones(len(table), np.bool_), None, None, 32)
        if folder:
            Profile(len(table), lambda rows=rows: rows, folder).column("x", kind)
        found = Profile(len(table), lambda rows=rows: rows, folder).column("x", kind)
        assert found is not None
        yield found


@pytest.mark.filterwarnings("ignore:overflow encountered:RuntimeWarning")
@pytest.mark.parametrize(("kind", "before", "now"), [pytest.param(*c[1:], id=c[0]) for c in pieces_of_every_type()])
def test_a_kept_reference_gives_the_numbers_of_the_raw_one(
    tmp_path: Path, kind: FeatureKind, before: pa.Array, now: pa.Array
) -> None:
    """A digest loaded from files gives every method the same number as the digest of the rows."""
    before, now = before.slice(0, 300), now.slice(0, 300)
    raw, kept = kept_sides(tmp_path, before, kind)
    assert type(kept) is not type(raw)
    assert (kept.rows, kept.n, kept.missing) == (raw.rows, raw.n, raw.missing)
    if isinstance(raw, CategoryDigest):
        assert isinstance(kept, CategoryDigest)
        assert (kept.counts, kept.texts) == (raw.counts, raw.texts)
    for method in (m for m in METHODS if kind in METHODS[m].kinds and m != "empirical_mmd"):
        window = digest_of([now], len(now), kind)
        one, other = _number(method, raw, window), _number(method, kept, window)
        assert other == (pytest.approx(one, rel=1e-12, abs=1e-15) if isinstance(one, float) else one), method


SORTED = {
    "spread": normal(50_000),
    "float32": normal(50_000).astype("f4"),
    "whole numbers": np.random.default_rng(2).integers(0, 1000, 50_000),
    "huge whole numbers": np.random.default_rng(2).integers(-(2**62), 2**62, 50_000),
    "bytes": np.random.default_rng(2).integers(-128, 127, 50_000).astype("i1"),
    "an absurd value": np.append(normal(50_000), 1e300),
    "heavy tails": np.random.default_rng(2).standard_cauchy(50_000),
    "a constant": np.full(50_000, 3.0),
}


@pytest.mark.parametrize("name", SORTED)
def test_values_come_sorted_whatever_they_are(name: str) -> None:
    """Values that are spread, tied or at the limits of their type are sorted as NumPy sorts them."""
    values = SORTED[name]
    found = NumberDigest([pa.array(values)], len(values)).ascending
    assert found.dtype == values.dtype
    np.testing.assert_array_equal(found, np.sort(values))


@pytest.mark.parametrize("rows", [141, 3_000, 60_000])
@pytest.mark.parametrize("evidence", [2.2, 5.0, 30.0, 300.0])
def test_the_tail_of_ks_is_scipys(rows: int, evidence: float) -> None:
    """The one-sided probability agrees with SciPy's slower one to 1e-11, however small it is."""
    gap = (evidence / rows) ** 0.5
    assert one_sided(rows, min(gap, 0.49)) == pytest.approx(smirnov(rows, min(gap, 0.49)), rel=1e-11)
