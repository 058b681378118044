"""What is kept of a reference gives every check the numbers that reading all of it gives."""

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.calibration import power, reference_blocks
from monitor.challenger import window_rehearsal
from monitor.check.measure_window import observe
from monitor.check.requests import ObserveRequest, SurveyRequest
from monitor.check.survey import survey
from monitor.config import ModelSection
from monitor.estimation import window_estimates
from monitor.records import Snapshot, Survey, Window
from monitor.reference import reference_data
from monitor.sources.rows import Rows

START, DAY = datetime(2026, 1, 5, tzinfo=UTC), timedelta(days=1)
REFERENCE, WEEK = 56, 7
WINDOW = Window(model="m", start=START + REFERENCE * DAY, end=START + (REFERENCE + WEEK) * DAY, spec="")
NOW = WINDOW.end + timedelta(hours=6)


def rows(kind: str, first: int, days: int, seed: int) -> pa.Table:
    """Twenty rows a day, with nulls and infinities, categories, and labels that come hours later."""
    chance = np.random.default_rng(seed)
    count = 20 * days
    at = [START + first * DAY + n * DAY / 20 for n in range(count)]
    x, noise = chance.normal(size=count), chance.normal(size=count)
    p = 1 / (1 + np.exp(-x))
    columns: dict[str, Any] = {
        "timestamp": pa.array(at, pa.timestamp("us", "UTC")), "id": [f"{first}-{n}" for n in range(count)],
        "x": pa.array([None if n % 17 == 0 else np.inf if n % 23 == 0 else x[n] for n in range(count)]),
        "word": ["abc"[n % 3] for n in range(count)],
    }
    if kind == "binary":
        columns |= {"prediction": (p > 0.5).astype(int), "probability": p, "label": (x + noise > 0).astype(int)}
    elif kind == "multiclass":
        said = np.array(["cat", "dog", "owl"])
        columns |= {"prediction": said[(x > 0).astype(int) + (x > 1)], "label": said[(x + noise > 0) + 1 * (x > 1)]}
    else:
        columns |= {"prediction": x, "label": x + noise}
    known = [moment + timedelta(hours=float(n % 40)) for n, moment in enumerate(at)]
    return pa.table(columns | {"label_timestamp": pa.array(known, pa.timestamp("us", "UTC"))})


def model_of(folder: Path, kind: str, *, apart: bool = False) -> ModelSection:
    """Write the files, the window with a repeated row; `apart`: labels in a file of their own."""
    before, now = rows(kind, 0, REFERENCE, 1), rows(kind, REFERENCE, WEEK, 2)
    now = pa.concat_tables([now, now.slice(3, 1)])
    if apart:
        labels = pa.concat_tables([table.select(["id", "label", "label_timestamp"]) for table in (before, now)])
        pq.write_table(labels, folder / "labels.parquet")
        before, now = (table.drop_columns(["label", "label_timestamp"]) for table in (before, now))
    pq.write_table(before, folder / "reference.parquet", row_group_size=300)
    pq.write_table(now, folder / "log.parquet", row_group_size=50)
    return ModelSection.model_validate({
        "name": "m", "predictions": {"path": str(folder / "log.parquet")},
        "reference": {"source": {"path": str(folder / "reference.parquet")}},
        "labels": {"path": str(folder / "labels.parquet")} if apart else None,
        "rehearsal": {"enabled": kind == "binary" and not apart, "challenger": "linear"},
        "window": {"min_rows": 20}, "columns": {"segments": ["word"]},
    })


def new_worker() -> None:
    """Forget what a process keeps in its memory."""
    reference_data._from_source.cache_clear()
    for memory in (reference_data._tables, reference_data._final, reference_blocks._kept, power._kept,
                   window_estimates._fitted, window_rehearsal._told, window_rehearsal._fitted):
        memory.clear()


