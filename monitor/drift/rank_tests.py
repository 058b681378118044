"""Drift methods that compare how numbers are ordered: ks, wasserstein, and SciPy's tests, with Evidently's numbers.

Each takes the digests of reference and window, neither of them empty. ks and wasserstein are exact if the window's
column is in memory. For a larger column they are computed from the counts and sums of 1,024 bins with equal shares of
the reference: within 7e-5 (ks's distance) and 3e-4 on a million rows, within 1.5e-4 and 3e-4 on 200,000.
"""

import math
from collections.abc import Callable

import numpy as np

from monitor.errors import CannotJudge
from monitor.tables.columns import Floats, Ints, Numbers
from monitor.tables.digest import NumberDigest

BINS = 1024
EXACT = 10_000     # rows up to which SciPy works out the p-value of ks exactly


def ks(reference: NumberDigest, window: NumberDigest) -> float:
    """Two-sided p-value of the Kolmogorov-Smirnov test; exact up to 10,000 rows, as SciPy's."""
    from scipy.stats import ks_2samp, kstwo

    if window.in_memory and max(reference.n, window.n) <= EXACT:
        return float(ks_2samp(reference.ascending, window.ascending).pvalue)
    rows, gap = round(reference.n / (reference.n + window.n) * window.n), _largest_gap(reference, window)
    if 2.2 <= rows * gap**2 < 370 and gap < 0.5 and rows > 140:     # here SciPy doubles the one-sided value, slowly
        return min(1.0, 2 * one_sided(rows, gap))
    return float(np.clip(kstwo.sf(gap, rows), 0, 1))


def wasserstein(reference: NumberDigest, window: NumberDigest) -> float:
    """First Wasserstein distance in standard deviations (ddof 0, at least 0.001) of the reference."""
    if window.in_memory:
        area = _area(*(side.ascending.astype(np.float64, copy=False) for side in (reference, window)))
    else:
        area = _binned_area(reference, window)
    return area / max(reference.spread, 0.001)


def ed(reference: NumberDigest, window: NumberDigest) -> float:
    """Energy distance, in the square root of the column's unit."""
    from scipy.stats import energy_distance

    return float(energy_distance(reference.ascending, window.in_order))


def cramer_von_mises(reference: NumberDigest, window: NumberDigest) -> float:
    """p-value of the two-sample Cramér-von Mises test."""
    from scipy.stats import cramervonmises_2samp

    sides = (side.astype(np.float64) for side in (reference.ascending, window.in_order))   # ranks need the digits
    return float(cramervonmises_2samp(*sides).pvalue)


def anderson(reference: NumberDigest, window: NumberDigest) -> float:
    """p-value of the two-sample Anderson-Darling test, between 0.001 and 0.25, the limits of SciPy's table."""
    from scipy.stats import anderson_ksamp

    return float(anderson_ksamp([reference.ascending, window.in_order])[2])


def es(reference: NumberDigest, window: NumberDigest) -> float:
    """p-value of the Epps-Singleton test. Raises CannotJudge if half of all values are equal."""
    from scipy.stats import epps_singleton_2samp, iqr

    sides = reference.in_order, window.in_order    # its sums are sensitive to their order
    if iqr(np.concatenate(sides)) == 0:
        raise CannotJudge("es is not defined here: at least half of the values are the same")
    return float(epps_singleton_2samp(*sides).pvalue)


def mannw(reference: NumberDigest, window: NumberDigest) -> float:
    """One-sided p-value of the Mann-Whitney test: small if the reference's values are smaller."""
    from scipy.stats import mannwhitneyu

    return float(mannwhitneyu(reference.ascending, window.in_order, alternative="less").pvalue)


def t_test(reference: NumberDigest, window: NumberDigest) -> float:
    """Two-sided p-value of Student's t-test for equal means, assuming equal variances."""
    from scipy.stats import ttest_ind

    return float(ttest_ind(reference.in_order, window.in_order).pvalue)


RANKED: dict[str, Callable[[NumberDigest, NumberDigest], float]] = {
    "ks": ks,
    "wasserstein": wasserstein,
    "ed": ed,
    "cramer_von_mises": cramer_von_mises,
    "anderson": anderson,
    "es": es,
    "mannw": mannw,
    "t_test": t_test,
}


