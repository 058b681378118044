"""Does driftd pay end to end? Its own checks on the rows of streams, with labels as late as they come.

Each stream's rows are served week by week by the model in service. driftd checks the log at the end of each week,
with its own rehearsals, labels as they have arrived, and the reference of the version in service. When its pipeline is
called, the model that a retrain brings serves from the next week on, with a reference of its own. Two sets of streams:
the seeded ones (`synthetic.py`), and the shared real ones with models that are really fitted (`real_streams.py`). Net
and lead are those of `closed_loop.py`, where the same rule is played on known scores.
"""

import tempfile
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import product, real_streams
from benchmarks.leave_one_out import Judged, difference, mean, of_schedules
from benchmarks.real_streams import Real
from benchmarks.rows import Asked, Row
from benchmarks.streams import Stream
from benchmarks.synthetic import COLUMNS, MEMORY, REFERENCE, ROWS, SHAPES, WINDOWS, rows, synthetic
from monitor.check.checker import Checker
from monitor.config import Loaded, load
from monitor.retrain.outbox import Outbox
from monitor.store import Store
from monitor.workers.pool import Workers

START, WEEK = datetime(2024, 1, 1, tzinfo=UTC), timedelta(weeks=1)     # a Monday: windows begin on one
MOMENT, CONFIG_FILE = pa.timestamp("us", "UTC"), "driftd.toml"
PRICES = (1.0, 2.0, 3.0)
CONFIG = """
[models.m]
mode = "act"
task = "{task}"
metric = "{metric}"
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


class Served(Protocol):
    """A stream whose rows are served by one model after another; weeks count from the start of service, a Monday."""

    start: datetime
    weeks: int
    settings: Mapping[str, object]      # of CONFIG: task, metric, delay in days, max_rows

    def deploy(self, path: Path, row: int) -> None:
        """Put the model into service that a retrain brings then, row 0 the shipped one; write its reference."""

    def write(self, path: Path, week: int) -> None:
        """Write the rows of a week, with the predictions of the model in service."""


def end_to_end(asked: Asked) -> list[Row]:
    """What driftd nets when it plays itself, beside the same rule on known scores."""
    made = {synthetic(shape, kind): partial(_Synthetic, shape, kind)
            for shape in SHAPES for kind in MEMORY if shape != "null"}
    found = _judged("seeded", made, PRICES if asked.slow else PRICES[1:2], ("auto", "gradient_boosting"))
    if not asked.slow:
        return found
    real = [Real(name, kind) for name in real_streams.SETS for kind in real_streams.KINDS]
    fitted = {one.stream: one.again for one in real}
    return [*found, *_judged("real", fitted, PRICES[1:2], ("auto",))]


def _judged(
    which: str, made: Mapping[Stream, Callable[[], Served]], prices: Sequence[float], challengers: Sequence[str]
) -> list[Row]:
    lookup = of_schedules(product.schedule, list(made), prices)
    found = {f"{which}: the same rule on known scores": lookup}
    with Workers(1, 4096, timedelta(minutes=5), tasks_per_child=10_000) as workers:
        for challenger in challengers:
            def play(stream: Stream, price: float, challenger: str = challenger) -> list[int]:
                told = played(made[stream](), price, challenger, workers)
                click.echo(f"{stream.name}, {challenger}, price {price:g}: {told}", err=True)
                return told

            found[f"{which}: driftd, {challenger} as challenger"] = of_schedules(play, list(made), prices)
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


def played(served: Served, price: float, challenger: str, workers: Workers) -> list[int]:
    """The windows at whose end driftd asked for a retrain."""
    schedule: list[int] = []
    now = served.start
    with tempfile.TemporaryDirectory() as name, Store.open(Path(name) / "state") as store:
        folder = Path(name)
        file = folder / CONFIG_FILE

        def deploy(row: int) -> Loaded:
            served.deploy(_made(folder / f"reference/{row}.parquet"), row)
            file.write_text(CONFIG.format(
                version=row, since=served.start, price=price, challenger=challenger, **served.settings
            ), encoding="utf-8")
            return load(file)

        loaded = deploy(0)
        checker = Checker(loaded, store, workers, lambda: now)
        outbox = Outbox.of(loaded.config, store, lambda: now)
        for week in range(served.weeks):
            served.write(_made(folder / f"log/{week:03}.parquet"), week)
            now = served.start + (week + 1) * WEEK
            outbox.follow()
            checker.check("m")
            if outbox.send_due():
                schedule.append(week)
                checker.reload(deploy(week + 1))
    return schedule


def _made(path: Path) -> Path:
    path.parent.mkdir(exist_ok=True)
    return path


class _Synthetic:
    """The rows of a seeded stream, and the model that serves them now. References are the newest labelled weeks."""

    start, weeks = START, WINDOWS

    def __init__(self, shape: str, kind: str) -> None:
        self.rows, self._kind = rows(shape), kind
        self._model = self.rows.fitted(0, kind)
        self.settings: Mapping[str, object] = {
            "task": "regression", "metric": "rmse", "delay": 7 * self.rows.delay, "max_rows": MEMORY[kind] * ROWS,
        }

    def deploy(self, path: Path, row: int) -> None:
        self._model = self.rows.fitted(row, self._kind)
        labelled = self.rows.end(row) - REFERENCE
        self._write(path, range(labelled - REFERENCE, labelled))

    def write(self, path: Path, week: int) -> None:
        self._write(path, range(week, week + 1))

    def _write(self, path: Path, weeks: range) -> None:
        x = np.concatenate([self.rows.x[week + REFERENCE] for week in weeks])
        y = np.concatenate([self.rows.y[week + REFERENCE] for week in weeks])
        moments = [START + week * WEEK + row * WEEK / ROWS for week in weeks for row in range(ROWS)]
        known = [moment + self.rows.delay * WEEK for moment in moments]
        pq.write_table(pa.table({
            "timestamp": pa.array(moments, MOMENT), "prediction": x @ self._model, "label": y,
            "label_timestamp": pa.array(known, MOMENT), **{f"x{at}": x[:, at] for at in range(COLUMNS)},
        }), path)
