"""One line of a table, and how processor time is taken: things compared take turns in the same run."""

import gc
import os
import statistics
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass

Run = Callable[[], object]
YES = 3      # the exit code of a command whose answer is yes


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A thing measured, in the section's unit, and how many times the section's first row that is."""

    what: str
    value: float
    ratio: float


def rows(measured: Mapping[str, float]) -> list[Row]:
    """Set each value beside the first."""
    first = next(iter(measured.values()))
    return [Row(what=what, value=value, ratio=value / first) for what, value in measured.items()]


def cpu_seconds(things: Mapping[str, Run], runs: int) -> dict[str, float]:
    """Return the median processor seconds of each, all threads of this process, after one run that is not counted."""
    for run in things.values():
        run()
    taken = [{what: _cpu(run) for what, run in things.items()} for _ in range(runs)]
    return {what: statistics.median(one[what] for one in taken) for what in things}


def child_cpu_seconds(commands: Mapping[str, list[str]], runs: int) -> dict[str, float]:
    """Return the median processor seconds of each command, its own children included."""
    taken = [{what: _child_cpu(command) for what, command in commands.items()} for _ in range(runs)]
    return {what: statistics.median(one[what] for one in taken) for what in commands}


def _cpu(run: Run) -> float:
    gc.collect()
    began = time.process_time()
    run()
    return time.process_time() - began


def _child_cpu(command: list[str]) -> float:
    """Raises OSError where the command cannot be run, RuntimeError where it neither ends well nor says yes."""
    silent = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, silent, 1)])
    os.close(silent)
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, YES):
        raise RuntimeError(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime
