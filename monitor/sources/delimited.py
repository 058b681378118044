"""CSV: read by Arrow as the dialect says. Cells become numbers, times or words by all cells of their column."""

import re
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.csv

from monitor.config.sections import CsvSection
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.column_types import require_distinct
from monitor.sources.csv_dialect import HEAD, Dialect, decode, dialect_of, header, is_wide, rows_of
from monitor.sources.known_types import MISSING_WORDS, NOTHING, KnownTypes
from monitor.sources.text_files import TextFormat, with_numbers

_NAMELESS = "without a name, such as a data frame's row numbers; name it to have it watched"
_PARSE_ERROR = re.compile(r"CSV parse error: (Row #\d+: )?Expected \d+ columns, got \d+")
_QUOTED_WORD = re.compile("|".join(f'"{re.escape(word)}"' for word in MISSING_WORDS if word).encode())
_CODE = r"^0\d{2,}$"
_BLOCK = 1 << 24                 # bytes searched at once


class Delimited(TextFormat):
    def __init__(
        self, section: CsvSection, files: Sequence[Path], zone: ZoneInfo, known: KnownTypes = NOTHING
    ) -> None:
        super().__init__(zone, known)
        self._dialect: Dialect
        self._dialect, self._encodings = dialect_of(section, files)
        self._style = self._dialect.style
        self.day_first = self._dialect.day_first

    def guesses(self) -> dict[str, str]:
        dialect = self._dialect
        guesses = {
            "delimiter": dialect.delimiter,
            "decimal": dialect.style.decimal,
            "encoding": dialect.encoding or ", ".join(self._encodings),
        }
        more = {"thousands": dialect.style.thousands, "comment": dialect.comment}
        guesses |= {key: value for key, value in more.items() if value is not None}
        if self.day_first is None:
            return guesses
        doubt = "" if dialect.settled else " (no date decides it; set csv.day_first if this is wrong)"
        return guesses | {"day_first": str(self.day_first).lower() + doubt}

    def _parse(
        self, data: bytes, path: Path, columns: list[str] | None, texts: Collection[str] | None
    ) -> tuple[pa.Table, dict[str, str]]:
        dialect = self._dialect
        decoded, _ = decode(_whole_lines(data, dialect), dialect.encoding, path)
        text = dialect.body(decoded)
        names, lines = header(text, dialect.delimiter)
        require_distinct(names, path)
        left_out = {f"column {at}": _NAMELESS for at, name in enumerate(names, 1) if not name}
        kept = [name for name in names if name and (columns is None or name in columns)]
        if not kept or _is_blank(text, lines):
            return pa.table({name: pa.nulls(0) for name in kept}), left_out
        rows = _Rows(text.encode(), path, dialect, names, lines)
        return self._typed(rows, kept, texts), left_out

    def _typed(self, rows: "_Rows", kept: list[str], texts: Collection[str] | None) -> pa.Table:
        """Return the columns with their types. `texts`: which are text, if the file was read before."""
        words = {*self._dialect.codes, *self._types.texts, *(texts or ())}
        table = rows.read(kept, words)
        if texts is None and (codes := rows.codes(table)):
            words |= set(codes)
            table = rows.read(kept, words)
        for name, cells in rows.quoted_words(table, words):
            table = table.set_column(table.schema.get_field_index(name), name, cells)
            words.add(name)
        table = rows.with_missing_texts(table)
        open_ones = [field.name for field in table.schema if pa.types.is_string(field.type) and field.name not in words]
        return with_numbers(table, open_ones, self._style)


