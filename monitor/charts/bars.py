"""Two distributions over each other: bars of the window, the reference as an outline."""

from monitor import escape
from monitor.charts.figure import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Drawing, Scale, grid
from monitor.records import Spread

HEIGHT = 200
MOST_NAMES = 16         # bars whose names stand below them; of more, the first and the last
LONGEST = 9             # characters of a name below its bar


def bars(spread: Spread, caption: str) -> Drawing:
    """Draw the shares of the values in each bar, of the window and of the reference."""
    count = len(spread.labels)
    x = Scale(0, count, LEFT + 4, WIDTH - RIGHT - 4)
    y = Scale(0.0, 1.08 * max((*spread.window, *spread.reference)) or 1.0, HEIGHT - BOTTOM, TOP)
    body = grid(y, LEFT, WIDTH - RIGHT, "{:.0%}".format)
    for at, (label, now, before) in enumerate(zip(spread.labels, spread.window, spread.reference, strict=True)):
        said = escape.html(f"{escape.name(label)}: {now:.1%} of the window, {before:.1%} of the reference")
        room = 1 if spread.numbers and count > MOST_NAMES else 4
        left, wide = x(at) + room / 2, x(at + 1) - x(at) - room
        body += (f'<g><rect class="bar" x="{left:.1f}" y="{y(now):.1f}" width="{wide:.1f}" '
                 f'height="{y(0) - y(now):.1f}"/><path class="outline" d="M{left:.1f} {y(0):.1f}V{y(before):.1f}'
                 f'H{left + wide:.1f}V{y(0):.1f}"/><title>{said}</title></g>')
    body += _names(spread, x)
    rows = [[label, f"{now:.1%}", f"{before:.1%}"]
            for label, now, before in zip(spread.labels, spread.window, spread.reference, strict=True)]
    keys = (("window", "window"), ("reference", "reference"))
    heads = ("value", "window", "reference")
    return Drawing(body=body, height=HEIGHT, caption=caption, heads=heads, rows=rows, keys=keys)


def _names(spread: Spread, x: Scale) -> str:
    count = len(spread.labels)
    if count > MOST_NAMES:
        first, last = spread.labels[0].split(" to ")[0], spread.labels[-1].split(" to ")[-1]
        return (f'<text x="{x(0):.1f}" y="{HEIGHT - 6}">{escape.html(escape.name(first))}</text>'
                f'<text x="{x(count):.1f}" y="{HEIGHT - 6}" class="end">{escape.html(escape.name(last))}</text>')
    return "".join(
        f'<text x="{x(at + 0.5):.1f}" y="{HEIGHT - 6}" class="mid">'
        f"{escape.html(escape.shortened(escape.name(label), LONGEST))}</text>"
        for at, label in enumerate(spread.labels)
    )
