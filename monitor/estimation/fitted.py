"""What the estimators of performance share."""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

from monitor.tables.columns import Ints

FOLDS = 5

Values = Callable[[str], float]                         # a metric's estimate by its name; raises CannotJudge
Read = Callable[[pa.Table], tuple[int, Values]]         # how many rows of a window can be judged, and what of them


def folds(rows: int) -> list[Ints]:
    """Cut rows that stand in the order of time into stretches: rows next to each other are alike."""
    return np.array_split(np.arange(rows), FOLDS)
