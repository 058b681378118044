"""Row 4: writes that fail, for want of space, with I/O errors or when they are synced, at random places."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from monitor.records import DispatchState
from monitor.store import LEASE, Store
from tests.torture.standing_need import STEP

HERE = Path(__file__).resolve().parent


@pytest.mark.torture(4)
@pytest.mark.skipif(shutil.which("gcc") is None, reason="needs gcc")
def test_what_is_acknowledged_is_on_disk_and_nothing_is_stuck(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """After any faults: what was acknowledged is there, each request went out and ended, and the state is whole."""
    shim, faults = tmp_path / "failing.so", effort(8, 200)
    subprocess.run(["gcc", "-shared", "-fPIC", "-o", shim, HERE / "failing_writes.c", "-ldl"], check=True)
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.faulted", tmp_path / "state", str(faults), str(seed)], check=False,
        env=os.environ | {"LD_PRELOAD": str(shim)}, capture_output=True, text=True, timeout=3600, cwd=HERE.parents[1],
    )
    assert done.returncode == 0, done.stderr[-3000:]
    told = json.loads(done.stdout.splitlines()[-1])
    with Store.open(tmp_path / "state") as store:
        kept = {row["reason"] for row in store._db.all("SELECT reason FROM silences")}
        states = {one.id: one.state for one in store.requests.all()}
        assert store.audit.verify().problem is None
    assert not set(told["acknowledged"]) - kept
    assert set(told["posted"]) == {id for id, state in states.items() if state is DispatchState.DELIVERED}
    assert (told["left"], told["failures"] >= faults) == ([], True)
    again, longest = len(told["posted"]) - len(set(told["posted"])), told["longest"]
    assert longest <= (LEASE + STEP).total_seconds()
    figure(f"{told['failures']} failed writes at {faults} places: {len(told['acknowledged'])} acknowledgements, "
           f"0 not on disk; {len(states)} requests, unsettled for at most {longest:.0f} s; {again} sent again")
