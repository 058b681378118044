"""Does driftd pay end to end? Its own checks on the rows of the seeded streams, with labels as late as they come.

Each stream's rows are served week by week by the model in service. driftd checks the log at the end of each week,
with its own rehearsals on as many rows as the pipeline fits on, labels as they have arrived, and the reference of the
version in service. When its pipeline is called, the model that a retrain brings (`synthetic.py`) serves from the next
week on, with the newest labelled weeks as its reference. Net and lead are those of `closed_loop.py`, where the same
rule is played on known scores.
"""

import tempfile
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import product
from benchmarks.leave_one_out import Judged, difference, mean, of_schedules
from benchmarks.rows import Asked, Row
from benchmarks.streams import Stream
from benchmarks.synthetic import COLUMNS, MEMORY, REFERENCE, ROWS, SHAPES, WINDOWS, Rows, rows, synthetic
from monitor.check.checker import Checker
from monitor.config import load
from monitor.retrain.outbox import Outbox
from monitor.store import Store
from monitor.workers.pool import Workers

START, WEEK = datetime(2024, 1, 1, tzinfo=UTC), timedelta(weeks=1)     # a Monday: windows begin on one
MOMENT, CONFIG_FILE = pa.timestamp("us", "UTC"), "driftd.toml"
PRICES = (1.0, 2.0, 3.0)
CONFIG = """
[models.m]
mode = "act"
task = "regression"
metric = "rmse"
version = "{version}"
since = {since:%Y-%m-%d}
window = {{ size = "7d", min_rows = 20 }}
label_delay = "{delay}d"
predictions = "log/*.parquet"
reference = "reference/{{version}}.parquet"

[models.m.rehearsal]
challenger = "{challenger}"
max_rows = {max_rows}

[[models.m.triggers]]
name = "pays"
metric = "regret"
above = {price}
action = "retrain"

[models.m.retrain]
pipeline = "p"
cooldown = "0s"
budget = "60 per year"
min_labels = 0

[pipelines.p]
kind = "command"
command = ["true"]
"""


def end_to_end(asked: Asked) -> list[Row]:
    """What driftd nets when it plays itself, beside the same rule on known scores."""
    prices = PRICES if asked.slow else PRICES[1:2]
    kinds = {synthetic(shape, kind): (shape, kind) for shape in SHAPES for kind in MEMORY if shape != "null"}
    lookup = of_schedules(product.schedule, list(kinds), prices)
    found = {"the same rule on known scores": lookup}
    with Workers(1, 4096, timedelta(minutes=5), tasks_per_child=10_000) as workers:
        for challenger in ("auto", "gradient_boosting"):
            def play(stream: Stream, price: float, challenger: str = challenger) -> list[int]:
                told = played(*kinds[stream], price, challenger, workers)
                click.echo(f"{stream.name}, {challenger}, price {price:g}: {told}", err=True)
                return told

            found[f"driftd, {challenger} as challenger"] = of_schedules(play, list(kinds), prices)
    return [_row(name, one, lookup) for name, one in found.items()]


def _row(name: str, one: Judged, lookup: Judged) -> Row:
    net, error = mean(one.nets)
    less, spread = difference(lookup, one)
    return Row(what=name, value=net, ratio=net / mean(lookup.nets)[0], also={
        "±": error,
        "less than by lookup": "" if one is lookup else f"{less:+.2f} ± {spread:.2f}",
        "least": f"{min(one.nets.values()):.2f}",
        "lead": f"{mean(one.leads)[0]:+.2f}",
        "least lead": f"{min(one.leads.values()):+.2f}",
        "retrains": one.count,
    })


def played(shape: str, kind: str, price: float, challenger: str, workers: Workers) -> list[int]:
    """The windows at whose end driftd asked for a retrain."""
    served = _Served(rows(shape), kind)
    schedule: list[int] = []
    now, settings = START, {
        "delay": 7 * served.rows.delay, "price": price, "challenger": challenger, "max_rows": MEMORY[kind] * ROWS,
    }
    with tempfile.TemporaryDirectory() as name, Store.open(Path(name) / "state") as store:
        folder = Path(name)
        served.deploy(folder, 0, settings)
        checker = Checker(load(folder / CONFIG_FILE), store, workers, lambda: now)
        outbox = Outbox.of(load(folder / CONFIG_FILE).config, store, lambda: now)
        for week in range(WINDOWS):
            served.write(folder / f"log/{week}.parquet", range(week, week + 1))
            now = START + (week + 1) * WEEK
            outbox.follow()
            checker.check("m")
            if outbox.send_due():
                schedule.append(week)
                served.deploy(folder, week + 1, settings)
                checker.reload(load(folder / CONFIG_FILE))
    return schedule


class _Served:
    """The rows of a stream, and the model that serves them now."""

    def __init__(self, made: Rows, kind: str) -> None:
        self.rows, self._kind, self._model = made, kind, made.fitted(0, kind)

    def deploy(self, folder: Path, row: int, settings: Mapping[str, object]) -> None:
        """Put the model into service that a retrain brings then; its reference: the newest weeks with labels."""
        self._model = self.rows.fitted(row, self._kind)
        labelled = self.rows.end(row) - REFERENCE
        self.write(folder / f"reference/{row}.parquet", range(labelled - REFERENCE, labelled))
        (folder / CONFIG_FILE).write_text(CONFIG.format(version=row, since=START, **settings), encoding="utf-8")

    def write(self, path: Path, weeks: range) -> None:
        """The rows of these weeks, which count from the start of service, with the predictions of the model."""
        x = np.concatenate([self.rows.x[week + REFERENCE] for week in weeks])
        y = np.concatenate([self.rows.y[week + REFERENCE] for week in weeks])
        moments = [START + week * WEEK + row * WEEK / ROWS for week in weeks for row in range(ROWS)]
        known = [moment + self.rows.delay * WEEK for moment in moments]
        path.parent.mkdir(exist_ok=True)
        pq.write_table(pa.table({
            "timestamp": pa.array(moments, MOMENT), "prediction": x @ self._model, "label": y,
            "label_timestamp": pa.array(known, MOMENT), **{f"x{at}": x[:, at] for at in range(COLUMNS)},
        }), path)
