"""Columns that are broken in a window: more values than before are missing or far away, or all became one.

A new category, or a value that changes as slowly as a season, is no fault of the data.
"""

from collections.abc import Sequence

import numpy as np

from monitor.attribution.sides import Side
from monitor.tables.columns import Floats, Numbers

LEAST_SHARE = 0.05           # more rows than in the reference …
SURE = 3.0                   # … and so many standard errors more
ENDS = (0.001, 0.999)        # of the reference's values; farther outside than they are apart is far away
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
    missing = np.isnan(values)
    there = reference[~np.isnan(reference)]
    if categorical or not len(there):
        return missing
    low, high = np.quantile(there, ENDS)
    if low == high:
        return missing
    with np.errstate(invalid="ignore"):
        bad: Numbers = missing | (values > high + (high - low)) | (values < low - (high - low))
    return bad


def _stuck(reference: Floats, window: Floats) -> bool:
    there = reference[~np.isnan(reference)]
    if not len(there) or bool((window != window[0]).any()):
        return False
    changes = np.flatnonzero(np.diff(there) != 0)
    longest = np.diff(np.concatenate([[-1], changes, [len(there) - 1]])).max()
    return bool((there == window[0]).mean() < MOST_ALIKE) and bool(longest < LONGEST_RUN * len(there))
