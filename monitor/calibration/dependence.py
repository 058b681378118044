"""How much too small the scores of a reference's blocks are where neighbouring blocks are alike.

A block is held against the rest of the reference, whose mean is the nearer to it the more alike neighbours are; a new
window is not in that mean. Where σ² is the variance of the blocks' means and c = 1 + 2 Σ (1 − h/B) ρ(h), the mean of
B blocks has the variance σ² c/B. The squared difference of a block from it is then σ² (1 − c/B) on average, that of a
new window far from the reference σ² (1 + c/B).
"""

import math
from collections.abc import Hashable, Mapping
from typing import TypeVar

import numpy as np

from monitor.tables.columns import Floats, Ints, Numbers

K = TypeVar("K", bound=Hashable)

_FEWEST = 4         # blocks, to correlate them
_MOST = 0.5         # of σ²: the variance of the mean
_TAIL = 0.01        # of the values at each end, which are held to the range of the others


def autocorrelations(values: Numbers, block: Ints, sizes: Ints, *, categorical: bool) -> Floats | None:
    """Return the autocorrelations of a column's blocks, of lag 1 to B/2; None where blocks do not differ, or are few.

    `values` are a column's present values (or category codes), `block` the number of each one's block (−1 for none),
    `sizes` the values in each block. Blocks are alike in shares of categories, or in mean and mean absolute deviation.
    """
    inside, full = block >= 0, sizes > 0
    count = int(full.sum())
    if count < _FEWEST:
        return None
    summed = _counts if categorical else _sums
    means = summed(values[inside], block[inside], len(sizes))[full] / sizes[full, None]
    means = means - means.mean(axis=0)
    variance = float(np.sum(means**2)) / count
    if not variance > 0:
        return None
    lags = range(1, count // 2 + 1)
    return np.array([np.sum(means[lag:] * means[:-lag]) / (count - lag) for lag in lags]) / variance


def inflations(columns: Mapping[K, Floats | None], count: int) -> dict[K, float]:
    """Return for each column (1 + c/B) / (1 − c/B), divided by that of independent blocks.

    `columns` are autocorrelations of `count` blocks. A column has what all have on average, or more if its own are
    beyond noise; one standard error is added to its own c, which few blocks tell badly.
    """
    known = [found for found in columns.values() if found is not None]
    if not known:
        return dict.fromkeys(columns, 1.0)
    lags = min(map(len, known))
    pooled = _inflation(variance_of_mean(np.mean([found[:lags] for found in known], axis=0), count)[0], count)
    return dict.fromkeys(columns, pooled) | {
        name: max(pooled, _inflation(_to_the_safe_side(found, count), count))
        for name, found in columns.items() if found is not None
    }


def variance_of_mean(correlations: Floats, count: int, least: float = 0.0) -> tuple[float, int]:
    """Return c/B, at most a half, and the number of lags used.

    Autocorrelations, corrected for the estimated mean, are summed up to the first pair of them that is not above
    `least` (Geyer's initial positive sequence, 1992).
    """
    share, used = 1 / count, 0
    for _ in range(5):                      # the correction rests on what is asked for
        total, used = 1.0, 0
        for lag in range(1, len(correlations), 2):
            pair = correlations[lag - 1:lag + 1] * (1 - share) + share
            if pair.sum() <= least:
                break
            total, used = total + 2 * float(pair @ (1 - np.array([lag, lag + 1]) / count)), lag + 1
        share = min(_MOST, max(1.0, total) / count)
    return share, used


def independent(values: Floats) -> float:
    """Return as how many independent values these count, in order of time: B/c, by the correlations of their ranks."""
    count = len(values)
    ranks = np.argsort(np.argsort(values, kind="stable")) - (count - 1) / 2
    if count < _FEWEST:
        return float(count)
    lags = range(1, count // 2 + 1)
    share, _ = variance_of_mean(np.array([ranks[lag:] @ ranks[:-lag] for lag in lags]) / (ranks @ ranks), count)
    return 1 / share


def _to_the_safe_side(correlations: Floats, count: int) -> float:
    """Return c/B from pairs beyond one standard error, plus its own, of √(2 (2M + 1) / B) for M lags."""
    share, used = variance_of_mean(correlations, count, math.sqrt(2 / count))
    return share * (1 + math.sqrt(2 * (2 * used + 1) / count)) if used else share


def _inflation(share: float, count: int) -> float:
    share = min(_MOST, share)
    return max(1.0, (1 + share) / (1 - share) * (count - 1) / (count + 1))


def _counts(codes: Numbers, block: Ints, blocks: int) -> Floats:
    """Return how often each category is in each block, divided by the root of its share."""
    usual = np.bincount(codes)
    width = len(usual)
    counts = np.bincount(block * width + codes, minlength=blocks * width).reshape(blocks, width)
    weighted: Floats = counts[:, usual > 0] / np.sqrt(usual[usual > 0] / len(codes))
    return weighted


def _sums(values: Numbers, block: Ints, blocks: int) -> Floats:
    """Return each block's sums of the values and of their distances from the middle."""
    low, middle, high = np.quantile(values, [_TAIL, 0.5, 1 - _TAIL])
    held = np.clip(values - middle, low - middle, high - middle)
    return np.stack([np.bincount(block, side, blocks) for side in (held, np.abs(held))], axis=1)
