"""One line of a table, and how processor time is taken: things compared take turns in the same run."""

import os
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

YES = 3      # the exit code of a command whose answer is yes


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """Medians of how many runs; whether slow things too; rows of the window in place of the usual number."""

    runs: int
    slow: bool
    rows: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """A thing measured, in the section's unit, what else is known of it, the ratio, and the goal set for either.

    The ratio is to the section's first row unless the section says otherwise.
    """

    what: str
    value: float
    ratio: float
    also: Mapping[str, float | str] = field(default_factory=dict)
    goal: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One table: its title, the unit of the values, what the ratio is; slow ones are measured only when asked for."""

    title: str
    unit: str
    measure: Callable[[Asked], list[Row]]
    ratio: str = "ratio"
    slow: bool = False

    def table(self, measured: Sequence[Row]) -> tuple[list[str], list[list[str]]]:
        """Return headings and cells; all but the first column hold numbers."""
        also = list(measured[0].also)
        goals = any(row.goal for row in measured)
        headings = [self.title, self.unit, *also, self.ratio, *(["goal"] if goals else [])]
        return headings, [
            [row.what, short(row.value), *(short(row.also[name]) for name in also), short(row.ratio),
             *([row.goal] if goals else [])]
            for row in measured
        ]


class Absent(Exception):
    """Why a section cannot be measured here."""


def short(value: float | str) -> str:
    """Three significant digits; thousands in groups."""
    if isinstance(value, str):
        return value
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def rows(measured: Mapping[str, float]) -> list[Row]:
    """Set each value beside the first."""
    first = next(iter(measured.values()))
    return [Row(what=what, value=value, ratio=value / first) for what, value in measured.items()]


def child_cpu_seconds(commands: Mapping[str, list[str]], runs: int) -> dict[str, float]:
    """Return the median processor seconds of each command, its own children included."""
    taken = [{what: _child_cpu(command) for what, command in commands.items()} for _ in range(runs)]
    return {what: statistics.median(one[what] for one in taken) for what in commands}


def _child_cpu(command: list[str]) -> float:
    """Raises OSError where the command cannot be run, RuntimeError where it neither ends well nor says yes."""
    silent = os.open(os.devnull, os.O_WRONLY)
    pid = os.posix_spawn(command[0], command, os.environ, file_actions=[(os.POSIX_SPAWN_DUP2, silent, 1)])
    os.close(silent)
    _, status, used = os.wait4(pid, 0)
    if os.waitstatus_to_exitcode(status) not in (0, YES):
        raise RuntimeError(f"{' '.join(command)} failed")
    return used.ru_utime + used.ru_stime
