"""Whether a child process makes progress: it computes, or it reads and writes. One that only waits does not."""

import os
from dataclasses import dataclass

_TICKS = os.sysconf("SC_CLK_TCK")
_BUSY = 0.01                             # of one core: less is what waking up now and then to look costs
_BYTES = 4096                            # a second: less is a source that keeps us waiting, byte by byte


@dataclass(frozen=True, slots=True)
class Effort:
    """What a process has done so far."""

    runnable: bool                       # it computes, or would if the machine were less busy
    computed: float                      # seconds of processor time, of all its threads
    moved: int                           # bytes it read and wrote


def effort(pid: int) -> Effort | None:
    """What a process and the commands it waits for have done; None where there is no such process, or no /proc."""
    if (own := _effort(pid)) is None:
        return None
    family = [own, *(found for child in _children(pid) if (found := effort(child)) is not None)]
    computed, moved = sum(one.computed for one in family), sum(one.moved for one in family)
    return Effort(any(one.runnable for one in family), computed, moved)


def _children(pid: int) -> list[int]:
    try:
        return [int(one) for one in _told(pid, f"task/{pid}/children").split()]
    except OSError:                      # it has gone, or the kernel does not tell
        return []


def _effort(pid: int) -> Effort | None:
    try:
        fields = _told(pid, "stat").rpartition(")")[2].split()
    except OSError:
        return None
    return Effort(fields[0] == "R", (int(fields[11]) + int(fields[12])) / _TICKS, _moved(pid))


def _moved(pid: int) -> int:
    try:
        lines = _told(pid, "io").splitlines()
    except OSError:                      # not allowed in some containers
        return 0
    counts = dict(line.split(": ") for line in lines)
    return int(counts["rchar"]) + int(counts["wchar"]) + int(counts["read_bytes"])


def _told(pid: int, what: str) -> str:
    """What the kernel tells of a process.

    A `Path` would intern the number at each look, which fills Python's table of such texts: megabytes at its next step.
    """
    with open(f"/proc/{pid}/{what}", encoding="ascii", errors="replace") as file:
        return file.read()


class Progress:
    """Looks at a process now and then, and knows since when it has stood still."""

    def __init__(self, pid: int, now: float) -> None:
        self._pid = pid
        self._last = effort(pid)
        self.since = now                 # monotonic seconds: when it was last seen to do something

    def look(self, now: float) -> float:
        """Return for how many seconds it has stood still; 0 where that cannot be known."""
        seen = effort(self._pid)
        if seen is None or self._last is None or self._has_moved(seen, self._last, now - self.since):
            self._last, self.since = seen, now
        return now - self.since

    @staticmethod
    def _has_moved(seen: Effort, last: Effort, seconds: float) -> bool:
        computed = seen.computed - last.computed
        moved = seen.moved - last.moved
        return seen.runnable or moved > _BYTES * seconds or (computed > 0 and computed >= _BUSY * seconds)
