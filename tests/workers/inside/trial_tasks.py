"""What tests ask workers to do."""

import os
import signal
import time
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitor.errors import ConfigError, SourceError
from monitor.workers.task import Asker


def echo(payload: Any):
    return payload


def pid(payload: Any):
    return os.getpid()


def environment(payload: Any):
    return {name: os.environ.get(name) for name in payload}


def chatter(payload: Any):
    print("a library prints to stdout")
    return "quiet"


def allocate(payload: Any):
    return len(bytearray(payload << 20))


def spin(payload: Any):
    """Computes without end, holding the interpreter lock, after leaving its process id in a file."""
    Path(payload).write_text(str(os.getpid()))
    while True:
        sum(range(10_000_000))


def meet(payload: Any):
    """Answers once as many tasks as said are running at the same time."""
    folder, count = Path(payload[0]), payload[1]
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(list(folder.iterdir()))


def crash(payload: Any):
    os.kill(os.getpid(), getattr(signal, payload))
    time.sleep(60)


def crash_once(payload: Any):
    """Is killed the first time, leaving its process id in a file; answers the second."""
    if not Path(payload).exists():
        Path(payload).write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def stop(payload: Any):
    """Stands still, as on a machine that is out of breath, after leaving its process id in a file."""
    Path(payload).write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)


def threads(payload: Any):
    """How many threads Arrow computes with, and each of the numerical libraries."""
    import pyarrow
    import scipy.linalg
    import sklearn.ensemble
    import threadpoolctl

    assert scipy.linalg
    assert sklearn.ensemble
    return [pyarrow.cpu_count(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info())]


def leave(payload: Any):
    os._exit(payload)


def source_error(payload: Any):
    raise SourceError(payload)


def config_error(payload: Any):
    raise ConfigError(payload)


def stumble(payload: Any):
    raise KeyError(payload)


@dataclass(frozen=True, slots=True)
class For:
    """A request for a model; its source may be silent for so many seconds."""

    model: str
    what: Any = None
    patience: float = 60.0

    @property
    def asker(self) -> Asker:
        return Asker(self.model, timedelta(seconds=self.patience))


def hear(asked: For):
    """Waits for a source that says nothing: a pipe nobody writes to."""
    reader, _ = os.pipe()
    os.read(reader, 1)


def answer(asked: For):
    return asked.what


def die(asked: For):
    os.kill(os.getpid(), signal.SIGKILL)
    time.sleep(60)


def tell_when(asked: For):
    """Answers when it began and ended, half a second later."""
    began = time.monotonic()
    time.sleep(0.5)
    return [began, time.monotonic()]


def compute(asked: For):
    while True:
        sum(range(1_000_000))
