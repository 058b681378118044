"""Does driftd pay end to end? Its own checks on the rows of streams, with labels as late as they come.

Each stream's rows are served week by week by the model in service. driftd checks the log at the end of each week,
with its own rehearsals, labels as they have arrived, and the reference of the version in service. When its pipeline is
called, the model that a retrain brings serves from the next week on, with a reference of its own; where driftd may go
back, an earlier one serves again, with the reference it had. Two sets of streams: the seeded ones (`synthetic.py`), and
the shared real ones with models that are really fitted (`real_streams.py`). Without --slow two seeded ones are played.
Net and lead are those of `closed_loop.py`, where the same rule is played on known scores.
"""

import json
import logging
import tempfile
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path
from typing import Protocol

import click
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks import product, real_streams
from benchmarks.leave_one_out import Judged, difference, mean, of_moves
from benchmarks.real_streams import Real
from benchmarks.rows import Asked, Row
from benchmarks.rules import Moves
from benchmarks.streams import Stream
from benchmarks.synthetic import COLUMNS, MEMORY, REFERENCE, ROWS, SHAPES, WINDOWS, rows, synthetic
from monitor.check.checker import Checker
from monitor.config import Loaded, load
from monitor.expose import logs
from monitor.retrain.outbox import Outbox
from monitor.store import Store
from monitor.workers.pool import Workers

START, WEEK = datetime(2024, 1, 1, tzinfo=UTC), timedelta(weeks=1)     # a Monday: windows begin on one
MOMENT, CONFIG_FILE = pa.timestamp("us", "UTC"), "driftd.toml"
PRICES = (1.0, 2.0, 3.0)
FEW = ("slow", "heals")      # shapes that are played without --slow
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
{versions}
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
VERSIONS = """
[models.m.versions]
predictions = "earlier/{version}/*.parquet"
"""


class Served(Protocol):
    """A stream whose rows are served by one model after another; weeks count from the start of service, a Monday.

    A model is told by its row of the scores: that of row t + 1 is fitted at the end of week t, row 0 is shipped.
    """

    start: datetime
    weeks: int
    settings: Mapping[str, object]      # of CONFIG: task, metric, delay in days, max_rows

    def refer(self, path: Path, row: int) -> None:
        """Write the reference of that model."""

    def write(self, path: Path, week: int, row: int) -> None:
        """Write the rows of a week, with the predictions of that model."""


@dataclass(frozen=True)
class Rule:
    """The challenger's kind, whether driftd may go back, and the same rule on known scores."""

    challenger: str = "auto"
    back: bool = False

    def lookup(self, stream: Stream, price: float) -> Moves:
        return product.going_back(stream, price) if self.back else product.moves(product.schedule(stream, price))

    def __str__(self) -> str:
        return f"driftd, {self.challenger} as challenger{', and going back' if self.back else ''}"


AUTO, BACK, OTHER_KIND = Rule(), Rule(back=True), Rule("gradient_boosting")


def end_to_end(asked: Asked) -> list[Row]:
    """What driftd nets when it plays itself, beside the same rule on known scores."""
    logs.configure("text", logging.WARNING)
    made = {synthetic(shape, kind): partial(_Synthetic, shape, kind)
            for shape in (SHAPES if asked.slow else FEW) for kind in (MEMORY if asked.slow else ["newest"])
            if shape != "null"}
    if not asked.slow:
        return _judged("seeded", made, PRICES[1:2], (AUTO, BACK))
    real = [Real(name, kind) for name in real_streams.SETS for kind in real_streams.KINDS]
    fitted = {one.stream: one.again for one in real}
    return [*_judged("seeded", made, PRICES, (AUTO, BACK, OTHER_KIND)),
            *_judged("real", fitted, PRICES[1:2], (AUTO, BACK))]


