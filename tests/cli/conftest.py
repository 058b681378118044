"""`driftd` as a test calls it: in this process, or as the installed command."""

import json
import math
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main

START = datetime(2024, 1, 1)


@dataclass(frozen=True)
class Done:
    """How one command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


@pytest.fixture
def driftd(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> Callable[..., Done]:
    """Run a command in tmp_path and return its exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DRIFTD_CONFIG", raising=False)
    monkeypatch.delenv("STATE_DIRECTORY", raising=False)
    monkeypatch.setenv("COLUMNS", "80")

    def run(*arguments: object) -> Done:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        return Done(code, *capsys.readouterr())

    return run


@pytest.fixture
def rides(tmp_path: Path) -> Path:
    """A newcomer's own CSV: semicolons, decimal commas, their own dates; from June on it is another world."""
    rows = ["timestamp;temp;hum;weather;prediction;label"]
    for hour in range(24 * 180):
        moment = START + timedelta(hours=hour)
        later = moment.month >= 6
        temp = 10 + 8 * math.sin(hour / 24) + (12 if later else 0) + hour % 7 / 10
        weather = ("clear", "rain", "mist")[hour % 3]
        count = 100 + 3 * temp + 20 * (hour % 24 in (8, 17)) + hour % 11
        label = count * (1.6 if later else 1.0)
        values = f"{temp:.2f};{50 + hour % 40 + hour % 9 / 10:.1f};{weather};{count:.1f};{label:.1f}"
        rows.append(f"{moment:%d.%m.%Y %H:%M};{values.replace('.', ',')}")
    path = tmp_path / "rides.csv"
    path.write_text("\n".join(rows) + "\n")
    return path
