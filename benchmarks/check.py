"""What a check costs beside reading the window's columns once: processor seconds, and megabytes."""

import sys

from benchmarks.data import Size, made
from benchmarks.rows import Asked, Row
from benchmarks.running import Cost, driftd_and_arrow, in_turns, runner
from monitor.cli.terminal import progress

USUAL, LARGE, HUGE = 100_000, 1_000_000, 10_000_000
COLUMNS, FEW = 50, 5
READING = ("strings as dictionaries", "strings as strings")      # the first is the lower bound
ONE_PASS = "one pass"
GOALS = {(ONE_PASS, USUAL): "≤ 4; ≥ 40,000", (ONE_PASS, LARGE): "≤ 3", ("seven exact", USUAL): "≤ 25",
         ("seven exact", LARGE): "≤ 15"}
MEGABYTES = "≤ 64 MB"


def usual(asked: Asked) -> list[Row]:
    """Processor seconds of each way to check a window, beside reading it; the reference is digested before."""
    return _check(Size(rows=asked.rows or USUAL, columns=COLUMNS), asked.runs)


def large(asked: Asked) -> list[Row]:
    """The same for a window of a million rows."""
    return _check(Size(rows=LARGE, columns=COLUMNS), asked.runs)


def _check(size: Size, runs: int) -> list[Row]:
    with progress(f"check, {size}") as report, made(size) as files, driftd_and_arrow(files) as (ours, arrow):
        turns = [(arrow, work) for work in READING] + [(ours, work) for work in ours.works]
        costs = in_turns(turns, files, runs, report)
        names = [f"reading, {work}" for work in READING] + [f"driftd, {work}" for work in ours.works]
        goals = ["" for _ in READING] + [GOALS.get((work, size.rows), "") for work in ours.works]
    rows = zip(names, costs, goals, strict=True)
    return [_row(what, cost, costs[0], goal) for what, cost, goal in rows]


def _row(what: str, cost: Cost, first: Cost, goal: str) -> Row:
    also = {"checks per core-hour": 3600 / cost.seconds}
    return Row(what=what, value=cost.seconds, ratio=cost.seconds / first.seconds, also=also, goal=goal)


def peak(asked: Asked) -> list[Row]:
    """Megabytes a one-pass check takes at its peak beyond what was resident, beside reading all columns with Arrow."""
    sizes = [Size(rows=USUAL, columns=COLUMNS), Size(rows=LARGE, columns=COLUMNS), Size(rows=HUGE, columns=FEW)]
    if asked.slow:
        sizes.append(Size(rows=HUGE, columns=COLUMNS))
    if asked.rows:
        sizes = [Size(rows=asked.rows, columns=COLUMNS)]
    with progress("peak memory") as report:
        measured = []
        for done, size in enumerate(sizes):
            report(done, len(sizes))
            measured.append(_peak(size))
    return measured


def _peak(size: Size) -> Row:
    """Each in a process of its own, which has only looked at a small file: what was freed there is not hidden."""
    taken = []
    with made(size) as files:
        on_disk = files.window.stat().st_size / 1e6
        for script, work in (("driftd", ONE_PASS), ("arrow", READING[1])):
            with runner(sys.executable, script, files) as one:
                taken.append(in_turns([(one, work)], files, 1, lambda done, total: None)[0].extra_mb)
    ours, whole = taken
    also = {"the file, MB": on_disk, "Arrow whole, MB": whole}
    return Row(what=str(size), value=ours, ratio=ours / whole if whole else float("nan"), also=also, goal=MEGABYTES)
