"""Versions that served before, scored beside the one in service on the rows of each window."""

import sys
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from monitor.config.sections import VersionsSection
from monitor.records import ScoreStatus


@pytest.fixture
def two(world, made):
    """A model whose version 2 came into service on day 2, after version 1; the log of days 2 to 4 is labelled."""
    def log(first, days):
        return made.rows(first, days, label_after=made.HOUR, per_day=48)

    world.write("reference.parquet", log(-20, 20))
    world.served = log(2, 2)
    world.write("log.parquet", log(0, 2), world.served)
    world.model(version="1", metric="rmse", window=made.DAILY | {"lateness": "1h"},
                versions={"predictions": {"path": f"{world.folder}/of/{{version}}.parquet"}})
    world.check(1.5)
    world.change(version="2")
    world.check(2.01)
    (world.folder / "of").mkdir()
    return world


def predicted(world, error: float) -> pa.Table:
    """What a version says of the rows that version 2 served: nearer to the label where `error` is small."""
    label = world.served["label"].to_numpy()
    return pa.table({"id": world.served["id"], "prediction": label + error})


def gains(world, day: float = 4.1):
    world.check(day)
    newest = world.snapshots()[-1]
    assert newest.model_version == "2"
    return {one.method: one for one in newest.scores if one.metric == "version_gain"}


def test_both_are_scored_on_the_same_rows(two):
    """The gain is that of the rows which both predicted, and the words give the metric of either."""
    theirs = predicted(two, 0.5)
    pq.write_table(theirs.slice(0, len(theirs) - 4), two.folder / "of/1.parquet")
    one = gains(two)["1"]
    rows = two.served.slice(48, 44)
    now = np.sqrt(np.mean((rows["prediction"].to_numpy() - rows["label"].to_numpy()) ** 2))
    assert (one.value, one.n) == (pytest.approx(now - 0.5), 44), one
    assert one.reason == f"RMSE 0.5, of the version in service {now:.4g}"


def csv(table: pa.Table, path: Path) -> None:
    pyarrow.csv.write_csv(table, path)


def again(table: pa.Table, path: Path) -> None:
    """Every row twice, the last one right, in another order."""
    worse = table.set_column(1, "prediction", pc.add(table["prediction"], 9.0))
    pq.write_table(pa.concat_tables([worse, table.take(pa.array(range(len(table))[::-1]))]), path)


def folder(table: pa.Table, path: Path) -> None:
    path.mkdir()
    for at in (0, 40):
        pq.write_table(table.slice(at, 40 if not at else None), path / f"{at}.parquet")


@pytest.mark.parametrize(("pattern", "write"), [
    ("of/{version}.csv", csv), ("of/{version}/p.csv", lambda table, path: (path.parent.mkdir(), csv(table, path))),
    ("of/{version}", folder), ("of/{version}/*.parquet", lambda table, path: folder(table, path.parent)),
    ("of/v{version}.parquet", again),
])
def test_predictions_of_a_version_are_read_like_any_log(two, pattern, write):
    """A file, a folder or a glob, of any format; of an id that is there twice the last row counts."""
    two.change(versions=two.section.versions.model_copy(update={
        "predictions": two.section.versions.predictions.model_copy(update={"path": f"{two.folder}/{pattern}"})}))
    write(predicted(two, 0.25), Path(f"{two.folder}/{pattern.replace('{version}', '1')}"))
    assert gains(two)["1"].reason.startswith("RMSE 0.25, of")


@pytest.mark.parametrize(("table", "why"), [
    (None, "of/1.parquet"),
    (lambda one: one.slice(0, 50), "2 labelled rows of 48 have a prediction of version 1, expected at least 43"),
    (lambda one: one.rename_columns(["id", "said"]), "have no column prediction, they have id, said"),
    (lambda one: one.drop_columns("id").append_column("row", one["id"]), "have no column id"),
    (lambda one: one.set_column(1, "prediction", pa.array(["low"] * len(one))), "expected numbers"),
], ids=["no file", "few rows", "no prediction", "no id", "words"])
def test_what_cannot_be_compared_is_said(two, table, why):
    """One sentence says why; the other scores of the window are there."""
    if table is not None:
        pq.write_table(table(predicted(two, 0.5)), two.folder / "of/1.parquet")
    one = gains(two)["1"]
    assert (one.status, one.value) == (ScoreStatus.INSUFFICIENT, None)
    assert why in one.reason
    assert any(score.metric == "rmse" and score.value for score in two.snapshots()[-1].scores)


def test_the_newest_versions_stay_in_the_race(two):
    """No more of those that served before are compared than `keep`, and never the one in service."""
    two.change(versions=two.section.versions.model_copy(update={"keep": 2}))
    for version in ("3", "4", "2"):
        two.change(version=version)
        two.check(2.02)
    for version in ("1", "2", "3", "4"):
        pq.write_table(predicted(two, 0.5), two.folder / f"of/{version}.parquet")
    assert set(gains(two)) == {"3", "4"}


# Predicts the rows it is given, and refuses to see more than a model may see.
SCORES = """import os, sys
import pyarrow as pa, pyarrow.csv, pyarrow.parquet as pq
rows = pq.read_table(os.environ["DRIFTD_ROWS"])
assert set(rows.column_names) == {"id", "timestamp", "x"}, rows.column_names
assert (os.environ["DRIFTD_MODEL"], os.environ["DRIFTD_VERSION"], os.environ["FACTOR"]) == ("m", "1", "3")
told = pa.table({"id": rows["id"], "prediction": [3 * x for x in rows["x"].to_pylist()]})
pyarrow.csv.write_csv(told, os.environ["DRIFTD_PREDICTIONS"])
"""


def scoring(two, *command: str, **given: object) -> None:
    section = VersionsSection.model_validate({"score": command, "environment": {"FACTOR": "3"}} | given)
    two.change(versions=section)


def test_a_program_may_predict_instead(two):
    """It is given the window's labelled rows, without labels and without what others predicted, and the version."""
    scoring(two, sys.executable, "-c", SCORES)
    one = gains(two)["1"]
    rows = two.served.slice(48, 48)
    x, label = rows["x"].to_numpy(), rows["label"].to_numpy()
    errors = [np.sqrt(np.mean((factor * x - label) ** 2)) for factor in (2, 3)]
    assert (one.value, one.n) == (pytest.approx(errors[0] - errors[1]), 48)


@pytest.mark.parametrize(("command", "given", "why"), [
    (["sh", "-c", "echo no version 1 here >&2; exit 3"], {}, "ended with exit code 3: no version 1 here"),
    (["sh", "-c", "echo $TOKEN is wrong; exit 1"], {"environment": {"TOKEN": {"env": "TOKEN"}}}, "[a secret] is wrong"),
    (["true"], {}, "the command ended well, but wrote no $DRIFTD_PREDICTIONS"),
    (["sleep", "60"], {"timeout": "1s"}, "ran over its time (1 s)"),
    (["/no/such/program"], {}, "the command could not be started: No such file"),
    (["sh", "-c", "echo id > $DRIFTD_PREDICTIONS"], {}, "have no column prediction, they have id"),
], ids=["fails", "secret", "nothing", "late", "missing", "columns"])
def test_a_program_that_fails_is_said_to(two, monkeypatch, command, given, why):
    """Its last words are the reason, secrets taken out; no longer than its time is waited for."""
    monkeypatch.setenv("TOKEN", "hunter22")
    scoring(two, *command, **given)
    one = gains(two)["1"]
    assert one.status is ScoreStatus.INSUFFICIENT
    assert why in one.reason
    assert "hunter22" not in one.reason
