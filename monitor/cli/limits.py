"""Limits of memory and time for commands that read data themselves: those that workers have.

Such a command is done in a forked child. Whatever ends it (the kernel, a library that aborts, the alarm), the parent
is there to say why in a sentence.
"""

import ctypes
import os
import resource
import signal
from collections.abc import Sequence
from datetime import timedelta

from monitor import pandas_later
from monitor.times import format_duration
from monitor.workers.child import leave_with_parent

LIMITED = ("compare", "init", "validate", "gate", "window", "backtest", "try")
UNTIMED = ("backtest", "try")    # their parts have a limit each: they are done by workers
READING = ("compare", "init", "gate", "window")    # those that read data in this process
MEMORY_MB, TIME = 4096, timedelta(minutes=30)     # until a configuration says otherwise
UNJUDGED = 4
_M_ARENA_MAX = -8               # of <malloc.h>

_timed: bool | None = None       # None: this process has no limits


def run_in_child(arguments: Sequence[str]) -> int | None:
    """Fork for a command that has limits, and return its exit code; None in the child, and where none is needed."""
    command = next((word for word in arguments if not word.startswith("-")), "")
    if command not in LIMITED:
        return None
    lifeline, ours = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(ours)
        signal.signal(signal.SIGIO, signal.SIG_DFL)
        leave_with_parent(lifeline)
        _begin(timed=command not in UNTIMED)
        if command in READING:
            _share_one_heap()
            pandas_later.postpone()
        if signal.getsignal(signal.SIGINT) is signal.default_int_handler:
            signal.signal(signal.SIGINT, _interrupted)
        return None
    os.close(lifeline)
    passed_on = set()

    def pass_on(number: int, _: object) -> None:
        passed_on.add(number)
        os.kill(child, number)

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) in (signal.default_int_handler, signal.SIG_DFL):    # not ignored, as under nohup
            signal.signal(number, pass_on)
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code >= 0:
        return code
    if -code in passed_on:           # end as the child did, so that whoever sent it sees what it sent
        signal.signal(-code, signal.SIG_DFL)
        os.kill(os.getpid(), -code)
    from monitor.cli.terminal import say

    say(f"driftd {command} {_how_it_ended(-code)}", err=True)
    return UNJUDGED


def set_limits(memory_mb: int, time: timedelta) -> None:
    """Take the limits of a configuration, where this process has any."""
    if _timed is not None:
        _, hard = resource.getrlimit(resource.RLIMIT_DATA)
        resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, hard))
        signal.setitimer(signal.ITIMER_REAL, time.total_seconds() if _timed else 0)


def out_of_memory(command: str) -> str:
    """Say that a command needed more memory than it may have."""
    limit = resource.getrlimit(resource.RLIMIT_DATA)[0] >> 20
    more = f"more than {limit} MB" if _timed is not None else "more memory than there is"
    return f"driftd {command} needed {more}; is a file larger than it seems? The limit is daemon.worker_memory_mb."


def _begin(*, timed: bool) -> None:
    global _timed
    _timed = timed
    signal.signal(signal.SIGALRM, signal.SIG_DFL)    # it ends the process, also one that waits in a library
    set_limits(MEMORY_MB, TIME)


def _share_one_heap() -> None:
    """Have Arrow and NumPy share one heap, as in workers, so that what one frees serves the other."""
    os.environ["ARROW_DEFAULT_MEMORY_POOL"] = "system"
    libc = ctypes.CDLL(None)
    if hasattr(libc, "mallopt"):     # not in every C library
        libc.mallopt(_M_ARENA_MAX, 1)


def _interrupted(*_: object) -> None:
    """Leave once: Ctrl-C comes from the terminal and from the parent."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    raise KeyboardInterrupt


def _how_it_ended(number: int) -> str:
    name = signal.Signals(number).name
    return {
        "SIGALRM": f"took longer than daemon.worker_timeout ({format_duration(TIME)} by default); is a source slow?",
        "SIGABRT": f"was ended by SIGABRT; it may have needed more than daemon.worker_memory_mb ({MEMORY_MB} MB by "
                   "default).",
        "SIGKILL": "was killed by SIGKILL; the system may be out of memory.",
    }.get(name, f"was ended by {name}.")