class _Rows:
    """The rows of one file, which are read once or, where quotes matter, a second time for some columns."""

    def __init__(self, data: bytes, path: Path, dialect: Dialect, names: list[str], lines: int) -> None:
        self._data, self._path, self._dialect = data, path, dialect
        self._names = [name or f"\x1f{place}" for place, name in enumerate(names)]
        self._lines = lines
        self._quotes = b'"' in data
        self._missing = ["", *(dialect.missing or ())]

    def read(self, kept: list[str], texts: Collection[str]) -> pa.Table:
        """Read columns; Arrow finds the types of those that are not in `texts`. Text keeps every word."""
        style, words = self._dialect.style, [*MISSING_WORDS, *self._missing]
        return self._arrow(pa.csv.ConvertOptions(
            include_columns=kept, decimal_point=style.decimal, null_values=words, strings_can_be_null=False,
            column_types=dict.fromkeys(texts, pa.string()),
        ))

    def _as_words(self, kept: list[str]) -> pa.Table:
        """Read columns as text, in which only empty cells without quotes, and what is configured, are missing."""
        return self._arrow(pa.csv.ConvertOptions(
            include_columns=kept, null_values=self._missing, strings_can_be_null=True, quoted_strings_can_be_null=False,
            column_types=dict.fromkeys(kept, pa.string()),
        ))

    def with_missing_texts(self, table: pa.Table) -> pa.Table:
        """Return the table with null for the missing cells of text columns; a quoted cell is a text."""
        missing = pa.array(self._missing)
        found = {f.name: pc.is_in(table[f.name], value_set=missing) for f in table.schema if pa.types.is_string(f.type)}
        there = [name for name, mask in found.items() if pc.any(mask).as_py()]
        exact = self._as_words(there) if self._quotes and there else None
        for name in there:
            cells = exact[name] if exact else pc.if_else(found[name], pa.scalar(None, pa.string()), table[name])
            table = table.set_column(table.schema.get_field_index(name), name, cells)
        return self._trimmed(table) if self._dialect.blanks else table

    def _trimmed(self, table: pa.Table) -> pa.Table:
        for at, field in enumerate(table.schema):
            if pa.types.is_string(field.type):
                table = table.set_column(at, field.name, pc.utf8_trim_whitespace(table[field.name]))
        return table

    def quoted_words(self, table: pa.Table, texts: Collection[str]) -> Iterator[tuple[str, pa.ChunkedArray]]:
        """Yield the columns, as text, in which a word such as "NA" is quoted and numbers are not."""
        if not self._quotes or not _QUOTED_WORD.search(self._data) or self._quotes_all():
            return
        others = [f.name for f in table.schema if not pa.types.is_string(f.type) and f.name not in texts]
        apart = self._arrow(pa.csv.ConvertOptions(
            include_columns=others, null_values=list(MISSING_WORDS), strings_can_be_null=True,
            quoted_strings_can_be_null=False, column_types=dict.fromkeys(others, pa.string()),
        )) if others else pa.table({})
        words = pa.array(MISSING_WORDS[1:])
        for name in (name for name in others if pc.any(pc.is_in(apart[name], value_set=words)).as_py()):
            yield name, self._as_words([name])[name]

    def _quotes_all(self) -> bool:
        """Tell whether every cell of the first row is quoted, so that quotes say nothing."""
        lines = self._data[:HEAD].split(b"\n", self._lines + 1)
        first = lines[self._lines].strip() if len(lines) > self._lines else b""
        return first.count(b'"') >= 2 * len(self._names)

    def codes(self, table: pa.Table) -> list[str]:
        """Return the columns of whole numbers in which some begin with zeros: codes, such as postal codes."""
        whole = [field.name for field in table.schema if pa.types.is_integer(field.type)]
        if not whole or not _may_hold_codes(self._data, ord(self._dialect.delimiter)):
            return []
        cells = self._as_words(whole)
        return [name for name in whole if pc.any(pc.match_substring_regex(cells[name], _CODE)).as_py()]

    def _arrow(self, convert: pa.csv.ConvertOptions) -> pa.Table:
        def read(threads: bool) -> pa.Table:
            return pa.csv.read_csv(
                pa.BufferReader(self._data),
                pa.csv.ReadOptions(skip_rows=self._lines, use_threads=threads, column_names=self._names),
                pa.csv.ParseOptions(delimiter=self._dialect.delimiter, newlines_in_values=self._quotes),
                convert,
            )

        try:
            return read(threads=True)
        except pa.ArrowInvalid:
            pass
        try:
            return read(threads=False)       # again without threads: the message then names the row
        except pa.ArrowInvalid as error:
            match = _PARSE_ERROR.search(str(error))
            what = match[0].removeprefix("CSV parse error: ") if match else quoted(str(error).splitlines()[0][:120])
            raise SourceError(
                f"{self._path}: is not a regular CSV file ({what}), expected as many fields in each row as in the "
                f"header, separated by {self._dialect.delimiter!r}; lines that are no rows begin with csv.comment"
            ) from None


def _may_hold_codes(data: bytes, delimiter: int) -> bool:
    """Tell whether a cell begins with a zero and two more digits; fast, so that every byte can be looked at."""
    for start in range(0, len(data), _BLOCK):
        block = np.frombuffer(data, np.uint8, min(_BLOCK + 4, len(data) - start), start)
        begins = (block[:-3] == delimiter) | (block[:-3] == 10) | (block[:-3] == 34)
        at = np.flatnonzero(begins & (block[1:-2] == 48))
        if len(at) and ((block[at + 2] - 48 < 10) & (block[at + 3] - 48 < 10)).any():
            return True
    return False


def _is_blank(text: str, lines: int) -> bool:
    start = 0
    for _ in range(lines):
        start = text.find("\n", start) + 1
        if start == 0:
            return True
    return not text[start : start + HEAD].strip()


def _whole_lines(data: bytes, dialect: Dialect) -> bytes:
    """Leave out a last line that is still being written: no newline, and too few fields or an open quote."""
    start = data.rfind(b"\n") + 1
    tail = data[start:]
    if not tail or start == 0 or is_wide(data):
        return data
    if data.count(b'"') % 2:
        return data[: data.rfind(b"\n", 0, data.rfind(b'"')) + 1]
    names, _ = header(dialect.body(data[:HEAD].decode("latin-1").removeprefix("ï»¿")), dialect.delimiter)
    fields = next(rows_of(tail.decode("latin-1"), dialect.delimiter))
    return data if len(fields) == len(names) else data[:start]
