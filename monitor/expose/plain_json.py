"""Records as JSON prints them: a window is its start and its end, a number that is none is null."""

import dataclasses
import math
from datetime import datetime
from typing import Any

from monitor.records import Window
from monitor.times import format_moment


def plain(value: Any) -> Any:
    """Return the JSON form of records, mappings and sequences, whatever is inside them."""
    if value is None or isinstance(value, str | bool | int):
        return str(value) if isinstance(value, str) else value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, datetime):
        return format_moment(value)
    if isinstance(value, Window):
        return {"start": format_moment(value.start), "end": format_moment(value.end)}
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item) for item in value]
    return {field.name: plain(getattr(value, field.name)) for field in dataclasses.fields(value)}
