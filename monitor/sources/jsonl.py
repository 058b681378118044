"""JSON lines: one object per line; each key is a column."""

import json
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.json

from monitor import escape
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.records import Json
from monitor.sources.column_types import flat, require_distinct, tidy, unread
from monitor.sources.text_files import TextFormat, marked
from monitor.sources.written_numbers import typed
from monitor.untrusted import NESTED, KeyTwice, nesting, parse_json

_BLOCK = 16 * 1024 * 1024        # bytes; also the longest line Arrow reads
_HEAD = 256 * 1024               # bytes read to find the time columns


class JsonLines(TextFormat):
    def guesses(self) -> dict[str, str]:
        return {}

    def _parse(
        self, data: bytes, path: Path, columns: list[str] | None, texts: Collection[str] | None
    ) -> tuple[pa.Table, dict[str, str]]:
        data, exact = _whole_lines(data), self._types.exact
        if not data.strip():
            return pa.table({}), {}
        _require_text(data, path)
        _require_shallow(data, path)
        mixed: list[str] = []
        try:
            table = _by_arrow(data)
            if any(_is_rounded(table, name) for name in exact):
                table, mixed = _line_by_line(data, path, exact)
        except pa.ArrowInvalid:
            table, mixed = _line_by_line(data, path, exact)
        require_distinct(flat(table.slice(0, 0)).column_names, path)
        left_out, table = unread(table.schema), tidy(table, self._types.texts)
        open_ones = [name for name in mixed if name in table.column_names and name not in self._types.texts]
        table = marked(typed(table, {*mixed, *self._types.texts}), open_ones)
        return table if columns is None else table.select(columns), left_out


def _by_arrow(data: bytes) -> pa.Table:
    """Parse with Arrow, which is fast. It loses the UTC offset of times, so columns of times are read as text, and so
    are times within objects.
    """
    head = data[: data.rfind(b"\n", 0, _HEAD) + 1] or data
    moments = _moments(_read(head, {}))
    table = _read(data, moments)
    later = _moments(table)
    return _read(data, moments | later) if later else table


def _read(data: bytes, moments: dict[str, pa.DataType]) -> pa.Table:
    schema = pa.schema(moments.items())
    parse = pa.json.ParseOptions(explicit_schema=schema, unexpected_field_behavior="infer")
    return pa.json.read_json(pa.BufferReader(data), pa.json.ReadOptions(block_size=_BLOCK), parse)


def _moments(table: pa.Table) -> dict[str, pa.DataType]:
    """Return the columns that hold times, with their types where each time is text."""
    return {field.name: kind for field in table.schema if (kind := _with_text(field.type)) != field.type}


def _with_text(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _with_text(field.type)) for field in kind])
    return pa.string() if pa.types.is_timestamp(kind) else kind


def _is_rounded(table: pa.Table, name: str) -> bool:
    """Tell whether an id is a float, which holds only some 15 of the digits that were written."""
    return name in table.column_names and pa.types.is_floating(table.schema.field(name).type)


def _line_by_line(data: bytes, path: Path, exact: Collection[str]) -> tuple[pa.Table, list[str]]:
    """Parse what Arrow refuses, and name the columns of mixed types, which become text; ids (`exact`) keep their
    digits."""
    lines = [(number, line) for number, line in enumerate(data.split(b"\n"), 1) if line.strip()]
    rows = [_object(line, number, path) for number, line in lines]
    names = dict.fromkeys(name for row in rows for name in row)
    columns = {name: [row.get(name) for row in rows] for name in names}
    if ids := [name for name in exact if name in names]:
        written = [json.loads(line, parse_int=str, parse_float=str) for _, line in lines]
        columns |= {name: [row.get(name) for row in written] for name in ids}
    mixed = [name for name, values in columns.items() if _is_mixed({type(value) for value in values})]
    return pa.table({name: _array(values, name in mixed) for name, values in columns.items()}), mixed


def _object(line: bytes, number: int, path: Path) -> Json:
    try:
        value = parse_json(line, keys_once=True)
    except KeyTwice as error:
        raise SourceError(f"{path}: line {number} has the key {quoted(escape.name(str(error)))} twice, expected each "
                          "once; correct the line, or what writes it") from None
    except ValueError:
        value = None
    if isinstance(value, dict):
        return value
    raise SourceError(f"{path}: line {number} is not a JSON object, expected one per line; correct or remove it")


def _require_text(data: bytes, path: Path) -> None:
    """Raises SourceError where the bytes are not UTF-8; Arrow would take them as they are."""
    try:
        data.decode()
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise SourceError(f"{path}: line {line} is not UTF-8, as JSON must be; write the file again in UTF-8") from None


def _require_shallow(data: bytes, path: Path) -> None:
    """Raises SourceError for a line that is nested too deep."""
    for begin, end in _long_lines(data):
        line = data[begin:end]
        if nesting(line) > NESTED:
            number = data.count(b"\n", 0, begin) + 1
            raise SourceError(f"{path}: line {number} is nested deeper than {NESTED} objects and lists, expected one "
                              "object per line; correct or remove it")


def _long_lines(data: bytes) -> Iterator[tuple[int, int]]:
    """Where lines of more than NESTED bytes begin and end."""
    ends = np.append(np.flatnonzero(np.frombuffer(data, np.uint8) == ord("\n")), len(data))
    begins = np.append(0, ends[:-1] + 1)
    for line in np.flatnonzero(ends - begins > NESTED):
        yield int(begins[line]), int(ends[line])


def _is_mixed(kinds: set[type]) -> bool:
    kinds = kinds - {type(None)}
    return len(kinds) > 1 and not kinds <= {int, float}


def _array(values: list[Any], mixed: bool) -> pa.Array:
    if not mixed:
        try:
            return pa.array(values)
        except (pa.ArrowInvalid, pa.ArrowTypeError, OverflowError):
            pass
    texts = [value if value is None or isinstance(value, str) else json.dumps(value) for value in values]
    return pa.array(texts, pa.string())


def _whole_lines(data: bytes) -> bytes:
    """Leave out a last line that is still being written: no newline, and not valid JSON."""
    start = data.rfind(b"\n") + 1
    try:
        parse_json(data[start:] or b"0")
    except ValueError:
        return data[:start]
    return data
