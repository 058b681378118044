"""Drift methods that compare counts, with Evidently 0.7.23's numbers to 1e-9.

Shares of bins, from the digests of reference and window: psi, psi_quantile, jensenshannon, kl_div, hellinger.
Counts of categories: chisquare, z, g_test, fisher_exact. No side is empty. Functions of arrays have the
bins or categories on the last axis, so that many pairs of sides can be compared at once.
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
EPSILON = 1e-4     # replaces the share of an empty bin, unless the smallest share is smaller


def psi(reference: Digest, window: Digest) -> float:
    """Population stability index, Σ (r − c) ln(r / c) over bins; empty bins get a small share."""
    return float(_stability(*shares(reference, window)))


def psi_quantile(reference: Digest, window: Digest) -> float:
    """The textbook PSI: ten bins of equal shares of the reference, open at both ends; categories as in `psi`.

    The window does not move the bins, so values can be compared between windows, and an outlier is only one value in
    the last bin.
    """
    if not (isinstance(reference, NumberDigest) and isinstance(window, NumberDigest)):
        return psi(reference, window)
    edges = quantile_edges(reference.ascending)
    return float(psi_of_counts(_between(edges, reference), _between(edges, window)))


def quantile_edges(reference: Numbers) -> Floats:
    """Return the inner bin edges of a sorted reference: its deciles, or edges around each of few distinct numbers.

    A value lies in bin `searchsorted(edges, value, "right")`.
    """
    distinct = np.unique(reference).astype(np.float64)
    if len(distinct) <= FEW:
        return np.sort(np.concatenate([distinct, np.nextafter(distinct, np.inf)]))
    return np.unique(np.quantile(reference.astype(np.float64), np.arange(1, BINS) / BINS))


def psi_of_counts(reference: Floats, window: Floats) -> Floats:
    """PSI of histograms over the same bins, without the bins that are empty in all of them."""
    occupied = np.any(reference + window > 0, axis=tuple(range(reference.ndim - 1)))
    return _stability(*(shares_of(side[..., occupied]) for side in (reference, window)))


def shares_of(counts: Floats) -> Floats:
    """Return each bin's share of the total."""
    fractions: Floats = counts / counts.sum(axis=-1, keepdims=True)
    return fractions


