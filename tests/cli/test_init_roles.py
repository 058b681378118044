"""`init` decides what each column is by what it holds, says why, and takes a flag for each role."""

import json
import tomllib
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from monitor.cli.log_look import look
from monitor.config import Columns

ROWS = 1400
START = datetime(2026, 3, 2, tzinfo=UTC)
MOMENTS = [START + timedelta(minutes=90 * row) for row in range(ROWS)]
CHANCE = np.random.default_rng(0)


def log(**given: Any) -> pa.Table:
    """A binary model's log; a column of None is left out."""
    chance = np.random.default_rng(1).random(ROWS)
    columns = {
        "ts": [f"{moment:%Y-%m-%dT%H:%M:%SZ}" for moment in MOMENTS], "x": CHANCE.normal(size=ROWS).round(3),
        "prediction": (chance > 0.5).astype(int), "label": (np.random.default_rng(2).random(ROWS) < chance).astype(int),
        "probability": chance.round(6),
    } | given
    return pa.table({name: values for name, values in columns.items() if values is not None})


def columns_of(folder: Path) -> dict[str, Any]:
    model = next(iter(tomllib.loads((folder / "driftd.toml").read_text())["models"].values()))
    found: dict[str, Any] = model["columns"]
    return found


FEATURES = [
    ("score", CHANCE.random(ROWS).round(4), {"probability": None}, "score is no probability"),
    ("score", CHANCE.normal(600, 80, ROWS).round(1), {"probability": None}, "score is no probability"),
    ("model", CHANCE.choice(["Golf", "Polo", "Fiat", "Mini"], ROWS), {}, "model is no model_version: it changes"),
    ("time", CHANCE.integers(0, 1440, ROWS), {}, ""),
    ("time", CHANCE.random(ROWS).round(3), {}, ""),
    ("date", [f"19{50 + row % 40}-0{1 + row % 9}-11" for row in range(ROWS)], {}, "begins in 1950"),
    ("id", CHANCE.integers(1, 9, ROWS), {}, "id is no id: it has 8 values in 1400 rows"),
    ("target", CHANCE.choice(["young", "old"], ROWS), {"label": None, "actual": "label"}, "target is no label"),
    ("day", CHANCE.choice(["mon", "tue", "sun"], ROWS), {}, ""),
    ("outcome", CHANCE.choice(["won", "lost"], ROWS), {"label": None, "actual": "label"}, "outcome is no label"),
]


@pytest.mark.parametrize("form", ["csv", "parquet"])
@pytest.mark.parametrize(("name", "values", "given", "said"), FEATURES)
def test_a_usual_name_does_not_win_over_what_a_column_holds(
    driftd: Any, tmp_path: Path, name: str, values: Any, given: dict[str, Any], said: str, form: str
) -> None:
    """The column is a feature, the sentence says why, and the file that is written passes `validate`."""
    given = {key: log()[value] if isinstance(value, str) else value for key, value in given.items()}
    table = log(**given, **{name: values})
    if form == "csv":
        pyarrow.csv.write_csv(table, tmp_path / "log.csv")
    else:
        pq.write_table(table, tmp_path / "log.parquet")
    done = driftd("init", f"log.{form}")
    assert done.code == 0, done.err
    assert said in done.out
    found = columns_of(tmp_path)
    assert name not in {value for value in found.values() if isinstance(value, str)}
    assert found["timestamp"] == "ts"
    checked = driftd("validate", "-c", "driftd.toml")
    assert checked.code == 0, checked.err
    features = checked.out.split("features")[1].split("\n")[0]
    assert name in features or name == "date"        # a moment is no feature


def test_a_score_that_is_the_models_is_taken(driftd: Any, tmp_path: Path) -> None:
    """A `score` that follows the prediction is the probability, a version that seldom changes the version."""
    table = log(probability=None, score=log()["probability"], model=["v1"] * 700 + ["v2"] * 700)
    pq.write_table(table, tmp_path / "log.parquet")
    assert driftd("init", "log.parquet").code == 0
    found = columns_of(tmp_path)
    assert (found["probability"], found["model_version"], found["positive"]) == ("score", "model", "1")