def _largest_gap(reference: NumberDigest, window: NumberDigest) -> float:
    """Return the largest difference of the two empirical distribution functions."""
    if not window.in_memory:
        (r, _), (c, _) = _bins(reference, window)
        return float(np.max(np.abs(np.cumsum(r) / reference.n - np.cumsum(c) / window.n)))
    before, now = reference.ascending, window.ascending
    upto = window.ranks_in(reference)
    tied = np.flatnonzero(before[upto - 1] == now)
    below: Ints = upto.copy()
    below[tied] = np.searchsorted(before, now[tied], "left")
    above = np.arange(1, len(now) + 1) / len(now) - upto / len(before)
    return float(max(above.max(), np.max(below / len(before) - np.arange(len(now)) / len(now))))


def one_sided(rows: int, gap: float) -> float:
    """P(D⁺ ≥ gap) of the one-sample Kolmogorov-Smirnov statistic, by Birnbaum and Tingey's sum (1951).

    Its terms are binomial probabilities, computed as in Loader (2000), which stays precise for many rows.
    """
    shift = rows * gap
    first = (1 - gap) ** rows
    j = np.arange(1, math.ceil(rows - shift))
    rest = rows - j
    deviance = (shift - j * np.log1p(shift / j)) - (shift + rest * np.log1p(-shift / rest))
    lost = _stirling(np.array([rows])) - _stirling(j) - _stirling(rest)
    chance = np.sqrt(rows / (2 * np.pi * j * rest)) * np.exp(lost - deviance)
    return float(first + gap * np.sum(chance / (gap + j / rows)))


def _stirling(n: Numbers) -> Floats:
    """Return the error of Stirling's formula for ln n!."""
    from scipy.special import gammaln

    n = n.astype(np.float64)
    error: Floats = (1 / 12 - (1 / 360 - (1 / 1260 - 1 / (1680 * n**2)) / n**2) / n**2) / n
    few = n < 16
    error[few] = gammaln(n[few] + 1) - (n[few] + 0.5) * np.log(n[few]) + n[few] - 0.5 * np.log(2 * np.pi)
    return error


def _area(before: Floats, now: Floats) -> float:
    """Return ∫ |F − G| as the mean distance of quantiles.

    Both quantile functions are constant between the cuts at i / n and j / m, which are integers here (times n·m).
    """
    n, m = len(before), len(now)
    if n == m:
        return float(np.mean(np.abs(before - now)))
    cuts = np.sort(np.concatenate([np.arange(n + 1) * m, np.arange(1, m) * n]), kind="stable")
    at = cuts[:-1]
    return float(np.sum(np.abs(before[at // m] - now[at // n]) * np.diff(cuts)) / (n * m))


def _binned_area(reference: NumberDigest, window: NumberDigest) -> float:
    """Return ∫ |F − G| from bins.

    The integral of F − G over a bin (a, b) is exact: b·F(b) − a·F(a) minus the sum of the bin's values over n. Only a
    change of sign inside a bin is missed.
    """
    edges = _edges(reference, window)
    areas = []
    for side in (reference, window):
        counts, sums = side.binned(edges[1:-1])
        share = np.concatenate([[0.0], np.cumsum(counts) / side.n])
        areas.append(edges[1:] * share[1:] - edges[:-1] * share[:-1] - sums / side.n)
    return float(np.sum(np.abs(areas[0] - areas[1])))


def _bins(reference: NumberDigest, window: NumberDigest) -> tuple[tuple[Ints, Floats], tuple[Ints, Floats]]:
    edges = _edges(reference, window)[1:-1]
    return reference.binned(edges), window.binned(edges)


def _edges(reference: NumberDigest, window: NumberDigest) -> Floats:
    """Return the reference's quantiles, between the smallest and the largest value of both."""
    values: Numbers = reference.ascending
    places = np.linspace(0, len(values) - 1, BINS + 1).astype(np.int64)[1:-1]
    inner = np.unique(values[places].astype(np.float64))
    return np.concatenate([[min(reference.low, window.low)], inner, [max(reference.high, window.high)]])
