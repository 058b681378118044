"""Do the built-in triggers notice a dead model, and are they quiet otherwise? Real logs, each configured by `init`.

A log is harmed from some window on; each window before which nothing fires is tried as the first. *Noticed*: a trigger
fires at the second mature window. *False alarms*: how often a trigger begins to fire on the log as it is.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.rows import Absent, Asked, Row
from monitor.check.requests import ObserveRequest
from monitor.check.window_parts import PARTS, WindowData
from monitor.cli.init import write
from monitor.cli.terminal import progress
from monitor.config import ModelSection, load
from monitor.config.sections import BUILT_IN_TRIGGERS
from monitor.decide.triggers import ballot, fires
from monitor.records import Score
from monitor.reference.reference_data import load_reference
from monitor.sources.log import Log
from monitor.sources.windows import closed_windows

DATA = (Path(__file__).resolve().parents[1] / "../shared/data").resolve()
SETS = ("elec2", "flights_nyc13", "bike_sharing", "car_loan")
HARMS = ("shuffled labels", "inverted", "constant", "labels stop")
UNTIL = {"car_loan": 21}        # windows before the drift that its authors put into it
NEEDED = ("quality", "prediction_collapse", "performance")     # what built-in triggers look at
END = datetime(2030, 1, 1, tzinfo=UTC)                          # every label is known, or overdue
YEAR = 52                       # windows


def noticed(asked: Asked) -> list[Row]:
    """Of each set and harm the share of first windows after which it is noticed. Raises Absent without the data."""
    if not DATA.is_dir():
        raise Absent("the real data of ../shared/data are not here")
    found = []
    with progress("dead models") as report:
        for at, name in enumerate(SETS):
            with TemporaryDirectory(prefix="driftd-bench-") as folder:
                model = configured(Path(folder), name)
                limit = UNTIL.get(name)
                untouched = list(measured(model, limit))
                for place, harm in enumerate(HARMS):
                    report(at * len(HARMS) + place, len(SETS) * len(HARMS))
                    put(Path(folder), name, harm)
                    found.append(_row(name, harm, untouched, list(measured(model, limit))))
    return found


def _row(name: str, harm: str, untouched: list[list[Score]], harmed: list[list[Score]]) -> Row:
    alarms = [any(one) for one in zip(*firing(untouched).values(), strict=True)]
    onsets = [at for at in range(len(untouched) - 1) if not (at and alarms[at - 1])]
    seen = sum(fires_at_end([*untouched[:at], *harmed[at : at + 2]]) for at in onsets)
    begun = sum(now and not before for one in firing(untouched).values() for before, now in pairwise([False, *one]))
    also: dict[str, float | str] = {
        "windows": float(len(untouched)), "beginnings tried": float(len(onsets)), "false alarms": float(begun),
    }
    return Row(what=f"{name}, {harm}", value=seen / len(onsets), ratio=begun * YEAR / len(untouched), also=also,
               goal="1; ≤ 1")


def fires_at_end(windows: Sequence[list[Score]]) -> bool:
    """Whether a trigger fires at the last of these windows."""
    return any(one[-1] for one in firing(windows).values())


def configured(folder: Path, name: str) -> ModelSection:
    """Write a log and the configuration that `driftd init` makes of it; return its model, with absolute paths."""
    put(folder, name, None)
    places = {"predictions": str(folder / "log.parquet"), "labels": None,
              "reference": str(DATA / name / "reference.parquet")}
    write(folder / "driftd.toml", "m", places, {"task": None})
    return load(folder / "driftd.toml").config.models["m"]


def put(folder: Path, name: str, harm: str | None) -> None:
    """Write the log of a set, harmed."""
    log = pq.read_table(DATA / name / "production.parquet")
    pq.write_table(log if harm is None else change(log, harm), folder / "log.parquet")


def change(table: pa.Table, harm: str) -> pa.Table:
    """Harm every row of a log."""
    generator = np.random.default_rng(0)
    if harm == "shuffled labels":
        return _with(table, "label", table["label"].take(pa.array(generator.permutation(len(table)))))
    if harm == "labels stop":
        return _with(table, "label", pa.nulls(len(table), table["label"].type))
    if harm == "inverted":
        name = "prediction_proba" if "prediction_proba" in table.column_names else "prediction"
        top = 1.0 if name == "prediction_proba" else pc.max(table[name]).as_py()
        return _with(table, name, pc.subtract(top, table[name].cast(pa.float64())))
    for name in {"prediction", "prediction_proba"} & set(table.column_names):
        table = _with(table, name, pa.repeat(table[name][0], len(table)))
    return table


def _with(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def measured(model: ModelSection, count: int | None = None) -> Iterator[list[Score]]:
    """The Scores of the first `count` windows of the log that built-in triggers look at."""
    reference = load_reference(model, END, None, None)
    log = Log(model, reference.roles, END)
    first, newest = log.first(), log.newest()
    assert first is not None
    assert newest is not None
    windows = [window for window in closed_windows(
        model.window, model.timezone, model.name, after=None, first=first, until=newest + model.window.lateness
    ) if window.start >= first]
    for window in windows[:count]:
        request = ObserveRequest(
            model=model, as_of=END, window=window, revision=1, mature=True, first_rows=None, corrected=False,
            earlier=None, newest=newest, config_hash="",
        )
        data = WindowData(request, reference, log, log.window(window))
        yield [score for part in PARTS if part.name in NEEDED and part.applies(data) for score in part.scores(data)]


def firing(windows: Sequence[list[Score]]) -> dict[str, list[bool]]:
    """At which windows each built-in trigger fires."""
    votes = {trigger.name: (trigger.windows, ballot(trigger, windows)) for trigger in BUILT_IN_TRIGGERS}
    return {name: fires(persistence, cast.votes, cast.clearing) for name, (persistence, cast) in votes.items()}
