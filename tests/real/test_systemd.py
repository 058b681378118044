"""systemd's own tools accept the unit and find it well locked in, without a running systemd."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = pytest.mark.real

UNIT = Path(__file__).resolve().parents[2] / "deploy/systemd/driftd.service"
EXPOSED = 15    # tenths, of 100: the most `systemd-analyze security` may find open


@pytest.fixture
def unit(tmp_path: Path) -> Path:
    """The unit with the driftd of this environment, as /opt/driftd need not exist here."""
    here = Path(sys.executable).with_name("driftd")
    text = UNIT.read_text(encoding="utf-8")
    assert "ExecStart=/opt/driftd/bin/driftd run\n" in text
    file = tmp_path / "driftd.service"
    file.write_text(text.replace("/opt/driftd/bin/driftd", str(here)), encoding="utf-8")
    return file


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    tool = shutil.which("systemd-analyze")
    assert tool, "systemd-analyze is not installed, run tests/real/install"
    return subprocess.run([tool, *arguments], capture_output=True, text=True, timeout=60)


def test_the_unit_is_valid(unit: Path) -> None:
    """Every line of the unit is known to this systemd and leads somewhere: no warning at all."""
    done = analyze("verify", "--man=no", "--recursive-errors=no", str(unit))
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


def test_a_wrong_line_would_be_seen(unit: Path) -> None:
    """The check above is a real one: a misspelt setting makes it fail."""
    unit.write_text(unit.read_text().replace("ProtectHome=", "ProtectHouse="))
    assert "ProtectHouse" in analyze("verify", "--man=no", "--recursive-errors=no", str(unit)).stderr


def test_the_service_is_locked_in(unit: Path) -> None:
    """What the service could do is rated at most 1.5 of 10."""
    done = analyze("security", "--offline=true", f"--threshold={EXPOSED}", "--no-pager", str(unit))
    assert done.returncode == 0, done.stdout + done.stderr
