"""95 % confidence intervals of the performance metrics, in closed form except for those of a confusion matrix."""

from collections.abc import Callable

import numpy as np

from monitor.tables.columns import Floats, Ints, Numbers

Interval = tuple[float, float]
RESAMPLES = 200
Z = 1.959963984540054     # 97.5 % quantile of the normal distribution


def wilson(hits: float, n: float) -> Interval | None:
    """Wilson (1927) score interval of the share hits/n; None without trials."""
    if n <= 0:
        return None
    share, spare = hits / n, Z * Z / n
    middle = (share + spare / 2) / (1 + spare)
    half = Z * np.sqrt(share * (1 - share) / n + spare / (4 * n)) / (1 + spare)
    return float(max(0.0, middle - half)), float(min(1.0, middle + half))


def significant_difference(hits: int, n: int, before: Ints, sizes: Ints) -> float:
    """Return the difference between a share (hits/n) and an earlier share that equals three standard errors.

    The standard error is that of the two-proportion test with Yates's correction. Its variance is multiplied by the
    dispersion of the earlier share between blocks (Pearson's chi-square over its degrees of freedom, at least 1; Rao
    and Scott 1992), because events that come in bursts, such as cancelled flights, vary from week to week without any
    change. `before`, `sizes`: hits and rows of each block.
    """
    total = int(sizes.sum())
    share, pooled = before.sum() / total, (hits + before.sum()) / (n + total)
    expected = sizes * share * (1 - share)
    chi_square = float(np.sum((before - sizes * share) ** 2 / expected)) if 0 < share < 1 else 0.0
    dispersion = max(1.0, chi_square / max(1, len(sizes) - 1))
    spare = 1 / n + 1 / total
    return float(3 * np.sqrt(dispersion * pooled * (1 - pooled) * spare) + spare / 2)


def mean(values: Floats) -> Interval | None:
    """Normal interval of a mean, mean ± 1.96 sd/√n; None for fewer than two values."""
    if len(values) < 2:
        return None
    half = Z * float(np.std(values, ddof=1)) / np.sqrt(len(values))
    middle = float(np.mean(values))
    return middle - half, middle + half


def root_mean(squares: Floats) -> Interval | None:
    """Interval of the root of a mean: the roots of the mean's interval, cut off at zero."""
    limits = mean(squares)
    return None if limits is None else (float(np.sqrt(max(0.0, limits[0]))), float(np.sqrt(limits[1])))


def r_squared(errors: Floats, deviations: Floats) -> Interval | None:
    """Interval of 1 − Σe²/Σd² by the delta method for a ratio of means (Cochran 1977, section 2.11)."""
    n, below = len(errors), float(np.mean(deviations**2)) if len(errors) else 0.0
    if n < 2 or below == 0:
        return None
    ratio = float(np.mean(errors**2)) / below
    half = Z * float(np.std(errors**2 - ratio * deviations**2, ddof=1)) / (below * np.sqrt(n))
    return 1 - ratio - half, 1 - ratio + half


def roc_auc(truth: Ints, probability: Floats) -> Interval | None:
    """Interval of the area under the ROC curve: variance after DeLong et al. (1988), from ranks
    (Sun and Xu 2014)."""
    m = int(np.sum(truth == 1))
    n = len(truth) - m
    if m < 2 or n < 2:
        return None
    above, below = placements(truth, probability)
    area = float(np.mean(above))
    half = Z * float(np.sqrt(np.var(above, ddof=1) / m + np.var(below, ddof=1) / n))
    return max(0.0, area - half), min(1.0, area + half)


def placements(truth: Ints, probability: Floats) -> tuple[Floats, Floats]:
    """Return DeLong's placement values, each array sorted by ascending probability.

    For each positive: the share of negatives with a smaller probability. For each negative: the share of positives
    with a larger one. A tie counts half. Both classes must occur.
    """
    ones, zeros = np.sort(probability[truth == 1]), np.sort(probability[truth == 0])
    return _below(ones, zeros), 1 - _below(zeros, ones)


def _below(values: Floats, others: Floats) -> Floats:
    """Return for each value the share of the others that are smaller, a tie counting half; both are sorted."""
    smaller, not_larger = (np.searchsorted(others, values, side) for side in ("left", "right"))
    smaller += not_larger
    return smaller / (2 * len(others))


def average_precision(area: float, positives: int) -> Interval | None:
    """Logit interval of the area under the precision-recall curve (Boyd, Eng and Page 2013, section 3.2)."""
    if positives < 2 or not 0 < area < 1:
        return None
    middle, half = np.log(area / (1 - area)), Z / np.sqrt(positives * area * (1 - area))
    return float(1 / (1 + np.exp(half - middle))), float(1 / (1 + np.exp(-half - middle)))


def confusion(matrix: Numbers, of: Callable[[Numbers], Numbers]) -> Interval | None:
    """Percentile bootstrap interval (Efron 1979, fixed seed) of a metric of the confusion matrix.

    Rows drawn with replacement make the cells multinomial, so the cells are drawn. `of` maps matrices of shape
    (RESAMPLES, classes, classes) to values, NaN if undefined.
    """
    total = int(matrix.sum())
    if total < 2:
        return None
    cells = np.random.default_rng(0).multinomial(total, matrix.ravel() / total, size=RESAMPLES)
    values = of(cells.reshape(RESAMPLES, *matrix.shape).astype(np.float64))
    values = values[np.isfinite(values)]
    return (float(np.quantile(values, 0.025)), float(np.quantile(values, 0.975))) if len(values) else None
