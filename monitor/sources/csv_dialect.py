"""How CSV files are written: what is configured, and what is guessed from a sample of them."""

import codecs
import csv
import io
import re
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice, takewhile
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.config.sections import CsvSection
from monitor.errors import SourceError
from monitor.private import quoted
from monitor.sources.compressed import compression, unpacked
from monitor.sources.moments import guess_day_first
from monitor.sources.written_numbers import GROUPS, SIGNS, Style
from monitor.untrusted import open_file

if TYPE_CHECKING:
    from _csv import Reader

UTF16 = (codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)
HEAD = 128 * 1024                # bytes read for guessing, and a quarter as many at three later places
_DELIMITERS = ",;\t|"
_PACKED = 1 << 20                # bytes of a packed file
_FILES = 10                      # files read for guessing
_SEPARATOR = re.compile(r"\ufeff?\"?sep=(.)\"?\r?\n", re.IGNORECASE)       # Excel's own first line
_COMMA = re.compile(r"[+-]?\d+,\d+([eE][+-]?\d+)?")
_POINT = re.compile(r"[+-]?\d*\.\d+([eE][+-]?\d+)?")
_GROUPED = {sign: re.compile(rf"[+-]?\d{{1,3}}(?:{re.escape(sign)}\d{{3}})+(?:[.,]\d+)?") for sign in GROUPS}
_BOTH = {",": re.compile(r"[+-]?\d{1,3}(?:(?:[. \u00a0\u202f'’]\d{3})+,\d+|(?:\.\d{3}){2,})"),
         ".": re.compile(r"[+-]?\d{1,3}(?:(?:[, \u00a0\u202f'’]\d{3})+\.\d+|(?:,\d{3}){2,})")}
_AROUND = re.compile(rf"[()%\s]+|{SIGNS}")
_CODE = re.compile(r"0\d{2,}")   # 007, 01234: a code, not a number
_DATE = re.compile(r"\d{1,2}[./-]\d{1,2}[./-]\d{2}")
_MOMENT = re.compile(r"\d{4}-\d\d-\d\d([T ]\d\d:\d\d.*)?")
_NUMBER = re.compile(r"[+-]?(\d+[.,]?\d*|[.,]\d+)([eE][+-]?\d+)?")

csv.field_size_limit(2**31 - 1)  # long texts are allowed


@dataclass(frozen=True, slots=True)
class Dialect:
    """How the files are written. `encoding` None: each file is read as UTF-8, or as cp1252 if it is not valid UTF-8."""

    delimiter: str
    style: Style
    comment: str | None                      # lines that begin with it are no rows
    blanks: bool                             # blanks follow the delimiters, and are no part of the cells
    missing: tuple[str, ...] | None          # texts that mean "missing" in any column; None: the usual ones in numbers
    encoding: str | None
    day_first: bool | None                   # None: no date in these files depends on it
    settled: bool                            # day_first is configured, or some date can only be read one way
    codes: frozenset[str]                    # columns of digits read as text, such as postal codes

    def body(self, text: str) -> str:
        """Return the header and the rows: without Excel's first line, comments, and blanks behind delimiters."""
        text = without_comments(_SEPARATOR.sub("", text, count=1) if _SEPARATOR.match(text) else text, self.comment)
        if not self.blanks:
            return text
        sign = re.escape(self.delimiter)
        if '"' not in text:
            return re.sub(rf"{sign} +", self.delimiter, text)
        return re.sub(rf'({sign}) +|"(?:[^"]|"")*"', lambda match: match[1] or match[0], text)


def dialect_of(section: CsvSection, files: Sequence[Path]) -> tuple[Dialect, list[str]]:
    """Return how the files are written, and their encodings. Raises SourceError naming what to set."""
    for key, usual in (("delimiter", ";"), ("thousands", "."), ("comment", "#")):
        value = getattr(section, key)
        if value is not None and len(value) != 1:
            raise SourceError(f"csv.{key} {value!r} is not one character, expected one such as {usual}")
    try:
        sample = {path: part for path in _spread(files) if (part := _sample(path, section.encoding))}
    except LookupError:
        raise SourceError(f"csv.encoding {section.encoding!r} is not known, expected an encoding such as "
                          "utf-8 or cp1252") from None
    dialect = _guess(section, tuple(text for text, _ in sample.values()))
    for path, (text, _) in sample.items():
        _require_header(list(rows_of(dialect.body(text), dialect.delimiter)), path)
    return dialect, sorted({encoding for _, encoding in sample.values()}) or ["utf-8"]


