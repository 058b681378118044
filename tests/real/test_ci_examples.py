"""The examples for GitHub and GitLab, run by act and by gitlab-ci-local, which read them as those services do.

GitHub's own actions cannot be had here: checkout act does itself, two others are played (ACTIONS).
"""

import base64
import functools
import json
import os
import random
import re
import secrets
import shutil
import subprocess
import threading
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.deploy.test_pipelines import MODEL, PIPELINES, driftd, place
from tests.real.conftest import Hook, free_port, get, until
from tests.real.servers import INSTALLED
from tests.real.test_pipelines_to_copy import daemon

pytestmark = pytest.mark.real

RUNNERS, PYTHON = INSTALLED / "runners", INSTALLED / "pipeline/bin"
ACTIONS = {
    "actions/setup-python@v5": ("python-version", 'python -c "import sys; assert sys.version_info >= (3, 11)"'),
    "actions/upload-artifact@v4": ("path", 'cp -r "${{ inputs.path }}/." "$ARTIFACTS"'),
}
CONFIG = MODEL + """
[daemon]
listen = "127.0.0.1:{port}"
callback_secret = {{ env = "CALLBACK_SECRET" }}

[pipelines.ci]
kind   = "webhook"
url    = "{url}"
secret = {{ env = "HOOK_SECRET" }}
"""


class Repository:
    """A checkout with files, one commit a state of them, and a runner for either service."""

    def __init__(self, folder: Path) -> None:
        if not (RUNNERS / ".ready").exists() or not PYTHON.exists():
            pytest.skip("act, gitlab-ci-local and the pipelines' Python are not installed: tests/real/install")
        self.folder, self.home = folder / "repository", folder / "home"
        self.folder.mkdir()
        self.home.mkdir()
        self.environment = {name: value for name, value in os.environ.items() if name not in ("CI", "VIRTUAL_ENV")}
        self.environment |= {"HOME": str(self.home), "PATH": f"{PYTHON}:{RUNNERS / 'bin'}:{os.environ['PATH']}"}
        self.git("init", "--quiet", "--initial-branch", "main")
        self.git("remote", "add", "origin", str(self.folder))

    def git(self, *arguments: str) -> None:
        who = ("-c", "user.name=Ada", "-c", "user.email=ada@example.org")
        subprocess.run(["git", *who, *arguments], cwd=self.folder, env=self.environment, check=True, timeout=60)

    def write(self, name: str, text: str | Path) -> None:
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text.read_text() if isinstance(text, Path) else text)

    def commit(self) -> None:
        self.git("add", "--all")
        self.git("commit", "--quiet", "--message", "as it is")

    def holds(self, pipeline: str, at: str) -> None:
        """An example at its place, the script beside it, and nothing else."""
        self.write("deploy/pipelines/retrain.py", PIPELINES / "retrain.py")
        self.write(at, PIPELINES / pipeline)
        self.commit()

    def act(self, *arguments: str) -> tuple[int, str]:
        """Run a workflow on this machine."""
        local = []
        for name, (input, command) in ACTIONS.items():
            action = self.home / name.replace("/", "-")
            action.mkdir(exist_ok=True)
            steps = [{"run": command, "shell": "bash"}]
            (action / "action.yml").write_text(json.dumps({
                "name": name, "inputs": {input: {"required": True}}, "runs": {"using": "composite", "steps": steps},
            }))
            local += ["--local-repository", f"{name}={action}"]
        command = [RUNNERS / "bin/act", *arguments, *local, "-P", "ubuntu-latest=-self-hosted",
                   "--container-daemon-socket", "-"]
        return self._run(command)

    def gitlab(self, *arguments: str) -> tuple[int, str]:
        """Run a pipeline on this machine, or some of its jobs."""
        program = RUNNERS / "node_modules/.bin/gitlab-ci-local"
        return self._run([RUNNERS / "bin/node", program, "--force-shell-executor", "--home", self.home, *arguments])

    def _run(self, command: Sequence[str | Path]) -> tuple[int, str]:
        done = subprocess.run(command, cwd=self.folder, env=self.environment, check=False, stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, text=True, timeout=300)
        return done.returncode, done.stdout


