"""The worked examples of CONTRIBUTING.md, done in a copy of the repository."""

import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
PARTS = ("monitor", "docs", "config", "deploy", "tests", "benchmarks", "pyproject.toml", "README.md", "CONTRIBUTING.md")
TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
EXAMPLES = dict(re.findall(r"^### (.+)\n((?:(?!^###? ).*\n)*)", TEXT.partition("## Worked examples")[2], re.MULTILINE))
BLOCK = re.compile(r"^```(python|diff) (\S+)\n(.*?)^```$", re.DOTALL | re.MULTILINE)
HELD = (
    "tests/test_layers.py", "tests/config/test_documented_keys.py", "tests/gate/test_paired_difference.py",
    "tests/estimation/test_estimators.py",
)


def copied(parent: Path) -> Path:
    """A copy of what an example may change, and of the tests, with the shared data beside it if they are here."""
    folder = parent / "driftd"
    folder.mkdir()
    if (ROOT.parent / "shared").is_dir():
        (parent / "shared").symlink_to(ROOT.parent / "shared")
    for name in PARTS:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy
        copy(ROOT / name, folder / name)
    return folder


def changed(text: str, diff: str, where: str) -> str:
    """The text with a change whose old lines stand in it exactly once."""
    lines = diff.splitlines(keepends=True)
    old = "".join(line[1:] for line in lines if line[0] in " -")
    new = "".join(line[1:] for line in lines if line[0] in " +")
    assert text.count(old) == 1, f"{where} has not exactly one place for:\n{diff}"
    return text.replace(old, new)


def ran(folder: Path, *words: str) -> None:
    """Run Python there, on that copy of the code."""
    environment = os.environ | {"PYTHONPATH": str(folder)}
    environment.pop("PYTEST_XDIST_WORKER", None)
    ended = subprocess.run([sys.executable, *words], cwd=folder, env=environment, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stdout + ended.stderr


def test_the_examples_work(tmp_path: Path) -> None:
    """Their changes fit the code as it is; then their own tests, lint, and what holds documentation and layers pass."""
    folder = copied(tmp_path)
    tests = []
    for title, example in EXAMPLES.items():
        names = [written(folder, *block) for block in BLOCK.findall(example)]
        own = [name for name in names if re.fullmatch(r"tests/.*\.py", name)]
        assert own, f"{title} has no test of its own"
        tests += own
    ran(folder, "docs/write.py")
    ran(folder, "-m", "ruff", "check", "monitor", "docs", *tests)
    ran(folder, "-m", "pytest", "-p", "no:cacheprovider", *tests, *HELD)


def written(folder: Path, kind: str, name: str, text: str) -> str:
    """Write one file of an example, or make its change in a file; returns its name."""
    path = folder / name
    if kind == "diff":
        text = changed(path.read_text(encoding="utf-8"), text, name)
    else:
        assert not path.exists(), f"{name} is there already"
    path.write_text(text, encoding="utf-8")
    return name


def test_there_are_examples() -> None:
    """A metric, a pipeline and a format of files are shown."""
    assert {"A metric", "A kind of pipeline", "A format of files"} <= set(EXAMPLES)


@pytest.mark.parametrize("name", ["CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md", "CODE_OF_CONDUCT.md"])
def test_what_is_named_exists(name: str) -> None:
    """Files, folders, links and make targets that these pages name are there."""
    text = (ROOT / name).read_text(encoding="utf-8")
    prose = re.sub(r"^```.*?^```$", "", text, flags=re.DOTALL | re.MULTILINE)
    for link in re.findall(r"\]\((?!https?:|mailto:)([^)#]+)", prose):
        assert (ROOT / link).exists(), link
    for target in re.findall(r"\bmake ([a-z-]+)\b", " ".join(re.findall(r"`[^`]+`", prose)) + text):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for path in re.findall(r"`((?:monitor|tests|docs|config)/[\w./]*)`", prose):
        assert (ROOT / path).exists(), path
