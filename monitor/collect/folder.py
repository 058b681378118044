"""The folder that a stream's rows are kept in, as JSON lines: each row once, whatever ends the process that writes.

A file is written under a hidden name and synced. Then a line of the journal, synced too, says up to where the stream is
read once that file is there. Then the file gets its name. So the last line of the journal whose file exists says what
the folder holds; lines behind it are of a file that never was, or that somebody removed.
"""

import fcntl
import json
import os
import re
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple, Self
from urllib.parse import quote

from monitor.durable import sync_folder
from monitor.errors import StateError, StateLocked, UsageError
from monitor.times import utcnow
from monitor.untrusted import parse_json

_LONGEST_NAME = 150              # characters of a stream's name in a file's
_TAIL = 1 << 20                  # bytes of the journal in which its last good line nearly always is


class _Line(NamedTuple):
    file: str
    number: int
    after: dict[str, str]
    end: int                     # in the journal


class Folder:
    """One stream's files, in a folder for each day; locked while it is open.

    `after` holds the position up to which each partition is kept. Raises UsageError where the folder cannot be written,
    StateLocked where another process collects the stream into it, StateError where the journal is damaged.
    """

    def __init__(self, folder: Path, stream: str) -> None:
        self.path, self._stem = folder, _stem(stream)
        journal = folder / f"_{self._stem}.journal"
        try:
            folder.mkdir(parents=True, exist_ok=True)
            self._journal = os.open(journal, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o640)
        except OSError as error:
            raise UsageError(f"{folder} cannot be written ({words(error)}), expected a folder for rows") from None
        try:
            fcntl.flock(self._journal, fcntl.LOCK_EX | fcntl.LOCK_NB)
            last = self._last_line() or _Line("", 0, {}, 0)
            self.after, self._number, self._end = last.after, last.number, last.end
            self._tidy()
        except BlockingIOError:
            self.close()
            raise StateLocked(f"{folder}: another process collects {stream} into it, expected one; end it") from None
        except ValueError:
            self.close()
            raise StateError(f"{journal} is damaged; restore it, or collect into another folder") from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        os.close(self._journal)

    def add(
        self, rows: Sequence[bytes], unusable: Sequence[bytes], after: Mapping[str, str], gaps: Sequence[str]
    ) -> Path:
        """Keep rows, and apart from them messages that are none; both are lines. Return the file of the rows.

        `after`: up to where partitions are read with them. Raises OSError; then nothing has been kept.
        """
        day, number, reached = f"{utcnow():%Y-%m-%d}", self._number + 1, {**self.after, **after}
        file = self.path / day / f"{self._stem}-{number:09}.jsonl"
        part, apart = file.with_name(f".{file.name}.tmp"), file.with_name(f"_{file.name}")
        try:
            if not file.parent.exists():
                file.parent.mkdir()
                sync_folder(self.path)
            _write(part, rows)
            if unusable:
                _write(apart, unusable)
                sync_folder(file.parent)
            self._note({"file": f"{day}/{file.name}", "number": number, "rows": len(rows), "unusable": len(unusable),
                        "gaps": list(gaps), "after": reached})
            part.replace(file)
            sync_folder(file.parent)
        except OSError:
            for left in (file, part, apart):
                left.unlink(missing_ok=True)
            raise
        self._number, self.after = number, reached
        return file

    def _note(self, line: Mapping[str, Any]) -> None:
        """Append to the journal behind its last good line."""
        data = memoryview(json.dumps(line).encode() + b"\n")
        os.ftruncate(self._journal, self._end)
        end = self._end
        while data:
            written = os.pwrite(self._journal, data, end)
            data, end = data[written:], end + written
        os.fsync(self._journal)
        self._end = end

    def _last_line(self) -> _Line | None:
        """Return the last line whose file exists. Raises ValueError where an earlier one than the last is no line."""
        size = os.fstat(self._journal).st_size
        for begin in dict.fromkeys((max(0, size - _TAIL), 0)):
            for line in self._lines(begin, size):
                if line is not None and (self.path / line.file).is_file():
                    return line
        return None

    def _lines(self, begin: int, size: int) -> Iterator[_Line | None]:
        """Yield the lines behind a place, the last one first; None where that was not written whole."""
        data = os.pread(self._journal, size - begin, begin)
        first = data.find(b"\n") + 1 if begin else 0
        end = data.rfind(b"\n") + 1
        newest = True
        while end > first:
            start = data.rfind(b"\n", first, end - 1) + 1 or first
            try:
                found = parse_json(data[start:end])
                yield _Line(str(found["file"]), int(found["number"]), dict(found["after"]), begin + end)
            except (ValueError, KeyError, TypeError):
                if not newest:
                    raise ValueError from None
                yield None
            end, newest = start, False

    def _tidy(self) -> None:
        """Remove what was written for a file that did not get its name."""
        left = re.compile(rf"[._]{re.escape(self._stem)}-(\d{{9,}})\.jsonl(\.tmp)?")
        for file in self.path.glob("*/[._]*"):
            if (found := left.fullmatch(file.name)) and int(found[1]) > self._number:
                file.unlink(missing_ok=True)


def words(error: OSError) -> str:
    return (error.strerror or type(error).__name__).lower()


def _stem(stream: str) -> str:
    """Return a stream's name as a file's may be; one that is not hidden."""
    name = quote(stream, safe="")
    name = f"%{ord(name[0]):02X}{name[1:]}" if name[0] in "._" else name
    if len(name) > _LONGEST_NAME:
        raise UsageError(f"the name of the stream is longer than {_LONGEST_NAME} characters, expected a shorter one")
    return name


def _write(path: Path, lines: Sequence[bytes]) -> None:
    with open(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o640), "wb") as file:
        file.writelines(line + b"\n" for line in lines)
        file.flush()
        os.fsync(file.fileno())

