"""Timestamps as timestamp[us, UTC], whether a log stores them as timestamps, dates, numbers or text."""

import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Literal
from zoneinfo import ZoneInfo

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.column_types import UTC_US

ZONED = r"\d:\d\d.*([Zz]|[+-]\d\d(:?\d\d)?)$"
DECIDE = 2 / 3           # of the values of a column decide its unit
LOOKED_AT = 1000         # values of which it is seen whether they are the digits of a date
Unit = Literal["digits", "days", "excel", "julian", "s", "ms", "us", "ns"]
_MICROS = {"s": 1_000_000, "ms": 1_000, "us": 1}
_DIGITS = {8: "%Y%m%d", 10: "%Y%m%d%H", 12: "%Y%m%d%H%M", 14: "%Y%m%d%H%M%S"}
_DIGITAL = r"^(19|20|21)\d\d(0[1-9]|1[0-2])(0[1-9]|[12]\d|3[01])(([01]\d|2[0-3])([0-5]\d([0-5]\d)?)?)?$"
_DAYS: dict[Unit, float] = {"days": 0, "excel": -25_569, "julian": -2_440_587.5}    # their day 0, in days since 1970
_LATELY = (10_957, 29_220)                              # days since 1970, of the years 2000 to 2049
_CALENDAR = (-62_135_510_400_000_000, 253_402_214_400_000_000)     # µs: 2 January of year 1, 31 December 9999
_NUMERAL = r"^[+-]?\d{5,18}(\.\d+)?$"
_ZERO_DATE = "0000-00-00"     # what MySQL writes for a missing one
_DAY_MONTH = r"^(\d{1,2})[./-](\d{1,2})[./-](\d{4})"
_DAY_MONTH_HEAD = re.compile(r"(\d{1,2})[./-](\d{1,2})[./-]\d{2}")


def to_utc(
    column: pa.ChunkedArray, zone: ZoneInfo, *, where: str, day_first: bool | None = None, unit: Unit | None = None
) -> pa.ChunkedArray:
    """Return the column as timestamp[us, UTC], of the years 1 to 9999.

    Naive times and dates are read in `zone`. Numbers are what `unit` says; None: as `unit_of` does. Text is ISO 8601,
    else a date with the day or the month first (`day_first`; None: guessed).
    Zero dates are null. Raises SourceError, whose message begins with `where`.
    """
    if pa.types.is_dictionary(column.type):
        column = column.cast(column.type.value_type)
    kind = column.type
    try:
        if pa.types.is_null(kind):
            return column.cast(UTC_US)
        if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
            times = _from_timestamps(column, zone)
        elif _is_numeric(kind):
            times = _from_numbers(column, zone, unit)
        elif pa.types.is_string(kind) or pa.types.is_large_string(kind):
            times = _from_text(column.cast(pa.string()), zone, day_first)
        else:
            raise SourceError(f"{where}: is of type {kind}, expected times; name another column")
        return _clamped(times.cast(pa.int64()), *_CALENDAR).cast(UTC_US)
    except (pa.ArrowInvalid, OverflowError, ValueError) as error:
        raise SourceError(f"{where}: holds a value that is not a time ({quoted(_brief(error))}), expected ISO 8601 "
                          "such as 2026-03-31T12:00:00Z, or seconds since 1970") from None


def in_utc(
    table: pa.Table, names: Sequence[str], zone: ZoneInfo, place: object, day_first: bool | None = None,
    units: Mapping[str, Unit] | None = None,
) -> pa.Table:
    """Return the table with the columns `names` converted to timestamp[us, UTC]; names it lacks are ignored.

    `units`: of columns of numbers, where more rows than these decide them.
    """
    for name in names:
        index = table.schema.get_field_index(name)
        if index >= 0:
            unit = (units or {}).get(name)
            times = to_utc(table[name], zone, where=f"{place}: column {name}", day_first=day_first, unit=unit)
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


