"""CSV: delimiter, decimal sign, encoding and the order of dates are guessed unless configured."""

import codecs
import csv
import io
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.csv

from monitor.config.sections import CsvSection
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.column_types import guess_day_first, require_distinct
from monitor.sources.compressed import compression, unpacked
from monitor.sources.known_types import NOTHING, KnownTypes
from monitor.sources.text_files import TextFormat, mark_numbers
from monitor.untrusted import open_file

if TYPE_CHECKING:
    from _csv import Reader

_UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
_DELIMITERS = ",;\t|"
_HEAD = 128 * 1024               # bytes read for guessing, and a quarter as many at three later places
_NAMELESS = "without a name, such as a data frame's row numbers; name it to have it watched"
_PACKED = 1 << 20                # bytes of a packed file
_FILES = 10                      # files read for guessing
_MISSING = [*pa.csv.ConvertOptions().null_values, "None", "<NA>", "NaT"]
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_THOUSANDS = re.compile(r"[+-]?\d{1,3}(,\d{3})+")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_CODE = re.compile(r"0\d{2,}")   # 007, 01234: a code, not a number
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2}")
_PARSE_ERROR = re.compile(r"CSV parse error: (Row #\d+: )?Expected \d+ columns, got \d+")


csv.field_size_limit(2**31 - 1)  # long texts are allowed


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the files are written. `encoding` None: each file is read as UTF-8, or as cp1252 if it is not valid UTF-8."""

    delimiter: str
    decimal: str
    encoding: str | None
    day_first: bool | None                   # None: no date in these files depends on it
    settled: bool                            # day_first is configured, or some date can only be read one way
    codes: frozenset[str]                    # columns of digits read as text, such as postal codes


class Delimited(TextFormat):
    def __init__(
        self, section: CsvSection, files: Sequence[Path], zone: ZoneInfo, known: KnownTypes = NOTHING
    ) -> None:
        super().__init__(zone, known)
        if section.delimiter is not None and len(section.delimiter) != 1:
            raise SourceError(f"csv.delimiter {section.delimiter!r} is not one character, expected one such as ;")
        try:
            sample = [part for path in _spread(files) if (part := _sample(path, section.encoding))]
            self._dialect: Dialect = _guess(section, tuple(text for text, _ in sample))
        except LookupError:
            raise SourceError(f"csv.encoding {section.encoding!r} is not known, expected an encoding such as "
                              "utf-8 or cp1252") from None
        self._encodings = sorted({encoding for _, encoding in sample}) or ["utf-8"]
        self._texts = self._dialect.codes | known.exact | known.words
        self._decimal = self._dialect.decimal
        self.day_first = self._dialect.day_first

    def guesses(self) -> dict[str, str]:
        guesses = {
            "delimiter": self._dialect.delimiter,
            "decimal": self._dialect.decimal,
            "encoding": self._dialect.encoding or ", ".join(self._encodings),
        }
        if self.day_first is None:
            return guesses
        doubt = "" if self._dialect.settled else " (no date decides it; set csv.day_first if this is wrong)"
        return guesses | {"day_first": str(self.day_first).lower() + doubt}

    def _parse(self, data: bytes, path: Path, columns: list[str] | None) -> tuple[pa.Table, dict[str, str]]:
        text, _ = _decode(_whole_lines(data, self._dialect), self._dialect.encoding, path)
        names, lines = _header(text, self._dialect.delimiter)
        require_distinct(names, path)
        left_out = {f"column {at}": _NAMELESS for at, name in enumerate(names, 1) if not name}
        kept = [name for name in names if name and (columns is None or name in columns)]
        if not kept or _is_blank(text, lines):
            return pa.table({name: pa.nulls(0) for name in kept}), left_out
        table = self._convert(text.encode(), path, names, lines, kept)
        texts = {field.name for field in table.schema if pa.types.is_string(field.type)}
        return mark_numbers(table, sorted(texts - self._texts), self._decimal), left_out

    def _convert(self, data: bytes, path: Path, names: list[str], lines: int, kept: list[str]) -> pa.Table:
        def read(threads: bool) -> pa.Table:
            return pa.csv.read_csv(
                pa.BufferReader(data),
                pa.csv.ReadOptions(skip_rows=lines, use_threads=threads,
                                   column_names=[name or f"\x1f{place}" for place, name in enumerate(names)]),
                pa.csv.ParseOptions(delimiter=self._dialect.delimiter, newlines_in_values=b'"' in data),
                pa.csv.ConvertOptions(include_columns=kept, decimal_point=self._decimal, null_values=_MISSING,
                                      strings_can_be_null=True,
                                      column_types=dict.fromkeys(self._texts, pa.string())),
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
            raise SourceError(f"{path}: is not a regular CSV file ({what}), expected as many fields in each row "
                              f"as in the header, separated by {self._dialect.delimiter!r}") from None


@lru_cache(maxsize=8)
def _guess(section: CsvSection, texts: tuple[str, ...]) -> Dialect:
    delimiter = section.delimiter or _guess_delimiter(texts)
    tables = [rows for text in texts if (rows := list(_rows(text, delimiter)))]
    cells = [cell.strip() for rows in tables for row in rows[1:] for cell in row]
    decimal = section.decimal or _guess_decimal(cells, delimiter)
    dates = [cell for cell in cells if _DATE.match(cell)]
    day_first = guess_day_first(dates) if section.day_first is None else section.day_first
    settled = day_first is not None
    if day_first is None and dates:
        day_first = decimal == "," or delimiter == ";"      # countries that use these signs write the day first
    codes = frozenset(
        name.strip() for rows in tables for row in rows[1:] if len(row) == len(rows[0])
        for name, cell in zip(rows[0], row, strict=True) if _CODE.fullmatch(cell)
    )
    return Dialect(delimiter, decimal, section.encoding, day_first, settled, codes)


def _guess_delimiter(texts: Sequence[str]) -> str:
    """Return the delimiter that gives the first file the most columns, the same number in most rows."""
    def width(delimiter: str) -> int:
        rows = [row for row in _rows(texts[0], delimiter) if row][:500]
        regular = sum(len(row) == len(rows[0]) for row in rows)
        return len(rows[0]) if regular > len(rows) / 2 else 0

    return max(_DELIMITERS, key=width) if texts and texts[0].strip() else ","


def _guess_decimal(cells: Iterable[str], delimiter: str) -> str:
    comma = [cell for cell in cells if _COMMA.fullmatch(cell)]
    if delimiter == "," and all(_THOUSANDS.fullmatch(cell) for cell in comma):
        return "."
    return "," if len(comma) > sum(bool(_POINT.fullmatch(cell)) for cell in cells) else "."


def _spread(files: Sequence[Path]) -> list[Path]:
    if len(files) <= _FILES:
        return list(files)
    return [files[place * (len(files) - 1) // (_FILES - 1)] for place in range(_FILES)]


def _sample(path: Path, encoding: str | None) -> tuple[str, str] | None:
    """Return whole lines from the beginning and later places of a file, and their encoding; None if it is empty."""
    try:
        with open_file(path) as file:
            data = file.read(_HEAD)
            packed = compression(data[:16], path) is not None
            data = unpacked(data + file.read(_PACKED), path, _HEAD) if packed else data
            size = 0 if packed else path.stat().st_size
            for place in (1, 2, 3) if size > _HEAD else ():
                data = data[: data.rfind(b"\n") + 1] or data
                file.seek(max(_HEAD, size * place // 3 - _HEAD // 4))
                data += file.read(_HEAD // 4).partition(b"\n")[2]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}), expected a readable file") from None
    if data.count(b"\n") > 1:
        data = data[: data.rfind(b"\n") + 1]
    return _decode(data, encoding, path) if data.strip() else None


def _decode(data: bytes, encoding: str | None, path: Path) -> tuple[str, str]:
    """Return the text without byte order mark, and the encoding it was read in."""
    if encoding is None and data.startswith(_UTF16):
        return _lines(data.decode("utf-16", errors="ignore")), "utf-16"
    try:
        return _lines(data.decode(encoding or "utf-8")).removeprefix("\ufeff"), encoding or "utf-8"
    except UnicodeDecodeError as error:
        if encoding is None:
            return _lines(data.decode("cp1252", errors="replace")), "cp1252"
        raise SourceError(f"{path}: is not valid {encoding} at byte {error.start}; correct csv.encoding") from None


def _rows(text: str, delimiter: str) -> "Reader":
    return csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)


def _lines(text: str) -> str:
    return text if "\n" in text else text.replace("\r", "\n")      # old Macs and some tools end lines so


def _header(text: str, delimiter: str) -> tuple[list[str], int]:
    """Return the column names and the number of lines they take, including blank lines before them."""
    reader = _rows(text[:_HEAD], delimiter)
    names = next((row for row in reader if row), [])
    return [name.strip() for name in names], reader.line_num


def _is_blank(text: str, lines: int) -> bool:
    start = 0
    for _ in range(lines):
        start = text.find("\n", start) + 1
        if start == 0:
            return True
    return not text[start : start + _HEAD].strip()


def _whole_lines(data: bytes, dialect: Dialect) -> bytes:
    """Leave out a last line that is still being written: no newline, and too few fields or an open quote."""
    start = data.rfind(b"\n") + 1
    tail = data[start:]
    if not tail or start == 0 or data.startswith(_UTF16):
        return data
    if data.count(b'"') % 2:
        return data[: data.rfind(b"\n", 0, data.rfind(b'"')) + 1]
    names, _ = _header(data[:_HEAD].decode("latin-1"), dialect.delimiter)
    fields = next(_rows(tail.decode("latin-1"), dialect.delimiter))
    return data if len(fields) == len(names) else data[:start]


