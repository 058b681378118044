"""`driftd compare`: two files, no configuration."""

import json
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pandas as pd
import pytest

ORACLE = Path(__file__).resolve().parents[2] / "../shared/data/oracle"
CASES = (
    "car_loan_stable", "car_loan_drifted", "car_loan_drifted_small", "bike_w1", "bike_winter", "bike_small",
)
needs_oracle = pytest.mark.skipif(not ORACLE.exists(), reason="the shared oracle frames are not here")


def _case(name: str) -> dict[str, Any]:
    case: dict[str, Any] = json.loads((ORACLE / "evidently_columns.json").read_text())["cases"][name]
    return case


def _compare(driftd: Any, name: str, *options: str) -> Any:
    files = [ORACLE / f"evidently_{name}_{side}.parquet" for side in ("reference", "current")]
    categorical = ",".join(_case(name)["categorical"])
    return driftd("compare", *files, "--categorical", categorical, "--json", *options)


@needs_oracle
@pytest.mark.parametrize("name", CASES)
def test_scores_are_evidentlys(driftd: Any, name: str) -> None:
    """Every column's number, and the share that drifted, is what Evidently says of the same files."""
    done = _compare(driftd, name)
    wanted = {one["config"]["column"]: one["value"] for one in _case(name)["default"].values()}
    share = wanted.pop(None)["share"]
    found = {score["column"]: score["value"] for score in done.json["scores"] if score["metric"] == "drift"}
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-12) or set(found) > set(wanted)
    for column, value in wanted.items():
        assert found[column] == pytest.approx(value, rel=1e-9, abs=1e-12)
    assert done.json["drifted_share"] == pytest.approx(share)
    assert done.json["drifted"] == (share >= 0.5)
    assert done.code == (3 if share >= 0.5 or done.json["contract_broken"] else 0)


@needs_oracle
@pytest.mark.parametrize("method", ["psi", "jensenshannon", "ks", "wasserstein"])
def test_a_named_method_is_used(driftd: Any, method: str) -> None:
    """--method uses one method on every column that it is for, with Evidently's numbers."""
    done = _compare(driftd, "bike_w1", "--method", method)
    for score in done.json["scores"]:
        if score["metric"] != "drift" or score["method"] != method:
            continue
        wanted = _case("bike_w1")["methods"].get(score["column"], {}).get(method)
        if wanted:
            assert score["value"] == pytest.approx(wanted["score"], rel=1e-9, abs=1e-12)


@pytest.fixture
def tables(tmp_path: Path) -> tuple[Path, Path]:
    """Two CSV files: the second's speed is far higher and its colour is missing."""
    reference = pd.DataFrame({
        "timestamp": pd.date_range("2024-01-01", periods=400, freq="h").astype(str),
        "speed": [float(i % 50) + i / 1000 for i in range(400)],
        "size": [float(i % 37) + i / 1000 for i in range(400)],
        "shape": ["round" if i % 3 else "square" for i in range(400)],
        "colour": ["red" if i % 2 else "blue" for i in range(400)],
    })
    current = reference.assign(speed=reference["speed"] + 100).drop(columns="colour")
    paths = tmp_path / "reference.csv", tmp_path / "current.csv"
    reference.to_csv(paths[0], index=False)
    current.to_csv(paths[1], index=False)
    return paths


def test_breaks_come_first_then_the_worst(driftd: Any, tables: tuple[Path, Path]) -> None:
    """A person reads what broke the contract, then columns by how far they are past their threshold."""
    done = driftd("compare", *tables)
    assert done.code == 3
    lines = done.out.splitlines()
    assert lines[0] == "contract: table: column colour is missing"
    columns = [line.split()[0] for line in lines if line and line.split()[0] in ("speed", "size", "shape")]
    assert columns[0] == "speed"
    assert "left out: timestamp" in done.out
    assert max(map(len, lines)) <= 80
    assert "\x1b" not in done.out


def test_the_same_file_is_fine(driftd: Any, tables: tuple[Path, Path]) -> None:
    """A file compared with itself ends with 0."""
    done = driftd("compare", tables[0], tables[0], "--json")
    assert done.code == 0
    assert done.json["schema_version"] == 1
    assert not done.json["drifted"]
    assert set(done.json["scores"][0]) == {
        "metric", "method", "column", "segment", "value", "reference", "low", "high", "threshold", "status",
        "provisional", "n", "reason", "uncalibrated",
    }


def test_formats_agree(driftd: Any, tables: tuple[Path, Path], tmp_path: Path) -> None:
    """Parquet and JSON lines of the same rows give the CSV's numbers."""
    frame = pd.read_csv(tables[1])
    frame.to_parquet(tmp_path / "current.parquet")
    frame.to_json(tmp_path / "current.jsonl", orient="records", lines=True)
    answers = [
        driftd("compare", tables[0], file, "--json").json["scores"]
        for file in (tables[1], tmp_path / "current.parquet", tmp_path / "current.jsonl")
    ]
    assert answers[0] == answers[1] == answers[2]


