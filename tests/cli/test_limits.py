"""Commands that read data have limits of memory and time, and what ends them is told in one sentence."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

IN_CHILD = """
import os, signal, sys
from monitor.cli.limits import run_in_child
code = run_in_child(["compare", "a", "b"])
if code is None:
    print("child", os.getpid(), flush=True)
    {act}
    sys.exit(3)
sys.exit(code)
"""


def run(act: str) -> "subprocess.CompletedProcess[str]":
    return subprocess.run([sys.executable, "-c", IN_CHILD.format(act=act)], capture_output=True, text=True, timeout=60,
                          check=False)


@pytest.mark.parametrize(("number", "said"), [
    ("SIGALRM", "took longer than daemon.worker_timeout"), ("SIGABRT", "may have needed more than"),
    ("SIGKILL", "may be out of memory"), ("SIGSEGV", "was ended by SIGSEGV"),
])
def test_what_ends_the_child_is_said(number: str, said: str) -> None:
    """A command that is ended from outside could not judge, and its last line says what happened."""
    ended = run(f"os.kill(os.getpid(), signal.{number})")
    assert ended.returncode == 4
    assert said in ended.stderr
    assert ended.stderr.count("\n") == 1


def test_the_exit_code_is_the_childs() -> None:
    """A command that ends by itself ends with its own exit code, and nothing is added to what it says."""
    ended = run("pass")
    assert (ended.returncode, ended.stderr) == (3, "")


def test_the_child_does_not_outlive_the_parent() -> None:
    """A command that is killed leaves no process that reads on."""
    program = [sys.executable, "-c", IN_CHILD.format(act="signal.pause()")]
    with subprocess.Popen(program, stdout=subprocess.PIPE) as parent:
        assert parent.stdout
        child = int(parent.stdout.readline().split()[1])
        parent.kill()
    until = time.monotonic() + 30
    while _runs(child) and time.monotonic() < until:
        os.sched_yield()
    assert not _runs(child)


def _runs(process: int) -> bool:
    try:
        return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except FileNotFoundError:
        return False


def test_a_bomb_is_refused_within_the_limit(tmp_path: Path) -> None:
    """A file of kilobytes that unpacks to gigabytes ends the command at its limit, without a traceback."""
    words = pa.DictionaryArray.from_arrays(pa.array(np.zeros(4_000_000, np.int32)), pa.array(["y" * 1000]))
    times = pa.array(np.arange(4_000_000), pa.timestamp("s", "UTC"))
    pq.write_table(pa.table({"timestamp": times, "prediction": words}), tmp_path / "log.parquet")
    (tmp_path / "driftd.toml").write_text(
        '[daemon]\nworker_memory_mb = 512\n[models.m]\npredictions = "log.parquet"\nreference = "log.parquet"\n'
    )
    command = [sys.executable, "-m", "monitor", "validate", "-c", "driftd.toml"]
    ended = subprocess.run(command, cwd=tmp_path, check=False, capture_output=True, text=True, timeout=120)
    assert ended.returncode == 4
    assert "needed more than" in ended.stderr
    assert "worker_memory_mb" in ended.stderr
    assert "Traceback" not in ended.stderr
    assert signal.Signals.SIGABRT.name not in ended.stderr
