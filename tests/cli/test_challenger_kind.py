"""The challenger is of the kind nearest to the model in service, unless the configuration names one."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

WEEK = timedelta(weeks=1)
CONFIG = """
[daemon]
state_dir = "{kind}"
[models.m]
predictions = "log*.parquet"
reference   = "reference.parquet"
window      = "7d"
task        = "regression"
rehearsal   = {{ challenger = "{kind}" }}
estimation  = {{ enabled = false }}
"""


def rows(count: int, start: datetime, seed: int, slope: float = 1.0) -> pa.Table:
    """Labels follow x in a line, which the model in service knows where the slope is 1."""
    chance = np.random.default_rng(seed)
    x = chance.normal(size=(count, 3))
    at = [start + timedelta(minutes=10) * place for place in range(count)]
    return pa.table({
        "timestamp": at, **{f"x{place}": x[:, place] for place in range(3)}, "prediction": x.sum(axis=1),
        "season": [str(1 + place % 4) for place in range(count)],
        "label": slope * x.sum(axis=1) + chance.normal(0, 0.3, count),
    })


def test_the_kind_is_the_one_that_imitates_the_model(driftd: Any, tmp_path: Path) -> None:
    """Beside a linear model a linear challenger stands in, though nobody named it: it is hardly worse than that."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    pq.write_table(rows(1500, monday - 3 * WEEK, 0), tmp_path / "reference.parquet")
    pq.write_table(rows(1008, monday - WEEK, 1), tmp_path / "log.parquet")
    gaps = {}
    for kind in ("auto", "gradient_boosting"):
        (tmp_path / f"{kind}.toml").write_text(CONFIG.format(kind=kind), encoding="utf-8")
        driftd("check", "-c", f"{kind}.toml")
        told = driftd("history", "-c", f"{kind}.toml", "--explain", f"{monday - WEEK:%Y-%m-%d}", "--json").json
        (gaps[kind],) = [score["value"] for score in told["scores"] if score["metric"] == "challenger_gap"]
    assert gaps["auto"] > gaps["gradient_boosting"] + 0.01


def test_the_gap_in_kind_is_that_of_a_challenger_as_old_as_the_model(driftd: Any, tmp_path: Path) -> None:
    """After a break a challenger that saw it gains; one that knows what the model in service may does not."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    monday = today - timedelta(days=today.weekday())
    weeks = [monday - week * WEEK for week in (3, 2, 1)]
    pq.write_table(rows(1500, monday - 5 * WEEK, 0), tmp_path / "reference.parquet")
    for at, start in enumerate(weeks):
        log = rows(1008, start, at, slope=min(1 + at, 2))
        pq.write_table(log, tmp_path / f"log{at}.parquet")
    config = CONFIG.format(kind="linear") + f"since = {weeks[0] - WEEK:%Y-%m-%d}\n"
    (tmp_path / "m.toml").write_text(config, encoding="utf-8")
    driftd("check", "-c", "m.toml")
    told = [driftd("history", "-c", "m.toml", "--explain", f"{start:%Y-%m-%d}", "--json").json for start in weeks]
    gain, gap = ([next((one["value"] for one in found["scores"] if one["metric"] == metric), None) for found in told]
                 for metric in ("challenger_gain", "challenger_gap"))
    assert gain[2] > 0.3
    assert max(map(abs, gap)) < 0.1
