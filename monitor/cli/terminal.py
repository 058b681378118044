"""Output on a terminal: lines, tables, JSON, numbers and times, progress bars.

Everything that commands print goes out here, so that no text from data moves a cursor or begins a line. Tables are
readable without colour: on a terminal cells are folded between words, in a pipe each row is one line.
"""

import math
import os
import shutil
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime, tzinfo
from pathlib import Path
from typing import Any, TextIO

import click

from monitor.errors import UsageError
from monitor.escape import bounded, json_text, sentence, visible
from monitor.expose.plain_json import plain
from monitor.records import SCHEMA_VERSION, Window
from monitor.wording import BARS

KEYS = ("window", "setting", "metric")          # headings of columns that are never folded
Cell = str | Sequence[str] | None               # a text, or one for each of its lines
_ASCII = str.maketrans({
    "–": "-", "─": "-", "…": "...", "×": "x", "±": "+-", "≥": ">=", "≤": "<=", "²": "2", "√": "sqrt ", "σ": "sigma",
    **dict(zip(BARS, "_.-=+*#@", strict=True)),
})
Report = Callable[[int, int], None]   # done, of how many


def say(*lines: str, err: bool = False) -> None:
    """Print each text as one line; without any, an empty line."""
    click.echo(shown_on("\n".join(map(sentence, lines)), sys.stderr if err else sys.stdout), err=err)


def print_document(text: str) -> None:
    """Print a text of several lines that was written for its form, such as Markdown."""
    click.echo("\n".join(map(visible, text.split("\n"))))


def print_table(headings: Sequence[str], rows: Sequence[Sequence[Cell]], right: Sequence[str] = ()) -> None:
    """Print rows below their headings; columns named in `right` hold numbers."""
    from monitor.cli.tables import table

    width = _width()
    lines = table(headings, [[_cell(cell, width) for cell in row] for row in rows], width, right=right,
                  whole=[one for one in headings if one.partition(" (")[0] in KEYS])
    click.echo(shown_on("\n".join(lines), sys.stdout))


def _cell(cell: Cell, width: int | None) -> list[str]:
    """The lines of a cell; in a pipe one."""
    lines = list(map(sentence, [cell] if isinstance(cell, str) else cell or ()))
    return lines if width is not None else [", ".join(lines)]


def _width() -> int | None:
    """The width of the terminal, or $COLUMNS; None in a pipe or a file, where lines may be as long as they need."""
    asked = os.environ.get("COLUMNS", "")
    if sys.stdout.isatty() or (asked.isdigit() and int(asked)):
        return shutil.get_terminal_size().columns
    return None


def shown_on(text: str, stream: TextIO) -> str:
    """The text with signs of ours that the stream's encoding lacks in plain ASCII."""
    if (stream.encoding or "").lower().replace("-", "") in ("utf8", "utf16", "utf32"):
        return text
    return text.translate(_ASCII)


def print_json(**document: Any) -> None:
    """Print one JSON document; records become their JSON form, NaN and infinities become null.

    Texts are exact up to 10,000 characters; the middle of longer ones is left out.
    """
    whole = {"schema_version": SCHEMA_VERSION, **plain(document)}
    click.echo(json_text(bounded(whole), indent=2))


def number(value: float | None) -> str:
    """Return four significant digits; large numbers as integers; nothing for None and NaN."""
    if value is None or math.isnan(value):
        return ""
    return f"{value:.0f}" if 1e4 <= abs(value) < 1e9 else f"{value:.4g}"


def moment(value: datetime | None, zone: tzinfo) -> str:
    """Return a time in the model's time zone: a date if it is midnight, else to the minute, with the zone."""
    if value is None:
        return ""
    local = value.astimezone(zone)
    return f"{local:%Y-%m-%d}" if local.time().isoformat() == "00:00:00" else f"{local:%Y-%m-%d %H:%M %Z}"


def in_zone(heading: str, *zones: object) -> str:
    """The heading of a column of times, with the time zone they are in; where models differ, each its own."""
    return f"{heading} ({zones[0] if len(zones) == 1 else 'each in its zone'})" if zones else heading


def span(window: Window, zone: tzinfo) -> str:
    """Return a window's start and its exclusive end."""
    return f"{moment(window.start, zone)} – {moment(window.end, zone)}"


@contextmanager
def progress(text: str) -> Iterator[Report]:
    """Yield a function that takes (done, total) and moves a bar on stderr; the bar appears only on a terminal."""
    if not sys.stderr.isatty():
        yield lambda done, total: None
        return
    from rich.console import Console
    from rich.progress import Progress

    bar = Progress(console=Console(stderr=True), transient=True)
    task = bar.add_task(text, total=None)
    with bar:
        yield lambda done, total: bar.update(task, completed=done, total=total)


def write_private(path: Path, text: str) -> None:
    """Write a file that only its owner can read. Raises UsageError."""
    try:
        with os.fdopen(os.open(path, os.O_CREAT | os.O_TRUNC | os.O_WRONLY, 0o600), "w", encoding="utf-8") as file:
            os.fchmod(file.fileno(), 0o600)
            file.write(text)
    except OSError as error:
        raise UsageError(f"{path}: cannot be written: {error.strerror}") from None