@pytest.fixture
def repository(tmp_path: Path) -> Repository:
    return Repository(tmp_path)


class Asked:
    """A daemon that has asked its pipeline for a retrain, and where a runner finds the rows."""

    def __init__(self, folder: Path, hook: Hook) -> None:
        self.folder, self.hook, self.port = folder, hook, free_port()
        self.secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
        place(folder)
        (folder / "driftd.toml").write_text(CONFIG.format(port=self.port, url=hook.url))
        (folder / "public").mkdir()
        done = driftd(folder, "window", "export", "-o", str(folder / "public/rows.parquet"))
        assert done.returncode == 0, done.stderr

    def id(self) -> str:
        """Our id of the request, once it was delivered."""
        assert driftd(self.folder, "retrain", "--reason", "to try it").returncode == 0
        until(self.hook.ids, 60, lambda: (self.folder / "driftd.log").read_text())
        return min(self.hook.ids())

    def model(self) -> Any:
        return (json.loads(get(self.port, "/api/status") or '{"models": []}')["models"] or [None])[0]

    def promoted(self) -> Any:
        """What the daemon says once another version than the first is in service."""
        def other() -> Any:
            now = self.model()
            return now if now and now["reference"]["model_version"] != "1" else None

        return until(other, 60, lambda: (self.folder / "driftd.log").read_text())


@pytest.fixture
def rows_url(tmp_path: Path) -> Iterator[str]:
    """Where the machine with the log leaves rows for runners."""
    class Quiet(SimpleHTTPRequestHandler):
        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(tmp_path / "public")))
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/rows.parquet"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture
def asked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Asked]:
    secret = "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode()
    monkeypatch.setenv("HOOK_SECRET", secret)
    hook = Hook(secret)
    made = Asked(tmp_path, hook)
    monkeypatch.setenv("CALLBACK_SECRET", made.secret)
    with daemon(tmp_path, os.environ):
        until(lambda: made.model() and made.model()["verdict"], 60)
        yield made
    hook.close()


def checked(asked: Asked, version: str) -> None:
    """The daemon heard of the version, and compares with its reference."""
    now = asked.promoted()
    assert now["dispatches"][0]["state"] == "succeeded"
    made = asked.folder / "versions" / version
    assert (now["reference"]["model_version"], now["reference"]["origin"]) == (version, str(made / "reference.parquet"))
    assert "rmse" in (made / "gate.md").read_text()


def test_the_github_workflow_goes_from_a_request_to_a_version(
    asked: Asked, repository: Repository, rows_url: str
) -> None:
    """Started with the inputs that driftd sends, it ends with a version as artifact, and driftd is told."""
    repository.holds("github/retrain.yml", at=".github/workflows/retrain.yml")
    code, said = repository.act(
        "workflow_dispatch", "--input", f"driftd_id={asked.id()}", "--input", "driftd_evidence={}",
        "-s", f"ROWS_URL={rows_url}", "-s", f"CALLBACK_SECRET={asked.secret}",
        "--var", f"DRIFTD_URL=http://127.0.0.1:{asked.port}", "--env", f"ARTIFACTS={asked.folder / 'versions'}",
    )
    assert code == 0, said
    assert "Summary - **driftd gate**: passed" in said
    assert asked.secret not in said
    checked(asked, "run-1")