def unit_of(column: pa.ChunkedArray) -> Unit | None:
    """Return what a column of numbers counts: the digits of a date (20260331, 20260331235959), days since 1970, as
    Excel counts them or Julian ones, or s, ms, µs or ns since 1970; None of no numbers.

    Two thirds of the values decide it, so that a few absurd ones do not.
    """
    if not _is_numeric(column.type):
        return None
    known = _finite(column).drop_null().to_numpy()
    if not len(known):
        return "s"
    sizes, place = np.abs(known), round(DECIDE * (len(known) - 1))
    usual = float(np.partition(sizes, place)[place])
    if len(f"{usual:.0f}") in _DIGITS and _share_of_dates(known) > DECIDE:
        return "digits"
    first, last = _LATELY
    for unit, begins in _DAYS.items():
        if np.mean((known >= first - begins) & (known < last - begins)) > DECIDE:
            return unit
    return _unit_of(usual)


def _share_of_dates(numbers: npt.NDArray[np.float64]) -> float:
    """Return which share of some of the numbers, evenly chosen, are the digits of a date."""
    some = pa.array(numbers[:: 1 + len(numbers) // LOOKED_AT])
    dates = pc.match_substring_regex(_digits(some), _DIGITAL)
    return float(pc.mean(pc.fill_null(dates, False)).as_py())


def _digits(numbers: pa.Array | pa.ChunkedArray) -> pa.Array | pa.ChunkedArray:
    """Return whole positive numbers below 10¹⁵ as text; others are null."""
    whole = pc.and_(pc.equal(numbers, pc.floor(numbers)), pc.and_(pc.greater(numbers, 0), pc.less(numbers, 1e15)))
    return pc.if_else(whole, numbers, pa.scalar(None, pa.float64())).cast(pa.int64()).cast(pa.string())


def _unit_of(size: float) -> Unit:
    return "s" if size < 1e10 else "ms" if size < 1e13 else "us" if size < 1e16 else "ns"


def _is_numeric(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _finite(column: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return numbers as float64; NaN and ±inf are null."""
    numbers = column.cast(pa.float64(), safe=False)
    return pc.if_else(pc.is_finite(numbers), numbers, pa.scalar(None, pa.float64()))


def _from_timestamps(column: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    if pa.types.is_date(column.type):
        column = column.cast(pa.timestamp("s"))
    kind = column.type
    if kind.unit == "ns":
        column = _thousandths(column.cast(pa.int64())).cast(pa.timestamp("us", kind.tz))
    elif kind.unit != "us":
        column = _bounded(column.cast(pa.int64()), kind.unit).cast(kind)
    if kind.tz is None:
        column = pc.assume_timezone(column, zone.key, ambiguous="earliest", nonexistent="latest")
    return column.cast(UTC_US, safe=False)


def _from_numbers(column: pa.ChunkedArray, zone: ZoneInfo, unit: Unit | None) -> pa.ChunkedArray:
    unit = unit or unit_of(column)
    assert unit is not None
    if unit == "digits":
        return _from_digits(_digits(_finite(column)), zone)
    if unit in _DAYS:
        days = pc.add(_finite(column), float(_DAYS[unit]))
        return _from_timestamps(_whole(pc.multiply(days, 86_400_000.0), "ms").cast(pa.timestamp("ms")), zone)
    if pa.types.is_integer(column.type):
        if pa.types.is_uint64(column.type):
            column = pc.min_element_wise(column, pa.scalar((1 << 63) - 1, pa.uint64()), skip_nulls=False)
        whole = column.cast(pa.int64())
        whole = _thousandths(whole) if unit == "ns" else pc.multiply(_bounded(whole, unit), _MICROS[unit])
    else:
        whole = _whole(pc.multiply(_finite(column), 1e-3 if unit == "ns" else float(_MICROS[unit])), "us")
    return whole.cast(pa.timestamp("us")).cast(UTC_US)


def _from_digits(text: pa.ChunkedArray, zone: ZoneInfo) -> pa.ChunkedArray:
    """Return the moments whose digits are written; null for what is no date."""
    text = pc.if_else(pc.match_substring_regex(text, _DIGITAL), text, pa.scalar(None, pa.string()))
    length, found = pc.utf8_length(text), pa.scalar(None, pa.timestamp("s"))
    for digits, form in _DIGITS.items():
        some = pc.if_else(pc.equal(length, digits), text, pa.scalar(None, pa.string()))
        if some.null_count < len(some):
            found = pc.coalesce(pc.strptime(some, form, "s", error_is_null=True), found)
    none = pa.chunked_array([pa.nulls(len(text), pa.timestamp("s"))])
    return _from_timestamps(found if isinstance(found, pa.ChunkedArray) else none, zone)


def _whole(numbers: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Return rounded numbers of a unit within the calendar."""
    return _clamped(pc.round(numbers), *(float(end // _MICROS[unit]) for end in _CALENDAR)).cast(pa.int64())


def _thousandths(whole: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return µs of ns, rounded towards the past, before 1970 too."""
    parts = pc.divide(whole, 1000)
    return pc.subtract(parts, pc.greater(pc.multiply(parts, 1000), whole).cast(pa.int64()))


def _bounded(whole: pa.ChunkedArray, unit: str) -> pa.ChunkedArray:
    """Return whole numbers of a unit; those beyond the calendar are its first and last day, far from all others."""
    return _clamped(whole, *(end // _MICROS[unit] for end in _CALENDAR))


def _clamped(numbers: pa.ChunkedArray, low: float, high: float) -> pa.ChunkedArray:
    ends = pc.min_max(numbers).as_py()
    if ends["min"] is None or low <= ends["min"] <= ends["max"] <= high:
        return numbers
    return pc.max_element_wise(pc.min_element_wise(numbers, high, skip_nulls=False), low, skip_nulls=False)


def _from_text(column: pa.ChunkedArray, zone: ZoneInfo, day_first: bool | None) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(column)
    none = pc.or_(pc.equal(text, ""), pc.starts_with(text, _ZERO_DATE))
    text = pc.if_else(none, pa.scalar(None, pa.string()), text)
    if pc.all(pc.match_substring_regex(text, _NUMERAL)).as_py() and text.null_count < len(text):
        return _from_numbers(text.cast(pa.float64() if pc.any(pc.match_substring(text, ".")).as_py() else pa.int64()),
                             zone, None)
    if pc.any(pc.match_substring_regex(text, _DAY_MONTH)).as_py():
        if day_first is None:
            day_first = guess_day_first(v for v in text.unique().to_pylist() if v)
        _require_one_order(text, bool(day_first))
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


def _require_one_order(text: pa.ChunkedArray, day_first: bool) -> None:
    """Raise ValueError for a date that can only be read with day and month the other way round."""
    other = r"^\d{1,2}[./-](1[3-9]|[23]\d)[./-]\d{4}" if day_first else r"^(1[3-9]|[23]\d)[./-]\d{1,2}[./-]\d{4}"
    odd = text.filter(pc.fill_null(pc.match_substring_regex(text, other), False))
    if len(odd):
        raise ValueError(f"{odd[0].as_py()} has the {'month' if day_first else 'day'} first, other values do not")


def _to_iso(text: pa.ChunkedArray, day_first: bool) -> pa.ChunkedArray:
    text = pc.replace_substring_regex(text, _DAY_MONTH, r"\3-\2-\1" if day_first else r"\3-\1-\2")
    text = pc.replace_substring_regex(text, r"^(\d{4})-(\d)-", r"\1-0\2-")
    text = pc.replace_substring_regex(text, r"^(\d{4}-\d\d)-(\d)(\D|$)", r"\1-0\2\3")
    return pc.replace_substring_regex(text, r"^(\d{4}-\d\d-\d\d)[ T,]+(\d):", r"\1 0\2:")


def _by_pandas(text: pa.ChunkedArray, zone: ZoneInfo, day_first: bool) -> pa.ChunkedArray:
    """Parse the formats Arrow does not know (3 Mar 2026, 2:05 PM); slow, so each distinct text is parsed once."""
    import pandas as pd

    coded = text.combine_chunks().dictionary_encode()
    values: list[datetime | None] = []
    for value in coded.dictionary.to_pylist():
        with warnings.catch_warnings(action="ignore"):       # pandas warns when ISO dates are mixed with others
            moment = pd.to_datetime(value, dayfirst=day_first)
        if moment is pd.NaT:                                 # "NaT", "nan": no time
            values.append(None)
            continue
        if moment.tz is None:
            moment = moment.tz_localize(zone, ambiguous=True, nonexistent="shift_forward")
        values.append(moment.tz_convert("UTC").to_pydatetime(warn=False))
    times = pa.array(values, UTC_US)
    return pa.chunked_array([times.take(coded.indices)])


def _brief(error: BaseException) -> str:
    return str(error).split("\n")[0].split(". ")[0][:120]
