"""One tiny bad file per rule; its first comment lines are the exact problems, with … for this folder."""

import json
import tomllib
from copy import deepcopy
from datetime import date
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import load
from monitor.config.document import read
from monitor.config.keys import at, walk
from monitor.errors import ConfigError

BAD = Path(__file__).parent / "bad"
SECRET = "hunter2"


def problems(path: Path) -> list[str]:
    try:
        return list(load(path, data=True).absent)
    except ConfigError as error:
        return error.problems


@pytest.mark.parametrize("path", sorted(BAD.glob("*.toml")), ids=lambda path: path.stem)
def test_bad_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A bad file gives exactly the problems it announces, each with its line, and never a secret."""
    monkeypatch.chdir(BAD)
    head = [line for line in path.read_text(encoding="utf-8").splitlines() if line.startswith("# ")]
    expected = [line[2:].replace("…/", f"{BAD}/") for line in head if line.startswith(f"# {path.name}:")]
    found = problems(Path(path.name))
    assert found == expected
    assert SECRET not in "".join(found)


def test_missing_file(tmp_path: Path) -> None:
    """A file that is not there is one problem."""
    assert problems(tmp_path / "none.toml") == [
        f"{tmp_path}/none.toml:1: cannot be read: No such file or directory, expected a TOML file"
    ]


def test_not_text(tmp_path: Path) -> None:
    """A file in another encoding is refused in words."""
    path = tmp_path / "latin.toml"
    path.write_bytes('[models."é"]'.encode("latin-1"))
    assert problems(path) == [f"{path}:1: is not UTF-8 text, expected a TOML file"]


GOOD = """
listen = 1
[daemon]
workers = 2
[defaults]
window = { size = "1d", step = "6h" }
label = "y"
[models.a]
predictions = "."
reference = { path = ".", csv = { delimiter = ";" } }
columns = { features = ["x", "z"], categorical = ["z"] }
drift = { threshold = 0.2, columns = { x = { method = "psi" } } }
triggers = [
  { name = "t", metric = "rows", below = 5, windows = "2 of 3" },
  { name = "u", metric = "mae", rise = "5%" },
]
retrain = { pipeline = "p", budget = "4 per 30d" }
[pipelines.p]
kind = "command"
command = ["true"]
environment = { A = "b", S = { env = "S" } }
[pipelines.g]
kind = "github"
repository = "a/b"
workflow = "w.yml"
token = { file = "t" }
[notify]
urls = [{ env = "U" }]
"""
JUNK = st.sampled_from(
    [0, -1, 2.5, True, "x", "", [], {}, [1], ["x"], {"x": 1}, {"kind": "github"}, [[]], [{"name": "x"}]]
)


DAY = date(1979, 5, 27)


def toml(value: Any) -> str:
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, dict):
        return "{" + ", ".join(f'"{name}" = {toml(child)}' for name, child in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    return json.dumps(value)


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_any_mistake_is_a_sentence(tmp_path_factory: pytest.TempPathFactory, data: st.DataObject) -> None:
    """Whatever stands in a wrong place, the answer is sentences with a line, never a traceback."""
    tables = tomllib.loads(GOOD)
    for _ in range(data.draw(st.integers(1, 3))):
        key = data.draw(st.sampled_from([key for key, _ in walk(tables)]))
        at(tables, key[:-1])[key[-1]] = deepcopy(data.draw(JUNK))
    path = tmp_path_factory.mktemp("junk") / "driftd.toml"
    path.write_text("\n".join(f"{name} = {toml(table)}" for name, table in tables.items()), encoding="utf-8")
    assert read(path).parsed
    for text in problems(path):              # GOOD itself has one: listen at the top
        assert text.startswith(f"{path}:")


@pytest.mark.parametrize("wrong", [[DAY], [{"x": DAY}], {"x": [DAY]}], ids=toml)
def test_a_date_anywhere_is_refused(tmp_path: Path, wrong: Any) -> None:
    """TOML has dates, JSON has none: one in place of any value, or within it, is named as what it is."""
    path, tables = tmp_path / "driftd.toml", tomllib.loads(GOOD)
    for key in [key for key, _ in walk(tables)]:
        changed = deepcopy(tables)
        at(changed, key[:-1])[key[-1]] = wrong
        path.write_text("\n".join(f"{name} = {toml(table)}" for name, table in changed.items()), encoding="utf-8")
        assert any("date" in text or "1979" in text for text in problems(path)), key
