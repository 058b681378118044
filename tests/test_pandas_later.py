"""Arrow without pandas in workers, until something needs it; in a process of its own, because Arrow looks once."""

import subprocess
import sys

READING = """
import sys
from monitor import pandas_later
pandas_later.postpone()
from datetime import UTC, datetime
import numpy as np
import pyarrow as pa
from monitor.sources.column_types import tidy
from monitor.tables import columns
table = tidy(pa.table({"x": [1.5, 2.5, None], "word": ["a", "b", "a"], "at": [datetime(2026, 1, 1, tzinfo=UTC)] * 3}))
assert columns.present(table["x"]).tolist() == [1.5, 2.5]
assert columns.counts(table["word"]) == {"a": 2, "b": 1}
assert pa.array(np.arange(3)).to_pylist() == [0, 1, 2]
assert "pandas" not in sys.modules
"""
NANOSECONDS = """
times = pa.chunked_array([pa.array([1_000_000_001], pa.int64()).cast(pa.timestamp("ns"))])
assert columns.categories(tidy(pa.table({"at": times}))["at"]) == ["1970-01-01 00:00:01.000000001"]
"""
FRAMES = """
import pandas as pd
pandas_later.use()
assert pa.array(pd.Series([1.0, float("nan")])).null_count == 1
assert pa.table({"x": [1]}).to_pandas().equals(pd.DataFrame({"x": [1]}))
"""


def test_reading_and_counting_load_no_pandas_and_later_needs_are_met() -> None:
    """Numbers, words and times are read without pandas; then times in nanoseconds keep their digits, frames work."""
    for later in (NANOSECONDS, FRAMES):
        done = subprocess.run([sys.executable, "-c", READING + later], capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
