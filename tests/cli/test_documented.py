"""Every example in the documentation that is marked `sh run` does what is written there."""

import os
import re
import shlex
import subprocess
import sys
import threading
from datetime import timedelta
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest

from monitor.cli import COMMANDS
from monitor.client import PredictionLog
from monitor.config import WebhookPipeline
from monitor.config.values import Secret
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines.webhook import Webhook
from monitor.times import utcnow

ROOT = Path(__file__).resolve().parents[2]
README, COMMANDS_PAGE, PIPELINES = ROOT / "README.md", ROOT / "docs/commands.md", ROOT / "docs/pipelines.md"
TUTORIAL, RUNBOOKS = ROOT / "docs/tutorial.md", ROOT / "docs/runbooks.md"
PAGES = sorted([README, *(ROOT / "docs").rglob("*.md"), ROOT / "deploy/systemd/README.md"])


def _blocks(page: Path, kind: str) -> list[str]:
    return re.findall(rf"^```{kind}\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def _examples(page: Path) -> list[tuple[list[str], set[int]]]:
    """Arguments and allowed exit codes of each line, in order."""
    lines = [line for block in _blocks(page, "sh run") for line in block.splitlines()]
    pairs = (line.partition("# exit ")[::2] for line in lines)
    return [(shlex.split(command)[1:], set(map(int, codes.split())) or {0}) for command, codes in pairs]


@pytest.mark.parametrize("page", [README, COMMANDS_PAGE], ids=lambda page: page.name)
def test_the_examples_run(page: Path, driftd: Any, rides: Path, tmp_path: Path) -> None:
    """Each documented line ends as documented, without a fault of ours."""
    lines = rides.read_text().splitlines()
    for name, part in (("before", lines[1:1200]), ("after", lines[-400:])):
        rows = [f"{row};{number % 24}" for number, row in enumerate(part)]
        (tmp_path / f"{name}.csv").write_text("\n".join([lines[0] + ";hour", *rows]) + "\n")
    _write_trial(tmp_path, [lines[0], *lines[-400:]])
    for arguments, codes in _examples(page):
        done = driftd(*arguments)
        assert done.code in codes, (arguments, done)


def test_the_tutorial_says_what_is_run() -> None:
    """Its examples are among those of the two pages above, which are run."""
    run = [arguments for page in (README, COMMANDS_PAGE) for arguments, _ in _examples(page)]
    assert [arguments for arguments, _ in _examples(TUTORIAL) if arguments not in run] == []


def _write_trial(folder: Path, lines: list[str]) -> None:
    """Rows to judge a candidate by, one that is half as wrong as the model, and one that is wrong by more."""
    (folder / "trial.csv").write_text("\n".join(lines) + "\n")
    numbers = [[float(cell.replace(",", ".")) for cell in line.split(";")[-2:]] for line in lines[1:]]
    for name, share in (("better", 0.5), ("worse", 1.5)):
        said = [label + share * (prediction - label) for prediction, label in numbers]
        (folder / f"{name}.csv").write_text("\n".join(["prediction", *map(str, said)]) + "\n")


def test_every_command_is_documented() -> None:
    """Each command has a chapter or a line in a table."""
    text = COMMANDS_PAGE.read_text(encoding="utf-8")
    for name in COMMANDS:
        assert re.search(rf"^## {name}\b|^\| `{name} ", text, re.MULTILINE), name


@pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))
def test_what_is_named_exists(page: Path) -> None:
    """Commands, make targets, links and pictures in the documentation lead somewhere."""
    text = page.read_text(encoding="utf-8")
    code = "\n".join(re.findall(r"`[^`\n]+`", text) + re.findall(r"^```sh.*?^```", text, re.DOTALL | re.MULTILINE))
    absent = text.partition("## Not in this version")[2]
    for name in re.findall(r"(?:^|`|bin/)driftd ([a-z]+)\b", code, re.MULTILINE):
        assert name in COMMANDS or f"`{name}`" in absent, name
    for target in re.findall(r"\bmake ([a-z-]+)\b", code):
        assert re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.MULTILINE), target
    for link in re.findall(r"\]\((?!https?:)([^)#]+)", text):
        assert (page.parent / link).exists(), link


