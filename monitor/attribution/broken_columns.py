"""Columns that are broken in a window: more values than before are missing, far away or between the steps of the usual
ones, as in another unit, or all became one.

A new category, or a value that changes as slowly as a season, is no fault of the data.
"""

from collections.abc import Sequence

import numpy as np

from monitor.attribution.sides import Side
from monitor.tables.columns import Floats, Numbers

LEAST_SHARE = 0.05           # more rows than in the reference …
SURE = 3.0                   # … and so many standard errors more
ENDS = (0.001, 0.999)        # of the reference's values; farther outside than they are apart is far away
FEWEST_STEPS = 10            # distinct usual values, at least, that tell that values come in steps …
NEAR = 0.05                  # … each at most so much of a step away from one
APART = 0.2                  # of the two distributions, at least; else values are only more precise than before
NEARLY_ALL = 0.75            # of the values are bad: then the others are so by chance
MOST_ALIKE = 0.5             # of the reference's values, of a value that all may have become
LONGEST_RUN = 0.05           # of the reference's rows with one value: a column that changes so slowly may stand still


def broken_columns(reference: Side, window: Side, categorical: Sequence[bool]) -> tuple[int, ...]:
    """Return the places of broken columns."""
    return tuple(at for at, words in enumerate(categorical)
                 if _is_broken(reference.matrix[:, at], window.matrix[:, at], words))


def harmed_rows(reference: Side, window: Side, broken: Sequence[int], categorical: Sequence[bool]) -> Numbers:
    """Return which rows of the window have a bad value in a broken column."""
    harmed = np.zeros(len(window), np.bool_)
    for at in broken:
        before, now = reference.matrix[:, at], window.matrix[:, at]
        harmed |= _bad(before, now, categorical[at]) | _stuck(before, now)
    return harmed


def _is_broken(reference: Floats, window: Floats, categorical: bool) -> bool:
    before, now = (_bad(reference, side, categorical) for side in (reference, window))
    p, q = float(before.mean()), float(now.mean())
    error = float(np.sqrt(p * (1 - p) / len(before) + q * (1 - q) / len(now)))
    return q - p > max(LEAST_SHARE, SURE * error) or _stuck(reference, window)


def _bad(reference: Floats, values: Floats, categorical: bool) -> Numbers:
    missing: Numbers = np.isnan(values)
    there = reference[~np.isnan(reference)]
    if categorical or not len(there):
        return missing
    low, high = np.quantile(there, ENDS)
    if low == high:
        return missing
    with np.errstate(invalid="ignore"):
        bad = missing | (values > high + (high - low)) | (values < low - (high - low))
    bad |= _between_steps(there, values)
    return np.ones_like(bad) if bad.mean() > NEARLY_ALL else bad


def _between_steps(usual: Floats, values: Floats) -> Numbers:
    """Which values lie between the steps that all usual ones come in, such as whole numbers; none where these come in
    no steps, or where the values are distributed as the usual ones are.
    """
    distinct = np.unique(usual)
    if len(distinct) < FEWEST_STEPS:
        return np.zeros(len(values), np.bool_)
    first, step = distinct[0], np.diff(distinct).min()

    def off(some: Floats) -> Floats:
        steps = (some - first) / step
        return np.asarray(np.nan_to_num(np.abs(steps - np.rint(steps))))

    if (off(distinct) > NEAR).any() or _distance(usual, values[~np.isnan(values)]) < APART:
        return np.zeros(len(values), np.bool_)
    return off(values) > NEAR


def _distance(before: Floats, now: Floats) -> float:
    """The largest difference between the shares of values up to any (Kolmogorov-Smirnov)."""
    if not len(now):
        return 0.0
    every = np.concatenate([before, now])
    shares = (np.searchsorted(np.sort(side), every, side="right") / len(side) for side in (before, now))
    return float(np.abs(next(shares) - next(shares)).max())


def _stuck(reference: Floats, window: Floats) -> bool:
    there = reference[~np.isnan(reference)]
    if not len(there) or bool((window != window[0]).any()):
        return False
    changes = np.flatnonzero(np.diff(there) != 0)
    longest = np.diff(np.concatenate([[-1], changes, [len(there) - 1]])).max()
    return bool((there == window[0]).mean() < MOST_ALIKE) and bool(longest < LONGEST_RUN * len(there))
