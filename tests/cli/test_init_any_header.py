"""`driftd init` on files whose headers are anything: what it writes is a configuration with exactly these columns."""

import csv
import shutil
import tomllib
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.cli.init import toml
from monitor.cli.log_look import Found
from monitor.config import Roles

START = datetime(2024, 1, 1, tzinfo=UTC)
ROWS = 240
COMMAND = """x
[models.evil]
mode = "act"
predictions = "log.csv"
reference = "log.csv"
[models.evil.retrain]
pipeline = "p"
[pipelines.p]
kind = "command"
command = ["touch", "PWNED"]
#"""
HEADERS = (
    COMMAND, "x\r\n[daemon]\nlisten = 1", "x\rrun = 1", "\x85a", "y\u2028[y]", "z\u2029[z]", "\u202ebidi",
    "\ufeffbom", "'''", 'tri"""ple', 'q"uo\\te', "a.b", "#", "[x]",
    "a\tb", "\x7f", "\x1b[2J", "L" * 5000, "日本", "{key}", "%s", "\\u000a",
)
NAMES = st.text(st.characters(exclude_categories=["Cs"]), max_size=40)
_USED = ("timestamp", "prediction", "label")


def _table(names: Sequence[str]) -> dict[str, list[Any]]:
    """Rows whose other columns are categories, so that `init` has to name them."""
    moments = [START + timedelta(hours=row) for row in range(ROWS)]
    used = {"timestamp": moments, "prediction": [row % 2 for row in range(ROWS)],
            "label": [row // 2 % 2 for row in range(ROWS)]}
    return used | {name: ["ab"[(row + place) % 2] for row in range(ROWS)] for place, name in enumerate(names)}


def _write_csv(path: Path, names: Sequence[str]) -> None:
    table = _table(names)
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file)
        writer.writerow(table)
        writer.writerows(zip(*table.values(), strict=True))


def _features(config: Path) -> list[str]:
    found = tomllib.loads(config.read_text(encoding="utf-8"))
    assert list(found) == ["models"]
    (model,) = found["models"].values()
    return list(model["columns"]["categorical"])


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_hostile_headers_stay_names(driftd: Callable[..., Any], tmp_path: Path, suffix: str) -> None:
    """No header becomes a key: the file names exactly the columns of the data, and passes `validate`."""
    names = [name.replace("\r\n", "\n").replace("\r", "\n").strip() if suffix == "csv" else name for name in HEADERS]
    if suffix == "csv":
        _write_csv(tmp_path / "log.csv", names)
    else:
        pq.write_table(pa.table(_table(names)), tmp_path / "log.parquet")
    done = driftd("init", f"log.{suffix}")
    assert done.code == 0, done.err
    assert _features(tmp_path / "driftd.toml") == names
    assert "\x1b" not in done.out
    assert not any(line.startswith(("[models.evil]", "kind")) for line in done.out.splitlines())
    assert driftd("validate", "-c", "driftd.toml").code == 0
    assert driftd("check", "-c", "driftd.toml").code in (0, 3, 4)
    assert not (tmp_path / "PWNED").exists()


@given(features=st.lists(NAMES, unique=True, max_size=6), model=NAMES, id=NAMES, place=NAMES)
def test_any_names_are_written_and_read_back(features: list[str], model: str, id: str, place: str) -> None:
    """Whatever columns, model and files are called, what is written means exactly that."""
    roles = Roles(timestamp=f"t{model}", prediction=f"p{place}", id=id, label=f"l{id}", probability=None,
                  label_timestamp=None, model_version=None, features=dict.fromkeys(features, "categorical"))
    found = Found(roles=roles, task="binary", metric="accuracy", rows=900, first=START,
                  newest=START + timedelta(days=90), guesses={})
    read = tomllib.loads(toml(model, found, {"predictions": place, "labels": id}))
    assert list(read) == ["models"]
    section = read["models"][model]
    assert (section["predictions"], section["labels"]) == (place, id)
    assert section["columns"]["categorical"] == features
    assert [section["columns"][part] for part in ("timestamp", "id", "label")] == [roles.timestamp, id, roles.label]


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(names=st.lists(NAMES.filter(lambda name: name.strip() and name.lower() not in _USED), unique_by=str.strip,
                      min_size=1, max_size=4))
def test_any_parquet_header_goes_through(driftd: Callable[..., Any], tmp_path: Path, names: list[str]) -> None:
    """`init` and `validate` take any header, and every column is used or named with its role."""
    shutil.rmtree(tmp_path / "state", ignore_errors=True)
    pq.write_table(pa.table(_table(names)), tmp_path / "log.parquet")
    done = driftd("init", "log.parquet", "--force")
    assert done.code == 0, done.err
    assert [name for name in names if name in _features(tmp_path / "driftd.toml")] == names
    assert driftd("validate", "-c", "driftd.toml").code == 0


def test_a_path_that_toml_cannot_hold_is_refused(driftd: Callable[..., Any], tmp_path: Path) -> None:
    """A file name that is no UTF-8 is a sentence, and no file is written."""
    name = b"log\xff.csv".decode(errors="surrogateescape")
    _write_csv(tmp_path / name, ["a"])
    done = driftd("init", name, "-m", "m")
    assert done.code == 2
    assert "not valid Unicode" in done.err
    assert not (tmp_path / "driftd.toml").exists()