@lru_cache(maxsize=8)
def _guess(section: CsvSection, texts: tuple[str, ...]) -> Dialect:
    named = [match[1] for text in texts if (match := _SEPARATOR.match(text))]
    plain = [_SEPARATOR.sub("", text, count=1) if named else text for text in texts]
    comment = section.comment or ("#" if any(_begins_with_comments(text) for text in plain) else None)
    plain = [without_comments(text, comment) for text in plain]
    delimiter = section.delimiter or (named[0] if named else _guess_delimiter(plain))
    tables = [rows for text in plain if (rows := list(rows_of(text, delimiter)))]
    blanks = _are_padded(tables)
    cells = [cell.strip() for rows in tables for row in rows[1:] for cell in row]
    bare = [_AROUND.sub("", cell) for cell in cells]
    decimal = section.decimal or _guess_decimal(bare, cells, delimiter)
    dates = [cell for cell in cells if _DATE.match(cell)]
    day_first = guess_day_first(dates) if section.day_first is None else section.day_first
    settled = day_first is not None
    if day_first is None and dates:
        day_first = decimal == "," or delimiter == ";"      # countries that use these signs write the day first
    codes = frozenset(
        name.strip() for rows in tables for row in rows[1:] if len(row) == len(rows[0])
        for name, cell in zip(rows[0], row, strict=True) if _CODE.fullmatch(cell.strip())
    )
    style = Style(decimal, section.thousands or _guess_thousands(cells, decimal))
    return Dialect(delimiter, style, comment, blanks, section.missing, section.encoding, day_first, settled, codes)


def _begins_with_comments(text: str) -> bool:
    """Tell whether the first lines begin with # and are no header: they are as wide as what follows, which has values.

    A header that begins with # is followed by values; a comment by the header.
    """
    lines = [line for line in text.split("\n")[:200] if line.strip()]
    first = len(list(takewhile(lambda line: line.startswith("#"), lines)))
    if not first or first == len(lines):
        return False
    delimiter = _guess_delimiter(["\n".join(lines[first:])])
    after = next(rows_of(lines[first], delimiter))
    width = len(next(rows_of(lines[first - 1], delimiter)))
    return first > 1 or width != len(after) or not any(_is_value(cell) for cell in after)


def without_comments(text: str, comment: str | None) -> str:
    """Return the text without the lines that begin with `comment`, unless they are inside a quoted cell."""
    if comment is None or comment not in text:
        return text
    kept, inside = [], False
    for line in text.splitlines(keepends=True):
        if inside or not line.startswith(comment):
            kept.append(line)
            inside ^= bool(line.count('"') % 2)
    return "".join(kept)


def _are_padded(tables: Sequence[Sequence[Sequence[str]]]) -> bool:
    """Tell whether most cells behind a delimiter begin with a blank."""
    behind = [cell for rows in tables for row in rows for cell in row[1:] if cell]
    return sum(cell.startswith(" ") for cell in behind) > len(behind) / 2


def _guess_delimiter(texts: Sequence[str]) -> str:
    """Return the delimiter that gives the first file the most columns, the same number in most rows.

    A header of several columns may have another number of them: that is a mistake, which who reads the rows says.
    """
    def width(delimiter: str) -> int:
        widths = [len(row) for row in islice(filter(None, rows_of(texts[0], delimiter)), 500)]
        usual, count = Counter(widths).most_common(1)[0]
        return 0 if count <= len(widths) / 2 or (widths[0] == 1 < usual) else usual

    return max(_DELIMITERS, key=width) if texts and texts[0].strip() else ","


def _guess_decimal(bare: Sequence[str], cells: Iterable[str], delimiter: str) -> str:
    """Return the decimal sign. A number such as 1.549,34 or 1.000.000 decides it; else the more frequent one."""
    both = {sign: any(pattern.fullmatch(_AROUND.sub("", cell)) or pattern.fullmatch(cell) for cell in cells)
            for sign, pattern in _BOTH.items()}
    if both[","] != both["."]:
        return "," if both[","] else "."
    comma = [cell for cell in bare if _COMMA.fullmatch(cell)]
    if delimiter == "," and all(_GROUPED[","].fullmatch(cell) for cell in comma):
        return "."
    return "," if len(comma) > sum(bool(_POINT.fullmatch(cell)) for cell in bare) else "."


