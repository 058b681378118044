"""Drift methods that compare counts of categories: chisquare, z, g_test, fisher_exact, with Evidently's numbers.

Each takes the counts of reference and window, none of them empty.
"""

from collections.abc import Callable

import numpy as np

from monitor.drift.binned_distances import counted, ordered
from monitor.errors import CannotJudge
from monitor.tables.columns import Counts


def chisquare(reference: Counts, window: Counts) -> float:
    """p-value of Pearson's test of the window's counts against the reference's scaled to its size."""
    from scipy.special import chdtrc

    keys = list({*reference, *window})
    expected = counted(reference, keys) * (sum(window.values()) / sum(reference.values()))
    observed = counted(window, keys)
    if len(keys) == 1:
        return 1.0                       # one category everywhere: nothing could differ
    if np.any(expected == 0):
        return 0.0                       # a category the reference never had
    return float(chdtrc(len(keys) - 1, np.sum((observed - expected) ** 2 / expected)))


def z(reference: Counts, window: Counts) -> float:
    """Two-sided p-value for equal shares of "not the first category", first in sorted order."""
    from scipy.special import ndtr

    keys = ordered({*reference, *window})
    if len(keys) == 1:
        return 1.0
    n1, n2 = sum(reference.values()), sum(window.values())
    p1, p2 = (n1 - reference.get(keys[0], 0)) / n1, (n2 - window.get(keys[0], 0)) / n2
    pooled = (p1 * n1 + p2 * n2) / (n1 + n2)
    score = (p1 - p2) / np.sqrt(pooled * (1 - pooled) * (1.0 / n1 + 1.0 / n2))
    return float(2 * (1 - ndtr(np.abs(score))))


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
