"""What every runner shares: it waits for a line on stdin that names a work and a file, does it, and prints what it
cost. Needs the standard library only, since each peer has an environment of its own.

A runner is started as `python run_….py SPEC`, where SPEC is JSON: the reference's file, the names of its numeric
columns and of its columns of strings. Imports and everything made once from the reference come before the first line.
"""

import gc
import json
import os
import re
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Values = dict[str, float]      # "column method" -> its number, where driftd computes the same quantity; else empty


@dataclass(frozen=True)
class Spec:
    """The reference's file and its columns."""

    reference: str
    numbers: list[str]
    words: list[str]

    @property
    def columns(self) -> list[str]:
        return [*self.numbers, *self.words]


@dataclass(frozen=True)
class Work:
    """From a window's file to the form that is asked for, and from there to the numbers."""

    read: Callable[[str], Any]
    measure: Callable[[Any], Values]


def serve(prepare: Callable[[Spec], dict[str, Work]]) -> None:
    """Answer lines until stdin ends. Whatever the peer prints goes to stderr."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    began = time.process_time()
    works = prepare(Spec(**json.loads(sys.argv[1])))
    _say(answers, {"works": list(works), "preparing": time.process_time() - began})
    for line in sys.stdin:
        wanted = json.loads(line)
        _say(answers, _measured(works[wanted["work"]], wanted["file"]))


def _measured(work: Work, file: str) -> dict[str, Any]:
    gc.collect()
    before = _forget_peak()
    began = time.process_time()
    data = work.read(file)
    read = time.process_time()
    values = work.measure(data)
    ended = time.process_time()
    extra = _memory("VmHWM") - before
    return {"reading": read - began, "measuring": ended - read, "extra_mb": extra, "values": values}


def _forget_peak() -> float:
    """Let the kernel count the peak from now (Linux), and return the megabytes resident now."""
    with open("/proc/self/clear_refs", "w") as file:
        file.write("5")
    return _memory("VmRSS")


def _memory(field: str) -> float:
    with open("/proc/self/status") as file:
        found = re.search(rf"^{field}:\s+(\d+) kB", file.read(), re.MULTILINE)
    return int(found[1]) * 1024 / 1e6 if found else 0.0


def _say(answers: Any, answer: dict[str, Any]) -> None:
    answers.write(json.dumps(answer) + "\n")
    answers.flush()
