"""What the main thread waits for: signals, as a queue and never inside a handler, and changed files."""

import glob
import hashlib
import os
import select
import signal
import time
from collections.abc import Iterable
from itertools import islice
from pathlib import Path
from types import FrameType, TracebackType
from typing import Any, Self

from monitor.untrusted import read_bytes

MOST_FILES = 1000    # of a pattern: as many as may be included
WATCHED = (signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGUSR1)


class Signals:
    """Catches SIGTERM, SIGINT, SIGHUP and SIGUSR1 from entry to exit; main thread only.

    The interpreter writes each number into a pipe. Blocking the signals and sigwait would do the same, but
    a blocked signal stays blocked in every program we start: a retrain script could not be ended by SIGTERM.
    """

    def __enter__(self) -> Self:
        self._read, write = os.pipe2(os.O_NONBLOCK | os.O_CLOEXEC)
        self._write = write
        # the pipe first: a signal that is caught before there is one would be lost
        self._fd_before = signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self._before: dict[signal.Signals, Any] = {
            number: signal.signal(number, _note) for number in WATCHED
        }
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)
        signal.set_wakeup_fd(self._fd_before)
        os.close(self._read)
        os.close(self._write)

    def wait(self, seconds: float) -> signal.Signals | None:
        """Return the next watched signal, None when there is none for so long."""
        ready, _, _ = select.select([self._read], [], [], seconds)
        number = os.read(self._read, 1)[0] if ready else 0
        return signal.Signals(number) if number in WATCHED else None


def _note(number: int, frame: FrameType | None) -> None:
    """Only so that the signal is caught; the pipe says which."""


class Watch:
    """Notices by content when files have changed, also where links were swapped (Kubernetes ConfigMaps).

    `patterns`: globs whose files count too, so that a new one is noticed.
    """

    def __init__(self, files: Iterable[Path], every: float = 1.0, patterns: Iterable[str] = ()) -> None:
        self._every = every
        self.follow(files, patterns)

    def follow(self, files: Iterable[Path], patterns: Iterable[str] = ()) -> None:
        """Take the files as they are now; only later changes count."""
        self.files, self.patterns = tuple(files), tuple(patterns)
        self._known = self._seen = self._look()
        self._next = time.monotonic() + self._every

    def changed(self) -> bool:
        """Return whether the files are others than before, and the same at two looks: not half-written."""
        if time.monotonic() < self._next:
            return False
        self._next = time.monotonic() + self._every
        seen, self._seen = self._seen, self._look()
        if seen != self._seen or seen == self._known:
            return False
        self._known = seen
        return True

    def _look(self) -> dict[Path, bytes | None]:
        matching = (Path(name) for pattern in self.patterns for name in islice(glob.iglob(pattern), MOST_FILES))
        return {file: _content(file) for file in (*self.files, *matching)}


def _content(file: Path) -> bytes | None:
    try:
        return hashlib.sha256(read_bytes(file)).digest()
    except OSError:  # gone, or not readable: `reload` will say so
        return None
