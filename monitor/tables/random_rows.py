"""A sample of rows, the same each time it is drawn: what bounds the cost of a metric that looks at whole rows."""

import numpy as np

from monitor.tables.columns import Ints

SEED = 0


def draw(rows: int, most: int) -> Ints:
    """Return the numbers of at most `most` of `rows` rows in ascending order, chosen by a fixed seed."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
