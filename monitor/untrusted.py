"""Files and JSON that somebody else writes, read so that no content can hang, exhaust or break the reader."""

import errno
import json
import os
import re
import stat
from io import BufferedReader
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import yaml

SETTINGS = 1_000_000             # bytes of a file of settings, such as a configuration or a certificate
SECRET = 100_000                 # bytes of a file that holds one secret
DOCUMENT = 16_000_000             # bytes of a JSON document that driftd or a run has written
YAML = 200_000                   # characters
NESTED = 1000                    # objects and lists within each other; some 10,000 end a process in Arrow's reader
VALUES = 100_000                 # in a YAML document, what anchors repeat counted as often

# What reading an answer or a record of another form than described may run into; 1e999 is a number of JSON, and inf.
MALFORMED = (ValueError, LookupError, TypeError, AttributeError, ArithmeticError)

_STRING = re.compile(rb'"(?:[^"\\]|\\.)*"')
_BRACKET = re.compile(rb"[\[\]{}]")
_HALF = re.compile(r"\\u[dD][89a-fA-F]")


def open_file(path: Path) -> BufferedReader:
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


def require_file(path: Path) -> None:
    """Raise OSError where this is no regular file that can be read; for libraries that open files themselves."""
    open_file(path).close()


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


class KeyTwice(ValueError):
    """An object has two values under one key."""


def parse_json(text: str | bytes, *, keys_once: bool = False) -> Any:
    """Parse JSON in UTF-8. Raises ValueError and nothing else, also for JSON that is nested too deep; with `keys_once`
    KeyTwice, of which the last value would count, where an object has a key twice.

    Half a character (a lone surrogate) is refused too: no file, database or message can hold it.
    """
    text = text.decode("utf-8-sig") if isinstance(text, bytes) else text
    try:
        found = json.loads(text, object_pairs_hook=_keys_once if keys_once else None)
        if not text.isascii() or _HALF.search(text):
            json.dumps(found, ensure_ascii=False).encode()
    except RecursionError:
        raise ValueError("it is nested too deep") from None
    return found


def nesting(line: bytes) -> int:
    """Return at most how deep objects and lists of JSON lie within each other; exact where it is more than NESTED."""
    most = line.count(b"{") + line.count(b"[")
    if most <= NESTED:
        return most
    steps = (1 if sign in b"[{" else -1 for sign in _BRACKET.findall(_STRING.sub(b"", line)))
    return max(accumulate(steps), default=0)


def _keys_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise KeyTwice(next(key for at, (key, _) in enumerate(pairs) if key in dict(pairs[:at])))
    return found


def parse_yaml(text: str, *, texts: bool = False) -> Any:
    """Parse YAML of plain values; `texts`: every scalar as text. Raises ValueError and nothing else.

    A few anchors can stand for thousands of millions of values: they are counted before the values are made.
    """
    import yaml

    if len(text) > YAML:
        raise ValueError(f"it is longer than {YAML} characters")
    try:
        loader = (yaml.BaseLoader if texts else yaml.SafeLoader)(text)
        node = loader.get_single_node()
        _require_few(node)
        return None if node is None else loader.construct_document(node)
    except (yaml.YAMLError, RecursionError) as error:
        raise ValueError(f"it is no YAML ({type(error).__name__})") from None


def _require_few(node: "yaml.Node | None") -> None:
    waiting, count = [node], 0
    while waiting:
        value, count = waiting.pop(), count + 1
        if count > VALUES:
            raise ValueError(f"it has more than {VALUES} values")
        for child in value.value if value is not None and isinstance(value.value, list) else ():
            waiting.extend(child if isinstance(child, tuple) else [child])


def _require_regular(found: os.stat_result, path: Path) -> None:
    if not stat.S_ISREG(found.st_mode):
        raise OSError(errno.EINVAL, "it is no regular file", str(path))
