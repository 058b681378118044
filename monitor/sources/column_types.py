"""The column types that all sources share, and how the types of several files are combined.

Text is `string`, decimals are float64, structs become dotted columns; lists, maps and bytes are left out. Times are
timestamp[us, UTC], whether a log stores them as timestamps, dates, numbers or text.
"""

import re
import warnings
from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from datetime import datetime
from functools import reduce
from pathlib import Path
from typing import NamedTuple
from uuid import UUID
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.errors import SourceError
from monitor.private import quoted

UTC_US = pa.timestamp("us", "UTC")
_DAY_MONTH = r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4})"
_DAY_MONTH_HEAD = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-]\d{2}")
ZONED = r"\d:\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
_EPOCH_UNITS = ((1e11, 1_000_000), (1e14, 1_000), (1e17, 1))   # largest magnitude, microseconds per unit


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a type is measured as a number (booleans are not)."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def require_distinct(names: Iterable[str], path: Path) -> None:
    """Raise SourceError if two columns have the same name, because a reference to it would be ambiguous."""
    for name, count in Counter(names).items():
        if count > 1 and name:
            raise SourceError(f"{path}: column {quoted(escape.name(name))} occurs twice, expected distinct names")


def tidy(table: pa.Table, exact: Collection[str] = ()) -> pa.Table:
    """Return the table in the shared types, without structs, nested columns and metadata; ids (`exact`) as text."""
    table = flat(table)
    kept = [(field.name, pa.string() if field.name in exact else _plain(field.type)) for field in table.schema]
    fields = [pa.field(name, kind) for name, kind in kept if kind is not None]
    columns = [as_text(table[f.name]) if f.name in exact else table[f.name].cast(f.type) for f in fields]
    return pa.table(columns, schema=pa.schema(fields)) if fields else pa.table({})


def text_columns(table: pa.Table) -> set[str]:
    """Return the columns that hold text."""
    return {field.name for field in table.schema if pa.types.is_string(field.type)}


def codes_in(table: pa.Table) -> set[str]:
    """Return the text columns that hold nothing but digits: codes, such as postal codes."""
    return {name for name in text_columns(table)
            if pc.all(pc.match_substring_regex(table[name], r"^\d+$")).as_py() and len(table[name].drop_null())}


def flat(table: pa.Table) -> pa.Table:
    """Return the table with structs as dotted columns."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


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


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as text with all their digits: 17, 17.0 and "17" are the same id, and so are a UUID and its text.

    Each value is turned into text by itself, so that the other rows do not matter.
    """
    if isinstance(column.type, pa.BaseExtensionType):
        column = pa.chunked_array([chunk.storage for chunk in column.chunks], column.type.storage_type)
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
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


