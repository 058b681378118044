"""Text that is numbers or times: decimal commas, groups of thousands, signs of currencies, per cent, brackets, units.

A column of text that holds nothing else is of numbers or times in every format, as it is in CSV files.
"""

import re
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor import escape
from monitor.config.column_roles import INTEGER_CATEGORIES
from monitor.private import quoted
from monitor.sources.column_types import UTC_US
from monitor.sources.known_types import MISSING_WORDS
from monitor.sources.moments import ZONED
from monitor.wording import several

GROUPS = (",", ".", " ", "\u00a0", "\u202f", "'", "\u2019")     # signs between groups of thousands
SIGNS = r"[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|AUD|CAD|BRL|kr|zł"
_GLANCE = 500                    # values looked at before all of them are
_FIRST = 100                     # … of a column that may hold numbers or times
_MOMENT = re.compile(r"^\d{4}-\d\d-\d\d([T ]\d\d:\d\d|$)")
_UNITS = r"[^\s\d.,;:()+-][^\s()]{0,11}"               # kg, km/h, m2, °C, %
_BEFORE = rf"(?:{SIGNS})|[^\s\d.,;:()+-]{{0,4}}[$€£¥₹]|[^\s\d.,;:()+-]{{1,5}}(?:\.|\s)"      # R$, Rs., No
_MOSTLY, _FEW = 0.5, 3           # numbers among other words, at least; units, or words that are named, at most


@dataclass(frozen=True, slots=True)
class Style:
    """The signs with which numbers are written; `thousands` None: no groups."""

    decimal: str = "."
    thousands: str | None = None

    @property
    def other(self) -> "Style":
        """The style with the other decimal sign, in which single columns of a file may be written."""
        return Style("." if self.decimal == "," else ",")

    def pattern(self, units: str = "%", prefixes: str = SIGNS) -> str:
        """Return a regular expression of one number with all that may stand around it; `units` beside currencies."""
        point = re.escape(self.decimal)
        body = rf"(?:0|[1-9]\d*)(?:{point}\d*)?(?:[eE][+-]?\d+)?|{point}\d+(?:[eE][+-]?\d+)?"
        if self.thousands is not None:
            body = rf"\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+(?:{point}\d+)?|{body}"
        return (rf"^(?P<open>\(?)(?P<sign>[+-]?)(?P<before>(?:{prefixes})?)\s?(?P<inner>[+-]?)(?P<body>{body})"
                rf"\s?(?P<after>(?:{SIGNS}|{units})?)(?P<close>\)?)$")


def numbers(text: pa.ChunkedArray, style: Style, *, lenient: bool = False) -> pa.ChunkedArray | None:
    """Return the numbers that a column of text holds, whole ones as int64; None if one of its values is no number.

    Words for "missing" are null. 12.5 % is 0.125. A column with two currencies, or with percentages beside plain
    numbers, holds no numbers of one kind. With `lenient` any unit may follow, and what is no number, or one of
    another kind than most, is null.
    """
    text = _without_missing(text)
    found = pc.extract_regex(text, style.pattern(_UNITS, _BEFORE) if lenient else style.pattern())
    if lenient:
        found = _of_one_kind(found)
    elif found.null_count > text.null_count:
        return None
    names = ("open", "sign", "before", "inner", "body", "after", "close")
    part = {name: pc.struct_field(found, name) for name in names}
    kinds = {sign for sign in pc.unique(_kinds(found)).to_pylist() if sign is not None}
    bracketed = pc.all(pc.equal(pc.equal(part["open"], "("), pc.equal(part["close"], ")"))).as_py()
    if len(kinds - {""}) > 1 or ("%" in kinds and "" in kinds) or bracketed is False:
        return None
    minus = pc.or_(pc.equal(pc.binary_join_element_wise(part["sign"], part["inner"], ""), "-"),
                   pc.equal(part["open"], "("))
    return _values(part["body"], minus, style, percent="%" in kinds)


def _without_missing(text: pa.ChunkedArray) -> pa.ChunkedArray:
    text = pc.utf8_trim_whitespace(text)
    return pc.if_else(pc.is_in(text, value_set=pa.array(MISSING_WORDS)), pa.scalar(None, pa.string()), text)


def _kinds(found: pa.ChunkedArray) -> pa.ChunkedArray:
    """Return the sign or unit of each number that was found."""
    return pc.binary_join_element_wise(pc.struct_field(found, "before"), pc.struct_field(found, "after"), "")


def _of_one_kind(found: pa.ChunkedArray) -> pa.ChunkedArray:
    kinds = _kinds(found)
    most = _most(kinds.drop_null())
    if len(most) < 2:
        return found
    return pc.if_else(pc.equal(kinds, most[0]["values"]), found, pa.scalar(None, found.type))


def doubts(table: pa.Table, style: Style, *, settable: bool = True) -> Iterator[str]:
    """Yield a sentence on each column of text that most people would take for one of numbers.

    `settable`: with the key of the configuration that makes it one.
    """
    for name in table.column_names:
        if pa.types.is_string(table.schema.field(name).type) and (why := _doubt(table[name], style)):
            key = f'; columns.types.{escape.toml_key(name)} = "number" reads it as numbers, and what is none as missing'
            yield f"{escape.name(name)} is read as text, since it holds {quoted(why)}{key if settable else ''}"