def test_every_alert_has_a_runbook() -> None:
    """Each alert of Prometheus, and each built-in trigger, has a chapter that says what to do."""
    rules = (ROOT / "deploy/prometheus/driftd.rules.yml").read_text(encoding="utf-8")
    configuration = (ROOT / "docs/configuration.md").read_text(encoding="utf-8")
    chapter = configuration.partition("### Built-in triggers")[2].partition("\n## ")[0]
    built_in = re.findall(r"^\| `([a-z-]+)`[ ,|]", chapter, re.MULTILINE)
    chapters = re.findall(r"^## ([\w-]+)$", RUNBOOKS.read_text(encoding="utf-8"), re.MULTILINE)
    assert set(re.findall(r"alert: (\w+)", rules)) | set(built_in) - {"source"} <= set(chapters)


def test_the_readme_is_short() -> None:
    """A newcomer reads at most 150 lines."""
    assert len(README.read_text(encoding="utf-8").splitlines()) <= 150


def test_the_documented_client_logs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The README's lines for a service write a prediction and its label."""
    monkeypatch.chdir(tmp_path)
    (block,) = _blocks(README, "python")
    names: dict[str, Any] = {}
    exec(block, names)
    log: PredictionLog = names["log"]
    log.close()
    assert list((tmp_path / "log/predictions").iterdir())
    assert list((tmp_path / "log/labels").iterdir())


def test_the_documented_receiver_verifies(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The receiver of docs/pipelines.md takes a signed request once, and refuses one signed with another secret."""
    (script,) = _blocks(PIPELINES, "python receiver")
    (command,) = (block for block in _blocks(PIPELINES, "sh") if "whsec_" in block)
    make = ["sh", "-c", command.replace("python3", shlex.quote(sys.executable))]
    monkeypatch.setenv("RIGHT", subprocess.run(make, check=True, capture_output=True, text=True).stdout.strip())
    monkeypatch.setenv("WRONG", "whsec_" + "A" * 44)
    # port 0 is any free one; the script does not say which, so it is told to
    script = script.replace("HTTPServer((", "server = HTTPServer((").replace(
        ".serve_forever()", "\nprint(server.server_port, flush=True)\nserver.serve_forever()")
    environment = os.environ | {"DRIFTD_WEBHOOK_SECRET": os.environ["RIGHT"], "PORT": "0"}
    with subprocess.Popen(
        [sys.executable, "-c", script], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment,
    ) as receiver:
        try:
            said: SimpleQueue[str] = SimpleQueue()
            threading.Thread(target=lambda: [said.put(line) for line in receiver.stdout or ()], daemon=True).start()
            url = f"http://127.0.0.1:{int(said.get(timeout=60))}/retrain"
            assert [_send(url, name) for name in ("WRONG", "RIGHT", "RIGHT")] == [
                DispatchState.PENDING, DispatchState.DELIVERED, DispatchState.DELIVERED,
            ]
            assert said.get(timeout=60) == "retrain bikes waiting has cost 3; a retrain costs 2\n"
            assert said.empty()
        finally:
            receiver.kill()


def _send(url: str, secret: str) -> DispatchState:
    body = ('{"specversion":"1.0","id":"driftd-1","subject":"bikes",'
            '"data":{"regret":"waiting has cost 3; a retrain costs 2"}}')
    section = WebhookPipeline(kind="webhook", url=url, secret=Secret("env", secret), timeout=timedelta(seconds=10))
    dispatch = Dispatch(
        id="driftd-1", episode_id="1", attempt=1, model="bikes", pipeline="hook", state=DispatchState.SENDING,
        body=body, created_at=utcnow(),
    )
    return Webhook(section, None).submit(dispatch).state
