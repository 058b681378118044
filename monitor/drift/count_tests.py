"""Drift methods that compare counts, with Evidently 0.7.23's numbers to 1e-9.

Shares of bins, from the digests of reference and window: psi, psi_quantile, jensenshannon, kl_div, hellinger.
Counts of categories: chisquare, z, g_test, fisher_exact. None of the sides is empty. What is written for arrays takes
the bins or categories on their last axis, so that many pairs of sides can be compared at once.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np

from monitor.errors import CannotJudge
from monitor.tables.columns import Category, Counts, Floats, Numbers
from monitor.tables.digest import FEW, CategoryDigest, Digest, NumberDigest

Shares = tuple[Floats, Floats]

BINS = 10          # of equal shares of the reference, for psi_quantile
EPSILON = 1e-4     # stands for an empty bin's share, unless the smallest share is smaller still


def psi(reference: Digest, window: Digest) -> float:
    """Population stability index, Σ (r − c) ln(r / c) over bins; empty bins get a small share."""
    return float(_stability(*shares(reference, window)))


def psi_quantile(reference: Digest, window: Digest) -> float:
    """The textbook PSI: ten bins of equal shares of the reference, open at both ends; categories as in `psi`.

    The window does not move the bins, so numbers can be compared from window to window, and one absurd value
    is one value in the last bin.
    """
    if not (isinstance(reference, NumberDigest) and isinstance(window, NumberDigest)):
        return psi(reference, window)
    edges = quantile_edges(reference.ascending)
    return float(psi_of_counts(_between(edges, reference), _between(edges, window)))


def quantile_edges(reference: Numbers) -> Floats:
    """Inner edges of the reference's bins (it comes sorted): its deciles, or around each of a few distinct numbers.

    A value lies in bin `searchsorted(edges, value, "right")`.
    """
    distinct = np.unique(reference).astype(np.float64)
    if len(distinct) <= FEW:
        return np.sort(np.concatenate([distinct, np.nextafter(distinct, np.inf)]))
    return np.unique(np.quantile(reference.astype(np.float64), np.arange(1, BINS) / BINS))


def psi_of_counts(reference: Floats, window: Floats) -> Floats:
    """PSI of histograms over the same bins, those that are empty in all of them left out."""
    held = np.any(reference + window > 0, axis=tuple(range(reference.ndim - 1)))
    return _stability(*(shares_of(side[..., held]) for side in (reference, window)))


def shares_of(counts: Floats) -> Floats:
    """Each bin's share of all."""
    found: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return found


