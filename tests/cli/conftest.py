"""`driftd` as a test calls it: in this process, or as the installed command."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.cli import main

START, CHANGE = datetime(2024, 1, 1), datetime(2024, 3, 18)


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


def write_log(path: Path, start: datetime, days: int, change: datetime) -> Path:
    """A newcomer's own CSV: semicolons, decimal commas, their own dates; from `change` on it is another world."""
    chance = random.Random(7)
    rows = ["timestamp;temp;hum;weather;prediction;label"]
    for hour in range(24 * days):
        moment = start + timedelta(hours=hour)
        later = moment >= change
        temp = 10 + 8 * chance.random() + 15 * later
        hum = 40 + 20 * chance.random() + 25 * later
        count = 100 + 3 * temp + 20 * (hour % 24 in (8, 17))
        label = count * (1.8 if later else 1.0) + chance.gauss(0, 10)
        values = f"{temp:.2f};{hum:.1f};{chance.choice(('clear', 'rain'))};{count:.1f};{label:.1f}"
        rows.append(f"{moment:%d.%m.%Y %H:%M};{values.replace('.', ',')}")
    path.write_text("\n".join(rows) + "\n")
    return path


@pytest.fixture
def rides(tmp_path: Path) -> Path:
    """A log of a hundred days that changes near its end."""
    return write_log(tmp_path / "rides.csv", START, 100, CHANGE)


@pytest.fixture
def live(tmp_path: Path) -> Path:
    """A log that still grows: it ends at midnight, and changed two weeks ago."""
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0, tzinfo=None)
    return write_log(tmp_path / "live.csv", today - timedelta(days=80), 80, today - timedelta(days=16))