def _judged(
    which: str, made: Mapping[Stream, Callable[[], Served]], prices: Sequence[float], rules: Sequence[Rule]
) -> list[Row]:
    streams, rows = list(made), []
    with Workers(1, 4096, timedelta(minutes=5), tasks_per_child=10_000) as workers:
        for rule in rules:
            def play(stream: Stream, price: float, rule: Rule = rule) -> Moves:
                told = played(made[stream](), price, rule, workers)
                click.echo(f"{stream.name}, {rule}, price {price:g}: {told}", err=True)
                return told

            lookup = of_moves(rule.lookup, streams, prices)
            rows += [_row(f"{which}: {rule}", of_moves(play, streams, prices), lookup),
                     _row(f"{which}: the same on known scores", lookup, lookup)]
    return rows


def _row(name: str, one: Judged, lookup: Judged) -> Row:
    net, error = mean(one.nets)
    less, spread = difference(lookup, one)
    return Row(what=name, value=net, ratio=net / mean(lookup.nets)[0], also={
        "±": error,
        "less than by lookup": "" if one is lookup else f"{less:+.2f} ± {spread:.2f}",
        "least": f"{min(one.nets.values()):.2f}",
        "lead": f"{mean(one.leads)[0]:+.2f}",
        "least lead": f"{min(one.leads.values()):+.2f}",
        "moves": one.count,
    })


def played(served: Served, price: float, rule: Rule, workers: Workers) -> Moves:
    """The weeks at whose end driftd asked for another model, each with that model's row."""
    moves: list[tuple[int, int]] = []
    now, rows = served.start, [0]       # the models that served, the one in service last
    with tempfile.TemporaryDirectory() as name, Store.open(Path(name) / "state") as store:
        folder = Path(name)
        file = folder / CONFIG_FILE

        def deploy(row: int) -> Loaded:
            served.refer(_made(folder / f"reference/{row}.parquet"), row)
            file.write_text(CONFIG.format(
                version=row, since=served.start, price=price, challenger=rule.challenger,
                versions=VERSIONS if rule.back else "", **served.settings
            ), encoding="utf-8")
            return load(file)

        loaded = deploy(0)
        checker = Checker(loaded, store, workers, lambda: now)
        outbox = Outbox.of(loaded.config, store, lambda: now)
        for week in range(served.weeks):
            served.write(_made(folder / f"log/{week:03}.parquet"), week, rows[-1])
            for row in set(rows) if rule.back else ():
                served.write(_made(folder / f"earlier/{row}/{week:03}.parquet"), week, row)
            now = served.start + (week + 1) * WEEK
            outbox.follow()
            checker.check("m")
            for request in outbox.send_due():
                asked = json.loads(request.body)["data"]
                rows.append(week + 1 if asked["action"] == "retrain" else int(asked["version"]))
                moves.append((week, rows[-1]))
                checker.reload(deploy(rows[-1]))
    return tuple(moves)


def _made(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    return path


class _Synthetic:
    """The rows of a seeded stream. References are the newest labelled weeks."""

    start, weeks = START, WINDOWS

    def __init__(self, shape: str, kind: str) -> None:
        self.rows, self._kind = rows(shape), kind
        self.settings: Mapping[str, object] = {
            "task": "regression", "metric": "rmse", "delay": 7 * self.rows.delay, "max_rows": MEMORY[kind] * ROWS,
        }

    def refer(self, path: Path, row: int) -> None:
        labelled = self.rows.end(row) - REFERENCE
        self._write(path, range(labelled - REFERENCE, labelled), row)

    def write(self, path: Path, week: int, row: int) -> None:
        self._write(path, range(week, week + 1), row)

    def _write(self, path: Path, weeks: range, row: int) -> None:
        x = np.concatenate([self.rows.x[week + REFERENCE] for week in weeks])
        y = np.concatenate([self.rows.y[week + REFERENCE] for week in weeks])
        model = self.rows.fitted(row, self._kind)
        moments = [START + week * WEEK + at * WEEK / ROWS for week in weeks for at in range(ROWS)]
        known = [moment + self.rows.delay * WEEK for moment in moments]
        pq.write_table(pa.table({
            "timestamp": pa.array(moments, MOMENT), "prediction": x @ model, "label": y,
            "label_timestamp": pa.array(known, MOMENT), **{f"x{at}": x[:, at] for at in range(COLUMNS)},
            "prediction_id": [f"{weeks[0]}-{at}" for at in range(len(y))],
        }), path)
