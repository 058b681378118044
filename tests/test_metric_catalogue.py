"""The catalogue says of every metric what it is, and everything else takes it from there."""

import ast
import json
import os
import shutil
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from docs.write import METRICS_PAGE, with_catalogue
from monitor.check.window_parts import PARTS
from monitor.config.drift_methods import METHODS
from monitor.config.evidently_metrics import METRICS as EVIDENTLY
from monitor.decide.fairness import KINDS, MADE_OF
from monitor.drift.count_tests import BINNED, COUNTED
from monitor.drift.rank_tests import RANKED
from monitor.estimation import estimators
from monitor.gate import resampled_metrics
from monitor.metric_catalogue import (
    CATALOGUE,
    ESTIMATES,
    FAIRNESS,
    PERFORMANCE,
    RATES,
    Group,
    Task,
    Unit,
    Use,
    estimable,
    names,
    names_for,
    performance_of,
)
from monitor.performance import formulas
from monitor.wording import shown

ROOT = Path(__file__).resolve().parents[1]
TASKS = get_args(Task)
WORDS = ["red", "green", "slow", "fast", "old"]

# What somebody writes who adds a metric: a row of the catalogue, and a part that yields its Score.
ROW = """
    Metric("quiet_share", Group.QUALITY, Unit.SHARE, Better.LOWER, "Share of rows that say nothing.", uses=SHOWN),"""
PART = """
    Part("quiet_share", lambda data: [Score(metric="quiet_share", value=0.75, reference=0.25, n=len(data.rows))]),"""
CONFIG = """
[models.m]
predictions = "log.parquet"
reference = "reference.parquet"
window = { size = "1d", min_rows = 5 }
columns.segments = ["place"]
columns.features = ["x", "place", "note"]
fairness.columns = ["sex"]
triggers = [
    { name = "much", metric = "quiet_share", above = 0.5 },
    { name = "more", metric = "quiet_share", rise = "50%" },
    { name = "less", metric = "quiet_share", below = 0.5 },
]

[models.unlabelled]
predictions = "unlabelled/log.parquet"
reference = "unlabelled/reference.parquet"
window = { size = "1d", min_rows = 5 }
columns.features = ["x"]
"""
SCRAPE = """
from monitor.config import load
from monitor.expose.prometheus import Metrics
from monitor.expose.view import read_view
from monitor.store import Store
from monitor.times import utcnow
from pathlib import Path

metrics = Metrics("1")
with Store.open(Path("state"), exclusive=False) as store:
    metrics.show(read_view(store, load(Path("driftd.toml")).config, utcnow()))
print(metrics.render()[0].decode())
"""


