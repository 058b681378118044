"""For services that serve predictions: append them to a folder that driftd watches.

    log = PredictionLog("/var/log/predictions")
    id = log.log({"age": 41, "dose": 2.5}, prediction=1, probability=0.83)
    log.label(id, 1)

Predictions go to <folder>/predictions, labels to <folder>/labels, as JSON lines; in the configuration these
are `predictions` and `labels`. A call never blocks and never raises: rows wait in a bounded queue for one
background thread, and what does not fit is counted in `dropped`. What waits is written when the interpreter ends, a
process of `multiprocessing` included. A process that is killed or ends by `os._exit` loses the queue and at most half a
line.
Standard library only.
"""

import atexit
import itertools
import json
import logging
import math
import os
import sys
import threading
import time
import uuid
import weakref
from collections.abc import Mapping
from datetime import UTC, date, datetime
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import Any, Self

_logger = logging.getLogger("driftd.client")
_BATCH = 1000                    # rows written in one go
_IDLE = 1.0                      # seconds between looks at the age of a quiet file


class PredictionLog:
    """Appends predictions and labels to files below `folder`; one instance per process serves all threads.

    A file is closed, synced and followed by a new one at `rotate_bytes` or after `rotate_seconds`. At most
    about `queue_size` rows wait. A forked child begins with an empty queue and files of its own.
    """

    def __init__(
        self,
        folder: str | os.PathLike[str],
        *,
        rotate_bytes: int = 64 * 1024 * 1024,
        rotate_seconds: float = 3600.0,
        queue_size: int = 10_000,
    ) -> None:
        kinds = ("predictions", "labels")
        self._streams = {kind: _Stream(Path(folder) / kind, rotate_bytes, rotate_seconds) for kind in kinds}
        self._queue_size = queue_size
        self._closed = False
        self._begin()
        _instances.add(self)

    @property
    def dropped(self) -> int:
        """Rows that were not written: the queue was full, the disk refused, or a value has no JSON form."""
        return self._dropped

    def log(
        self,
        features: Mapping[str, Any],
        prediction: Any,
        *,
        id: Any = None,
        probability: float | None = None,
        timestamp: datetime | float | str | None = None,
        model_version: str | None = None,
    ) -> str:
        """Append one prediction, made now unless `timestamp` is given; return its id, new unless given.

        A feature named as one of the log's own columns (timestamp, prediction_id, …) gives way to it.
        """
        name = uuid.uuid4().hex if id is None else str(id)
        row = {
            "timestamp": datetime.now(UTC) if timestamp is None else timestamp,
            "prediction_id": name,
            "prediction": prediction,
            "prediction_proba": probability,
            "model_version": model_version,
        }
        self._put("predictions", features, row)
        return name

    def label(self, id: Any, label: Any, label_timestamp: datetime | float | str | None = None) -> None:
        """Append the true answer to prediction `id`, known from now unless given; the newest one counts."""
        moment = datetime.now(UTC) if label_timestamp is None else label_timestamp
        self._put("labels", {}, {"prediction_id": str(id), "label": label, "label_timestamp": moment})

    def flush(self, timeout: float = 10.0) -> bool:
        """Wait until all that was logged so far is on disk; False where `timeout` seconds did not suffice."""
        if self._closed or self._thread is None:
            return True
        done = threading.Event()
        self._queue.put(done)
        return done.wait(timeout)

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, sync, and end the thread; rows logged later are counted as dropped."""
        if self._closed:
            return
        self._closed = True
        if self._thread is not None:
            self._queue.put(None)
            self._thread.join(timeout)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _begin(self) -> None:
        """Set up what a forked child must not share with its parent."""
        self._queue: SimpleQueue[Any] = SimpleQueue()
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._dropped = 0
        for stream in self._streams.values():
            stream.abandon()

    def _put(self, kind: str, features: Mapping[str, Any], row: dict[str, Any]) -> None:
        full = self._closed or self._queue.qsize() >= self._queue_size
        try:
            if not full:
                self._queue.put((kind, {**features, **row}))
                self._start()
        except Exception:  # noqa: BLE001 - logging must never fail the service, whatever it was handed
            full = True
        if full:
            self._drop(1)

    def _drop(self, rows: int) -> None:
        with self._lock:
            self._dropped += rows

    def _start(self) -> None:
        if self._thread is None:
            with self._lock:
                if self._thread is None:
                    thread = threading.Thread(target=self._run, name="driftd-client", daemon=True)
                    thread.start()
                    self._thread = thread
                    _close_with_multiprocessing()

    def _run(self) -> None:
        open_ended = True
        while open_ended:
            batch = self._batch()
            for kind, stream in self._streams.items():
                rows = [item[1] for item in batch if isinstance(item, tuple) and item[0] == kind]
                self._drop(len(rows) - stream.write(rows))
            open_ended = None not in batch
            waiting = [item for item in batch if isinstance(item, threading.Event)]
            for stream in self._streams.values():
                if waiting:
                    stream.sync()
                stream.rotate(force=not open_ended)
            for event in waiting:
                event.set()

    def _batch(self) -> list[Any]:
        """Return what waits, up to a limit; an empty list after a quiet moment."""
        batch: list[Any] = []
        try:
            batch.append(self._queue.get(timeout=_IDLE))
            while len(batch) < _BATCH:
                batch.append(self._queue.get_nowait())
        except Empty:
            pass
        return batch


class _Stream:
    """One file after another in a folder, each begun by this process and never by an earlier one."""

    def __init__(self, folder: Path, rotate_bytes: int, rotate_seconds: float) -> None:
        self._folder = folder
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._numbers = itertools.count()
        self._file: int | None = None
        self._size = 0
        self._opened = 0.0

    def write(self, rows: list[dict[str, Any]]) -> int:
        """Append the rows and return how many were written; never raises for what a disk or a row can do."""
        lines = [line for row in rows if (line := _line(row)) is not None]
        if not lines:
            return 0
        data = b"".join(lines)
        try:
            self._append(data)
        except OSError as error:
            _logger.warning("%d rows could not be written to %s: %s", len(rows), self._folder, error)
            self._end()
            return 0
        return len(lines)

    def rotate(self, *, force: bool = False) -> None:
        """Sync and close the file if it is large or old enough."""
        old = time.monotonic() - self._opened >= self._rotate_seconds
        if self._file is not None and (force or old or self._size >= self._rotate_bytes):
            self.sync()
            self._end()

    def sync(self) -> None:
        if self._file is not None:
            try:
                os.fsync(self._file)
            except OSError as error:
                _logger.warning("%s could not be synced: %s", self._folder, error)

    def abandon(self) -> None:
        """Leave the file to the process that opened it."""
        if self._file is not None:
            self._end()

    def _append(self, data: bytes) -> None:
        if self._file is None:
            self._file, self._size, self._opened = self._open(), 0, time.monotonic()
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._file, rest):]
        self._size += len(data)

    def _open(self) -> int:
        self._folder.mkdir(parents=True, exist_ok=True)
        now = datetime.now(UTC).strftime("%Y%m%dT%H%M%S")
        name = f"{now}-{os.getpid()}-{next(self._numbers):06}-{uuid.uuid4().hex[:6]}.jsonl"
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_APPEND | os.O_CLOEXEC
        return os.open(self._folder / name, flags, 0o640)

    def _end(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            os.close(file)


def _line(row: dict[str, Any]) -> bytes | None:
    try:
        return json.dumps(_plain(row), ensure_ascii=False, allow_nan=False).encode() + b"\n"
    except Exception as error:  # noqa: BLE001 - a value's own str() may raise anything
        _logger.warning("a row could not be written as JSON: %s", type(error).__name__)
        return None


def _plain(value: Any) -> Any:
    """Return the JSON form: NaN and infinity null, moments ISO 8601, NumPy scalars plain, the rest str()."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, date):
        return value.isoformat()
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if hasattr(value, "item") and getattr(value, "ndim", 0) == 0:
        return _plain(value.item())
    return str(value)


_instances: "weakref.WeakSet[PredictionLog]" = weakref.WeakSet()


def _close_all() -> None:
    for log in list(_instances):
        log.close()


def _close_with_multiprocessing() -> None:
    """Close at the end of a process of multiprocessing too: it ends by `os._exit`, without what atexit knows.

    Called by the process that logs, since a forked child forgets what its parent registered.
    """
    util = sys.modules.get("multiprocessing.util")
    if util is not None:
        util.Finalize(None, _close_all, exitpriority=100)


def _after_fork() -> None:
    for log in list(_instances):
        log._begin()


atexit.register(_close_all)
os.register_at_fork(after_in_child=_after_fork)
