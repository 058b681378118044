"""The collector: reads a stream, gathers its rows, and keeps them file by file.

What is read and not kept yet is read again after an end of any kind. A server that is away, or a disk that is full, is
waited for; meanwhile no more is read than a file holds.
"""

import base64
import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta

from monitor.collect.folder import Folder, words
from monitor.collect.stream import Away, Message, Stream
from monitor.errors import SourceError
from monitor.times import elapsed

LARGEST = 64 * 1024 * 1024       # bytes of a file
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 60.0         # seconds

Pause = Callable[[float], bool]  # waits for at most so many seconds, not when it is time to end, which it tells


@dataclass
class Collected:
    """What one run of the collector has kept."""

    rows: int = 0
    unusable: int = 0
    files: int = 0
    gaps: list[str] = field(default_factory=list)


@dataclass
class _Batch:
    """What has been read for the next file."""

    rows: list[bytes] = field(default_factory=list)
    unusable: list[bytes] = field(default_factory=list)
    after: dict[str, str] = field(default_factory=dict)
    gaps: list[str] = field(default_factory=list)
    size: int = 0
    since: float = 0.0

    def add(self, one: Message) -> None:
        self.since = self.since if self.after else elapsed()
        self.after[one.partition] = one.position
        if one.row is None:
            self.unusable.append(_line(one))
        else:
            self.rows.append(one.row)
        self.size += len(one.row or self.unusable[-1])


class Collector:
    """`every`: how long a row waits for its file at most; `tell` is given sentences for the log."""

    def __init__(
        self, stream: Stream, folder: Folder, every: timedelta, pause: Pause, tell: Callable[[str], None]
    ) -> None:
        self.collected = Collected()
        self._stream, self._folder, self._every, self._pause, self._tell = stream, folder, every, pause, tell
        self._batch = _Batch()
        self._open = False
        self._trouble = ""
        self._wait = _FIRST_PAUSE

    def drain(self) -> None:
        """Read the stream to its end. Raises SourceError where that, or keeping it, does not succeed."""
        try:
            while not (self._open and self._stream.drained) and not self._pause(0.0):
                self._read()
                if self._batch.size >= LARGEST:
                    self._keep_or_fail()
        finally:
            self._keep_or_fail()

    def follow(self) -> None:
        """Read until it is time to end. Raises SourceError for what waiting does not mend."""
        try:
            while not self._pause(0.0):
                try:
                    if self._is_due():
                        self._keep()
                    self._read()
                    self._recovered()
                except (Away, OSError) as error:
                    self._retry(str(error) if isinstance(error, Away) else self._unwritten(error))
        finally:
            self._keep_or_fail()

    def _read(self) -> None:
        if not self._open:
            self._stream.open({**self._folder.after, **self._batch.after})
            self._open = True
        for one in self._stream.read():
            self._batch.add(one)
        for gap in self._stream.gaps:
            self._tell(gap)
        self._batch.gaps += self._stream.gaps
        self._stream.gaps.clear()

    def _is_due(self) -> bool:
        waits = bool(self._batch.after) and elapsed() - self._batch.since >= self._every.total_seconds()
        return waits or self._batch.size >= LARGEST

    def _keep(self) -> None:
        batch = self._batch
        if not batch.after:
            return
        file = self._folder.add(batch.rows, batch.unusable, batch.after, batch.gaps)
        self._batch = _Batch()
        self.collected.rows += len(batch.rows)
        self.collected.unusable += len(batch.unusable)
        self.collected.files += 1
        self.collected.gaps += batch.gaps
        self._tell(f"{file}: {len(batch.rows)} rows"
                   + (f", and {len(batch.unusable)} messages that are none in _{file.name}" if batch.unusable else ""))
        if self._open:
            self._stream.note(self._folder.after)

    def _keep_or_fail(self) -> None:
        try:
            self._keep()
        except OSError as error:
            raise SourceError(self._unwritten(error)) from None

    def _unwritten(self, error: OSError) -> str:
        return f"{self._folder.path}: rows could not be written ({words(error)}); they stay in {self._stream.name}"

    def _retry(self, trouble: str) -> None:
        """Say what is wrong, once, and wait, longer each time."""
        if trouble != self._trouble:
            self._tell(f"{trouble}; trying again")
        self._trouble, self._open = trouble, False
        self._stream.close()
        self._pause(self._wait)
        self._wait = min(2 * self._wait, _LONGEST_PAUSE)

    def _recovered(self) -> None:
        if self._trouble:
            self._tell(f"{self._stream.name}: going on")
        self._trouble, self._wait = "", _FIRST_PAUSE


def _line(one: Message) -> bytes:
    """Return a message that is no row as a JSON line: its value as text, or in base64 where it is none."""
    try:
        value = {"value": one.sent.decode()}
    except UnicodeDecodeError:
        value = {"base64": base64.b64encode(one.sent).decode()}
    return json.dumps({"partition": one.partition, "position": one.position, "reason": one.wrong, **value}).encode()