def test_the_gitlab_pipeline_goes_from_a_request_to_a_version(
    asked: Asked, repository: Repository, rows_url: str
) -> None:
    """Its first job leaves a version as artifact; its second tells driftd."""
    repository.holds("gitlab/retrain.yml", at=".gitlab-ci.yml")
    variables = {"DRIFTD_ID": asked.id(), "ROWS_URL": rows_url, "DRIFTD_URL": f"http://127.0.0.1:{asked.port}",
                 "CALLBACK_SECRET": asked.secret}
    given = [word for name, value in variables.items() for word in ("--variable", f"{name}={value}")]
    code, said = repository.gitlab(*given, "--artifacts-to-source", "retrain")
    assert code == 0, said
    (version,) = (folder.name for folder in (repository.folder / "versions").iterdir())
    shutil.copytree(repository.folder / "versions", asked.folder / "versions", dirs_exist_ok=True)
    code, said = repository.gitlab(*given, "report")
    assert code == 0, said
    assert asked.secret not in said
    checked(asked, version)


def test_without_a_request_there_is_no_gitlab_pipeline(repository: Repository) -> None:
    """A push to the same repository retrains nothing."""
    repository.holds("gitlab/retrain.yml", at=".gitlab-ci.yml")
    listed = {given: repository.gitlab("--list", *given.split())[1] for given in ("", "--variable DRIFTD_ID=x")}
    assert [re.findall(r"^(retrain|report) ", said, re.MULTILINE) for said in listed.values()] == [
        [], ["retrain", "report"]]


def rows(moved: float, wrong: float) -> str:
    """A thousand rows of one feature, with what a model says of them, and the truth."""
    chance, began = random.Random(3), datetime(2024, 1, 2, tzinfo=UTC)
    lines = ["timestamp,temperature,prediction,label"]
    for minute in range(1000):
        temperature, at = chance.gauss(20 + moved, 4), began + timedelta(minutes=minute)
        lines.append(f"{at.isoformat()},{temperature:.3f},{2 * temperature + chance.gauss(0, wrong):.3f},"
                     f"{2 * temperature:.3f}")
    return "\n".join(lines) + "\n"


PREDICT = """
import csv, sys
rows = csv.DictReader(open(sys.argv[1]))
print("prediction")
for row in rows:
    print(float(row["label"]) + {share} * (float(row["prediction"]) - float(row["label"])))
"""
CHANGES = {"good": (0, 0.5, ""), "drifted": (8, 0.5, "compare"), "worse": (0, 1.5, "gate")}


@pytest.mark.parametrize("service", ["github", "gitlab"])
@pytest.mark.parametrize("change", CHANGES)
def test_a_change_is_checked_before_it_is_merged(repository: Repository, service: str, change: str) -> None:
    """Data that drifted and a model that got worse end the check; a good change passes, and its tables are shown."""
    moved, share, refused_by = CHANGES[change]
    github = service == "github"
    if github:
        repository.write(".github/workflows/data.yml", PIPELINES / "github/pull-request.yml")
        repository.write(".github/actions/driftd/action.yml", PIPELINES / "github/action.yml")
    else:
        repository.write(".gitlab-ci.yml", PIPELINES / "gitlab/merge-request.yml")
    repository.write("data/features.csv", rows(0, 3))
    repository.commit()
    repository.git("update-ref", "refs/remotes/origin/main", "main")
    repository.git("checkout", "--quiet", "-b", "change")
    repository.write("data/features.csv", rows(moved, 3))
    repository.write("data/held_out.csv", rows(0, 3))
    repository.write("predict.py", PREDICT.format(share=share))
    repository.commit()
    if github:
        event = repository.home / "event.json"
        event.write_text(json.dumps({"pull_request": {"base": {"ref": "main"}, "head": {"ref": "change"}}}))
        code, said = repository.act("pull_request", "-e", str(event))
    else:
        code, said = repository.gitlab(
            "--variable", "CI_PIPELINE_SOURCE=merge_request_event", "--variable",
            "CI_MERGE_REQUEST_TARGET_BRANCH_NAME=main",
        )
    assert (code == 0) == (not refused_by), said
    assert ("judged by rmse" in said) == (refused_by != "compare"), said
