"""Child processes that read and measure, so that the daemon stays small and survives whatever happens there.

One JSON line each way per task: `{"task": "module:function", "payload": …}` to the child's stdin,
`{"result": …}` or `{"error": class, "text": sentence}` back. No pickle. A payload and a result are the JSON of the
records that the task names (`workers.task`). See `workers.child` for the other side.
"""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import timedelta
from types import TracebackType
from typing import Any, Self

import structlog

from monitor import errors
from monitor.errors import ConfigError, DriftdError, Stopping, TaskFailed, TaskTimeout, WorkerDied
from monitor.outgoing.guard import allowed_inner
from monitor.records import from_json, to_json
from monitor.times import format_duration
from monitor.workers.task import Answer, Asked, Req, Res, Task

JSON = Any

_log = structlog.get_logger("driftd.worker")

# One thread each: the children are the parallelism. Arrow's pool of computing threads goes by OMP_NUM_THREADS too.
# Evidently sends usage data unless told not to. NumPy's AVX-512 sort is several times slower than its AVX2 one on
# Zen 4, and hardly faster elsewhere. Memory that Arrow frees serves the next column at once; given back, it would be
# faulted in again (ms).
ENVIRONMENT = {
    "OPENBLAS_NUM_THREADS": "1",
    "OMP_NUM_THREADS": "1",
    "MKL_NUM_THREADS": "1",
    "DO_NOT_TRACK": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "PYTHONUNBUFFERED": "1",
    "NPY_DISABLE_CPU_FEATURES": "X86_V4 AVX512_ICL AVX512_SPR",
    "MIMALLOC_PURGE_DELAY": "10000",
}


class Workers:
    """At most `size` children, started when first needed, each limited in memory and time and recycled.

    Without a size one for each core, but at least two, so that a slow task never has the only place.
    `timeout` is the longest one task may take, waiting for a free child not counted. Thread safe.
    """

    def __init__(self, size: int | None, memory_mb: int, timeout: timedelta, tasks_per_child: int = 50) -> None:
        self._size = size or max(2, len(os.sched_getaffinity(0)))
        self._memory_mb, self._timeout = memory_mb, timeout
        self._tasks_per_child = tasks_per_child
        self._changed = threading.Condition()
        self._idle: list[_Child] = []
        self._busy: set[_Child] = set()
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def run(self, task: Task[Req, Res], request: Req, *, timeout: timedelta | None = None) -> Res:
        """Have the task's function answer the request in a child, and return its result.

        Blocks, first for a free child, then for the result. Raises what the task raised where it is one of
        monitor.errors; TaskFailed for any other exception; TaskTimeout; WorkerDied when the child was killed,
        and a second one as well, or ran out of memory; Stopping once `close` was called.
        """
        payload, limit = to_json(request), timeout or self._timeout
        try:
            answer = self._ask(task.function, payload, limit)
        except WorkerDied as died:
            _log.warning(f"{died} It is tried once more in a fresh one.")
            answer = self._ask(task.function, payload, limit)
        if "error" in answer:
            raise _error(answer["error"], answer["text"])
        return from_json(task.result, answer["result"])

    def rest(self, after: timedelta) -> None:
        """End the children that had nothing to do for so long; new ones are started when they are needed."""
        limit = time.monotonic() - after.total_seconds()
        with self._changed:
            tired = [child for child in self._idle if child.idle_since <= limit]
            self._idle = [child for child in self._idle if child not in tired]
        for child in tired:
            child.end()

    def close(self) -> None:
        """End every child at once; what they were doing is abandoned, and its callers get Stopping."""
        with self._changed:
            self._closed = True
            children = [*self._idle, *self._busy]
            self._idle.clear()
            self._changed.notify_all()
        for child in children:
            child.end()

    def _ask(self, function: str, payload: JSON, timeout: timedelta) -> Answer:
        with self._child() as child:
            return child.ask(function, payload, timeout)

    @contextmanager
    def _child(self) -> "Iterator[_Child]":
        child = self._take()
        try:
            yield child
        except DriftdError:
            if self._closed:
                raise Stopping("The daemon is stopping; the task was abandoned.") from None
            raise
        finally:
            self._give_back(child)

    def _take(self) -> "_Child":
        with self._changed:
            self._changed.wait_for(lambda: self._closed or self._idle or len(self._busy) < self._size)
            if self._closed:
                raise Stopping("The daemon is stopping; no new task is started.")
            child = self._idle.pop() if self._idle else self._start()
            if not child.alive():  # killed while it had nothing to do
                child.end()
                child = self._start()
            self._busy.add(child)
            return child

    def _start(self) -> "_Child":
        try:
            return _Child(self._memory_mb)
        except OSError as error:
            raise WorkerDied(f"A worker process could not be started: {error.strerror}.") from None

    def _give_back(self, child: "_Child") -> None:
        worn = self._closed or not child.usable or child.tasks >= self._tasks_per_child
        if worn:
            child.end()
        with self._changed:
            self._busy.discard(child)
            if not worn and not self._closed:
                child.idle_since = time.monotonic()
                self._idle.append(child)
            self._changed.notify()
        if not worn and self._closed:
            child.end()


class _Child:
    """One process and its pipes; used by one thread at a time, ended by any."""

    def __init__(self, memory_mb: int) -> None:
        self.tasks = 0
        self.usable = True
        self.idle_since = 0.0  # monotonic seconds
        self._memory_mb = memory_mb
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
        threading.Thread(target=self._pass_on_stderr, daemon=True, name="worker-stderr").start()

    def ask(self, task: str, payload: JSON, timeout: timedelta) -> Answer:
        """Send one task, wait for its answer. Raises TaskTimeout or WorkerDied; the child is then useless."""
        self.tasks += 1
        asked: Asked = {"task": task, "payload": payload}
        late = threading.Event()
        timer = threading.Timer(timeout.total_seconds(), self._kill_late, [late])
        timer.daemon = True
        timer.start()
        line = self._exchange(json.dumps(asked).encode() + b"\n")
        timer.cancel()
        timer.join()
        self.usable = not late.is_set() and line.endswith(b"\n")
        if late.is_set():
            span = format_duration(timeout)
            raise TaskTimeout(f"{task} ran longer than {span} and was ended; is the source slow? The limit is "
                              "daemon.worker_timeout.")
        if not line.endswith(b"\n"):
            raise WorkerDied(f"{task}: the worker process {self._how_it_ended()}.")
        answer: Answer = json.loads(line)
        self.usable = not answer.get("ends", False)
        return answer

    def _kill_late(self, late: threading.Event) -> None:
        late.set()
        self._process.kill()

    def alive(self) -> bool:
        return self._process.poll() is None

    def end(self) -> None:
        """Kill the process, reap it and close its pipes; harmless when it is gone already."""
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout, self._lifeline):
            with suppress(OSError):  # unsent bytes to a process that is gone
                pipe.close() if pipe else None

    def _exchange(self, request: bytes) -> bytes:
        assert self._process.stdin
        assert self._process.stdout
        try:
            self._process.stdin.write(request)
            self._process.stdin.flush()
            return self._process.stdout.readline()
        except (OSError, ValueError):  # a broken pipe, or a file closed by `end`
            return b""

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


def _error(name: str, text: str) -> DriftdError:
    kind = getattr(errors, name, TaskFailed)
    return ConfigError(text.splitlines()) if kind is ConfigError else kind(text)
