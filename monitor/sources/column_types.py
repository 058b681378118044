"""One set of column types for all sources, and how the types of several files become one.

Text is `string`, decimals are float64, structs become dotted columns; lists, maps and bytes are left out.
"""

from collections import Counter
from collections.abc import Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import SourceError
from monitor.private import quoted


def is_number(kind: pa.DataType) -> bool:
    """Tell whether a type is measured as a number (booleans are not)."""
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))


def different(names: Iterable[str], path: Path) -> None:
    """Raise SourceError where two columns have one name: which of them was meant cannot be told."""
    for name, count in Counter(names).items():
        if count > 1 and name:
            raise SourceError(f"{path}: column {quoted(name)} is there twice, expected different names")


def tidy(table: pa.Table) -> pa.Table:
    """Return the table in plain types, without structs, nested columns and metadata."""
    table = flat(table)
    kept = [(field.name, _plain(field.type)) for field in table.schema]
    fields = [pa.field(name, kind) for name, kind in kept if kind is not None]
    columns = [table[field.name].cast(field.type) for field in fields]
    return pa.table(columns, schema=pa.schema(fields)) if fields else pa.table({})


def flat(table: pa.Table) -> pa.Table:
    """Return the table with structs as dotted columns."""
    while any(pa.types.is_struct(field.type) for field in table.schema):
        table = table.flatten()
    return table


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


def unify(one: pa.DataType, other: pa.DataType) -> pa.DataType | None:
    """Return the type that holds both, or None: int + float is float, anything + string is string."""
    if one == other or pa.types.is_null(other):
        return one
    if pa.types.is_null(one):
        return other
    if pa.types.is_string(one) or pa.types.is_string(other):
        return pa.string()
    if _numeric(one) and _numeric(other):
        return pa.float64() if pa.types.is_floating(one) or pa.types.is_floating(other) else pa.int64()
    if _calendar(one) and _calendar(other):
        same_zone = getattr(one, "tz", None) == getattr(other, "tz", None)
        return pa.timestamp("us", getattr(one, "tz", None)) if same_zone else pa.string()
    return None


def union(schemas: Iterable[tuple[str, pa.Schema]]) -> pa.Schema:
    """Return the schema of all (name, schema) together. Raises SourceError naming the two that do not fit."""
    kinds: dict[str, pa.DataType] = {}
    seen: dict[str, str] = {}
    for place, schema in schemas:
        for field in schema:
            before = kinds.get(field.name)
            kind = field.type if before is None else unify(before, field.type)
            if kind is None:
                raise SourceError(f"{place}: column {field.name} is of type {field.type}, but {before} in "
                                  f"{seen[field.name]}; expected one type in all files")
            if kind != before:
                seen[field.name] = place
            kinds[field.name] = kind
    return pa.schema(kinds.items())


def conform(table: pa.Table, schema: pa.Schema) -> pa.Table:
    """Return the table with exactly the columns and types of `schema`; what it lacks is null."""
    held = dict(zip(table.column_names, table.columns, strict=True))     # a table looks names up slowly
    columns = [
        held[field.name].cast(field.type, safe=False) if field.name in held else pa.nulls(table.num_rows, field.type)
        for field in schema
    ]
    return pa.table(columns, schema=schema)


def as_text(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return ids as strings, alike whatever type a file gave them: 17, 17.0 and "17" are one."""
    if pa.types.is_floating(column.type):
        whole = pc.equal(column, pc.floor(column))
        small = pc.less(pc.abs(column), 2.0**53)
        if pc.all(pc.and_(whole, small)).as_py() is not False:
            column = column.cast(pa.int64())
    return column.cast(pa.string())


def _numeric(kind: pa.DataType) -> bool:
    return is_number(kind) or bool(pa.types.is_boolean(kind))


def _calendar(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) or pa.types.is_date(kind))
