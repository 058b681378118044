"""The parent's side of one child process: its pipes, its limits and its end."""

import json
import os
import select
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from enum import Enum
from typing import Any

import structlog

from monitor.errors import SourceSilent, TaskTimeout, WorkerDied
from monitor.outgoing.guard import allowed_inner
from monitor.times import format_duration
from monitor.workers.progress import Progress
from monitor.workers.task import Answer, Asked, Asker

_log = structlog.get_logger("driftd.worker")

# One thread each: the children are the parallelism. Arrow's pool of computing threads goes by OMP_NUM_THREADS too.
# Evidently sends usage data unless told not to. NumPy's AVX-512 sort is several times slower than its AVX2 one on
# Zen 4, and hardly faster elsewhere. Arrow and NumPy share one heap, so that what one frees serves the other.
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "ARROW_DEFAULT_MEMORY_POOL": "system",
    "MALLOC_ARENA_MAX": "1",
}
_LOOK_EVERY = 0.5                        # seconds between looks at what runs
_REAPED = 1.0                            # seconds a killed process gets to go; one in a hung system call stays longer


@dataclass(frozen=True, slots=True)
class Order:
    """One task to be done: for whom, and the time it may take."""

    function: str
    payload: Any                         # JSON
    asker: Asker
    limit: timedelta


class Stop(Enum):
    """Why a task was ended."""

    LATE = "late"                        # over its time
    SILENT = "silent"                    # without any progress for as long as its source may be
    ASIDE = "aside"                      # without any progress while others wait; it is begun again


class SetAside(Exception):
    """The task was ended so that others can have its place; it is to be begun again."""


class Child:
    """One process and its pipes; used by one thread at a time, killed by any."""

    def __init__(self, memory_mb: int) -> None:
        self.tasks = 0
        self.usable = True
        self.idle_since = 0.0            # monotonic seconds
        self._memory_mb = memory_mb
        self._stopped: Stop | None = None
        self._killed_at: float | None = None     # monotonic seconds
        watched, ours = os.pipe()
        self._lifeline = os.fdopen(ours, "wb", 0)  # never written to: it closes when we are gone, which ends the child
        with os.fdopen(watched, "rb", 0):
            self._process = subprocess.Popen(
                # -P: modules never come from the working folder, where the data may lie
                [sys.executable, "-P", "-m", "monitor.workers.child", str(memory_mb), str(watched),
                 json.dumps(allowed_inner())],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env=os.environ | ENVIRONMENT,
                pass_fds=[watched],
                process_group=0,  # Ctrl-C in a terminal is for the daemon, which then ends its children
            )
        assert self._process.stdin
        os.set_blocking(self._process.stdin.fileno(), False)     # a child that stands still must not stop us
        threading.Thread(target=self._pass_on_stderr, daemon=True, name="worker-stderr").start()

    def ask(self, order: Order, looked: Callable[[float], None] = lambda _: None) -> Answer:
        """Do one task, wait for its answer. Raises TaskTimeout, WorkerDied or SetAside; the child is then useless.

        `looked` is told now and then for how many seconds the task has made no progress; it may `stop` it.
        """
        self.tasks += 1
        asked: Asked = {"task": order.function, "payload": order.payload}
        line = self._exchange(json.dumps(asked).encode() + b"\n", self._watch(order, looked))
        self.usable = line.endswith(b"\n") and self._killed_at is None
        if self._stopped is Stop.ASIDE:
            raise SetAside
        if self._stopped is not None:
            raise _too_long(order, self._stopped)
        if not line.endswith(b"\n"):
            raise WorkerDied(f"{order.function}: the worker process {self._how_it_ended()}.")
        answer: Answer = json.loads(line)
        self.usable = self.usable and not answer.get("ends", False)
        return answer

    def stop(self, why: Stop) -> None:
        """End the process, whose task then says why. Only within `looked`."""
        self._stopped = self._stopped or why
        self.kill()

    def kill(self) -> None:
        """Kill the process; who waits for its answer reaps it."""
        self._killed_at = self._killed_at or time.monotonic()
        self._process.kill()

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process, reap it and close its pipes; harmless when it is gone already.

        One that is in a system call which never returns (a hung mount) is left behind: the kernel ends it when the
        call returns.
        """
        self._process.kill()
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_REAPED)
        for pipe in (self._process.stdin, self._process.stdout, self._lifeline):
            with suppress(OSError):  # unsent bytes to a process that is gone
                pipe.close() if pipe else None

    def _watch(self, order: Order, looked: Callable[[float], None]) -> Callable[[], None]:
        """Return what looks at the task, every half a second, and ends it where a limit is passed."""
        begun = time.monotonic()
        progress, last = Progress(self._process.pid, begun), begun

        def look() -> None:
            nonlocal last
            now = time.monotonic()
            if now - last < _LOOK_EVERY or self._killed_at is not None:
                return
            last, silent, patience = now, progress.look(now), order.asker.patience
            if now - begun > order.limit.total_seconds():
                self.stop(Stop.LATE)
            elif patience is not None and silent > patience.total_seconds():
                self.stop(Stop.SILENT)
            else:
                looked(silent)

        return look

    def _exchange(self, request: bytes, look: Callable[[], None]) -> bytes:
        """Write the request and read a line; what there is of it when the process ends, or is killed and does not."""
        assert self._process.stdin
        assert self._process.stdout
        to, back, rest, answer = self._process.stdin.fileno(), self._process.stdout.fileno(), request, bytearray()
        poll = select.poll()
        poll.register(to, select.POLLOUT)
        poll.register(back, select.POLLIN)
        while not answer.endswith(b"\n") and not self._is_lost():
            ready = dict(poll.poll(_LOOK_EVERY * 1000))
            look()
            if to in ready:
                rest = _written(to, rest)
                if not rest:
                    poll.unregister(to)
            if back in ready:
                read = os.read(back, 1 << 20)
                answer += read
                if not read:
                    break
        return bytes(answer)

    def _is_lost(self) -> bool:
        """It was killed long ago and still is there: in a system call that does not return."""
        return self._killed_at is not None and time.monotonic() - self._killed_at > _REAPED

    def _how_it_ended(self) -> str:
        code = self._process.wait()
        if code >= 0:
            return f"left with exit code {code}"
        name = signal.Signals(-code).name
        hint = {
            "SIGKILL": "; the system may be out of memory",
            "SIGABRT": f"; it may have needed more than {self._memory_mb} MB",
        }
        return f"was killed by {name}{hint.get(name, '')}"

    def _pass_on_stderr(self) -> None:
        assert self._process.stderr
        with self._process.stderr as lines:
            for line in lines:
                _log.warning(line.decode(errors="replace").rstrip(), pid=self._process.pid)


def _written(to: int, rest: bytes) -> bytes:
    """Write what a pipe takes; return what is left, nothing when the other side is gone."""
    try:
        return rest[os.write(to, rest):]
    except BlockingIOError:
        return rest
    except OSError:                      # the end of the answer says so too
        return b""


def _too_long(order: Order, stopped: Stop) -> TaskTimeout:
    if stopped is Stop.SILENT and order.asker.patience is not None:
        span = format_duration(order.asker.patience)
        return SourceSilent(f"{order.function} waited {span} for a source that gave no sign of life, and was ended; "
                            "does the mount or the database answer? The limit is the source's timeout.")
    span = format_duration(order.limit)
    return TaskTimeout(f"{order.function} ran longer than {span} and was ended; is the source slow? The limit is "
                       "daemon.worker_timeout.")
