"""`driftd try`: the page of somebody's own log in one command, and nothing left behind."""

import http.client
import os
import re
import signal
import subprocess
import sys
from pathlib import Path


def test_a_log_is_replayed_and_its_page_served_until_ctrl_c(rides: Path, tmp_path: Path) -> None:
    """It says what it took for what and what would have happened, shows it, and removes what it wrote."""
    room = tmp_path / "room"
    room.mkdir()
    before = sorted(tmp_path.rglob("*"))
    with subprocess.Popen(
        [sys.executable, "-P", "-m", "monitor", "try", "rides.csv", "--ignore", "hum", "--keep"], cwd=tmp_path,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(room)},
    ) as trial:
        assert trial.stdout is not None
        said = []
        while not (found := re.search(r"look at it: http://(127\.0\.0\.1:\d+)/", "".join(said))):
            said.append(trial.stdout.readline())
            assert said[-1], (said, trial.communicate())
        connection = http.client.HTTPConnection(found[1], timeout=60)
        connection.request("GET", "/models/rides")
        page = connection.getresponse().read().decode()
        connection.close()
        trial.send_signal(signal.SIGINT)
        rest, errors = trial.communicate(timeout=60)
    text = "".join(said) + rest
    assert trial.returncode == 0, errors
    assert "label: label, by its usual name" in text
    assert "a retrain was asked for once" in text
    assert "assumed-challenger is asked to retrain" in page
    assert "driftd init rides.csv --ignore hum" in text
    assert "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before
