"""Columns that stand in the names of folders, such as `country=US/`, as Hive and Spark write them."""

import re
from collections.abc import Mapping, Sequence
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
_TIMES = {"year", "month", "day", "hour", "minute", "week", "quarter"}     # of the row, which has its own timestamp
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


def partitions_of(origin: str, files: Sequence[Path], schema: pa.Schema) -> Partitions:
    """Return what the folders of the files say. `schema`: of one of the files, which tells whether rows have a time.

    Whole numbers, dates and text are told apart by all values of a column. Parts of a time are left out.
    """
    found = {path: partition_values(origin, path) for path in files}
    names = dict.fromkeys(name for values in found.values() for name in values if name not in schema.names)
    read = {name: _typed({path: values.get(name) for path, values in found.items()}) for name in names}
    timed = any(pa.types.is_timestamp(f.type) or f.name.lower() in USUAL_NAMES["timestamp"] for f in schema)
    left = [name for name, (kind, _) in read.items()
            if timed and (pa.types.is_date(kind) or (pa.types.is_integer(kind) and name.lower() in _TIMES))]
    kept = {name: pair for name, pair in read.items() if name not in left}
    values = {path: {name: pair[1][path] for name, pair in kept.items()} for path in files}
    return Partitions({name: kind for name, (kind, _) in kept.items()}, values, dict.fromkeys(left, _OF_TIME))


def _typed(texts: Mapping[Path, str | None]) -> tuple[pa.DataType, dict[Path, Any]]:
    """Return the type that all texts have, and their values; Hive's word for null is null."""
    plain = {path: None if text in (None, _NULL) else unquote(str(text)) for path, text in texts.items()}
    there = [text for text in plain.values() if text is not None]
    if all(_WHOLE.fullmatch(text) for text in there):
        return pa.int64(), {path: None if text is None else int(text) for path, text in plain.items()}
    try:
        if all(_DAY.fullmatch(text) for text in there):
            return pa.date32(), {path: None if t is None else date.fromisoformat(t) for path, t in plain.items()}
    except ValueError:
        pass
    return pa.string(), plain
