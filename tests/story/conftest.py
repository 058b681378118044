"""A small world: real files, a real store, a clock that is set by hand, and tasks run in this process."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.check.checker import Checker
from monitor.config import Config, Loaded, ModelSection
from monitor.records import Snapshot, Verdict, from_json, to_json
from monitor.store import Store
from monitor.workers.child import perform
from monitor.workers.task import Req, Res, Task

START = datetime(2024, 1, 1, tzinfo=UTC)          # a Monday
DAY, HOUR = timedelta(days=1), timedelta(hours=1)
DAILY = {"size": "1d", "min_rows": 5}
MANY = {"name": "many", "metric": "rows", "above": 20}


class Here:
    """The Runner of these tests: the tasks of a worker, in this process, with JSON in and JSON out."""

    def run(self, task: Task[Req, Res], request: Req) -> Res:
        payload = json.loads(json.dumps(to_json(request)))
        return from_json(task.result, json.loads(json.dumps(perform(task.function, payload))))


def rows(
    first: float, days: float, *, label_after: timedelta | None = None, shift: float = 0.0, per_day: int = 24,
    seed: int = 0,
) -> pa.Table:
    """Rows from day `first` on, evenly spread; with labels where it is said how long they take."""
    count = round(days * per_day)
    chance = np.random.default_rng(abs(int(first * 1000)) + seed)
    at = [START + first * DAY + i * DAY / per_day for i in range(count)]
    x = chance.normal(shift, 1.0, count)
    table = pa.table({
        "timestamp": pa.array(at, pa.timestamp("us", "UTC")),
        "id": [f"{seed}-{moment:%Y%m%d%H%M%S}" for moment in at],
        "x": x,
        "prediction": 2 * x,
    })
    if label_after is None:
        return table
    known = pa.array([moment + label_after for moment in at], pa.timestamp("us", "UTC"))
    return table.append_column("label", pa.array(2 * x + chance.normal(0, 1.0, count))).append_column(
        "label_timestamp", known
    )


def loaded(section: ModelSection) -> Loaded:
    config = Config(models={section.name: section})
    return Loaded(path=Path("driftd.toml"), config=config, hash="c", text="", files=(), origins={}, warnings=())


class World:
    """One model `m`, its files in a folder, and what driftd remembers of it."""

    def __init__(self, folder: Path, store: Store) -> None:
        self.folder, self.store = folder, store
        self.runner: Any = Here()
        self.section = self.model()

    def write(self, name: str, *tables: pa.Table) -> Path:
        path = self.folder / name
        pq.write_table(pa.concat_tables(tables), path)
        return path

    def model(self, *triggers: dict[str, Any], **given: Any) -> ModelSection:
        """Set how the model is configured: daily windows against reference.parquet, unless something is given."""
        made = {
            "name": "m", "mode": "act", "predictions": {"path": str(self.folder / "log.parquet")},
            "reference": {"source": {"path": str(self.folder / "reference.parquet")}},
            "window": DAILY, "rehearsal": {"enabled": False}, "triggers": list(triggers), "since": START,
        } | given
        self.section = ModelSection.model_validate(made)
        return self.section

    def with_retrain(self, *triggers: dict[str, Any], **given: Any) -> ModelSection:
        limits = {"pipeline": "p", "cooldown": "0s", "budget": "9 per 1d", "min_labels": 0}
        return self.model(*triggers, **({"retrain": limits} | given))

    def change(self, **given: Any) -> None:
        self.section = self.section.model_copy(update=given)

    def checker(self, day: float) -> Checker:
        return Checker(loaded(self.section), self.store, self.runner, lambda: START + day * DAY)

    def check(self, day: float) -> list[Verdict]:
        """Check as the service would at that moment, `day` days after START."""
        return self.checker(day).check("m")

    def days(self, verdicts: list[Verdict]) -> list[float]:
        """The days at which the windows of these verdicts start."""
        return [(one.window.start - START) / DAY for one in verdicts]

    def snapshots(self) -> list[Snapshot]:
        return self.store.snapshots.newest_revisions("m")

    def said(self) -> list[str]:
        """Kinds of all messages people were to be told, oldest first."""
        return [one.kind for one in self.store.messages.all("m")]


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    with Store.memory() as store:
        made = World(tmp_path, store)
        made.write("reference.parquet", rows(-20, 20))
        yield made


@pytest.fixture(scope="session")
def made() -> SimpleNamespace:
    """The makers above, by name."""
    return SimpleNamespace(START=START, DAY=DAY, HOUR=HOUR, DAILY=DAILY, MANY=MANY, Here=Here, rows=rows, loaded=loaded)
