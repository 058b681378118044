"""Commands of a configuration: what they find in their environment, and one that is waited for."""

import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path

from monitor.errors import CannotJudge, ConfigError
from monitor.workers import run_command
from monitor.workers.run_command import STAY, write_private

KEPT = ("PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "LANGUAGE", "TZ", "TMPDIR")   # and LC_*
_TOLD = 200         # characters of its last line of output, where it failed


def environment_of(added: Mapping[str, str]) -> dict[str, str]:
    """A little of the daemon's own, and what is added. Raises ConfigError for what no environment can hold."""
    if wrong := [name for name, text in added.items() if "\0" in text]:
        raise ConfigError([f"{wrong[0]} has a zero byte, which no command can be given; write it without"])
    kept = {name: text for name, text in os.environ.items() if name in KEPT or name.startswith("LC_")}
    return {**kept, **added}


def write_plan(folder: Path, command: Sequence[str], timeout: timedelta, secrets: Sequence[str]) -> None:
    """Write what is to be run, for `run_command`; `secrets`: names of variables that its output is kept free of."""
    plan = {"command": list(command), "timeout": timeout.total_seconds(), "secrets": list(secrets)}
    write_private(folder / "plan.json", json.dumps(plan))


def run_to_its_end(
    folder: Path, command: Sequence[str], timeout: timedelta, added: Mapping[str, str], secrets: Sequence[str]
) -> None:
    """Run a command in a folder of its own and wait for its end. Raises CannotJudge where it fails.

    Whoever waits may die: the command is ended at its time all the same.
    """
    write_plan(folder, command, timeout, secrets)
    keeper = [sys.executable, "-I", run_command.__file__, str(folder), STAY]
    subprocess.run(
        keeper, env=environment_of(added), stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL, start_new_session=True, check=False,
    )
    ended = folder / "exit.json"
    told = json.loads(ended.read_text(encoding="utf-8")) if ended.exists() else {"reason": "the command was killed"}
    if told.get("code") != 0:
        raise CannotJudge(f"{told.get('reason')}{_last_line(folder / 'output.log')}")


def _last_line(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").split("\n") if log.exists() else []
    last = next((line.strip() for line in reversed(lines) if line.strip()), "")
    return f": {last[:_TOLD]}" if last else ""
