"""The only module that imports Evidently: its remaining stat tests, called directly, without its reports.

The path is Evidently's legacy one, so the version is pinned and a contract test holds it. Its telemetry is
turned off before the import: no event leaves.
"""

import os
from typing import Any

import numpy as np

from monitor.measure.methods import Kind

_SILENT = ("DO_NOT_TRACK", "ITERATIVE_DO_NOT_TRACK")   # read by evidently.telemetry and by its sender


def score(name: str, kind: Kind, reference: Any, window: Any) -> float:
    """Return the number Evidently's stat test `name` gives for two sequences of present values, in row order.

    Raises CannotJudge where that is not finite, otherwise whatever the test raises.
    """
    for variable in _SILENT:
        os.environ[variable] = "1"
    import pandas as pd
    from evidently.legacy.calculations.stattests.registry import get_registered_stattest
    from evidently.legacy.core import ColumnType

    column_type = ColumnType[kind.capitalize()]
    test = get_registered_stattest(name, column_type)
    np.random.seed(0)   # empirical_mmd permutes with NumPy's global generator
    return float(test(pd.Series(reference), pd.Series(window), column_type, None).drift_score)
