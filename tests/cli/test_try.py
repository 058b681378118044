"""`driftd try`: the page of somebody's own log in one command, and nothing left behind."""

import http.client
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

ADDRESS = r"http://(127\.0\.0\.1:\d+)/"


def _page(address: str, shows: str) -> str:
    """The model's page, once it is served and shows a text."""
    deadline = time.monotonic() + 60
    while True:
        connection = http.client.HTTPConnection(address, timeout=60)
        try:
            connection.request("GET", "/models/rides")
            if shows in (page := connection.getresponse().read().decode()):
                return page
        except ConnectionRefusedError:
            pass
        finally:
            connection.close()
        assert time.monotonic() < deadline, "waited too long"
        time.sleep(0.05)


def _said_until(trial: "subprocess.Popen[str]", said: list[str], before: str) -> str:
    """Note what it prints up to an address behind some words; return the address."""
    assert trial.stdout is not None
    while not (found := re.search(before + ADDRESS, "".join(said))):
        said.append(trial.stdout.readline())
        assert said[-1], "it ended early"
    return found[1]


def _started(folder: Path) -> "subprocess.Popen[str]":
    """`driftd try` on the rides of a folder, with a room for temporary files in it."""
    room = folder / "room"
    room.mkdir()
    return subprocess.Popen(
        [sys.executable, "-P", "-m", "monitor", "try", "rides.csv", "--ignore", "hum", "--keep"], cwd=folder,
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=os.environ | {"TMPDIR": str(room)},
        preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),     # under nohup it would be ignored
    )


def test_a_log_is_replayed_and_its_page_served_until_it_is_ended(rides: Path, tmp_path: Path) -> None:
    """It says what it took for what and what would have happened, shows it while it is replayed and afterwards, and
    removes what it wrote.
    """
    before = sorted([*tmp_path.rglob("*"), tmp_path / "room"])
    trial = _started(tmp_path)
    said: list[str] = []
    try:
        early = _page(_said_until(trial, said, "fills while the log is replayed: "), "rmse by window")
        page = _page(_said_until(trial, said, "look at it: "), "assumed-challenger is asked to retrain")
        trial.terminate()
        rest, errors = trial.communicate(timeout=60)
    finally:
        trial.kill()
        trial.wait()
    assert re.search(r"The log is being replayed, \d+ % so far", early)
    assert "being replayed" not in page
    text = "".join(said) + rest
    assert trial.returncode == 0, errors
    assert "label: label, by its usual name" in text
    assert "a retrain was asked for once" in text
    assert "driftd init rides.csv --ignore hum" in text
    assert "Traceback" not in errors
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_what_ends_it_during_the_replay_leaves_nothing(rides: Path, tmp_path: Path, number: signal.Signals) -> None:
    """A terminal that is closed, or a machine that goes down, while the log is replayed: no file stays."""
    trial = _started(tmp_path)
    try:
        _said_until(trial, [], "fills while the log is replayed: ")
        trial.send_signal(number)
        _, errors = trial.communicate(timeout=60)
    finally:
        trial.kill()
        trial.wait()
    assert (trial.returncode, errors) == (130, "")
    assert list((tmp_path / "room").rglob("*")) == []
