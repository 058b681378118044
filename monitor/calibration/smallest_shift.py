"""How far a column must move for windows of the usual size to pass its calibrated threshold: the power of the test.

The window is made of the reference: its quantiles, moved by so many standard deviations, or its shares, the largest of
which is changed. It has no noise of its own. Noise adds to distances more often than it takes away, so at least about
half of the windows that have moved so far are beyond the threshold.
"""

from collections.abc import Callable, Iterator, Mapping

import numpy as np
import pyarrow as pa

from monitor.calibration.outlook import Noticed
from monitor.config.column_roles import FeatureKind
from monitor.config.drift_methods import METHODS
from monitor.drift.column_scores import Side
from monitor.drift.methods import Calibration, Limit, work_out
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest, digest_of

MOST = 4.0           # standard deviations that are tried
_STEPS = 10          # halvings of what is tried
_ROWS = 5_000        # values of the made window at most


def noticed(reference: Side, kinds: Mapping[str, FeatureKind], calibration: Calibration) -> Iterator[Noticed]:
    """Yield how far each column that has a calibrated threshold must move, in windows of the usual size.

    Not of a column that is always the same: any other value is drift.
    """
    for name, limit in calibration.limits.items():
        column = reference.column(name, kinds[name])
        if isinstance(column, NumberDigest) and column.low < column.high:
            shift = _smallest(column, limit, _moved(column, min(limit.rows, _ROWS)), MOST)
            yield Noticed(column=name, kind="numerical", shift=shift, rows=limit.rows)
        elif isinstance(column, CategoryDigest) and len(column.counts) > 1:
            largest = max(column.counts.values()) / column.n
            other = _with_share(column, min(limit.rows, _ROWS))
            shift = _smallest(column, limit, other, max(largest, 1 - largest))
            yield Noticed(column=name, kind="categorical", shift=shift, rows=limit.rows)


def _smallest(column: Digest, limit: Limit, moved: Callable[[float], Digest], most: float) -> float | None:
    """Return the smallest shift up to `most` that passes the limit; None if that does not."""
    def beyond(shift: float) -> bool:
        window = moved(shift)
        return METHODS[limit.method].drifted(work_out(limit.method, column, window), limit.at(window.n))

    if not beyond(most):
        return None
    low, high = 0.0, most
    for _ in range(_STEPS):
        middle = (low + high) / 2
        low, high = (low, middle) if beyond(middle) else (middle, high)
    return high


def _moved(column: NumberDigest, rows: int) -> Callable[[float], Digest]:
    """Return what makes a window of the column's quantiles, all moved by some of its standard deviations."""
    ascending = column.ascending
    sample = ascending[((np.arange(rows) + 0.5) / rows * len(ascending)).astype(np.int64)].astype(np.float64)
    deviation = float(np.std(sample)) or 1.0
    return lambda shift: digest_of([pa.array(sample + shift * deviation)], rows, "numerical")


def _with_share(column: CategoryDigest, rows: int) -> Callable[[float], Digest]:
    """Return what makes a window in which the largest category's share is farther from its own, towards a half."""
    counts = dict(sorted(column.counts.items(), key=lambda item: -item[1]))
    share = np.array(list(counts.values())) / column.n
    names = pa.array([str(key) for key in counts] if any(isinstance(key, str) for key in counts) else list(counts))
    sign = 1 if share[0] < 0.5 else -1

    def window(shift: float) -> Digest:
        first = min(1.0, max(0.0, share[0] + sign * shift))
        shares = np.append(first, share[1:] / max(1 - share[0], 1e-12) * (1 - first))
        ends = np.round(np.cumsum(shares) * rows).astype(np.int64)
        places = np.minimum(np.searchsorted(ends, np.arange(rows), "right"), len(share) - 1)
        return digest_of([names.take(pa.array(places))], rows, "categorical")

    return window
