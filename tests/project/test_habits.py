"""What people expect of a project: one version, a Python that is found, checks that hosted CI and commits run."""

import importlib.metadata
import os
import re
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml

from monitor import __version__

ROOT = Path(__file__).resolve().parents[2]
PROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
MAKEFILE = (ROOT / "Makefile").read_text("utf-8")
PYTHONS = ["3.11", "3.12", "3.13"]


def parsed(path: str) -> Any:
    return yaml.safe_load((ROOT / path).read_text("utf-8"))


def fake(folder: Path, name: str, version: str, *, venv: bool = True) -> None:
    """A Python of some version, as far as it is asked for it."""
    answers = f'case "$2" in *version_info*) echo {version};; *) exit {0 if venv else 1};; esac'
    (folder / name).write_text(f"#!/bin/sh\n{answers}\n", encoding="utf-8")
    (folder / name).chmod(0o755)


def looked_for(folder: Path, *names: str) -> subprocess.CompletedProcess[str]:
    """What .ci/find-python says where only these programs are on the path."""
    command = ["/bin/bash", str(ROOT / ".ci/find-python"), *names]
    return subprocess.run(command, env={"PATH": str(folder)}, capture_output=True, text=True)


def test_the_newest_python_is_found(tmp_path: Path) -> None:
    """3.13 goes before 3.11; `python3` serves where its version fits."""
    fake(tmp_path, "python3", "3.12")
    assert looked_for(tmp_path).stdout == "python3\n"
    fake(tmp_path, "python3.11", "3.11")
    assert looked_for(tmp_path).stdout == "python3.11\n"
    fake(tmp_path, "python3.13", "3.13")
    assert looked_for(tmp_path).stdout == "python3.13\n"


def test_a_shim_that_leads_nowhere_is_passed_over(tmp_path: Path) -> None:
    """A name on the path that does not run is no Python."""
    (tmp_path / "python3.13").write_text("#!/bin/sh\nexit 127\n")
    (tmp_path / "python3.13").chmod(0o755)
    fake(tmp_path, "python3.12", "3.12")
    assert looked_for(tmp_path).stdout == "python3.12\n"


def test_no_python_that_fits_is_one_sentence(tmp_path: Path) -> None:
    """It says what is needed, what was tried, what was found, and what to do."""
    fake(tmp_path, "python3.12", "3.12", venv=False)
    fake(tmp_path, "python3", "3.9")
    done = looked_for(tmp_path)
    assert (done.returncode, done.stdout) == (1, "")
    assert done.stderr == (
        "driftd needs Python 3.11, 3.12 or 3.13; tried python3.13, python3.12, python3.11, python3, "
        "found python3.12 without its module venv (on Debian: apt-get install python3.12-venv), python3 is 3.9. "
        "Install one, or name it: make PYTHON=/path/to/python …\n"
    )


def test_make_says_that_a_named_python_does_not_fit(tmp_path: Path) -> None:
    """`PYTHON=` is taken, and refused with the same sentence where its version does not fit; nothing is made."""
    fake(tmp_path, "python2", "2.7")
    words = ["make", "setup", f"VENV={tmp_path}/venv", f"PYTHON={tmp_path}/python2"]
    done = subprocess.run(words, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode != 0
    assert f"tried {tmp_path}/python2, found {tmp_path}/python2 is 2.7" in done.stderr
    assert not (tmp_path / "venv").exists()


def test_the_version_has_one_place() -> None:
    """The package, its metadata and the command say the version that monitor/__init__.py says."""
    assert PROJECT["project"]["dynamic"] == ["version"]
    assert importlib.metadata.version("driftd") == __version__
    places = subprocess.run(
        ["git", "grep", "-lF", f'"{__version__}"', "--", "*.py", "*.toml"], cwd=ROOT, capture_output=True, text=True
    )
    assert "pyproject.toml" not in places.stdout.split()


def test_a_checkout_says_its_commit() -> None:
    """`driftd --version` names the commit that git names."""
    command = ["git", "describe", "--always", "--dirty", "--exclude=*"]
    revision = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True).stdout.strip()
    done = subprocess.run([sys.executable, "-m", "monitor", "--version"], capture_output=True, text=True, cwd=ROOT)
    assert done.stdout == f"driftd, version {__version__} (git {revision})\n"


