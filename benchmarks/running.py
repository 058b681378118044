"""Runners: a process each for driftd, for Arrow and for every peer, which answer what a work costs, in turns."""

import json
import os
import statistics
import subprocess
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, Any

from benchmarks.data import Made
from monitor.cli.terminal import Report
from monitor.workers.process import ENVIRONMENT

ROOT = Path(__file__).resolve().parents[1]
# One thread of BLAS everywhere: threads that wait for work spin, and would count.
THREADS = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"}
# driftd's runner finds `benchmarks`, and is set as its workers are; so is the lower bound.
SETTINGS = {"driftd": ENVIRONMENT | {"PYTHONPATH": str(ROOT)}, "arrow": ENVIRONMENT}


@dataclass(frozen=True, slots=True)
class Cost:
    """Processor seconds of one work, the most memory it took beyond what was held before, and its numbers."""

    reading: float
    measuring: float
    extra_mb: float
    values: dict[str, float]

    @property
    def seconds(self) -> float:
        return self.reading + self.measuring


class Runner:
    """One process; `works` is what it can do, `preparing` the processor seconds of all it made of the reference."""

    def __init__(self, name: str, process: subprocess.Popen[str], log: IO[str]) -> None:
        self._name, self._process, self._log = name, process, log
        answer = self._answer()
        self.works: list[str] = answer["works"]
        self.preparing: float = answer["preparing"]

    def run(self, work: str, file: Path) -> Cost:
        """Do a work once. Raises RuntimeError with the runner's last words where it fails."""
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps({"work": work, "file": str(file)}) + "\n")
        self._process.stdin.flush()
        return Cost(**self._answer())

    def _answer(self) -> dict[str, Any]:
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if line:
            return dict(json.loads(line))
        self._log.seek(0)
        words = self._log.read().strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"{self._name} ended: {words[-1]}")


@contextmanager
def runner(python: str, script: str, made: Made) -> Iterator[Runner]:
    """Start `runners/run_SCRIPT.py` under a Python of its own; ends with the block."""
    spec = {"reference": str(made.reference), "numbers": made.size.numbers, "words": made.size.words}
    command = [python, str(ROOT / f"benchmarks/runners/run_{script}.py"), json.dumps(spec)]
    env = os.environ | SETTINGS.get(script, THREADS)
    with TemporaryFile("w+") as log, subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log, text=True, env=env
    ) as process:
        yield Runner(f"the runner of {script}", process, log)


@contextmanager
def driftd_and_arrow(made: Made) -> Iterator[tuple[Runner, Runner]]:
    """Start driftd's runner and Arrow's."""
    with ExitStack() as stack:
        ours, arrow = (stack.enter_context(runner(sys.executable, name, made)) for name in ("driftd", "arrow"))
        yield ours, arrow


Turn = tuple[Runner, str]


def in_turns(turns: Sequence[Turn], made: Made, runs: int, report: Report) -> list[Cost]:
    """Do each work `runs` times in turns, after once on a small file, which is not counted. Returns medians, with the
    largest memory."""
    for one, work in turns:
        one.run(work, made.small)
    taken: list[list[Cost]] = [[] for _ in turns]
    for done in range(runs):
        for place, (one, work) in enumerate(turns):
            report(done * len(turns) + place, runs * len(turns))
            taken[place].append(one.run(work, made.window))
    return [_median(costs) for costs in taken]


def _median(costs: Sequence[Cost]) -> Cost:
    middle = statistics.median_low([cost.seconds for cost in costs])
    found = next(cost for cost in costs if cost.seconds == middle)
    return Cost(found.reading, found.measuring, max(cost.extra_mb for cost in costs), found.values)