def test_junit_is_a_case_per_column(driftd: Any, tables: tuple[Path, Path], tmp_path: Path) -> None:
    """--junit writes XML that a CI server reads: one case a column, failures where something is wrong."""
    driftd("compare", *tables, "--junit", tmp_path / "out.xml")
    suite = ElementTree.parse(tmp_path / "out.xml").getroot()[0]
    failed = {case.get("name") for case in suite if case.find("failure") is not None}
    assert {"speed", "(table)"} <= failed
    assert "size" not in failed
    assert suite.get("failures") == str(len(failed))
    assert suite.get("tests") == str(len(suite))


def test_markdown_fits_a_comment(driftd: Any, tables: tuple[Path, Path], tmp_path: Path) -> None:
    """--markdown writes the answer and a table with one row a column."""
    driftd("compare", *tables, "--markdown", tmp_path / "out.md")
    text = (tmp_path / "out.md").read_text()
    assert text.startswith("**driftd compare**: ")
    assert "- contract: (table): column colour is missing" in text
    assert "| `speed` | ks |" in text


def test_odd_names_stay_inside_their_forms(driftd: Any, tmp_path: Path) -> None:
    """A column's name may hold what XML, Markdown and terminals treat specially."""
    frame = pd.DataFrame({"a|b<&>`\"[red]": [float(i) for i in range(100)]})
    for name, by in (("one", 0), ("two", 500)):
        (frame + by).to_parquet(tmp_path / f"{name}.parquet")
    files = [tmp_path / "one.parquet", tmp_path / "two.parquet"]
    done = driftd("compare", *files, "--junit", tmp_path / "o.xml", "--markdown", tmp_path / "o.md")
    assert done.code == 3
    assert "[red]" in done.out
    assert ElementTree.parse(tmp_path / "o.xml").getroot()[0][0].get("name") == frame.columns[0]
    assert r'a\|b&lt;&&gt;\`"\[red\]' in (tmp_path / "o.md").read_text()


@pytest.mark.parametrize(
    ("arguments", "code", "sentence"),
    [
        (("nowhere.csv", "reference.csv"), 4, "nowhere.csv"),
        (("reference.csv", "empty.csv"), 4, "empty.csv"),
        (("reference.csv", "current.csv", "--method", "psy"), 2, "no drift method 'psy'; expected auto or"),
        (("reference.csv", "current.csv", "--categorical", "x"), 2, "has no column 'x'"),
        (("reference.csv",), 2, "CURRENT"),
    ],
)
def test_what_cannot_be_compared_is_said(
    driftd: Any, tables: tuple[Path, Path], tmp_path: Path, arguments: tuple[str, ...], code: int,
    sentence: str,
) -> None:
    """A missing or empty file ends with 4, a wrong option with 2; each with its sentence and no table."""
    (tmp_path / "empty.csv").write_text("speed,size\n")
    done = driftd("compare", *arguments)
    assert (done.code, done.out) == (code, "")
    assert sentence in done.err


def test_columns_that_come_or_cannot_be_compared_are_named(driftd: Any, tmp_path: Path) -> None:
    """A new column, a list, bytes and a data frame's row numbers are each named; none is passed over in silence."""
    before = pd.DataFrame({"x": range(50), "tags": [["a"]] * 50, "raw": [b"a"] * 50})
    before.index = pd.Index([at * at for at in range(50)])
    before.to_parquet(tmp_path / "before.parquet")
    before.assign(y_v2=1.5).to_parquet(tmp_path / "after.parquet")
    done = driftd("compare", tmp_path / "before.parquet", tmp_path / "after.parquet")
    assert "only in the second file, not compared: y_v2" in done.out
    assert "left out: __index_level_0__: a data frame's row numbers" in done.out
    assert "left out: tags: a list, which is not watched; write its length or its elements as columns" in done.out
    asked = driftd("compare", tmp_path / "before.parquet", tmp_path / "after.parquet", "--json").json
    assert asked["new_columns"] == ["y_v2"]
    assert asked["left_out"] == ["__index_level_0__", "tags", "raw"]
    assert set(asked["left_out_because"]) == set(asked["left_out"])


def test_what_drifted_is_drawn(driftd: Any, tmp_path: Path) -> None:
    """Of a column that moved both distributions are drawn, to one scale; of one that did not, none."""
    low, high = [1, 2, 2, 3] * 50, [8, 9, 9, 9] * 50
    for name, speed in (("before", low), ("now", high)):
        pd.DataFrame({"speed": speed, "gear": [1, 2, 3, 4] * 50}).to_csv(tmp_path / f"{name}.csv", index=False)
    done = driftd("compare", tmp_path / "before.csv", tmp_path / "now.csv")
    drawn = {line.split()[0]: line.split()[5:] for line in done.out.splitlines() if line.split()[:1]}
    assert drawn["speed"] == ["▃▆▃▁▁", "▁▁▁▃█"]
    assert drawn["gear"] == []
