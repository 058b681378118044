"""Child processes that read and measure, so that the daemon stays small and survives whatever happens there.

One JSON line each way per task: `{"task": "module:function", "payload": …}` to the child's stdin,
`{"result": …}` or `{"error": class, "text": sentence}` back. No pickle. A payload and a result are the JSON of the
records that the task names (`workers.task`). See `workers.process` for one child, `workers.child` for its other side,
`workers.places` for whose turn it is.
"""

import os
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import timedelta
from functools import partial
from types import TracebackType
from typing import Self

import structlog

from monitor import errors
from monitor.errors import ConfigError, DriftdError, SourceError, SourceSilent, Stopping, TaskFailed, WorkerDied
from monitor.records import from_json, to_json
from monitor.workers.places import Places, Standing, Turn
from monitor.workers.process import Child, Order, SetAside, Stop
from monitor.workers.task import NOBODY, Answer, Asker, Asks, Req, Res, Task

_log = structlog.get_logger("driftd.worker")

_SILENT = 2.0                            # seconds without progress, after which others need not wait for it
_SAID_AFTER = 30.0                       # seconds without progress, after which the log says so


class Workers:
    """At most `size` children and one for a hung source, started when first needed, each limited in memory and time.

    Without a size one for each core, but at least two, so that a slow task never has the only place.
    `timeout` is the longest one task may take, waiting for a free child not counted. Thread safe.
    """

    def __init__(self, size: int | None, memory_mb: int, timeout: timedelta, tasks_per_child: int = 500) -> None:
        self._memory_mb, self._timeout = memory_mb, timeout
        self._tasks_per_child = tasks_per_child
        self._changed = threading.Condition()
        self._places = Places(size or max(2, len(os.sched_getaffinity(0))))
        self._idle: list[Child] = []
        self._busy: dict[Turn, Child] = {}
        self._silent: dict[Turn, float] = {}     # seconds without progress
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
        asker = request.asker if isinstance(request, Asks) else NOBODY
        order = Order(task.function, to_json(request), asker, timeout or self._timeout)
        try:
            answer = self._answered(order)
        except TaskFailed as error:
            self._note(asker, Standing.HUNG if isinstance(error, SourceSilent) else Standing.FAILING)
            raise
        failed = _error(answer["error"], answer["text"]) if "error" in answer else None
        self._note(asker, Standing.FAILING if isinstance(failed, SourceError | TaskFailed) else Standing.GOOD)
        if failed is not None:
            raise failed
        return from_json(task.result, answer["result"])

    def waiting(self) -> list[tuple[str, float]]:
        """The models that wait for a place, and for how many seconds."""
        now = time.monotonic()
        with self._changed:
            return [(turn.model, now - turn.since) for turn in self._places.waiting if turn.model]

    def silent(self) -> list[tuple[str, float]]:
        """The models whose task runs, and for how many seconds it has made no progress."""
        with self._changed:
            return [(turn.model, seconds) for turn, seconds in self._silent.items() if turn.model]

    @property
    def stuck(self) -> bool:
        """Whether all that runs waits for a source that gives no sign of life."""
        with self._changed:
            return all(self._silent.get(turn, 0.0) > _SILENT for turn in self._busy)

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
            idle, self._idle = self._idle, []
            for child in (*idle, *self._busy.values()):
                child.kill()             # who waits for its answer reaps it
            self._changed.notify_all()
        for child in idle:
            child.end()

    def _answered(self, order: Order) -> Answer:
        """The answer of the first child that lives to give it; of two that die the second is believed."""
        died = False
        while True:
            try:
                with self._child(order.asker) as (turn, child):
                    return child.ask(order, partial(self._looked, turn, child))
            except SetAside:
                continue
            except WorkerDied as error:
                if died:
                    raise
                died = True
                _log.warning(f"{error} It is tried once more in a fresh one.")

    def _note(self, asker: Asker, standing: Standing) -> None:
        with self._changed:
            self._places.note(asker.model, standing)

    @contextmanager
    def _child(self, asker: Asker) -> Iterator[tuple[Turn, Child]]:
        turn, child = self._take(asker)
        try:
            yield turn, child
        except (DriftdError, SetAside):
            if self._closed:
                raise Stopping("The daemon is stopping; the task was abandoned.") from None
            raise
        finally:
            self._give_back(turn, child)

    def _take(self, asker: Asker) -> tuple[Turn, Child]:
        with self._changed:
            turn = self._places.enter(asker.model, time.monotonic())
            try:
                self._changed.wait_for(lambda: self._closed or self._places.is_next(turn))
                if self._closed:
                    raise Stopping("The daemon is stopping; no new task is started.")
                child = self._fresh()
            except DriftdError:
                self._places.leave(turn)
                self._changed.notify_all()
                raise
            self._places.begin(turn)
            self._busy[turn] = child
            self._changed.notify_all()
            return turn, child

    def _fresh(self) -> Child:
        child = self._idle.pop() if self._idle else self._start()
        if not child.alive():  # killed while it had nothing to do
            child.end()
            child = self._start()
        return child

    def _start(self) -> Child:
        try:
            return Child(self._memory_mb)
        except OSError as error:
            raise WorkerDied(f"A worker process could not be started: {error.strerror}.") from None

    def _give_back(self, turn: Turn, child: Child) -> None:
        worn = self._closed or not child.usable or child.tasks >= self._tasks_per_child
        try:
            if worn:
                child.end()
        finally:                               # whatever happens to the child, its place is free
            with self._changed:
                self._places.leave(turn)
                del self._busy[turn]
                self._silent.pop(turn, None)
                if not worn and not self._closed:
                    child.idle_since = time.monotonic()
                    self._idle.append(child)
                self._changed.notify_all()
        if not worn and self._closed:
            child.end()

    def _looked(self, turn: Turn, child: Child, seconds: float) -> None:
        """A task has made no progress for so long: others need not wait for it."""
        with self._changed:
            before, self._silent[turn] = self._silent.get(turn, 0.0), seconds
            if turn.model and seconds > _SILENT and turn.standing is not Standing.HUNG and self._places.wanted():
                self._set_aside(turn, child)
        if before <= _SAID_AFTER < seconds:
            _log.warning("The model's source has given no sign of life; other models do not wait for it.",
                         model=turn.model, seconds=round(seconds))

    def _set_aside(self, turn: Turn, child: Child) -> None:
        if not self._places.set_aside(turn):
            child.stop(Stop.ASIDE)
        self._changed.notify_all()


def _error(name: str, text: str) -> DriftdError:
    kind = getattr(errors, name, TaskFailed)
    return ConfigError(text.split("\n")) if kind is ConfigError else kind(text)