def style_of(guesses: Mapping[str, str]) -> Style:
    """Return the style that a source's `guesses` tell."""
    return Style(guesses.get("decimal", "."), guesses.get("thousands"))


def _doubt(text: pa.ChunkedArray, style: Style) -> str | None:
    """Return why a column of text is none of numbers although most of its values are some; None where few are."""
    distinct = text.drop_null().value_counts()               # each value is looked at once
    words, rows = _without_missing(pa.chunked_array([distinct.field("values")])), distinct.field("counts")
    there, rows = words.drop_null(), rows.filter(pc.is_valid(words).combine_chunks())
    if pc.count_distinct(there).as_py() <= INTEGER_CATEGORIES:       # a category either way
        return None
    plain = pc.match_substring_regex(there, style.pattern())
    found = pc.extract_regex(there, style.pattern(_UNITS, _BEFORE))
    if not found.null_count and len(units := [one["values"] for one in _totals(_kinds(found), rows)]) <= _FEW:
        return f"numbers with {_listed(units)}"
    if (pc.sum(rows.filter(plain.combine_chunks())).as_py() or 0) / pc.sum(rows).as_py() < _MOSTLY:
        return None
    odd = pc.invert(plain)
    others = _totals(there.filter(odd), rows.filter(odd.combine_chunks()))
    more = f" and {len(others) - _FEW} more" if len(others) > _FEW else ""
    named = ", ".join(f"{one['values'][:20]!r} in {several(one['counts'], 'row')}" for one in others[:_FEW])
    return f"numbers but for {named}{more}"


def _listed(units: list[str]) -> str:
    named = ", ".join(repr(unit.strip()) for unit in units if unit)
    return f"the unit {named}" if "" not in units else f"the unit {named} in some rows"


def _most(values: pa.ChunkedArray) -> list[dict[str, Any]]:
    """Return the distinct values with their counts, the most frequent first."""
    return sorted(values.value_counts().to_pylist(), key=lambda one: (-one["counts"], str(one["values"])))


def _totals(values: pa.ChunkedArray, rows: pa.Array) -> list[dict[str, Any]]:
    """Return the distinct values as `_most` does, where each stands for so many rows."""
    table = pa.table({"values": values, "counts": rows}).group_by("values", use_threads=False)
    totals = table.aggregate([("counts", "sum")]).rename_columns(["values", "counts"]).to_pylist()
    return sorted(totals, key=lambda one: (-one["counts"], str(one["values"])))


def _values(body: pa.ChunkedArray, minus: pa.ChunkedArray, style: Style, *, percent: bool) -> pa.ChunkedArray:
    if style.thousands is not None:
        body = pc.replace_substring(body, style.thousands, "")
    whole = not percent and not pc.any(pc.match_substring_regex(body, "[^0-9]")).as_py()
    digits = pc.replace_substring(body, style.decimal, ".")
    if percent:
        digits = pc.if_else(pc.match_substring_regex(digits, "[eE]"), digits,
                            pc.binary_join_element_wise(digits, "e-2", ""))
    signed = pc.if_else(minus, pc.binary_join_element_wise("-", digits, ""), digits)
    try:
        return signed.cast(pa.int64() if whole else pa.float64())
    except pa.ArrowInvalid:                  # more digits than 64 bits hold
        return signed.cast(pa.float64())


def number_share(text: pa.ChunkedArray, style: Style) -> float:
    """Return the share of numbers among the values that are not missing, of a few of them if none is one."""
    there = text.drop_null()
    if len(there) > _GLANCE:
        few = there.take(pa.array(np.linspace(0, len(there) - 1, _GLANCE).astype(np.int64)))
        if not number_share(few, style):
            return 0.0
    there = _without_missing(there).drop_null()
    found = pc.sum(pc.match_substring_regex(there, style.pattern())).as_py() or 0
    return float(found / len(there)) if len(there) else 0.0


def as_declared(table: pa.Table, names: Iterable[str], style: Style) -> pa.Table:
    """Return the table with the text columns among `names` as numbers; what is no number is null."""
    for name in names:
        at = table.schema.get_field_index(name)
        if at >= 0 and pa.types.is_string(table.schema.field(at).type):
            found = numbers(table[name], style, lenient=True)
            values = pa.nulls(len(table), pa.float64()) if found is None else found.cast(pa.float64())
            table = table.set_column(at, name, values)
    return table


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
    if numbers(text.slice(0, _FIRST), Style()) is None or (found := numbers(text, Style())) is None:
        return text
    return found if found.null_count < len(found) else text


def _is_moment(text: pa.ChunkedArray) -> bool:
    first = next((value for value in text.slice(0, _FIRST).to_pylist() if value is not None), "")
    return bool(_MOMENT.match(first)) and pc.all(pc.match_substring_regex(text, _MOMENT.pattern)).as_py() is True


def _as_moments(text: pa.ChunkedArray) -> pa.ChunkedArray:
    zoned = pc.match_substring_regex(text, ZONED)
    kind = UTC_US if pc.all(zoned).as_py() else None if pc.any(zoned).as_py() else pa.timestamp("us")
    try:
        return text if kind is None else text.cast(kind)
    except pa.ArrowInvalid:
        return text
