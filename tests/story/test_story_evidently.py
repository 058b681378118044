"""A metric of Evidently's reports, measured and judged by a trigger as a TOML file says."""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa

from monitor.config import load

EVIL = "</script><script>alert(1)</script>"


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


def test_evidently_draws_a_window_without_private_columns(world: Any, made: Any) -> None:
    """One HTML file of drift and performance that loads nothing; what is private, empty or hostile does it no harm."""
    def table(first: float, days: float, shift: float) -> pa.Table:
        rows = made.rows(first, days, shift=shift, label_after=timedelta(hours=1))
        count = len(rows)
        more = {"word": [EVIL, "b"] * (count // 2), "secret": [8.25] * count, EVIL: [0.5] * count,
                "empty": pa.nulls(count, pa.float64()), "few": pa.array([1, 2] * (count // 2), pa.int8())}
        for name, values in more.items():
            rows = rows.append_column(name, pa.array(values) if isinstance(values, list) else values)
        return rows

    world.write("reference.parquet", table(-20, 20, 0.0))
    world.write("log.parquet", table(0, 2, 1.0))
    world.model(task="regression", columns={"private": ["secret"], "categorical": ["word", "few"]})
    world.check(1.1)
    page = world.checker(1.1).evidently_page(world.snapshots()[0].window)
    assert all(name in page for name in ("word", "few", "R2 Score (current)"))
    assert "secret" not in page
    assert "<script>alert(1)" not in page
    assert r"\u2039script\u203aalert(1)" in page
    assert not re.findall(r"<(?:script|link|img)[^>]+(?:src|href)=.?http", page)