def jensenshannon(reference: Digest, window: Digest) -> float:
    """Jensen-Shannon distance, natural logarithm: the square root of the divergence, 0 to √ln 2."""
    r, c = map(shares_of, shares(reference, window))
    middle = (r + c) / 2
    divergence = sum(float(np.sum(relative_entropy(side, middle)[side > 0])) for side in (r, c)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def jensenshannon_of_counts(reference: Floats, window: Floats) -> Floats:
    r, c = shares_of(reference), shares_of(window)
    terms = [relative_entropy(side, (r + c) / 2) for side in (r, c)]
    divergence: Floats = ((terms[0] + terms[1]) / 2).sum(axis=-1)
    return np.sqrt(np.maximum(divergence, 0.0))


def relative_entropy(p: Floats, q: Floats) -> Floats:
    """Return each bin's term of the relative entropy of p to q."""
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.where(p > 0, p * np.log(p / q), 0.0)


def kl_div(reference: Digest, window: Digest) -> float:
    """Kullback-Leibler divergence of the reference's shares from the window's, empty bins filled as for psi."""
    return float(kl_of_shares(*shares(reference, window)))


def kl_of_shares(reference: Floats, window: Floats) -> Floats:
    r, c = (shares_of(_filled(side)) for side in (reference, window))
    divergence: Floats = np.sum(relative_entropy(r, c), axis=-1)
    return divergence


def hellinger(reference: Digest, window: Digest) -> float:
    """Hellinger distance, √(1 − Σ √(r·c)), 0 to 1; numbers in Sturges' bins for the distinct values of both."""
    if isinstance(reference, NumberDigest) and isinstance(window, NumberDigest):
        edges = sturges(reference, window, _distinct(reference, window))
        widths, mean = np.diff(edges).astype(np.float64), (edges[-1] - edges[0]) / (len(edges) - 1)
        r, c = (_within(edges, side) / widths / side.n for side in (reference, window))
    else:
        (r, c), mean = shares(reference, window), np.float64(1)
    overlap: np.floating[Any] = mean * 0
    for left, right in zip(r.tolist(), c.tolist(), strict=True):  # order matters near 1
        overlap += math.sqrt(left * right) * mean
    return float(from_overlap(overlap))


def from_overlap(overlap: Any) -> Floats:
    """Return the Hellinger distance for an overlap Σ √(r·c)."""
    apart: Floats = np.asarray(1 - np.clip(overlap, 0, 1), np.float64)
    return np.sqrt(apart)


def shares(reference: Digest, window: Digest) -> Shares:
    """Return shares per bin: a bin per category or distinct number, else Sturges' equal-width bins over both."""
    if isinstance(reference, NumberDigest) and isinstance(window, NumberDigest) and reference.few is None:
        edges = sturges(reference, window, reference.n + window.n)
        return _within(edges, reference) / reference.n, _within(edges, window) / window.n
    before, now = same_words(tally(reference), tally(window))
    keys = ordered({*before, *now})
    return counted(before, keys) / sum(before.values()), counted(now, keys) / sum(now.values())


def sturges(reference: NumberDigest, window: NumberDigest, size: int) -> Numbers:
    """Return equal-width edges over both sides, by Sturges' rule for `size` values, as NumPy computes them."""
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
    """Return how often each category or distinct number occurs."""
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


def counted(counts: Counts, keys: list[Category]) -> Floats:
    """Return the counts of these categories, in their order."""
    return np.array([counts.get(key, 0) for key in keys], dtype=np.float64)


def _within(edges: Numbers, column: NumberDigest) -> Floats:
    """Return the number of values in each bin; the edges span both sides."""
    return _between(edges[1:-1], column)


def _between(edges: Numbers, column: NumberDigest) -> Floats:
    """Return the number of values in each bin between inner edges; the outer bins are open."""
    return np.diff(np.concatenate([[0], column.below(edges), [column.n]])).astype(np.float64)



def _distinct(reference: NumberDigest, window: NumberDigest) -> int:
    """Return the number of distinct values of both sides together."""
    before, now = reference.ascending, window.ascending
    new = before[window.ranks_in(reference) - 1] != now        # below the smallest: compared with the largest
    new[1:] &= now[1:] != now[:-1]
    return 1 + int(np.count_nonzero(before[1:] != before[:-1])) + int(np.count_nonzero(new))


def _stability(reference: Floats, window: Floats) -> Floats:
    r, c = _filled(reference), _filled(window)
    index: Floats = np.sum((r - c) * np.log(r / c), axis=-1)
    return index


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
        return np.ones(window.shape[:-1])            # one category everywhere: no difference is possible
    with np.errstate(divide="ignore", invalid="ignore"):
        expected = reference * (window.sum(axis=-1, keepdims=True) / reference.sum(axis=-1, keepdims=True))
        p_values = chdtrc(window.shape[-1] - 1, np.sum((window - expected) ** 2 / expected, axis=-1))
    return np.where(np.any(expected == 0, axis=-1), 0.0, p_values)     # a category the reference lacks


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
    """Return the difference of the shares p1 of n1 and p2 of n2 in standard errors of the pooled share."""
    pooled = (p1 * n1 + p2 * n2) / (n1 + n2)
    return np.abs(p1 - p2) / np.sqrt(pooled * (1 - pooled) * (1 / n1 + 1 / n2))


def g_test(reference: Counts, window: Counts) -> float:
    """p-value of the likelihood ratio test; as in Evidently, only for sides of the same size."""
    from scipy.stats import power_divergence

    _same_size("g_test", reference, window)
    keys = ordered({*reference, *window})
    with np.errstate(divide="ignore", invalid="ignore"):
        result = power_divergence(counted(window, keys), counted(reference, keys), lambda_="log-likelihood")
    return float(result.pvalue)


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
