"""The column types that all sources share, and how the types of several files are combined.

Text is `string`, decimals are float64, structs become dotted columns; lists, maps and bytes are left out. Times are
timestamp[us, UTC], whether a log stores them as timestamps, dates, numbers or text.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape, pandas_later
from monitor.errors import SourceError
from monitor.private import quoted

UTC_US = pa.timestamp("us", "UTC")


FEWEST = 10_000                  # rows, at least, of a source's head
_EXACT_WHOLE, _EXACT_POWER = 2**53, 22     # a double holds these whole numbers and these powers of ten exactly


def first_rows(values: int, columns: int) -> int:
    """Return how many rows hold about so many values."""
    return max(FEWEST, values // max(1, columns))


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a type is measured as a number (booleans are not)."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def require_distinct(names: Iterable[str], path: Path | str) -> None:
    """Raise SourceError if two columns have the same name, because a reference to it would be ambiguous."""
    for name, count in Counter(names).items():
        if count > 1 and name:
            raise SourceError(f"{path}: column {quoted(escape.name(name))} occurs twice, expected distinct names")


def tidy(table: pa.Table, exact: Collection[str] = ()) -> pa.Table:
    """Return the table in the shared types, without structs, nested columns and metadata; ids (`exact`) as text."""
    table = flat(table)
    kept = [(field.name, pa.string() if field.name in exact else _plain(field.type)) for field in table.schema]
    fields = [pa.field(name, kind) for name, kind in kept if kind is not None]
    if any(pa.types.is_timestamp(field.type) and field.type.unit == "ns" for field in fields):
        pandas_later.use()
    columns = [as_text(table[f.name]) if f.name in exact else in_shared_type(table[f.name], f.type) for f in fields]
    return pa.table(columns, schema=pa.schema(fields)) if fields else pa.table({})


def in_shared_type(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    """Return a column in a shared type. Of a decimal this is the floating-point number nearest to it, as in CSV.

    Arrow's own cast misses the last place of many. Whole numbers below 2**53 are divided by a power of ten up to 22,
    which is exact until it is rounded once (IEEE 754); others go by their text.
    """
    column = decoded(column)
    if not pa.types.is_decimal(column.type) or not pa.types.is_floating(kind):
        return column.cast(kind)
    return pa.chunked_array([_nearest(chunk) for chunk in column.chunks], pa.float64()).cast(kind)


def _nearest(chunk: pa.Array) -> pa.Array:
    scale = chunk.type.scale
    if pa.types.is_decimal128(chunk.type) and 0 <= scale <= _EXACT_POWER:
        unscaled = pa.Array.from_buffers(
            pa.decimal128(chunk.type.precision, 0), len(chunk), chunk.buffers(), offset=chunk.offset)
        whole = unscaled.cast(pa.float64())
        if (pc.max(pc.abs(whole)).as_py() or 0) < _EXACT_WHOLE:
            return pc.divide(whole, 10.0**scale)
    return chunk.cast(pa.string()).cast(pa.float64())


def text_columns(schema: pa.Schema) -> set[str]:
    """Return the columns that hold text."""
    return {field.name for field in schema if pa.types.is_string(field.type)}


def fractions(schema: pa.Schema) -> set[str]:
    """Return the columns of floating-point numbers."""
    return {field.name for field in schema if pa.types.is_floating(field.type)}


def codes_in(table: pa.Table) -> set[str]:
    """Return the text columns that hold nothing but digits: codes, such as postal codes."""
    return {name for name in text_columns(table.schema)
            if pc.all(pc.match_substring_regex(table[name], r"^\d+$")).as_py() and len(table[name].drop_null())}


def flat(table: pa.Table) -> pa.Table:
    """Return the table with structs as dotted columns, and views as what they show: Arrow filters no views."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    for place, field in enumerate(table.schema):
        if (kind := _shown(field.type)) != field.type:
            table = table.set_column(place, field.name, _seen(table[place], kind))
    return table


def _shown(kind: pa.DataType) -> pa.DataType:
    if pa.types.is_dictionary(kind):
        return pa.dictionary(kind.index_type, _shown(kind.value_type), kind.ordered)
    return pa.string() if pa.types.is_string_view(kind) else pa.binary() if pa.types.is_binary_view(kind) else kind


def _seen(column: pa.ChunkedArray, kind: pa.DataType) -> pa.ChunkedArray:
    if not pa.types.is_dictionary(kind):
        return column.cast(kind)
    words = [chunk.dictionary.cast(kind.value_type) for chunk in column.chunks]
    return pa.chunked_array([pa.DictionaryArray.from_arrays(chunk.indices, each, ordered=kind.ordered)
                             for chunk, each in zip(column.chunks, words, strict=True)], kind)


def unread(schema: pa.Schema) -> dict[str, str]:
    """Return the columns that `tidy` leaves out, each with its kind and what to do to have it watched."""
    fields = flat(schema.empty_table()).schema
    return {f.name: _why_unread(f.type) for f in fields if _plain(f.type) is None}


def _why_unread(kind: pa.DataType) -> str:
    if pa.types.is_map(kind):
        return "a map, which is not watched; write its keys as columns"
    if pa.types.is_nested(kind):
        return "a list, which is not watched; write its length or its elements as columns"
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return "bytes, which are not watched; write it as text"
    return f"of type {kind}, which is not watched; write it as text or as a number"


