"""The records of a file that a serving platform wrote: of text one a line, lists of them, or one behind another."""

import json
import re
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

from monitor.sources.compressed import unpacked
from monitor.sources.listing import kind_of
from monitor.sources.parquet import Parquet
from monitor.sources.text_files import snapshot
from monitor.untrusted import open_file, parse_json

_TIMES = {"time", "timestamp", "logging_time", "request_time", "timestamp_ms", "eventMetadata"}
_GLANCE = 1 << 20                # bytes of a file that are read to see what it is
_TRIED = 20                      # broken beginnings, at most, before a first record
_BETWEEN = " \t\r\n,\x1e"
_LINE = re.compile(r"\n[{\[]")   # begins another record


def records(path: Path) -> Iterator[Any]:
    """Yield the records of a file; what is no JSON is None. One without any time has that of the file."""
    if kind_of(path) == "parquet":
        written = _written(path.stat().st_mtime)
        found: Iterator[Any] = ({name: _in_json(value) for name, value in row.items()}
                                for table in Parquet(ZoneInfo("UTC")).as_stored(path) for row in table.to_pylist())
    else:
        stat, data = snapshot(path)
        written = _written(stat.st_mtime if stat else path.stat().st_mtime)
        found = _of_text(unpacked(data, path))
    for record in found:
        yield {"time": written, **record} if isinstance(record, dict) and not _TIMES & set(record) else record


def first_record(path: Path) -> Any:
    """Return the first record of a file of text; None where its beginning has none. Raises OSError, SourceError."""
    with open_file(path) as file:
        data = unpacked(file.read(_GLANCE), path, _GLANCE)
    begun = _values(data.lstrip(b"\xef\xbb\xbf \t\r\n["))     # a list begins with its first record
    return next((value for value, _ in islice(begun, _TRIED) if value is not None), None)


def _of_text(data: bytes) -> Iterator[Any]:
    lines = [line for line in data.split(b"\n") if line.strip()]
    if lines and not _whole(lines[0]) and (found := list(_values(data))):     # records over several lines
        yield from _each(value for value, _ in found)
        return
    for number, line in enumerate(lines):
        found = _whole(line)
        if found:
            yield from _each(value for value, _ in found)
        elif number < len(lines) - 1 or data.endswith(b"\n"):                # else it is still being written
            yield None


def _each(values: Iterator[Any]) -> Iterator[Any]:
    for value in values:
        yield from value if isinstance(value, list) else [value]


def _whole(text: bytes) -> list[tuple[Any, bool]]:
    """Return the values that a text holds one behind another; none where anything else is among them."""
    try:
        return [(parse_json(text), True)]
    except ValueError:
        found = list(_values(text))
        return found if found and found[-1][1] else []


def _values(text: bytes) -> Iterator[tuple[Any, bool]]:
    """Yield the objects and lists of a text, and whether it ends with this one; None for what lies between two of them.
    An unfinished last one is left out.
    """
    left, at, decoder = text.decode("utf-8-sig", errors="surrogateescape"), 0, json.JSONDecoder()
    while (at := _behind(left, at)) < len(left):
        value = None
        try:
            end = decoder.raw_decode(left, at)[1] if left[at] in "{[" else at
            value = parse_json(left[at:end])
        except (ValueError, RecursionError):
            if (next_line := _LINE.search(left, at + 1)) is None:
                return
            end = next_line.start()
        at = _behind(left, end)
        yield value, at == len(left)


def _behind(text: str, at: int) -> int:
    """Return where the next value begins, behind blanks and signs that divide."""
    while at < len(text) and text[at] in _BETWEEN:
        at += 1
    return at


def _written(moment: float) -> str:
    return datetime.fromtimestamp(moment, UTC).isoformat()


def _in_json(value: Any) -> Any:
    """Return a cell as JSON would have it."""
    if isinstance(value, datetime):
        return value.isoformat()
    return value.decode(errors="replace") if isinstance(value, bytes) else value
