"""What tests ask workers to do."""

import os
import signal
import time
from pathlib import Path

from monitor.errors import ConfigError, SourceError


def echo(payload):
    return payload


def pid(payload):
    return os.getpid()


def environment(payload):
    return {name: os.environ.get(name) for name in payload}


def chatter(payload):
    print("a library prints to stdout")
    return "quiet"


def allocate(payload):
    return len(bytearray(payload << 20))


def spin(payload):
    """Computes without end, holding the interpreter lock, after leaving its process id in a file."""
    Path(payload).write_text(str(os.getpid()))
    while True:
        sum(range(10_000_000))


def meet(payload):
    """Answers once as many tasks as said are running at the same time."""
    folder, count = Path(payload[0]), payload[1]
    (folder / str(os.getpid())).touch()
    deadline = time.monotonic() + 60
    while len(list(folder.iterdir())) < count and time.monotonic() < deadline:
        time.sleep(0.01)
    return len(list(folder.iterdir()))


def crash(payload):
    os.kill(os.getpid(), getattr(signal, payload))
    time.sleep(60)


def crash_once(payload):
    """Is killed the first time, leaving its process id in a file; answers the second."""
    if not Path(payload).exists():
        Path(payload).write_text(str(os.getpid()))
        os.kill(os.getpid(), signal.SIGKILL)
    return os.getpid()


def stop(payload):
    """Stands still, as on a machine that is out of breath, after leaving its process id in a file."""
    Path(payload).write_text(str(os.getpid()))
    os.kill(os.getpid(), signal.SIGSTOP)


def threads(payload):
    """How many threads Arrow computes with, and each of the numerical libraries."""
    import pyarrow
    import scipy.linalg
    import sklearn.ensemble
    import threadpoolctl

    assert scipy.linalg
    assert sklearn.ensemble
    return [pyarrow.cpu_count(), *(pool["num_threads"] for pool in threadpoolctl.threadpool_info())]


def leave(payload):
    os._exit(payload)


def source_error(payload):
    raise SourceError(payload)


def config_error(payload):
    raise ConfigError(payload)


def stumble(payload):
    raise KeyError(payload)
