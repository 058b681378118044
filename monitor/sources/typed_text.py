"""Columns of text that hold nothing but numbers or times are these, in every format, as they are in CSV files."""

import re
from collections.abc import Collection, Iterable

import pyarrow as pa
import pyarrow.compute as pc

from monitor.sources.column_types import UTC_US
from monitor.sources.moments import ZONED
from monitor.sources.written_numbers import Style, numbers

_MOMENT = re.compile(r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)")
_GLANCE = 100                    # values looked at before all of them are


def typed(table: pa.Table, texts: Collection[str]) -> pa.Table:
    """Return the table with times or numbers for text columns that hold nothing else, but for those in `texts`."""
    for at, field in enumerate(table.schema):
        if pa.types.is_string(field.type) and field.name not in texts:
            table = table.set_column(at, field.name, _typed(table[at]))
    return table


def type_of(parts: Iterable[pa.ChunkedArray]) -> pa.DataType:
    """Return the type that a column of text gets which is read in parts; the rest is not read once it is text."""
    kinds = set()
    for part in parts:
        if part.null_count < len(part):
            kinds.add(_typed(part).type)
        if pa.string() in kinds:
            break
    if kinds == {pa.int64(), pa.float64()}:
        return pa.float64()
    return kinds.pop() if len(kinds) == 1 else pa.string()


def in_type(text: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a part of a column of text in the type that `type_of` gave to the whole column."""
    return _typed(text).cast(kind)


def _typed(text: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return one column; text in which only some times have an offset, or some values are words, stays text."""
    if _is_moment(text):
        return _as_moments(text)
    if numbers(text.slice(0, _GLANCE), Style()) is None or (found := numbers(text, Style())) is None:
        return text
    return found if found.null_count < len(found) else text


def _is_moment(text: pa.ChunkedArray) -> bool:
    first = next((value for value in text.slice(0, _GLANCE).to_pylist() if value is not None), "")
    return bool(_MOMENT.match(first)) and pc.all(pc.match_substring_regex(text, _MOMENT.pattern)).as_py() is True


def _as_moments(text: pa.ChunkedArray) -> pa.ChunkedArray:
    zoned = pc.match_substring_regex(text, ZONED)
    kind = UTC_US if pc.all(zoned).as_py() else None if pc.any(zoned).as_py() else pa.timestamp("us")
    try:
        return text if kind is None else text.cast(kind)
    except pa.ArrowInvalid:
        return text
