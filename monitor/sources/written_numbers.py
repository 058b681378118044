"""Numbers as people write them: decimal commas, groups of thousands, signs of currencies, per cent, brackets."""

import re
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.sources.known_types import MISSING_WORDS

GROUPS = (",", ".", " ", "\u00a0", "\u202f", "'", "\u2019")     # signs between groups of thousands
SIGNS = r"[$€£¥₹]|USD|EUR|GBP|CHF|JPY|CNY|INR|SEK|NOK|DKK|PLN|CZK|AUD|CAD|BRL|kr|zł"
_GLANCE = 500                    # values looked at before all of them are


@dataclass(frozen=True, slots=True)
class Style:
    """The signs with which numbers are written; `thousands` None: no groups."""

    decimal: str = "."
    thousands: str | None = None

    @property
    def pattern(self) -> str:
        """A regular expression of one number with all that may stand around it."""
        point = re.escape(self.decimal)
        body = rf"(?:0|[1-9]\d*)(?:{point}\d*)?(?:[eE][+-]?\d+)?|{point}\d+(?:[eE][+-]?\d+)?"
        if self.thousands is not None:
            body = rf"\d{{1,3}}(?:{re.escape(self.thousands)}\d{{3}})+(?:{point}\d+)?|{body}"
        return (rf"^(?P<open>\(?)(?P<sign>[+-]?)(?P<before>(?:{SIGNS})?)\s?(?P<inner>[+-]?)(?P<body>{body})"
                rf"\s?(?P<after>(?:{SIGNS}|%)?)(?P<close>\)?)$")


def numbers(text: pa.ChunkedArray, style: Style, *, lenient: bool = False) -> pa.ChunkedArray | None:
    """Return the numbers that a column of text holds, whole ones as int64; None if one of its values is no number.

    Words for "missing" are null; with `lenient` so is all that is no number. 12.5 % is 0.125. A column with two
    currencies, or with percentages beside plain numbers, holds no numbers of one kind.
    """
    text = pc.utf8_trim_whitespace(text)
    text = pc.if_else(pc.is_in(text, value_set=pa.array(MISSING_WORDS)), pa.scalar(None, pa.string()), text)
    found = pc.extract_regex(text, style.pattern)
    if found.null_count > text.null_count and not lenient:
        return None
    names = ("open", "sign", "before", "inner", "body", "after", "close")
    part = {name: pc.struct_field(found, name) for name in names}
    signs = pc.binary_join_element_wise(part["before"], part["after"], "")
    kinds = {sign for sign in pc.unique(signs).to_pylist() if sign is not None}
    bracketed = pc.all(pc.equal(pc.equal(part["open"], "("), pc.equal(part["close"], ")"))).as_py()
    if len(kinds - {""}) > 1 or ("%" in kinds and "" in kinds) or bracketed is False:
        return None
    minus = pc.or_(pc.equal(pc.binary_join_element_wise(part["sign"], part["inner"], ""), "-"),
                   pc.equal(part["open"], "("))
    return _values(part["body"], minus, style, percent="%" in kinds)


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
    there = pc.utf8_trim_whitespace(there)
    there = there.filter(pc.invert(pc.is_in(there, value_set=pa.array(MISSING_WORDS))))
    found = pc.sum(pc.match_substring_regex(there, style.pattern)).as_py() or 0
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
