"""Several numbers over time, each a line of its own colour, and moments on a lane for each name."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo

from monitor import escape
from monitor.charts.figure import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Drawing, Scale, dates, grid, scale_of
from monitor.wording import number

HEIGHT, LANE = 210, 18
COLOURS = ("c0", "c1", "c2", "c3", "c4")        # classes, for names in their order
GREY = "grey"                                   # of what the others are compared with
LANE_LEFT, LONGEST = 130, 20                    # where lanes begin, and characters of a name beside its lane


@dataclass(frozen=True, slots=True)
class Series:
    """One line: its name, the class of its colour, a value for each moment."""

    name: str
    colour: str
    values: Sequence[float | None]


def lines(
    at: Sequence[datetime], series: Sequence[Series], caption: str, zone: tzinfo, *,
    limit: tuple[str, float] | None = None, zero: bool = False, of: Callable[[float], str] = number,
) -> Drawing:
    """Draw the series over the same moments, oldest first, with at least one value; `limit`: its name and value."""
    found = [value for one in series for value in one.values if value is not None]
    numbers = [*found, *([limit[1]] if limit else []), *([0.0] if zero else [])]
    y = scale_of(numbers, HEIGHT - BOTTOM, TOP, zero=zero and min(numbers) >= 0)
    x = Scale(at[0].timestamp(), at[-1].timestamp(), LEFT + 6, WIDTH - RIGHT - 6)
    body = grid(y, LEFT, WIDTH - RIGHT)
    if limit:
        body += f'<path class="limit" d="M{LEFT} {y(limit[1]):.1f}H{WIDTH - RIGHT}"/>'
    for one in series:
        path = "L".join(f"{x(moment.timestamp()):.1f} {y(value):.1f}"
                        for moment, value in zip(at, one.values, strict=True) if value is not None)
        if path:
            body += f'<path class="series {one.colour}" d="M{path}"><title>{escape.html(one.name)}</title></path>'
    body += dates(at[0], at[-1], x, HEIGHT - 6, zone)
    rows = [[f"{moment.astimezone(zone):%Y-%m-%d}", *("" if value is None else of(value) for value in values)]
            for moment, *values in zip(at, *(one.values for one in series), strict=True)]
    keys = [(one.colour, one.name) for one in series] + ([("limit", limit[0])] if limit else [])
    return Drawing(body=body, height=HEIGHT, caption=caption, heads=("until", *(one.name for one in series)), rows=rows,
                   keys=keys)


def lanes(
    first: datetime, last: datetime, rows: Sequence[tuple[str, str, Sequence[datetime]]], caption: str, zone: tzinfo
) -> Drawing:
    """Draw a lane for each row, which has a name, the class of its colour, and the moments on it."""
    x = Scale(first.timestamp(), last.timestamp(), LANE_LEFT, WIDTH - RIGHT - 6)
    body, table = "", []
    for place, (name, colour, moments) in enumerate(rows):
        y = TOP + LANE * place + LANE / 2
        said = escape.html(f"{escape.name(name)}: {len(moments)}")
        short = escape.html(f"{escape.shortened(escape.name(name), LONGEST)}: {len(moments)}")
        ticks = "".join(f"M{x(one.timestamp()):.1f} {y - 6:.1f}v12" for one in moments)
        body += (f'<path class="grid" d="M{LANE_LEFT} {y:.1f}H{WIDTH - RIGHT}"/>'
                 f'<text x="{LANE_LEFT - 8}" y="{y + 4:.1f}" class="end">{short}</text>')
        body += f'<path class="tick {colour}" d="{ticks}"><title>{said}</title></path>' if ticks else ""
        days = ", ".join(f"{one.astimezone(zone):%Y-%m-%d}" for one in moments)
        table.append([name, str(len(moments)), days])
    height = TOP + LANE * len(rows) + BOTTOM
    body += dates(first, last, x, height - 6, zone)
    heads = ("schedule", "retrains", "when")
    return Drawing(body=body, height=height, caption=caption, heads=heads, rows=table, keys=())
