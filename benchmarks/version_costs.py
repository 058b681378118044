"""What a check costs where versions that served before are compared, beside the same check without them.

Ten weeks of the flights of 2013. Three versions have served before; what each predicts lies beside the log. The whole
command `driftd check`, with its rehearsal, measures the tenth week, from the same state each time; pairs take turns.
"""

import logging
import shutil
import statistics
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from benchmarks.commands import cost_of, last_monday
from benchmarks.dead_models import DATA
from benchmarks.processes import DRIFTD
from benchmarks.rows import Absent, Asked, Row
from monitor.check.checker import Checker
from monitor.config import Loaded, load
from monitor.expose import logs
from monitor.store import Store
from monitor.workers.pool import Workers

EARLIER, WEEKS = 3, 10
WEEK = timedelta(weeks=1)
CONFIG = """
[models.m]
version = "{version}"
predictions = "log.parquet"
reference = "reference.parquet"
window = {{ size = "7d" }}
"""
VERSIONS = """
[models.m.versions]
predictions = "earlier/{version}.parquet"
"""


def check(asked: Asked) -> list[Row]:
    """Processor seconds of the check, with and without versions. Raises Absent without the data."""
    if not DATA.is_dir():
        raise Absent("the real data of ../shared/data are not here")
    logs.configure("text", logging.ERROR)
    with TemporaryDirectory(prefix="driftd-bench-") as name:
        folder = Path(name)
        _write(folder)
        _serve(folder)
        shutil.copytree(folder / "state", folder / "before")
        taken: dict[bool, list[float]] = {False: [], True: []}
        for _ in range(asked.runs):
            for with_versions in taken:
                shutil.rmtree(folder / "state")
                shutil.copytree(folder / "before", folder / "state")
                _set(folder, EARLIER, with_versions=with_versions)
                taken[with_versions].append(cost_of(folder, _command(folder)).seconds)
    without, beside = (statistics.median(taken[which]) for which in (False, True))
    return [Row(what="without earlier versions", value=without, ratio=1.0),
            Row(what=f"{EARLIER} earlier versions compared", value=beside, ratio=beside / without, goal="≤ 2")]


def _write(folder: Path) -> None:
    """The rows of ten weeks that have just ended, and what earlier versions predict: as the shipped one, but off."""
    flights = DATA / "flights_nyc13"
    reference, rows = (pq.read_table(flights / f"{part}.parquet") for part in ("reference", "production"))
    first = pc.min(rows["timestamp"]).as_py()
    monday = first.replace(hour=0, minute=0, second=0) - timedelta(days=first.weekday())
    end = pa.scalar(monday + WEEKS * WEEK, rows["timestamp"].type)
    rows = rows.filter(pc.less(rows["timestamp"], end))
    later = last_monday() + WEEK - WEEKS * WEEK - monday.replace(tzinfo=UTC)
    pq.write_table(_moved(reference, later), folder / "reference.parquet")
    pq.write_table(_moved(rows, later), folder / "log.parquet")
    (folder / "earlier").mkdir()
    for version in range(EARLIER):
        off = np.random.default_rng(version).normal(0, 0.05, len(rows))
        chance = np.clip(rows["prediction_proba"].to_numpy() + off, 0, 1)
        told = {"prediction_proba": chance, "prediction": (chance >= 0.5).astype(np.int64)}
        pq.write_table(pa.table({"prediction_id": rows["prediction_id"], **told}),
                       folder / f"earlier/{version}.parquet")


def _moved(rows: pa.Table, later: timedelta) -> pa.Table:
    for name in ("timestamp", "label_timestamp"):
        moments = pc.add(rows[name].cast(pa.timestamp("us")), pa.scalar(later, pa.duration("us")))
        rows = rows.set_column(rows.column_names.index(name), name, moments)
    return rows


def _serve(folder: Path) -> None:
    """One version after another serves for a week, the last one in the newest, which is not checked yet."""
    end = last_monday() + WEEK
    with Workers(1, 4096, timedelta(minutes=5)) as workers, Store.open(folder / "state") as store:
        for version in range(EARLIER + 1):
            now = end - (EARLIER + 1 - version) * WEEK - timedelta(hours=1)
            Checker(_set(folder, version, with_versions=False), store, workers, _still(now)).check("m")


def _still(now: datetime) -> Callable[[], datetime]:
    """A clock that stands still."""
    return lambda: now


def _set(folder: Path, version: int, *, with_versions: bool) -> Loaded:
    """Put that version into service."""
    file = folder / "driftd.toml"
    file.write_text(CONFIG.format(version=version) + VERSIONS * with_versions, encoding="utf-8")
    return load(file)


def _command(folder: Path) -> list[str]:
    return [*DRIFTD, "check", "-c", str(folder / "driftd.toml")]
