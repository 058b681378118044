"""Files and JSON that somebody else writes, read so that no content can hang, exhaust or break the reader."""

import errno
import json
import os
import stat
from pathlib import Path
from typing import Any, BinaryIO

SETTINGS = 1_000_000             # bytes of a file of settings, such as a configuration or a certificate
SECRET = 100_000                 # bytes of a file that holds one secret
DOCUMENT = 16_000_000             # bytes of a JSON document that driftd or a run has written


def open_file(path: Path) -> BinaryIO:
    """Open a regular file for reading. Raises OSError for a FIFO, a device, a socket or a folder.

    These are not even opened: a FIFO would wait for its writer, and opening a device can act.
    """
    try:
        _require_regular(os.stat(path), path)
    except ValueError:                           # a zero byte, or characters that no file name can hold
        raise OSError(errno.EINVAL, "no file can have this name", str(path)) from None
    fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
    try:
        _require_regular(os.fstat(fd), path)     # it may have been replaced since
        return os.fdopen(fd, "rb")
    except OSError:
        os.close(fd)
        raise


def read_bytes(path: Path, most: int = SETTINGS) -> bytes:
    """Read a regular file of at most `most` bytes. Raises OSError, also for a longer one.

    The bytes are counted, as some files below /proc have no size and no end.
    """
    with open_file(path) as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is longer than {most} bytes", str(path))
    return data


def read_text(path: Path, most: int = SETTINGS) -> str:
    """Read a regular file of UTF-8 text, without byte order mark. Raises OSError, UnicodeDecodeError."""
    return read_bytes(path, most).decode("utf-8-sig")


def parse_json(text: str | bytes) -> Any:
    """Parse JSON. Raises ValueError and nothing else, also for JSON that is nested too deep."""
    try:
        return json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deep") from None


def _require_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