class Copy:
    """A copy of the package with another metric in it, and a model that it watches."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        shutil.copytree(ROOT / "monitor", folder / "monitor", ignore=shutil.ignore_patterns("__pycache__"))
        self._insert("metric_catalogue.py", "\n_QUALITY = (", ROW)
        self._insert("check/window_parts.py", "\nPARTS = (", PART)
        (folder / "driftd.toml").write_text(CONFIG, encoding="utf-8")
        today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
        (folder / "unlabelled").mkdir()
        for name, start, days in (("reference", 40, 30), ("log", 10, 12)):
            table = rows(today - timedelta(days=start), days)
            pq.write_table(table, folder / f"{name}.parquet")
            pq.write_table(table.drop_columns(["label", "label_timestamp"]), folder / "unlabelled" / f"{name}.parquet")

    def _insert(self, file: str, after: str, text: str) -> None:
        path = self.folder / "monitor" / file
        head, found, rest = path.read_text(encoding="utf-8").partition(after)
        assert found, f"monitor/{file} has no {after.strip()} any more"
        path.write_text(head + found + text + rest, encoding="utf-8")

    def run(self, *arguments: str, expected: int = 0) -> str:
        """What a Python that has the copy prints."""
        done = subprocess.run(
            [sys.executable, "-P", *arguments], cwd=self.folder, capture_output=True, text=True,
            env={**os.environ, "PYTHONPATH": str(self.folder), "COLUMNS": "200"},
        )
        assert done.returncode == expected, done.stderr
        return done.stdout

    def driftd(self, *arguments: str, expected: int = 0) -> str:
        return self.run("-m", "monitor", *arguments, "-c", "driftd.toml", expected=expected)


def rows(start: datetime, days: int) -> pa.Table:
    """48 rows a day of a binary model, with a probability, texts, groups of people and labels a day later."""
    chance, count = np.random.default_rng(3), 48 * days
    at = pa.array([start + timedelta(minutes=30 * row) for row in range(count)], pa.timestamp("us", "UTC"))
    probability = chance.uniform(size=count)
    return pa.table({
        "timestamp": at, "id": [f"{start:%j}-{row}" for row in range(count)],
        "x": chance.normal(size=count), "place": chance.choice(["here", "there"], count),
        "sex": chance.choice(["f", "m"], count),
        "note": [" ".join(words) + f" {row}" for row, words in enumerate(chance.choice(WORDS, (count, 4)))],
        "prediction": (probability > 0.5).astype(int), "prediction_proba": probability,
        "label": (chance.uniform(size=count) < probability).astype(int),
        "label_timestamp": pa.array([moment.as_py() + timedelta(days=1) for moment in at], pa.timestamp("us", "UTC")),
    })


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Copy:
    made = Copy(tmp_path_factory.mktemp("copy"))
    made.driftd("check", expected=3)
    return made


@pytest.fixture(scope="module")
def explained(copy: Copy) -> dict[str, Any]:
    """The newest window with all its scores."""
    document: dict[str, Any] = json.loads(copy.driftd("history", "--model", "m", "--explain", "newest", "--json"))
    return document


def test_a_metric_that_is_added_fires_a_trigger(explained: dict[str, Any]) -> None:
    """A configuration may name it, and its value and its reference decide."""
    assert explained["triggers"] == ["much", "more"]
    assert any("quiet_share is 0.75 (limit 0.5, reference 0.25)" in one for one in explained["reasons"])


def test_a_metric_that_is_added_is_explained(copy: Copy) -> None:
    """`history --explain` shows it among the numbers of the window."""
    lines = copy.driftd("history", "--model", "m", "--explain", "newest").splitlines()
    assert ["quiet_share", "0.75", "0.25", "ok"] in [line.split() for line in lines]


def test_a_metric_that_is_added_is_in_the_report(copy: Copy) -> None:
    """The governance report draws it over time, where no more than eight metrics come before it."""
    report = json.loads(copy.driftd("report", "--model", "unlabelled", "--json"))["report"]
    assert [point["value"] for point in report["metrics"]["quiet_share"]] == [0.75]
    assert "quiet_share" in copy.driftd("report", "--model", "unlabelled")


def test_a_metric_that_is_added_is_exported(copy: Copy) -> None:
    """Prometheus sees its value and its reference."""
    series = [line for line in copy.run("-c", SCRAPE).splitlines() if 'metric="quiet_share"' in line]
    labels = '{column="",method="",metric="quiet_share",model="m",segment=""}'
    assert f"driftd_score{labels} 0.75" in series
    assert f"driftd_score_reference{labels} 0.25" in series


def test_a_metric_that_is_added_may_be_wrong(copy: Copy) -> None:
    """`drifted` does not go with it, for its Scores have no verdict of their own: the configuration says so."""
    (copy.folder / "wrong.toml").write_text(CONFIG.replace("above = 0.5", "drifted = true"), encoding="utf-8")
    copy.run("-m", "monitor", "validate", "-c", "wrong.toml", expected=2)


def test_scores_are_as_the_catalogue_says(explained: dict[str, Any]) -> None:
    """A check's Scores have names of the catalogue, and of method, column and segment only what their rows name."""
    scores = [score for score in explained["scores"] if score["metric"] != "quiet_share"]
    assert [score["metric"] for score in scores if score["metric"] not in CATALOGUE] == []
    assert [
        (score["metric"], label) for score in scores for label in ("method", "column", "segment")
        if score[label] is not None and label not in CATALOGUE[score["metric"]].labels
    ] == []
    assert {CATALOGUE[score["metric"]].group for score in scores} >= {
        Group.QUALITY, Group.DRIFT, Group.PERFORMANCE, Group.RATE, Group.FAIRNESS, Group.ESTIMATE, Group.DECISION,
    }
    drifted = {score["metric"] for score in scores if score["status"] == "drifted"}
    assert [name for name in drifted if not CATALOGUE[name].judged] == []


def test_each_name_is_one_row() -> None:
    """A row stands under its own name, with one sentence, and no other has that name."""
    source = (ROOT / "monitor/metric_catalogue.py").read_text(encoding="utf-8")
    for name, row in CATALOGUE.items():
        assert row.name == name
        assert row.meaning.endswith(".")
        assert ". " not in row.meaning
        assert source.count(f'("{name}"') == (0 if row.estimate_of else 1), name


def test_every_score_that_is_made_is_in_the_catalogue() -> None:
    """No code makes a Score by a name that the catalogue does not know."""
    made = [
        (str(path.relative_to(ROOT)), keyword.value.value)
        for path in (ROOT / "monitor").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and ast.unparse(node.func) == "Score"
        for keyword in node.keywords if keyword.arg == "metric" and isinstance(keyword.value, ast.Constant)
    ]
    assert len(made) > 10
    assert [one for one in made if one[1] not in CATALOGUE] == []


