"""Every exit against metadata services that are there: in a network of its own, with a name server that rebinds."""

import json
import os
import shutil
import subprocess
import sys

import pytest

from tests.real.inside.namespace import EXITS

pytestmark = [
    pytest.mark.real,
    pytest.mark.skipif(os.getuid() != 0 or shutil.which("ip") is None, reason="needs root, unshare and ip"),
]


def test_no_exit_reaches_a_metadata_service() -> None:
    """Sixty and more forms, names that lead there, and names that change between two answers: no connection."""
    clean = {name: text for name, text in os.environ.items() if "proxy" not in name.lower()}
    done = subprocess.run(
        ["unshare", "-nm", sys.executable, "-m", "tests.real.inside.namespace"], capture_output=True, text=True,
        env=clean,
    )
    assert done.returncode == 0, done.stderr
    reached = json.loads(done.stdout.splitlines()[-1])
    assert len(reached.pop("unguarded")) >= 30
    assert {name: set(found) for name, found in reached.items()} == {name: {"127.0.0.1"} for name in EXITS}