def _plain(kind: pa.DataType) -> pa.DataType | None:
    if pa.types.is_dictionary(kind):
        kind = kind.value_type
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind) or pa.types.is_time(kind):
        return pa.string()
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return pa.float64()
    if pa.types.is_duration(kind):
        return pa.int64()
    if pa.types.is_interval(kind):
        return None
    if pa.types.is_date64(kind):
        return pa.date32()
    known = (pa.types.is_null, pa.types.is_boolean, is_number, pa.types.is_string, pa.types.is_temporal)
    return kind if any(check(kind) for check in known) else None


def common_type(left: pa.DataType, right: pa.DataType) -> pa.DataType | None:
    """Return the type that holds both, or None: int + float is float, anything + string is string."""
    if left == right or pa.types.is_null(right):
        return left
    if pa.types.is_null(left):
        return right
    if pa.types.is_string(left) or pa.types.is_string(right):
        return pa.string()
    if _numeric(left) and _numeric(right):
        wide = any(pa.types.is_floating(kind) or pa.types.is_uint64(kind) for kind in (left, right))
        return pa.float64() if wide else pa.int64()
    if _calendar(left) and _calendar(right):
        same_zone = getattr(left, "tz", None) == getattr(right, "tz", None)
        return pa.timestamp("us", getattr(left, "tz", None)) if same_zone else pa.string()
    return None


def union(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the union of all (file name, schema) pairs. Raises SourceError naming two files whose types do not fit."""
    kinds: dict[str, pa.DataType] = {}
    seen: dict[str, str] = {}
    for place, schema in schemas:
        for field in schema:
            before = kinds.get(field.name)
            kind = field.type if before is None else common_type(before, field.type)
            if kind is None:
                raise SourceError(f"{place}: column {field.name} is of type {field.type}, but {before} in "
                                  f"{seen[field.name]}; expected one type in all files")
            if kind != before:
                seen[field.name] = place
            kinds[field.name] = kind
    return pa.schema(kinds.items())


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly the columns and types of `schema`; a column it lacks is null."""
    present = dict(zip(table.column_names, table.columns, strict=True))  # a table looks names up slowly
    columns = [
        present[field.name].cast(field.type, safe=False)
        if field.name in present else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def decoded(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return a column without dictionary encoding."""
    return column.cast(column.type.value_type) if pa.types.is_dictionary(column.type) else column


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as text with all their digits: 17, 17.0 and "17" are the same id, and so are a UUID and its text.

    Each value is turned into text by itself, so that the other rows do not matter.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    column = decoded(column)
    kind = column.type
    if pa.types.is_string(kind):
        return column
    if pa.types.is_floating(kind):
        return _float_text(column.cast(pa.float32()) if pa.types.is_float16(kind) else column)
    if pa.types.is_decimal(kind):
        return pc.replace_substring_regex(column.cast(pa.string()), r"\.0+$", "")
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return _bytes_text(column)
    return column.cast(pa.string())


def _float_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return whole numbers by their digits, others as they are written; NaN is null."""
    column = pc.if_else(pc.is_nan(column), pa.scalar(None, column.type), column)
    whole = pc.and_(pc.equal(column, pc.floor(column)), pc.less(pc.abs(column), 2.0**63))
    digits = pc.if_else(whole, column, pa.scalar(0, column.type)).cast(pa.int64()).cast(pa.string())
    return digits if pc.all(whole).as_py() is not False else pc.if_else(whole, digits, column.cast(pa.string()))


def _bytes_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return 16 bytes as a UUID, others as the UTF-8 text they hold, else as hexadecimal digits."""
    if pa.types.is_fixed_size_binary(column.type) and column.type.byte_width == 16:
        return pa.chunked_array([[None if v is None else str(UUID(bytes=v)) for v in column.to_pylist()]], pa.string())
    try:
        return column.cast(pa.binary()).cast(pa.string())
    except pa.ArrowInvalid:
        return pa.chunked_array([[None if v is None else v.hex() for v in column.to_pylist()]], pa.string())


def _numeric(kind: pa.DataType) -> bool:
    return is_number(kind) or bool(pa.types.is_boolean(kind))


def _calendar(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))


class Bounds(NamedTuple):
    """The time range of the rows to read: start ≤ timestamp ≤ end; None means no limit on that side."""

    timestamp: str | None = None
    start: datetime | None = None
    end: datetime | None = None

    def overlaps(self, low: datetime, high: datetime) -> bool:
        """Tell whether the range from low to high overlaps these bounds."""
        return (self.start is None or high >= self.start) and (self.end is None or low <= self.end)

    def covers(self, low: datetime, high: datetime) -> bool:
        """Tell whether the range from low to high lies completely within these bounds."""
        return (self.start is None or low >= self.start) and (self.end is None or high <= self.end)


def within(table: pa.Table, bounds: Bounds) -> pa.Table:
    """Return the rows inside the bounds; a row without a timestamp is outside as soon as there is a bound."""
    if bounds.timestamp not in table.schema.names or (bounds.start is None and bounds.end is None):
        return table
    return table.filter(mask_of(table, bounds))


def mask_of(table: pa.Table, bounds: Bounds) -> pa.ChunkedArray:
    """Return for each row whether it is inside the bounds; null without a timestamp. At least one bound must be set."""
    at = table[bounds.timestamp]
    limits = ((pc.greater_equal, bounds.start), (pc.less_equal, bounds.end))
    return reduce(pc.and_, (compare(at, pa.scalar(limit, UTC_US)) for compare, limit in limits if limit is not None))