def jensenshannon(reference: Digest, window: Digest) -> float:
    """Jensen-Shannon distance, natural logarithm: the square root of the divergence, 0 to √ln 2."""
    r, c = map(shares_of, shares(reference, window))
    middle = (r + c) / 2
    divergence = sum(float(np.sum(relative_entropy(side, middle)[side > 0])) for side in (r, c)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def relative_entropy(p: Floats, q: Floats) -> Floats:
    """What each bin adds to the relative entropy of p to q."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0.0)


def kl_div(reference: Digest, window: Digest) -> float:
    """Kullback-Leibler divergence of the reference's shares from the window's, empty bins filled as for psi."""
    return float(kl_of_shares(*shares(reference, window)))


def kl_of_shares(reference: Floats, window: Floats) -> Floats:
    r, c = (shares_of(_filled(side)) for side in (reference, window))
    found: Floats = np.sum(relative_entropy(r, c), axis=-1)
    return found


def hellinger(reference: Digest, window: Digest) -> float:
    """Hellinger distance, √(1 − Σ √(r·c)), 0 to 1; numbers in Sturges' bins for the distinct values of both."""
    if isinstance(reference, NumberDigest) and isinstance(window, NumberDigest):
        edges = sturges(reference, window, _distinct(reference, window))
        widths, mean = np.diff(edges).astype(np.float64), (edges[-1] - edges[0]) / (len(edges) - 1)
        r, c = (_within(edges, side) / widths / side.n for side in (reference, window))
    else:
        (r, c), mean = shares(reference, window), np.float64(1)
    overlap: np.floating[Any] = mean * 0
    for one, other in zip(r.tolist(), c.tolist(), strict=True):    # in order and in the column's type: near 1 it shows
        overlap += math.sqrt(one * other) * mean
    return float(from_overlap(overlap))


def from_overlap(overlap: Any) -> Floats:
    """The Hellinger distance of shares that overlap so much, Σ √(r·c)."""
    apart: Floats = np.asarray(1 - np.clip(overlap, 0, 1), np.float64)
    return np.sqrt(apart)


def shares(reference: Digest, window: Digest) -> Shares:
    """Shares per bin: one a category or distinct number, else Sturges' equal widths over both together."""
    if isinstance(reference, NumberDigest) and isinstance(window, NumberDigest) and reference.few is None:
        edges = sturges(reference, window, reference.n + window.n)
        return _within(edges, reference) / reference.n, _within(edges, window) / window.n
    before, now = same_words(tally(reference), tally(window))
    keys = ordered({*before, *now})
    return counted(before, keys) / sum(before.values()), counted(now, keys) / sum(now.values())


def sturges(reference: NumberDigest, window: NumberDigest, size: int) -> Numbers:
    """Edges of equal width over both, as many as Sturges' rule asks for `size` values, as NumPy lays them."""
    kind = np.result_type(reference.kind, window.kind)
    low, high = min(reference.low, window.low), max(reference.high, window.high)
    ends = np.array([low, high], kind)
    span: Any = high - low if kind.kind in "iu" else ends[1] - ends[0]     # float32 keeps its rounding
    width = span / (np.log2(size) + 1.0)
    if kind.kind in "iu" and 0 < width < 1:
        width = 1.0
    edges: Numbers = np.histogram_bin_edges(ends, int(np.ceil(span / width)) if width else 1)
    return edges


def tally(column: Digest) -> Counts:
    """How often each category or distinct number occurs."""
    if isinstance(column, NumberDigest):
        return column.tallied
    assert isinstance(column, CategoryDigest)
    return column.counts


def same_words(reference: Counts, window: Counts) -> tuple[Counts, Counts]:
    """Write numbers as text where the other side's categories are text: 1 and "1" are one category."""
    texts = [any(isinstance(key, str) for key in side) for side in (reference, window)]
    if texts[0] != texts[1]:
        return {str(k): v for k, v in reference.items()}, {str(k): v for k, v in window.items()}
    return reference, window


def ordered(keys: set[Category]) -> list[Category]:
    """Sort categories: numbers first by size, then text."""
    return sorted(keys, key=lambda key: (isinstance(key, str), key))


def counted(found: Counts, keys: list[Category]) -> Floats:
    """The counts of these categories, in their order."""
    return np.array([found.get(key, 0) for key in keys], dtype=np.float64)


def _within(edges: Numbers, column: NumberDigest) -> Floats:
    """Count the values of each bin; edges reach from the smallest to the largest of both sides."""
    return _between(edges[1:-1], column)


def _between(edges: Numbers, column: NumberDigest) -> Floats:
    """Count the values of each bin between inner edges, the outer bins open."""
    return np.diff(np.concatenate([[0], column.below(edges), [column.n]])).astype(np.float64)



def _distinct(reference: NumberDigest, window: NumberDigest) -> int:
    """How many different numbers both have together."""
    before, now = reference.ascending, window.ascending
    new = before[window.ranks_in(reference) - 1] != now        # below the smallest: compared with the largest
    new[1:] &= now[1:] != now[:-1]
    return 1 + int(np.count_nonzero(before[1:] != before[:-1])) + int(np.count_nonzero(new))


def _stability(reference: Floats, window: Floats) -> Floats:
    r, c = _filled(reference), _filled(window)
    found: Floats = np.sum((r - c) * np.log(r / c), axis=-1)
    return found


def _filled(shares: Floats) -> Floats:
    smallest = np.where(shares > 0, shares, np.inf).min(axis=-1, keepdims=True)
    return np.where(shares == 0, np.where(smallest <= EPSILON, smallest / 1e6, EPSILON), shares)


def chisquare(reference: Counts, window: Counts) -> float:
    """p-value of Pearson's test of the window's counts against the reference's scaled to its size."""
    keys = ordered({*reference, *window})
    return float(chisquare_of_counts(counted(reference, keys), counted(window, keys)))


def chisquare_of_counts(reference: Floats, window: Floats) -> Floats:
    from scipy.special import chdtrc

    if window.shape[-1] == 1:
        return np.ones(window.shape[:-1])            # one category everywhere: nothing could differ
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = reference * (window.sum(axis=-1, keepdims=True) / reference.sum(axis=-1, keepdims=True))
        found = chdtrc(window.shape[-1] - 1, np.sum((window - expected) ** 2 / expected, axis=-1))
    return np.where(np.any(expected == 0, axis=-1), 0.0, found)     # a category the reference never had


def z(reference: Counts, window: Counts) -> float:
    """Two-sided p-value for equal shares of "not the first category", first in sorted order."""
    from scipy.special import ndtr

    keys = ordered({*reference, *window})
    if len(keys) == 1:
        return 1.0
    n1, n2 = sum(reference.values()), sum(window.values())
    score = z_score((n1 - reference.get(keys[0], 0)) / n1, n1, (n2 - window.get(keys[0], 0)) / n2, n2)
    return float(2 * (1 - ndtr(score)))


def z_score(p1: Any, n1: Any, p2: Any, n2: Any) -> Any:
    """How many standard errors the shares p1 of n1 and p2 of n2 lie apart, were they one."""
    pooled = (p1 * n1 + p2 * n2) / (n1 + n2)
    return np.abs(p1 - p2) / np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))


def g_test(reference: Counts, window: Counts) -> float:
    """p-value of the likelihood ratio test; as Evidently's only for sides of the same size."""
    from scipy.stats import power_divergence

    _same_size("g_test", reference, window)
    keys = ordered({*reference, *window})
    with np.errstate(divide="ignore", invalid="ignore"):
        found = power_divergence(counted(window, keys), counted(reference, keys), lambda_="log-likelihood")
    return float(found.pvalue)


def fisher_exact(reference: Counts, window: Counts) -> float:
    """Two-sided p-value of Fisher's exact test for at most two categories and sides of the same size."""
    from scipy.stats import fisher_exact as fishers

    _same_size("fisher_exact", reference, window)
    keys = ordered({*reference, *window})
    if len(keys) > 2:
        raise CannotJudge(f"fisher_exact is for two categories, there are {len(keys)}")
    counts = [[*counted(side, keys), 0][:2] for side in (window, reference)]
    return float(fishers(counts)[1])


BINNED: dict[str, Callable[[Digest, Digest], float]] = {
    "psi": psi,
    "psi_quantile": psi_quantile,
    "jensenshannon": jensenshannon,
    "kl_div": kl_div,
    "hellinger": hellinger,
}
COUNTED: dict[str, Callable[[Counts, Counts], float]] = {
    "chisquare": chisquare,
    "z": z,
    "g_test": g_test,
    "fisher_exact": fisher_exact,
}


def _same_size(name: str, reference: Counts, window: Counts) -> None:
    before, now = sum(reference.values()), sum(window.values())
    if before != now:
        raise CannotJudge(f"{name} is for sides of the same size, the reference has {before} values, the window {now}")
