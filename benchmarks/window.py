"""One window of 100,000 rows and 50 columns, four of five numeric, beside a reference of the same size."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from benchmarks.rows import Row, Run, cpu_seconds, rows
from monitor.config.model import ColumnDrift, DriftSection, QualitySection
from monitor.config.roles import FeatureKind, Roles
from monitor.measure import drift_scores, quality_scores

ROWS, COLUMNS, STRINGS = 100_000, 50, 10
MIN_ROWS = 100
AS_OF = datetime(2026, 1, 8, tzinfo=UTC)
# What Evidently itself calls the tests; a pair is for numbers and for strings.
TESTS = {"auto": ("wasserstein", "jensenshannon"), "psi": ("psi", "psi"), "ks + chisquare": ("ks", "chisquare")}


@dataclass(frozen=True, slots=True, kw_only=True)
class Made:
    """The two tables, the file the window was read from, and the part of each column."""

    file: Path
    reference: pa.Table
    window: pa.Table
    roles: Roles


def check(runs: int, slow: bool) -> list[Row]:
    """Processor seconds of each part of a check, and of Evidently doing the same, beside reading the window once."""
    with made() as data:
        return rows(cpu_seconds(_ours(data) | _evidently(data) | (_preset(data) if slow else {}), runs))


@contextmanager
def made() -> Iterator[Made]:
    """Write and read the data; the file is gone afterwards."""
    chance = np.random.default_rng(7)
    with TemporaryDirectory() as folder:
        file = Path(folder) / "window.parquet"
        pq.write_table(_table(chance, shift=0.1), file)
        roles = Roles(timestamp="timestamp", id=None, prediction="prediction", probability=None, label=None,
                      label_timestamp=None, model_version=None, features=_kinds())
        yield Made(file=file, reference=_table(chance, shift=0.0), window=pq.read_table(file), roles=roles)


def _kinds() -> dict[str, FeatureKind]:
    numbers = COLUMNS - STRINGS
    kinds: dict[str, FeatureKind] = {f"number_{index}": "numerical" for index in range(numbers)}
    return kinds | {f"word_{index}": "categorical" for index in range(STRINGS)}


def _table(chance: np.random.Generator, shift: float) -> pa.Table:
    words = np.array([f"category {index}" for index in range(30)])
    shares = np.exp(-np.arange(30) / (8 + 10 * shift))
    held = {
        name: pa.array(chance.normal(shift, 1, ROWS)) if kind == "numerical"
        else pa.array(chance.choice(words, ROWS, p=shares / shares.sum()))
        for name, kind in _kinds().items()
    }
    times = pa.array([AS_OF - timedelta(seconds=6 * row + 1) for row in range(ROWS)], pa.timestamp("us", "UTC"))
    return pa.table({"timestamp": times, "prediction": pa.array(chance.normal(0, 1, ROWS)), **held})


def _ours(data: Made) -> dict[str, Run]:
    chisquare = {name: ColumnDrift(method="chisquare") for name, kind in _kinds().items() if kind == "categorical"}
    sections = {
        "auto": DriftSection(),
        "psi": DriftSection(method="psi"),
        "ks + chisquare": DriftSection(method="ks", columns=chisquare),
    }

    def drift(section: DriftSection) -> Run:
        return lambda: drift_scores(data.reference, data.window, data.roles, section, MIN_ROWS, "regression")

    def quality() -> object:
        return quality_scores(
            data.reference, data.window, data.roles, QualitySection(), AS_OF, timedelta(0), AS_OF
        )

    reading: dict[str, Run] = {"reading the columns with Arrow": lambda: pq.read_table(data.file)}
    return reading | {f"drift, {name}": drift(section) for name, section in sections.items()} | {"quality": quality}


def _evidently(data: Made) -> dict[str, Run]:
    """Its stat tests called directly on pandas columns: the quickest way there is to have its numbers."""
    return {f"Evidently's tests, {name}": _tests(data, *pair) for name, pair in TESTS.items()}


def _tests(data: Made, numbers: str, words: str) -> Run:
    from evidently.legacy.calculations.stattests.registry import get_registered_stattest
    from evidently.legacy.core import ColumnType

    before, now = (table.to_pandas() for table in (data.reference, data.window))
    types = {"numerical": (numbers, ColumnType.Numerical), "categorical": (words, ColumnType.Categorical)}
    tests = {name: (get_registered_stattest(*types[kind]), types[kind][1]) for name, kind in _kinds().items()}
    return lambda: [test(before[name], now[name], kind, None) for name, (test, kind) in tests.items()]


def _preset(data: Made) -> dict[str, Run]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    kinds = _kinds()
    definition = DataDefinition(
        numerical_columns=[name for name, kind in kinds.items() if kind == "numerical"],
        categorical_columns=[name for name, kind in kinds.items() if kind == "categorical"],
    )
    before, now = (
        Dataset.from_pandas(table.select(list(kinds)).to_pandas(), data_definition=definition)
        for table in (data.reference, data.window)
    )
    return {"Evidently's DataDriftPreset": lambda: Report([DataDriftPreset()]).run(now, before)}
