"""Tables of text: columns as wide as what they hold, cells folded between words where a width is given."""

from collections.abc import Iterator, Sequence

from rich.cells import cell_len

SHORT = 16          # cells of a word that is never broken; a longer one is, where a width is given that needs it
_LONGEST = (40, 32, 24, SHORT)
GAP, RULE = "  ", "─"
Cell = Sequence[str]                            # its lines


def table(
    headings: Sequence[str], rows: Sequence[Sequence[Cell]], width: int | None, *,
    right: Sequence[str] = (), whole: Sequence[str] = (),
) -> list[str]:
    """The lines of a table, `width` terminal cells wide where its words allow that; None: as wide as it needs to be.

    Columns named in `right` hold numbers; those in `whole` are folded only where nothing else is left.
    """
    columns = [[[heading], *(row[at] for row in rows)] for at, heading in enumerate(headings)]
    widest = [max((cell_len(line) for cell in column for line in cell), default=0) for column in columns]
    widths = widest
    if width is not None:
        given = width - len(GAP) * (len(headings) - 1)
        words = [wide if heading in whole else _longest_word(column)
                 for heading, column, wide in zip(headings, columns, widest, strict=True)]
        tries = [[word if heading in whole else min(word, longest)
                  for heading, word in zip(headings, words, strict=True)] for longest in _LONGEST]
        tries.append([_longest_word(column) if heading in whole else min(word, SHORT)
                      for heading, column, word in zip(headings, columns, words, strict=True)])
        widths = _shared(next((least for least in tries if sum(least) <= given), tries[-1]), widest, given)
    sides = [heading in right for heading in headings]
    lines = list(_row([[heading] for heading in headings], widths, sides))
    lines.append(RULE * (sum(widths) + len(GAP) * (len(widths) - 1)))
    return [*lines, *(line for row in rows for line in _row(row, widths, sides))]


def _longest_word(column: Sequence[Cell]) -> int:
    words = (cell_len(word) for cell in column for line in cell for word in line.split(" "))
    return max(words, default=0)


def _shared(least: Sequence[int], widest: Sequence[int], width: int) -> list[int]:
    """Widths between the least and the widest of each column; what is left over goes first to who lacks little."""
    widths, left = list(least), width - sum(least)
    for done, at in enumerate(sorted(range(len(least)), key=lambda at: widest[at] - least[at])):
        more = min(widest[at] - least[at], max(left, 0) // (len(least) - done))
        widths[at] += more
        left -= more
    return widths


def _row(cells: Sequence[Cell], widths: Sequence[int], sides: Sequence[bool]) -> Iterator[str]:
    folded = [[part for line in cell for part in _folded(line, wide)] for cell, wide in zip(cells, widths, strict=True)]
    for at in range(max(1, *map(len, folded))):
        parts = (lines[at] if at < len(lines) else "" for lines in folded)
        yield GAP.join(
            " " * (wide - cell_len(part)) + part if right else part + " " * (wide - cell_len(part))
            for part, wide, right in zip(parts, widths, sides, strict=True)
        ).rstrip()


def _folded(text: str, width: int) -> Iterator[str]:
    """The text in lines of at most `width` cells, broken between words; a word that is longer is broken itself."""
    line = ""
    for word in text.split(" "):
        if line and cell_len(line) + 1 + cell_len(word) > width:
            yield line
            line = word
        else:
            line = f"{line} {word}" if line else word
        while cell_len(line) > max(width, 1):
            kept = next(n for n in range(len(line), 0, -1) if cell_len(line[:n]) <= max(width, 1) or n == 1)
            yield line[:kept]
            line = line[kept:]
    yield line
