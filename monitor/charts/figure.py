"""What all charts share: scales, axes, and a drawing with its caption, its legend and its numbers as a table."""

import math
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from functools import cache
from importlib.resources import files

from monitor import escape
from monitor.wording import number

WIDTH, LEFT, RIGHT, TOP, BOTTOM = 720, 52, 8, 10, 22
MOST_ROWS = 120         # of a table beside a chart


@cache
def style() -> str:
    """The style sheet of all charts, with their colours, light and dark."""
    return (files("monitor.charts") / "charts.css").read_text(encoding="utf-8")


@dataclass(frozen=True, slots=True)
class Scale:
    """A straight line from values to places in the drawing."""

    low: float
    high: float
    begin: float
    end: float

    def __call__(self, value: float) -> float:
        share = (value - self.low) / (self.high - self.low) if self.high > self.low else 0.5
        return self.begin + share * (self.end - self.begin)


def scale_of(values: Sequence[float], begin: float, end: float, *, zero: bool = False) -> Scale:
    """A scale with a little room around finite values; `zero` makes it begin there."""
    low, high = min(values), max(values)
    spread = high - low or abs(high) or 1.0
    if not math.isfinite(1.2 * spread + max(abs(low), abs(high))):      # numbers near the limits of a float
        low, high, spread = low / 4, high / 4, high / 4 - low / 4
    return Scale(0.0 if zero else low - 0.06 * spread, high + 0.06 * spread, begin, end)


def ticks(scale: Scale, most: int = 4) -> list[float]:
    """Round values within the scale, for its labels."""
    span = scale.high - scale.low
    if not (sys.float_info.min < span / most < math.inf):
        return []
    step = 10.0 ** math.floor(math.log10(span / most))
    step *= next(factor for factor in (1, 2, 5, 10) if span / (step * factor) <= most)
    first = math.ceil(scale.low / step)
    return [place * step for place in range(first, math.floor(scale.high / step) + 1)]


def grid(scale: Scale, left: float, right: float, of: Callable[[float], str] = number) -> str:
    """Horizontal lines at round values, each with its number."""
    return "".join(
        f'<path class="grid" d="M{left} {scale(value):.1f}H{right}"/>'
        f'<text x="{left - 6}" y="{scale(value) + 3.5:.1f}" class="end">{escape.html(of(value))}</text>'
        for value in ticks(scale)
    )


def dates(first: datetime, last: datetime, scale: Scale, y: float, zone: tzinfo) -> str:
    """The first date, the last one, and one between them, below a drawing."""
    close = (last - first).days < 3
    middle = first + (last - first) / 2
    places = [(first, ""), (middle, ' class="mid"'), (last, ' class="end"')] if last > first else [(first, "")]
    return "".join(
        f'<text x="{scale(at.timestamp()):.1f}" y="{y}"{anchor}>{_date(at.astimezone(zone), close)}</text>'
        for at, anchor in places
    )


def _date(local: datetime, close: bool) -> str:
    return f"{local.day} {local:%b %H:%M}" if close else f"{local.day} {local:%b %Y}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawing:
    """A chart before it is placed: on a page with its table, or in a file that stands alone."""

    body: str                           # SVG, WIDTH wide
    height: int
    caption: str
    heads: Sequence[str]                # of the table with its numbers
    rows: Sequence[Sequence[str]]
    keys: Sequence[tuple[str, str]]     # what its colours and shapes mean: class and words
    title: str = ""                     # what is read aloud; its caption by default
    kind: str = ""                      # a class of its own
    links: bool = False

    def svg(self) -> str:
        """With a name: an image, or, with links inside, a group, since nobody looks for links in an image."""
        role = "group" if self.links else "img"
        said = escape.html(self.title or self.caption)
        return (f'<svg viewBox="0 0 {WIDTH} {self.height}" role="{role}" aria-label="{said}" '
                f'class="chart {self.kind}">{self.body}</svg>')

    def html(self) -> str:
        """On a page: the drawing with its caption, and the same numbers as a table that is folded away."""
        shown = self.rows[-MOST_ROWS:]
        left = f" ({len(shown)} of {len(self.rows)})" if len(shown) < len(self.rows) else ""
        head = "".join(f'<th scope="col">{escape.html(one)}</th>' for one in self.heads)
        body = "".join(f"<tr>{''.join(f'<td>{escape.html(cell)}</td>' for cell in row)}</tr>" for row in shown)
        named = escape.html(self.caption)
        return (
            f"<figure><figcaption>{named}</figcaption>{self.svg()}{_legend(self.keys)}"
            f'<details class="data"><summary>The numbers{left}</summary><div class="wide" tabindex="0" role="region" '
            f'aria-label="{named}"><table><caption class="hidden">{named}</caption>'
            f"<thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div></details></figure>"
        )


def _legend(keys: Sequence[tuple[str, str]]) -> str:
    return '<p class="legend" aria-hidden="true">' + " ".join(
        f'<span class="key"><i class="k-{kind}"></i>{escape.html(words)}</span>' for kind, words in keys
    ) + "</p>"