def test_each_role_has_a_flag(driftd: Any, tmp_path: Path) -> None:
    """Columns without usual names are taken by flags; `init` says so, and the file holds them."""
    table = log().rename_columns(["when", "x", "said", "truth", "p"]).append_column(
        "key", pa.array([f"k{row}" for row in range(ROWS)])
    ).append_column("build", pa.array(["b7"] * ROWS)).append_column("note", pa.array([1.5, 2.5] * (ROWS // 2)))
    pq.write_table(table.append_column("town", pa.array(["a", "b"] * (ROWS // 2))), tmp_path / "log.parquet")
    done = driftd(
        "init", "log.parquet", "--timestamp", "when", "--prediction", "said", "--label", "truth", "--probability", "p",
        "--id", "key", "--version", "build", "--positive", "1", "--ignore", "note", "--segments", "town",
    )
    assert done.code == 0, done.err
    assert "timestamp: when, as given" in done.out
    found = columns_of(tmp_path)
    expected = {"timestamp": "when", "id": "key", "prediction": "said", "probability": "p", "label": "truth",
                "model_version": "build", "positive": "1", "ignore": ["note"], "segments": ["town"]}
    assert {key: found[key] for key in expected} == expected
    assert driftd("validate", "-c", "driftd.toml").code == 0


def test_what_cannot_be_known_names_the_flag(driftd: Any, tmp_path: Path) -> None:
    """Two columns that could be the timestamp, or none: the sentence says which flag settles it."""
    moments = log()["ts"]
    pq.write_table(log(ts=None, event_time=moments, created_at=moments), tmp_path / "two.parquet")
    done = driftd("init", "two.parquet")
    assert (done.code, "--timestamp" in done.err, "event_time, created_at" in done.err) == (2, True, True)
    pq.write_table(log(ts=None, time=CHANCE.integers(0, 1440, ROWS)), tmp_path / "none.parquet")
    done = driftd("init", "none.parquet")
    assert (done.code, "--timestamp" in done.err, "no moments" in done.err) == (2, True, True)
    assert not (tmp_path / "driftd.toml").exists()


def test_a_reference_worse_than_chance_names_the_flag(driftd: Any, tmp_path: Path) -> None:
    """Probabilities of the other class, with no predicted class to tell: `--positive` is named, and mends it."""
    chance = np.random.default_rng(1).random(ROWS)
    label = np.where(np.random.default_rng(2).random(ROWS) < chance, "a", "b")
    pq.write_table(log(probability=None, prediction=chance, label=label), tmp_path / "log.parquet")
    done = driftd("init", "log.parquet")
    assert (done.code, '--positive "a"' in done.err, "worse than chance" in done.err) == (4, True, True)
    done = driftd("init", "log.parquet", "--positive", "a")
    assert done.code == 0, done.err
    checked = driftd("validate", "-c", "driftd.toml", "--json")
    assert checked.code == 0, checked.err
    assert 'positive class "a": as configured' in json.dumps(checked.json["models"][0]["said"]).replace("\\", "")


def test_labels_apart_are_joined_on_what_they_share(driftd: Any, tmp_path: Path) -> None:
    """The one column that tells the rows of both files apart is the id, whatever it is called."""
    keys = [f"k{row}" for row in range(ROWS)]
    pq.write_table(log(label=None, claim=keys), tmp_path / "log.parquet")
    answers = pa.table({"claim": keys, "actual": log()["label"]})
    pq.write_table(answers, tmp_path / "answers.parquet")
    done = driftd("init", "log.parquet", "--labels", "answers.parquet")
    assert done.code == 0, done.err
    assert (columns_of(tmp_path)["id"], columns_of(tmp_path)["label"]) == ("claim", "actual")
    assert driftd("validate", "-c", "driftd.toml").code == 0


def test_a_class_behind_the_first_rows_is_found(tmp_path: Path) -> None:
    """Roles come from the first four million values; task, classes, rows and times from all rows."""
    rows = 410_000
    classes = np.repeat(["yes", "no"], rows // 2)
    moments = np.datetime64(START.replace(tzinfo=None), "us") + np.arange(rows) * np.timedelta64(60, "s")
    table = pa.table({
        "timestamp": pa.array(moments, pa.timestamp("us", "UTC")),
        "prediction": classes, "label": [*classes[:-1], "perhaps"],
        **{f"x{place}": np.zeros(rows) for place in range(7)},
    })
    pq.write_table(table, tmp_path / "log.parquet")
    found = look(str(tmp_path / "log.parquet"), Columns())
    assert (found.task, found.rows) == ("multiclass", rows)
    assert found.newest - found.first == timedelta(minutes=rows - 1)