def test_without_git_there_is_no_commit(tmp_path: Path) -> None:
    """A machine without git is told the version alone."""
    environment = {**os.environ, "PATH": str(tmp_path)}
    command = [sys.executable, "-m", "monitor", "--version"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, cwd=ROOT)
    assert (done.stdout, done.stderr) == (f"driftd, version {__version__}\n", "")


def test_the_pythons_are_the_same_everywhere() -> None:
    """Classifiers, hosted CI, the finder and the test of all of them name the same versions."""
    named = [word.rpartition(" ")[2] for word in PROJECT["project"]["classifiers"] if re.search(r":: 3\.\d+$", word)]
    matrix = parsed(".github/workflows/ci.yml")["jobs"]["test"]["strategy"]["matrix"]["python"]
    finder = re.search(r"^    (3\.[\d .|]+)\)$", (ROOT / ".ci/find-python").read_text("utf-8"), re.MULTILINE)
    every = re.search(r"for version in ([\d. ]+);", (ROOT / "tests/pythons").read_text("utf-8"))
    assert finder is not None
    assert every is not None
    assert [named, matrix, finder[1].split(" | "), every[1].split()] == [PYTHONS] * 4


def test_hosted_ci_runs_targets_that_there_are() -> None:
    """Each step of hosted CI is a make target, so that it does what a person does."""
    jobs = parsed(".github/workflows/ci.yml")["jobs"]
    runs = [step["run"] for job in jobs.values() for step in job["steps"] if "run" in step]
    targets = [words.split()[1] for words in runs if words.startswith("make ")]
    assert set(targets) == {"lint", "test", "coverage", "test-real"}
    for target in targets:
        assert re.search(rf"^{target}:", MAKEFILE, re.MULTILINE), target


def test_commits_are_checked_by_the_repository_s_own_tools() -> None:
    """Every hook is local and runs from .venv: nothing is fetched from elsewhere."""
    repositories = parsed(".pre-commit-config.yaml")["repos"]
    assert [one["repo"] for one in repositories] == ["local"]
    hooks = repositories[0]["hooks"]
    assert {hook["id"] for hook in hooks} == {"ruff-check", "ruff-format", "mypy"}
    assert all(hook["entry"].startswith(".venv/bin/") and hook["language"] == "system" for hook in hooks)


@pytest.mark.parametrize("name", ["bug", "feature"])
def test_an_issue_is_asked_for_in_words(name: str) -> None:
    """Each form has a name, and fields with labels and ids of their own."""
    form = parsed(f".github/ISSUE_TEMPLATE/{name}.yml")
    assert form["name"]
    assert form["description"]
    ids = [field["id"] for field in form["body"]]
    assert len(ids) == len(set(ids))
    assert all(field["attributes"]["label"] for field in form["body"])


def test_both_hosts_ask_for_the_same() -> None:
    """GitHub's and GitLab's templates for a change are one text."""
    templates = [".github/PULL_REQUEST_TEMPLATE.md", ".gitlab/merge_request_templates/Default.md"]
    assert len({(ROOT / path).read_text("utf-8") for path in templates}) == 1


def test_every_development_package_is_locked() -> None:
    """What the tests import is in the lock file that `make` installs from."""
    wanted = [re.split(r"[^\w-]", package)[0] for package in PROJECT["dependency-groups"]["dev"]]
    lock = (ROOT / "requirements-dev.lock").read_text("utf-8").lower()
    assert [name for name in wanted if f"\n{name.lower()}==" not in f"\n{lock}"] == []
