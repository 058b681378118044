"""Columns that stand in the names of folders, such as `country=US/`, as Hive and Spark write them."""

import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pyarrow as pa

from monitor.config.column_roles import USUAL_NAMES
from monitor.sources.listing import partition_values

_NULL = "__HIVE_DEFAULT_PARTITION__"
_WHOLE = re.compile(r"-?(0|[1-9]\d{0,17})")
_DAY = re.compile(r"\d{4}-\d\d-\d\d")
_TIMES = {                       # of the row, which has its own timestamp
    "year", "quarter", "month", "week", "day", "hour", "minute", "yyyy", "yy", "mm", "dd", "hh", "yearmonth",
    "year_month", "yyyymm", "ym",
}
_PART = re.compile(r"\d+|\d{4}-?[WwQq]?\d\d?|[WwQq]\d\d?")           # 2026, 01, 202601, 2026-01, 2026-W05, Q1
_MOMENT = re.compile(
    r"(19|20|21)\d\d(-(0[1-9]|1[0-2])|(-?)(0[1-9]|1[0-2])\4(0[1-9]|[12]\d|3[01])"
    r"([ T_-]?([01]\d|2[0-3])([:.-]?[0-5]\d){0,2}(\.\d+)?(Z|[+-]\d\d:?\d\d)?)?)"
)       # 2026-01, 20260131, 2026-01-31, 2026013113, 2026-01-31-13, 2026-01-31 13:00:00
_OF_TIME = "a folder's part of the time, which the rows hold themselves"


@dataclass(frozen=True, slots=True)
class Partitions:
    """The columns that folders name, with the value of each in each file, and those that are left out."""

    kinds: dict[str, pa.DataType] = field(default_factory=dict)
    values: dict[Path, dict[str, Any]] = field(default_factory=dict)
    left_out: dict[str, str] = field(default_factory=dict)

    def added(self, schema: pa.Schema) -> pa.Schema:
        """Return a file's schema with the columns of the folders; a column of the file's own wins."""
        own = [(name, kind) for name, kind in self.kinds.items() if name not in schema.names]
        return pa.schema([*schema, *(pa.field(name, kind) for name, kind in own)]) if own else schema

    def filled(self, part: pa.Table, path: Path, wanted: Sequence[str] | None) -> pa.Table:
        """Return rows of a file with the folders' columns that are `wanted` (None: all)."""
        for name, kind in self.kinds.items():
            if name not in part.column_names and (wanted is None or name in wanted):
                value = pa.repeat(pa.scalar(self.values[path].get(name), kind), len(part))
                part = part.append_column(name, value)
        return part


def partitions_of(origin: str, files: Sequence[Path], schemas: Sequence[pa.Schema]) -> Partitions:
    """Return what the folders of the files say. `schemas`: all that the files have; one tells whether rows have a time.

    Whole numbers, dates and text are told apart by all values of a column. Parts of a time are left out.
    """
    found = {path: {unquote(name): _plain(text) for name, text in partition_values(origin, path).items()}
             for path in files}
    names = dict.fromkeys(name for values in found.values() for name in values
                          if any(name not in schema.names for schema in schemas))
    texts = {name: {path: values.get(name) for path, values in found.items()} for name in names}
    timed = any(pa.types.is_timestamp(f.type) or f.name.lower() in USUAL_NAMES["timestamp"] for f in schemas[0])
    left = [name for name in names if timed and _of_time(name, texts[name].values())]
    kept = {name: _typed(texts[name]) for name in names if name not in left}
    values = {path: {name: pair[1][path] for name, pair in kept.items()} for path in files}
    return Partitions({name: kind for name, (kind, _) in kept.items()}, values, dict.fromkeys(left, _OF_TIME))


def _plain(text: str) -> str | None:
    """Return what is written in a folder's name; Hive's word for null is null."""
    return None if text == _NULL else unquote(text)


def _of_time(name: str, texts: Iterable[str | None]) -> bool:
    """Tell whether all values of a column are moments, or parts of one by the column's name."""
    there = [text for text in texts if text is not None]
    named = name.lower() in _TIMES
    return bool(there) and all(_MOMENT.fullmatch(text) or (named and _PART.fullmatch(text)) for text in there)


def _typed(plain: dict[Path, str | None]) -> tuple[pa.DataType, dict[Path, Any]]:
    """Return the type that all texts have, and their values."""
    there = [text for text in plain.values() if text is not None]
    if all(_WHOLE.fullmatch(text) for text in there):
        return pa.int64(), {path: None if text is None else int(text) for path, text in plain.items()}
    try:
        if all(_DAY.fullmatch(text) for text in there):
            return pa.date32(), {path: None if t is None else date.fromisoformat(t) for path, t in plain.items()}
    except ValueError:
        pass
    return pa.string(), plain
