"""Times of captured records as ISO 8601, so that those of one capture may be told in several ways."""

import re
from datetime import UTC, datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa

from monitor.errors import SourceError
from monitor.sources.captures.unusable import Unusable
from monitor.sources.moments import to_utc

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_UNITS = ((1e10, 1_000_000), (1e13, 1_000), (1e16, 1))    # numbers below the first are of so many µs each: s, ms, µs
_NUMERAL = re.compile(r"[+-]?(\d{9,11}|\d{13}|\d{15,})(\.\d*)?")      # not the digits of a date


def moment(at: Any) -> str | None:
    """Return a time as other logs write it: naive where it has no zone. Raises Unusable for what is none."""
    if at is None or isinstance(at, str):
        return None if at is None else _of_text(at.strip())
    if isinstance(at, int | float) and not isinstance(at, bool):
        return _of_number(at)
    raise Unusable("a time that is none")


def _of_number(at: float) -> str:
    micros = next((micros for most, micros in _UNITS if abs(at) < most), 1e-3)
    try:
        return (_EPOCH + timedelta(microseconds=round(at * micros))).isoformat()
    except (OverflowError, ValueError):
        raise Unusable("a time that is none") from None


def _of_text(text: str) -> str | None:
    if _NUMERAL.fullmatch(text):
        return _of_number(float(text) if "." in text else int(text))
    if text.endswith(" UTC"):        # as BigQuery writes it
        text = text.removesuffix(" UTC").replace(" ", "T", 1) + "Z"
    try:
        datetime.fromisoformat(text)
    except ValueError:
        return text if _is_time(text) else None
    return text


def _is_time(text: str) -> bool:
    """Tell whether a text is a time of another form; False: nothing at all. Raises Unusable for anything else."""
    try:
        return bool(to_utc(pa.chunked_array([[text]]), ZoneInfo("UTC"), where="")[0].is_valid)
    except SourceError:
        raise Unusable("a time that is none") from None
