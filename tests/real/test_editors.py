"""Taplo (Even Better TOML) and Tombi check a configuration by the schema that its first line names, offline."""

import shutil
import subprocess
from pathlib import Path

import pytest

from tests.real.servers import INSTALLED

ROOT = Path(__file__).resolve().parents[2]
BIN = INSTALLED / "editors/bin"
FILES = sorted((ROOT / "config").rglob("*.toml"))
CHECKERS = {"taplo": [str(BIN / "taplo"), "lint"], "tombi": [str(BIN / "tombi"), "lint", "--offline"]}

pytestmark = pytest.mark.real


@pytest.mark.parametrize("checker", CHECKERS)
@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_an_example_is_valid(checker: str, path: Path) -> None:
    """Every example passes without a warning."""
    done = subprocess.run([*CHECKERS[checker], path.name], cwd=path.parent, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "arning" not in done.stderr


@pytest.mark.parametrize(
    ("wrong", "told"),
    [('windw = "7d"', "windw"), ('drift.method = "wassertein"', "wassertein"), ('mode = "acting"', "acting")],
)
@pytest.mark.parametrize("checker", CHECKERS)
def test_a_mistake_is_marked(checker: str, wrong: str, told: str, tmp_path: Path) -> None:
    """A key or a word that does not exist is an error that names it."""
    shutil.copy(ROOT / "config/driftd.schema.json", tmp_path)
    text = f'#:schema ./driftd.schema.json\n[models.m]\npredictions = "."\nreference = "."\n{wrong}\n'
    (tmp_path / "driftd.toml").write_text(text, encoding="utf-8")
    done = subprocess.run([*CHECKERS[checker], "driftd.toml"], cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode != 0
    assert told in done.stderr
