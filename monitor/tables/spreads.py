"""How the values of a column are spread on two sides: shares of the same bars."""

from itertools import pairwise

import numpy as np
import numpy.typing as npt

from monitor.records import Spread
from monitor.tables.columns import Counts
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest
from monitor.wording import number

BINS = 24           # of numbers
CATEGORIES = 15     # the most frequent of both sides; the rest is one bar
_TAIL = 0.005       # of each side, at each end, that lies in the outer bins, however far away it is


def spread_of(now: Digest, before: Digest) -> Spread:
    """The shares of the present values of each side, bar by bar; both have some."""
    if isinstance(now, CategoryDigest) and isinstance(before, CategoryDigest):
        in_order = all(isinstance(key, int | float) for key in (*now.counts, *before.counts))
        return _of_counts(now.counts, before.counts, ordered=in_order)
    assert isinstance(now, NumberDigest)
    assert isinstance(before, NumberDigest)
    if now.few is not None and before.few is not None:
        return _of_counts(now.few, before.few, ordered=True)
    ends = [np.quantile(side.ascending, (_TAIL, 1 - _TAIL)) for side in (now, before)]
    low, high = float(min(end[0] for end in ends)), float(max(end[1] for end in ends))
    edges = np.linspace(low, high if high > low else low + 1.0, BINS + 1)
    labels = tuple(f"{number(float(a))} to {number(float(b))}" for a, b in pairwise(edges))
    return Spread(labels=labels, window=_shares(now, edges), reference=_shares(before, edges), numbers=True)


def _shares(side: NumberDigest, edges: npt.NDArray[np.float64]) -> tuple[float, ...]:
    """The share of the values in each bin; what lies beyond the ends is in the outer ones."""
    below = np.searchsorted(side.ascending, edges[1:-1], side="left") / side.n
    return tuple(float(share) for share in np.diff(np.concatenate(([0.0], below, [1.0]))))


def _of_counts(now: Counts, before: Counts, *, ordered: bool) -> Spread:
    """Categories by how frequent they are, or numbers in their order."""
    sums = sum(now.values()), sum(before.values())
    shares = {key: (now.get(key, 0) / sums[0], before.get(key, 0) / sums[1]) for key in {*now, *before}}
    frequent = sorted(shares, key=lambda key: (-sum(shares[key]), str(key)))[:2 * CATEGORIES if ordered else CATEGORIES]
    shown = sorted(frequent, key=float) if ordered else frequent
    rest = [shares[key] for key in shares if key not in set(frequent)]
    bars = [(number(float(key)) if ordered else str(key), *shares[key]) for key in shown]
    bars += [(f"{len(rest)} others", sum(a for a, _ in rest), sum(b for _, b in rest))] if rest else []
    labels, window, reference = zip(*bars, strict=True)
    return Spread(labels=labels, window=window, reference=reference, numbers=ordered)