def _guess_thousands(cells: Sequence[str], decimal: str) -> str | None:
    """Return the sign between groups of thousands that most numbers have; None if none has one."""
    number = [cell for cell in (re.sub(rf"^(?:{SIGNS}|[(+-])+\s?|\s?(?:{SIGNS}|[%)])+$", "", c) for c in cells) if cell]
    found = {sign: sum(bool(pattern.fullmatch(cell)) for cell in number)
             for sign, pattern in _GROUPED.items() if sign != decimal}
    best = max(found, key=lambda sign: found[sign])
    return best if found[best] else None


def _require_header(rows: list[list[str]], path: Path) -> None:
    """Raise SourceError if the first row holds values such as those below it, a time among them."""
    names, below = rows[:1], [row for row in rows[1:200] if rows and len(row) == len(rows[0])]
    if not names or len(below) < 2:
        return
    columns = list(zip(*below, strict=True))
    of_values = [at for at, cells in enumerate(columns) if all(_is_value(cell) for cell in cells if cell.strip())
                 and any(cell.strip() for cell in cells)]
    heads = [names[0][at].strip() for at in of_values]
    if any(_MOMENT.fullmatch(head) for head in heads) and all(_is_value(head) for head in heads):
        some = quoted(", ".join(names[0])[:80])
        raise SourceError(f"{path}: its first row holds values ({some}), expected the names of the columns; write them "
                          "as the first line")


def _is_value(cell: str) -> bool:
    cell = cell.strip()
    return bool(_NUMBER.fullmatch(cell) or _MOMENT.fullmatch(cell))


def _spread(files: Sequence[Path]) -> list[Path]:
    if len(files) <= _FILES:
        return list(files)
    return [files[place * (len(files) - 1) // (_FILES - 1)] for place in range(_FILES)]


def _sample(path: Path, encoding: str | None) -> tuple[str, str] | None:
    """Return whole lines from the beginning and later places of a file, and their encoding; None if it is empty."""
    try:
        with open_file(path) as file:
            data = file.read(HEAD)
            packed = compression(data[:16], path) is not None
            data = unpacked(data + file.read(_PACKED), path, HEAD)[:HEAD] if packed else data
            size = 0 if packed else path.stat().st_size
            for place in (1, 2, 3) if size > HEAD and not is_wide(data) else ():
                data = data[: data.rfind(b"\n") + 1] or data
                file.seek(max(HEAD, size * place // 3 - HEAD // 4))
                data += file.read(HEAD // 4).partition(b"\n")[2]
    except OSError as error:
        raise SourceError(f"{path}: cannot be read ({error.strerror}), expected a readable file") from None
    if data.count(b"\n") > 1 and not is_wide(data):
        data = data[: data.rfind(b"\n") + 1]
    return decode(data, encoding, path) if data.strip() else None


def is_wide(data: bytes) -> bool:
    """Tell whether the text is of two bytes a character, by its mark or by its many zero bytes."""
    return data.startswith(UTF16) or data[:400].count(0) > len(data[:400]) / 4


def decode(data: bytes, encoding: str | None, path: Path) -> tuple[str, str]:
    """Return the text without byte order mark, and the encoding it was read in."""
    if encoding is None and is_wide(data):
        name = "utf-16" if data.startswith(UTF16) else "utf-16-le" if data[1:400:2].count(0) else "utf-16-be"
        return _lines(data.decode(name, errors="ignore")), name
    try:
        return _lines(data.decode(encoding or "utf-8")).removeprefix("\ufeff"), encoding or "utf-8"
    except UnicodeDecodeError as error:
        if encoding is None:
            return _lines(data.decode("cp1252", errors="replace")), "cp1252"
        raise SourceError(f"{path}: is not valid {encoding} at byte {error.start}; correct csv.encoding") from None


def rows_of(text: str, delimiter: str) -> "Reader":
    """Return the rows of a text, each a list of cells."""
    return csv.reader(io.StringIO(text, newline=None), delimiter=delimiter)


def header(text: str, delimiter: str) -> tuple[list[str], int]:
    """Return the column names and the number of lines they take, including blank lines before them."""
    reader = rows_of(text[:HEAD], delimiter)
    names = next((row for row in reader if row), [])
    return [name.strip() for name in names], reader.line_num


def _lines(text: str) -> str:
    return text if "\n" in text else text.replace("\r", "\n")      # old Macs and some tools end lines so