def to_utc(
    column: pa.ChunkedArray, zone: ZoneInfo, *, where: str, day_first: bool | None = None
) -> pa.ChunkedArray:
    """Return the column as timestamp[us, UTC].

    Naive times and dates are read in `zone`. Numbers are days (20260331), or s, ms, µs or ns since 1970.
    Text is ISO 8601, else a date with the day or the month first (`day_first`; None: guessed). Raises
    SourceError, whose message begins with `where`.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(UTC_US)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            return _from_timestamps(column, zone)
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            return _from_numbers(column, zone)
        if pa.types.is_string(kind) or pa.types.is_large_string(kind):
            return _from_text(column.cast(pa.string()), zone, day_first)
    except (pa.ArrowInvalid, OverflowError, ValueError) as error:
        raise SourceError(f"{where}: holds a value that is not a time ({quoted(_brief(error))}), expected ISO 8601 "
                          "such as 2026-03-31T12:00:00Z, or seconds since 1970") from None
    raise SourceError(f"{where}: is of type {kind}, expected times; name another column")


def in_utc(
    table: pa.Table, names: Sequence[str], zone: ZoneInfo, place: object, day_first: bool | None = None
) -> pa.Table:
    """Return the table with the columns `names` converted to timestamp[us, UTC]; names it lacks are ignored."""
    for name in names:
        index = table.schema.get_field_index(name)
        if index >= 0:
            times = to_utc(table[name], zone, where=f"{place}: column {name}", day_first=day_first)
            table = table.set_column(index, name, times)
    return table


def guess_day_first(values: Iterable[str]) -> bool | None:
    """Tell whether dates such as 3.4.2026 begin with the day; None if no value decides it."""
    dotted = False
    for value in values:
        match = _DAY_MONTH_HEAD.match(value)
        if match and int(match[1]) > 12:
            return True
        if match and int(match[2]) > 12:
            return False
        dotted = dotted or bool(match and value[match.end(1)] == ".")
    return True if dotted else None            # dots are used in countries that write the day first


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


def _from_timestamps(column: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    if column.type.tz is None:
        column = pc.assume_timezone(column, zone.key, ambiguous="earliest", nonexistent="latest")
    return column.cast(UTC_US, safe=False)


def _from_numbers(column: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    if pa.types.is_integer(column.type) and _are_days(column):
        return _from_timestamps(pc.strptime(column.cast(pa.string()), "%Y%m%d", "s"), zone)
    largest = pc.max(pc.abs(column.cast(pa.float64(), safe=False))).as_py() or 0.0
    scale = next((scale for limit, scale in _EPOCH_UNITS if largest < limit), None)
    if pa.types.is_integer(column.type):
        whole = column.cast(pa.int64())
        whole = pc.divide(whole, 1000) if scale is None else pc.multiply(whole, scale)
    else:
        factor = 1e-3 if scale is None else float(scale)
        whole = pc.round(pc.multiply(column.cast(pa.float64()), factor)).cast(pa.int64())
    return whole.cast(pa.timestamp("us")).cast(UTC_US)


def _are_days(column: pa.ChunkedArray) -> bool:
    """Tell whether whole numbers are days such as 20260331; read as seconds they would all lie in August 1970."""
    limits = pc.min_max(column).as_py()
    return limits["min"] is not None and limits["min"] >= 19000101 and limits["max"] <= 21991231


def _from_text(column: pa.ChunkedArray, zone: ZoneInfo, day_first: bool | None) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    text = pc.if_else(pc.equal(text, ""), pa.scalar(None, pa.string()), text)
    if pc.any(pc.match_substring_regex(text, _DAY_MONTH)).as_py():
        if day_first is None:
            day_first = guess_day_first(v for v in text.unique().to_pylist() if v)
        text = _to_iso(text, bool(day_first))
    text = pc.replace_substring_regex(text, r"(\.\d{6})\d+", r"\1")
    text = pc.replace_substring_regex(text, r"(:\d\d(\.\d+)?) ?(UTC|GMT)$", r"\1Z")
    text = pc.replace_substring_regex(text, r" ([+-]\d\d:?\d\d)$", r"\1")
    zoned = pc.match_substring_regex(text, ZONED)
    nothing = pa.scalar(None, pa.string())
    try:
        aware = pc.if_else(zoned, text, nothing).cast(UTC_US)
        naive = pc.if_else(zoned, nothing, text).cast(pa.timestamp("us"))
    except pa.ArrowInvalid:
        return _by_pandas(text, zone, bool(day_first))
    return pc.coalesce(aware, _from_timestamps(naive, zone))


def _to_iso(text: pa.ChunkedArray, day_first: bool) -> pa.ChunkedArray:
    text = pc.replace_substring_regex(text, _DAY_MONTH, r"\3-\2-\1" if day_first else r"\3-\1-\2")
    text = pc.replace_substring_regex(text, r"^(\d{4})-(\d)-", r"\1-0\2-")
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d\d)-(\d)(\D|$)", r"\1-0\2\3")
    return pc.replace_substring_regex(text, r"^(\d{4}-\d\d-\d\d)[ T,]+(\d):", r"\1 0\2:")


def _by_pandas(text: pa.ChunkedArray, zone: ZoneInfo, day_first: bool) -> pa.ChunkedArray:
    """Parse the formats Arrow does not know (3 Mar 2026, 2:05 PM); slow, so each distinct text is parsed once."""
    import pandas as pd

    coded = text.combine_chunks().dictionary_encode()
    values = []
    for value in coded.dictionary.to_pylist():
        with warnings.catch_warnings(action="ignore"):       # pandas warns when ISO dates are mixed with others
            moment = pd.to_datetime(value, dayfirst=day_first)
        if moment.tz is None:
            moment = moment.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
        values.append(moment.tz_convert("UTC").to_pydatetime(warn=False))
    times = pa.array(values, UTC_US)
    return pa.chunked_array([times.take(coded.indices)])


def _brief(error: BaseException) -> str:
    return str(error).split("\n")[0].split(". ")[0][:120]
