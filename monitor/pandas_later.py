"""Arrow without pandas until something needs it.

Where pandas is installed, Arrow imports it with the first value that Python hands over or gets, which takes a worker
0.15 s and 30 MB. Evidently's methods need it, and so do times in nanoseconds: only pandas has a type for them.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any


class _Refusal(MetaPathFinder):
    """Says of pandas alone that it is not installed."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:
        if fullname == "pandas":
            raise ImportError("postponed")


def postpone() -> None:
    """Have Arrow do without pandas, as where it is not installed. No effect once pandas is imported."""
    if "pandas" in sys.modules:
        return
    import pyarrow as pa

    refusal = _Refusal()
    sys.meta_path.insert(0, refusal)
    try:
        pa.scalar(0)                     # Arrow tries once, and keeps what it finds …
    finally:
        sys.meta_path.remove(refusal)


def use() -> None:
    """Have Arrow use pandas from now on."""
    import pyarrow as pa

    pa.nulls(0).to_pandas()              # … until it is asked for what takes pandas
