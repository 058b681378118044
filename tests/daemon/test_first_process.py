"""Being the process that orphans are handed to, tried as a subreaper, which needs no rights and no container."""

import os
import signal
import subprocess
import sys
from pathlib import Path

PROGRAM = """
import ctypes, os, signal, subprocess, sys, time
ctypes.CDLL(None).prctl(36, 1, 0, 0, 0)          # PR_SET_CHILD_SUBREAPER
from monitor.daemon.first_process import reap_as_first
reap_as_first(os.getpid())
def asked(number, frame): print("heard", signal.Signals(number).name, flush=True); sys.exit(7)
signal.signal(signal.SIGTERM, asked)
subprocess.run(["sh", "-c", "true & sleep 0.1 & exit"])
print("ready", flush=True)
while True: signal.pause()
"""


def children(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/task/{pid}/children").read_text().split()


def test_orphans_are_reaped_signals_passed_on_and_the_exit_code_is_the_services():
    """Of what lost its parent nothing stays as a zombie; SIGTERM reaches the service, whose code is the first's."""
    first = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "ready\n"
        while len(children(first.pid)) > 1:      # the orphans, until they have ended
            os.sched_yield()
        first.send_signal(signal.SIGTERM)
        assert first.communicate(timeout=60)[0] == "heard SIGTERM\n"
        assert first.returncode == 7
    finally:
        first.kill()
        first.wait()


def test_a_service_that_is_killed_ends_the_first_as_a_shell_says():
    """kill −9 of the service is exit code 137."""
    first = subprocess.Popen([sys.executable, "-c", PROGRAM], stdout=subprocess.PIPE, text=True)
    try:
        assert first.stdout.readline() == "ready\n"
        while len(children(first.pid)) > 1:
            os.sched_yield()
        os.kill(int(children(first.pid)[0]), signal.SIGKILL)
        assert first.wait(60) == 137
    finally:
        first.kill()
        first.communicate()
