"""A metric of Evidently's reports, measured and judged by a trigger as a TOML file says."""

from pathlib import Path
from typing import Any

from monitor.config import load


def test_a_trigger_on_a_metric_of_evidently(world: Any, made: Any, tmp_path: Path) -> None:
    """The quantile of a window rises above the trigger's level, and the trigger fires."""
    world.write("log.parquet", made.rows(0, 1), made.rows(1, 1, shift=5))
    path = tmp_path / "driftd.toml"
    path.write_text("""
[models.m]
predictions = "log.parquet"
reference = "reference.parquet"
window = { size = "1d", min_rows = 5 }
since = 2024-01-01
[[models.m.evidently]]
metric = "QuantileValue"
options = { column = "x", quantile = 0.9 }
[[models.m.triggers]]
name = "high"
metric = "QuantileValue"
method = "quantile=0.9"
column = "x"
above = 4
""", encoding="utf-8")
    world.section = load(path).config.models["m"]
    assert ["high" in verdict.fired for verdict in world.check(2.1)] == [False, True]
