"""`driftd schema`, and the schema that `driftd init` puts beside the file it writes."""

import json
import tomllib
from pathlib import Path
from typing import Any

import pytest

Draft202012Validator = pytest.importorskip("jsonschema").Draft202012Validator
CONFIG = Path(__file__).resolve().parents[2] / "config"


@pytest.mark.parametrize(
    ("words", "file"), [([], "driftd.schema.json"), (["--included"], "driftd-included.schema.json")]
)
def test_the_schema_is_printed(driftd: Any, words: list[str], file: str) -> None:
    """What is printed is the file that the repository holds, byte for byte."""
    done = driftd("schema", *words)
    assert (done.code, done.out) == (0, (CONFIG / file).read_text("utf-8"))


@pytest.mark.parametrize(
    "words",
    [
        ["rides.csv"],
        ["rides.csv", "rides.csv", "--model", "My rides"],
        ["rides.csv", "--output", "etc/my.toml", "--label", "hum"],
    ],
)
def test_init_writes_what_its_schema_takes(driftd: Any, rides: Path, tmp_path: Path, words: list[str]) -> None:
    """The first line names a schema that is there, and by which the whole file is valid."""
    done = driftd("init", *words)
    assert done.code == 0, done.err
    written = tmp_path / ("etc/my.toml" if "--output" in words else "driftd.toml")
    first, _, text = written.read_text("utf-8").partition("\n")
    schema = json.loads((written.parent / first.removeprefix("#:schema ")).read_text("utf-8"))
    assert list(Draft202012Validator(schema).iter_errors(tomllib.loads(text))) == []
    assert "driftd.schema.json" in done.out


def test_init_renews_the_schema(driftd: Any, rides: Path, tmp_path: Path) -> None:
    """An older version's schema is replaced when a configuration is written anew."""
    (tmp_path / "driftd.schema.json").write_text("{}")
    assert driftd("init", rides).code == 0
    assert (tmp_path / "driftd.schema.json").read_text("utf-8") == (CONFIG / "driftd.schema.json").read_text("utf-8")