def test_every_metric_that_is_asked_for_is_in_the_catalogue() -> None:
    """No code compares a metric with a name that neither the catalogue nor Evidently knows."""
    asked = [
        (str(path.relative_to(ROOT)), constant.value)
        for path in (ROOT / "monitor").rglob("*.py")
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Compare) and ast.unparse(node.left).rpartition(".")[2] == "metric"
        for side in node.comparators for constant in ast.walk(side)
        if isinstance(constant, ast.Constant) and isinstance(constant.value, str)
    ]
    assert len(asked) > 10
    assert [one for one in asked if one[1] not in {*CATALOGUE, *EVIDENTLY}] == []


def test_formulas_are_those_of_the_catalogue() -> None:
    """Each table of functions has a function for every metric that the catalogue promises it for, and no other."""
    every = {name for task in TASKS for name in estimable(task)}
    of_classes = {
        name for name in {*performance_of("binary"), *performance_of("multiclass")}
        if not CATALOGUE[name].needs_probability
    }       # these come from counts alone, of which `of_tallies` makes each
    assert set(formulas._VALUES) == set(PERFORMANCE)
    assert set(resampled_metrics._OTHERS) == {*PERFORMANCE} - of_classes
    assert set(estimators._ERRORS) == every
    assert set(formulas._LOSSES) >= {*estimable("regression")}
    assert {f"{name}_{kind.name}" for name in MADE_OF for kind in KINDS} == set(FAIRNESS)
    assert {rate for rates in MADE_OF.values() for rate in rates} == set(RATES)


def test_drift_methods_are_worked_out() -> None:
    """Each function belongs to a method of the table, of columns that the function can take."""
    assert {*BINNED, *RANKED, *COUNTED} <= set(METHODS)
    assert all(METHODS[name].kinds == ("numerical", "categorical") for name in BINNED)
    assert all(METHODS[name].kinds == ("numerical",) for name in RANKED)
    assert all(METHODS[name].kinds == ("categorical",) for name in COUNTED)


def test_estimates_are_of_performance() -> None:
    """Every estimate is of a performance metric in its unit, and never the ground of a retrain."""
    assert {CATALOGUE[name].estimate_of for name in ESTIMATES} == {n for task in TASKS for n in estimable(task)}
    for row in (CATALOGUE[name] for name in ESTIMATES):
        of = CATALOGUE[str(row.estimate_of)]
        assert (row.unit, row.better, row.tasks) == (of.unit, of.better, of.estimable)
        assert Use.RETRAIN not in row.uses


def test_uses_fit_groups() -> None:
    """Performance judges a model, fairness is limited by the gate; no trigger is on its answer, a cause or power."""
    assert names_for(Use.JUDGE) == PERFORMANCE
    assert names_for(Use.LIMIT) == FAIRNESS
    assert set(CATALOGUE) - set(names_for(Use.ALERT)) == {*names(Group.GATE), "lost_to", "smallest_shift"}


def test_false_alarms_are_told_or_not() -> None:
    """No metric is both measured on the reference's windows and said to be untold there."""
    assert [row.name for row in CATALOGUE.values() if row.replayed and row.untold] == []


def test_parts_have_names_of_their_own() -> None:
    """Two parts that fail are told apart."""
    fixed = [part.name for part in PARTS if isinstance(part.name, str)]
    assert len(set(fixed)) == len(fixed)


@pytest.mark.parametrize(
    ("metric", "value", "words"),
    [
        ("rows", 12345.0, "12,345"), ("accuracy", 0.123456, "0.1235"), ("regret", None, ""),
        ("staleness_seconds", 93_600.0, "1d2h"), ("staleness_seconds", 5.0, "5"), ("MeanValue", 2.5, "2.5"),
    ],
)
def test_values_are_shown_in_their_unit(metric: str, value: float | None, words: str) -> None:
    """People read durations as durations and other numbers to four significant digits."""
    assert shown(metric, value) == words


def test_units_are_used() -> None:
    """Every unit is some metric's."""
    assert {row.unit for row in CATALOGUE.values()} == set(Unit)


def test_the_documentation_has_the_catalogue() -> None:
    """docs/metrics.md describes the metrics and the drift methods as the code has them."""
    page = METRICS_PAGE.read_text(encoding="utf-8")
    assert with_catalogue(page) == page, f"run `make docs`, or paste into {METRICS_PAGE.name}:\n{with_catalogue(page)}"
