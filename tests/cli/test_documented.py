"""Every example in docs/commands.md that is marked `sh run` does what is written there."""

import re
import shlex
from pathlib import Path
from typing import Any

from monitor.cli import COMMANDS

TEXT = (Path(__file__).resolve().parents[2] / "docs/commands.md").read_text()


def _examples() -> list[tuple[list[str], set[int]]]:
    """Arguments and allowed exit codes of each line, in order."""
    blocks = re.findall(r"```sh run\n(.*?)```", TEXT, re.DOTALL)
    lines = [line for block in blocks for line in block.splitlines()]
    pairs = (line.partition("# exit ")[::2] for line in lines)
    return [(shlex.split(command)[1:], set(map(int, codes.split())) or {0}) for command, codes in pairs]


def test_the_examples_run(driftd: Any, rides: Path, tmp_path: Path) -> None:
    """Each documented line ends as documented, without a fault of ours."""
    lines = rides.read_text().splitlines()
    for name, part in (("before", lines[1:1200]), ("after", lines[-400:])):
        rows = [f"{row};{number % 24}" for number, row in enumerate(part)]
        (tmp_path / f"{name}.csv").write_text("\n".join([lines[0] + ";hour", *rows]) + "\n")
    for arguments, codes in _examples():
        done = driftd(*arguments)
        assert done.code in codes, (arguments, done)


def test_every_command_is_documented() -> None:
    """Each command has a chapter or a line in a table."""
    for name in COMMANDS:
        assert re.search(rf"^## {name}\b|^\| `{name} ", TEXT, re.MULTILINE), name