def checked(model: ModelSection, profiles: Path | None, *, mature: bool) -> tuple[Survey, Snapshot]:
    look: dict[str, Any] = {"model": model, "as_of": NOW, "profiles": profiles}
    counted = survey(SurveyRequest(**look, since=WINDOW.start))
    return counted, observe(ObserveRequest(
        **look, window=WINDOW, revision=0, mature=mature, first_rows=None, corrected=False, earlier=None,
        newest=counted.newest, config_hash="",
    ))


@pytest.mark.parametrize(("kind", "apart", "mature"), [
    ("binary", False, True), ("multiclass", False, False), ("regression", False, True), ("binary", True, False),
])
def test_a_check_says_the_same_by_what_is_kept(tmp_path: Path, kind: str, apart: bool, mature: bool) -> None:
    """Every count and Score of a check is the same without a profile, with a new one, and in a later process."""
    model = model_of(tmp_path, kind, apart=apart)
    found = []
    for profiles in (None, tmp_path / "profiles", tmp_path / "profiles"):
        new_worker()
        found.append(checked(model, profiles, mature=mature))
    assert found[0] == found[1] == found[2]
    assert {"drift", "missing_share"} <= {score.metric for score in found[0][1].scores}
    assert found[0][1].ledger is not None
    assert found[0][1].ledger.repeated == 1


def test_labels_that_come_later_are_seen(tmp_path: Path) -> None:
    """Labels kept apart belong to the reference: a label put right there changes what is kept."""
    model = model_of(tmp_path, "binary", apart=True)
    new_worker()
    _, before = checked(model, tmp_path / "profiles", mature=True)
    labels = pq.read_table(tmp_path / "labels.parquet")
    wrong = pa.array([1 - label for label in labels["label"].to_pylist()[:300]] + labels["label"].to_pylist()[300:])
    pq.write_table(labels.set_column(1, "label", wrong), tmp_path / "labels.parquet")
    new_worker()
    _, after = checked(model, tmp_path / "profiles", mature=True)
    new_worker()
    assert after == checked(model, None, mature=True)[1]
    assert after.scores != before.scores


@pytest.mark.parametrize("labelled", [True, False])
def test_a_sample_is_the_same_however_its_rows_are_read(tmp_path: Path, labelled: bool) -> None:
    """Drawn rows have all their columns, whether the window is read whole or a few columns at a time."""
    from monitor.sources.log import Log

    model = model_of(tmp_path, "binary")
    new_worker()
    roles = reference_data.load_reference(model, NOW, None, None).roles
    log = Log(model, roles, WINDOW.end - timedelta(days=1))      # some labels are not yet known
    streamed, whole = (log.window(WINDOW, whole=whole) for whole in (False, True))
    drawn = [one.drawn(60, roles, labelled=labelled) for one in (streamed, whole)]
    names = sorted(whole.table.column_names)
    assert drawn[0].table.select(names) == drawn[1].table.select(names)
    known = whole.table["label"].null_count
    assert drawn[0].of == len(whole.table) - (known if labelled else 0)
    assert 20 < len(drawn[0].table) <= 60
    assert drawn[0].table["label"].null_count == 0 or not labelled
    assert drawn[0].words == f"on a sample of {len(drawn[0].table)} of {drawn[0].of} rows"
    every = Rows(whole.table, None, None, None, 1).drawn(10**6, roles)
    assert every.table == whole.table
    assert every.words is None


def test_nothing_private_is_kept(tmp_path: Path) -> None:
    """Classes of private columns are in no file of the profile, and the check says what it says without one."""
    model = model_of(tmp_path, "multiclass")
    model = model.model_copy(update={"columns": model.columns.model_copy(update={"private": ("label", "prediction")})})
    new_worker()
    found = checked(model, tmp_path / "profiles", mature=True)
    kept = [file.read_bytes() for file in (tmp_path / "profiles").rglob("*") if file.is_file()]
    assert kept
    assert not [content for content in kept if b"owl" in content]
    new_worker()
    assert checked(model, None, mature=True) == found
