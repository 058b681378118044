"""`driftd try`: the page of somebody's own log in one command, and nothing left behind."""

import http.client
import os
import re
import subprocess
import sys
import time
from pathlib import Path


def _page(address: str) -> str:
    """The model's page, once it is served."""
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request("GET", "/models/rides")
            return connection.getresponse().read().decode()
        except ConnectionRefusedError:
            assert time.monotonic() < deadline, "waited too long"
        finally:
            connection.close()


def test_a_log_is_replayed_and_its_page_served_until_it_is_ended(rides: Path, tmp_path: Path) -> None:
    """It says what it took for what and what would have happened, shows it, and removes what it wrote."""
    room = tmp_path / "room"
    room.mkdir()
    before = sorted(tmp_path.rglob("*"))
    trial = subprocess.Popen(
        [sys.executable, "-P", "-m", "monitor", "try", "rides.csv", "--ignore", "hum", "--keep"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(room)},
    )
    try:
        assert trial.stdout is not None
        said: list[str] = []
        while not (found := re.search(r"look at it: http://(127\.0\.0\.1:\d+)/", "".join(said))):
            said.append(trial.stdout.readline())
            assert said[-1], "it ended early"
        page = _page(found[1])
        trial.terminate()
        rest, errors = trial.communicate(timeout=60)
    finally:
        trial.kill()
        trial.wait()
    text = "".join(said) + rest
    assert trial.returncode == 0, errors
    assert "label: label, by its usual name" in text
    assert "a retrain was asked for once" in text
    assert "assumed-challenger is asked to retrain" in page
    assert "driftd init rides.csv --ignore hum" in text
    assert "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before
