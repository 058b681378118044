"""A heat map, columns by windows: how far each column has drifted, and when."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import groupby

from monitor import escape
from monitor.charts.figure import WIDTH, Drawing, Scale, dates

ROW, LABEL, TOP = 15, 180, 4
MOST_TITLES = 800           # runs of cells with a tooltip of their own; of more, each row has one
LONGEST = 22                # characters of a column's name beside its row
LEVELS = ("", "l1", "l2", "l3", "broken", "unknown")
UNKNOWN = 5


@dataclass(frozen=True, slots=True)
class Row:
    """One column: how far beyond its threshold it is in each window, as a place in LEVELS."""

    name: str
    href: str
    levels: Sequence[int]
    summary: str                # "drifted in 3 of 20 windows"
    words: Callable[[int], str]     # value and threshold in a window, by its place


def level_of(status: str, value: float | None, threshold: float | None) -> int:
    """How dark a cell is: 1 beyond its threshold, 2 twice, 3 five times; of p-values the other way round."""
    if status == "breached":
        return 4
    if status in ("insufficient", "failed"):
        return UNKNOWN
    if status != "drifted":
        return 0
    if not value or not threshold:
        return 1 if value else 3
    times = max(value / threshold, threshold / value)
    return 3 if times >= 5 else 2 if times >= 2 else 1


def heat(rows: Sequence[Row], ends: Sequence[datetime], when: Sequence[str], caption: str, zone: tzinfo) -> Drawing:
    """Draw a row for each column and a place for each window, oldest at the left; `when` are their dates in words."""
    x = Scale(0, len(ends), LABEL, WIDTH - 8)
    runs = [list(_runs(row)) for row in rows]
    titled = sum(map(len, runs)) <= MOST_TITLES
    body = "".join(
        _row(row, found, x, TOP + ROW * place, when, titled=titled)
        for place, (row, found) in enumerate(zip(rows, runs, strict=True))
    )
    height = TOP + ROW * len(rows) + 22
    if ends:
        time = Scale(ends[0].timestamp(), ends[-1].timestamp(), LABEL, WIDTH - 8)
        body += dates(ends[0], ends[-1], time, height - 6, zone)
    table = [[row.name, row.summary] for row in rows]
    keys = (("l1", "beyond its threshold"), ("l2", "twice"), ("l3", "five times"), ("broken", "contract broken"),
            ("unknown", "not known"))
    return Drawing(body=body, height=height, caption=caption, heads=("column", "windows"), rows=table, keys=keys,
                   kind="heat", links=True)


def _runs(row: Row) -> list[tuple[int, int, int]]:
    """Level, first window and number of windows of each run of cells that say something."""
    found, at = [], 0
    for level, cells in groupby(row.levels):
        count = len(list(cells))
        if level:
            found.append((level, at, count))
        at += count
    return found


def _row(
    row: Row, runs: Sequence[tuple[int, int, int]], x: Scale, y: float, when: Sequence[str], *, titled: bool
) -> str:
    ground = f'<rect class="ground" x="{x(0):.0f}" y="{y}" width="{x.end - x.begin:.0f}" height="{ROW - 3}"/>'
    if titled:
        cells = "".join(_run(row, one, x, y, when) for one in runs)
    else:
        cells = "".join(
            f'<path class="{LEVELS[level]}" d="{"".join(_block(one, x, y) for one in runs if one[0] == level)}"/>'
            for level in sorted({one[0] for one in runs})
        )
    name = escape.html(escape.shortened(escape.name(row.name), LONGEST))
    said = escape.html(f"{escape.name(row.name)}: {row.summary}")
    return (f'<a href="{escape.html(row.href)}"><title>{said}</title>{ground}'
            f'<text x="{LABEL - 8}" y="{y + 9.5}" class="end">{name}</text>{cells}</a>')


def _block(run: tuple[int, int, int], x: Scale, y: float) -> str:
    left, right = x(run[1]), x(run[1] + run[2])
    return f"M{left:.1f} {y}H{right:.1f}v{ROW - 3}H{left:.1f}Z"


def _run(row: Row, run: tuple[int, int, int], x: Scale, y: float, when: Sequence[str]) -> str:
    level, at, count = run
    span = when[at] if count == 1 else f"{count} windows, {when[at]} to {when[at + count - 1]}"
    said = escape.html(f"{escape.name(row.name)}, {span}: {row.words(at + count - 1)}")
    return f'<path class="{LEVELS[level]}" d="{_block(run, x, y)}"><title>{said}</title></path>'
