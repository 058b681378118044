"""Records to rows and back, by the types of their fields.

A field is the column of its name, but for the few names SQL has a use for. A moment is ISO 8601 text in UTC, a truth 0
or 1, a tuple or a dict JSON text. A record inside a record is read from columns named `field.column`, and is no part
of the row: it has a table of its own.
"""

import json
from collections.abc import Callable, Hashable, Iterable, Sequence
from dataclasses import fields, is_dataclass
from datetime import datetime
from enum import EnumType, StrEnum
from functools import cache
from operator import itemgetter
from typing import Any, TypeVar, cast, get_args, get_origin, get_type_hints

from monitor.records import Ledger, from_json, to_json
from monitor.store.database import Row, stamp

T = TypeVar("T")
Change = Callable[[Any], Any]

COLUMN = {
    "column": "column_name", "trigger": "trigger_name", "rows": "row_count", "start": "start_at", "end": "end_at",
    "by": "by_whom",
}
# A ledger is written and read as one: JSON text in one column.
_ENCODERS: dict[Any, Change] = {
    datetime: stamp, bool: int,
    Ledger: lambda ledger: None if ledger is None else json.dumps(to_json(ledger), ensure_ascii=False),
}
_DECODERS: dict[Any, Change] = {
    datetime: datetime.fromisoformat, bool: bool, Ledger: lambda text: from_json(Ledger, json.loads(text)),
}


def row_of(record: object) -> dict[str, Any]:
    """The record's row by column, without the records inside it."""
    kind = cast(Hashable, type(record))
    return {column: encode(getattr(record, name)) for name, column, encode in _encoders(kind)}


def record_of(kind: type[T], row: Row, **given: Any) -> T:
    """The record of a row, which may have more columns; `given` are fields that come from elsewhere."""
    record: T = _reader(cast(Hashable, kind), tuple(row.keys()), tuple(given))(row, **given)
    return record


def records_of(kind: type[T], rows: Sequence[Row]) -> list[T]:
    """The records of rows that have the same columns."""
    return list(map(_reader(cast(Hashable, kind), tuple(rows[0].keys()), ()), rows)) if rows else []


def columns(kind: type, table: str, field: str = "") -> str:
    """The columns of `kind` in the table (or its alias), as a query names them; named to be read as `field`."""
    names = [column for _, column, _ in _encoders(cast(Hashable, kind))]
    return ", ".join(f'{table}.{name} AS "{field}.{name}"' if field else f"{table}.{name}" for name in names)


@cache
def _encoders(kind: Any) -> list[tuple[str, str, Change]]:
    """Field, column and how its value is written, of every field that holds no record."""
    return [(name, COLUMN.get(name, name), _encoder(hint)) for name, hint in _types(kind) if not _holds_record(hint)]


@cache
def _reader(kind: Any, present: tuple[str, ...], given: tuple[str, ...]) -> Callable[..., Any]:
    """Makes a record of a row with the columns `present`, in that order."""
    wanted = [(name, hint) for name, hint in _types(kind) if name not in given]
    plain = [(name, hint) for name, hint in wanted if not _holds_record(hint)]
    names = [name for name, _ in plain]              # two at least: of one, itemgetter gives no tuple
    values = itemgetter(*(present.index(COLUMN.get(name, name)) for name in names))
    decoders = [(name, decode) for name, hint in plain if (decode := _decoder(hint)) is not None]
    inside = [(name, _inner_reader(name, hint, present)) for name, hint in wanted if _holds_record(hint)]

    def read(row: Sequence[Any], **given: Any) -> Any:
        record = dict(zip(names, values(row), strict=True))
        for name, decode in decoders:
            if record[name] is not None:
                record[name] = decode(record[name])
        for name, read_inner in inside:
            record[name] = read_inner(row)
        return kind(**record, **given)

    return read


def _inner_reader(field: str, kind: Any, present: tuple[str, ...]) -> Change:
    """Reads a record inside another; None where all its columns are NULL."""
    places = [place for place, name in enumerate(present) if name.startswith(f"{field}.")]
    read = _reader(kind, tuple(present[place].removeprefix(f"{field}.") for place in places), ())

    def read_inner(row: Sequence[Any]) -> Any:
        values = [row[place] for place in places]
        return None if values.count(None) == len(values) else read(values)

    return read_inner


def _types(kind: Any) -> list[tuple[str, Any]]:
    """Fields and their types, that of one that may be None without it."""
    hints = get_type_hints(kind)
    return [
        (field.name, next((kind for kind in get_args(hint) if type(None) in get_args(hint)), hint))
        for field in fields(kind) for hint in [hints[field.name]]
    ]


def _holds_record(hint: Any) -> bool:
    return hint not in _ENCODERS and (is_dataclass(hint) or any(map(is_dataclass, get_args(hint))))


def _encoder(hint: Any) -> Change:
    if get_origin(hint) in (tuple, dict):
        return lambda value: json.dumps(value, ensure_ascii=False)
    return _ENCODERS.get(hint, lambda value: value)


def _decoder(hint: Any) -> Change | None:
    if get_origin(hint) is tuple:
        return lambda text: tuple(json.loads(text))
    if get_origin(hint) is dict:
        return json.loads
    if isinstance(hint, EnumType):
        return {str(member): member for member in cast(Iterable[StrEnum], hint)}.__getitem__
    return _DECODERS.get(hint)
