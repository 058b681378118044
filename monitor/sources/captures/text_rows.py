"""Rows of a body of CSV, and the numbers that texts write."""

import csv
import io
import re
from typing import Any

from monitor.sources.captures.unusable import Unusable

_NUMERAL = re.compile(r"[+-]?((0|[1-9]\d*)(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
_INFINITE = re.compile(r"[+-]?inf(inity)?", re.IGNORECASE)
_SIGNS = ";\t|"                  # that divide the cells where no comma does


def number_of(cell: str) -> str | int | float | None:
    """Return the number that a cell holds, None for an empty one; a code such as 01234 is text."""
    text = cell.strip()
    if _NUMERAL.fullmatch(text):
        return float(text) if re.search(r"[.eE]", text) else int(text)
    return float(text) if _INFINITE.fullmatch(text) else None if text.lower() in ("", "nan") else text


def rows_of_csv(text: str) -> list[Any]:
    """Return each row as a list, or as a dict where the first row has the names. Raises Unusable."""
    rows = _rows(text, ",")
    if not rows:
        raise Unusable("an empty body")
    if all(len(row) == 1 for row in rows):
        divided = (_rows(text, sign) for sign in _SIGNS)
        rows = next((found for found in divided if _is_table(found)), rows)
    if len({len(row) for row in rows}) > 1:
        raise Unusable("rows of CSV of different lengths")
    names, *others = rows
    if not _are_names(names, others):
        return rows
    if len(set(names)) < len(names):
        raise Unusable("two columns of one name")
    return [dict(zip(names, row, strict=True)) for row in others]


def _rows(text: str, sign: str) -> list[list[Any]]:
    read = csv.reader(io.StringIO(text), delimiter=sign, skipinitialspace=True)
    return [[number_of(cell) for cell in row] for row in read if row]


def _is_table(rows: list[list[Any]]) -> bool:
    """Tell whether all rows have the same several cells, and numbers among them: text may hold any sign."""
    wide = len(rows[0])
    return wide > 1 and all(
        len(row) == wide and any(isinstance(cell, int | float) for cell in row) for row in rows[1:] or rows)


def _are_names(row: list[Any], others: list[list[Any]]) -> bool:
    """Tell whether a first row is of text alone, above a column of numbers alone."""
    return bool(others) and all(isinstance(cell, str) for cell in row) and any(
        all(isinstance(cell, int | float) for cell in column) for column in zip(*others, strict=True))
