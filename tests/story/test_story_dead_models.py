"""Models that die on real data: the built-in triggers say so within two mature windows, and are quiet otherwise."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
import pytest

from monitor.check.requests import ObserveRequest
from monitor.check.window_parts import PARTS, WindowData
from monitor.config import ModelSection
from monitor.config.sections import BUILT_IN_TRIGGERS
from monitor.decide.triggers import ballot, fires
from monitor.records import Score, Window
from monitor.reference.reference_data import load_reference
from monitor.sources.log import Log

DATA = Path(__file__).resolve().parents[2] / "../shared/data"
SETS = ("elec2", "flights_nyc13", "bike_sharing", "car_loan")
WEEK = timedelta(days=7)
NEEDED = ("quality", "prediction_collapse", "performance")
END = datetime(2030, 1, 1, tzinfo=UTC)      # every label is known and overdue


def change(table: pa.Table, harm: str) -> pa.Table:
    """Harm every row of a log."""
    generator = np.random.default_rng(0)
    if harm == "shuffled labels":
        return put(table, "label", table["label"].take(pa.array(generator.permutation(len(table)))))
    if harm == "labels stop":
        return put(table, "label", pa.nulls(len(table), table["label"].type))
    if harm == "inverted":
        name = "prediction_proba" if "prediction_proba" in table.column_names else "prediction"
        top = 1.0 if name == "prediction_proba" else pc.max(table[name]).as_py()
        return put(table, name, pc.subtract(top, table[name].cast(pa.float64())))
    if harm == "constant":
        for name in {"prediction", "prediction_proba"} & set(table.column_names):
            first = table[name][0]
            table = put(table, name, pa.repeat(first, len(table)))
    return table


def put(table: pa.Table, name: str, values: Any) -> pa.Table:
    return table.set_column(table.column_names.index(name), name, values)


def model_of(folder: Path) -> ModelSection:
    return ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(folder / "log.parquet")},
        "reference": {"source": {"path": str(folder / "reference.parquet")}}, "triggers": (),
    })


def measured(folder: Path, weeks: int | None = None) -> Iterator[list[Score]]:
    """The Scores of each week of the log that the built-in triggers look at."""
    model = model_of(folder)
    reference = load_reference(model, END, None, None)
    log = Log(model, reference.roles, END)
    start = log.first()
    newest = log.newest()
    assert start is not None
    assert newest is not None
    begin = datetime(start.year, start.month, start.day, tzinfo=UTC) + timedelta(days=(7 - start.weekday()) % 7)
    while begin + WEEK <= newest and weeks != 0:
        window = Window(model="m", start=begin, end=begin + WEEK, spec="")
        request = ObserveRequest(
            model=model, as_of=END, window=window, revision=1, mature=True, first_rows=None, corrected=False,
            earlier=None, newest=newest, config_hash="",
        )
        data = WindowData(request, reference, log, log.window(window))
        yield [score for part in PARTS if part.name in NEEDED and part.applies(data) for score in part.scores(data)]
        begin, weeks = begin + WEEK, None if weeks is None else weeks - 1


def firing(windows: list[list[Score]]) -> dict[str, list[bool]]:
    """At which windows each built-in trigger fires."""
    votes = {trigger.name: (trigger.windows, ballot(trigger, windows)) for trigger in BUILT_IN_TRIGGERS}
    return {name: fires(persistence, cast.votes, cast.clearing) for name, (persistence, cast) in votes.items()}


def prepared(folder: Path, name: str, harm: str | None) -> Path:
    if not (DATA / name).is_dir():
        pytest.skip(f"the shared data set {name} is not on this machine")
    log = pq.read_table(DATA / name / "production.parquet")
    pq.write_table(log if harm is None else change(log, harm), folder / "log.parquet")
    (folder / "reference.parquet").symlink_to((DATA / name / "reference.parquet").resolve())
    return folder


@pytest.mark.parametrize("harm", ["shuffled labels", "inverted", "constant", "labels stop"])
@pytest.mark.parametrize("name", SETS)
def test_a_dead_model_is_noticed_within_two_mature_windows(tmp_path: Path, name: str, harm: str) -> None:
    """Whatever kills the model, a built-in trigger fires at the second mature window at the latest."""
    found = firing(list(measured(prepared(tmp_path, name, harm), weeks=2)))
    assert any(one[1] for one in found.values()), (found, json.dumps(harm))


@pytest.mark.parametrize(
    ("name", "weeks"), [("elec2", None), ("flights_nyc13", 20), ("bike_sharing", None), ("car_loan", 21)]
)
def test_untouched_logs_are_quiet(tmp_path: Path, name: str, weeks: int | None) -> None:
    """In 52 windows of an untouched log built-in triggers begin once at most; car_loan drifts from week 21 on."""
    found = firing(list(measured(prepared(tmp_path, name, None), weeks)))
    count = len(found["labels-lost"])
    begun = sum(now and not before for one in found.values() for before, now in pairwise([False, *one]))
    assert begun <= max(1, count // 52), found
