"""One number over time: a line with intervals, a band around the reference, a limit, and what happened meanwhile."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from itertools import pairwise

from monitor import escape
from monitor.charts.figure import BOTTOM, LEFT, RIGHT, TOP, WIDTH, Drawing, Scale, dates, grid, scale_of
from monitor.wording import number

HEIGHT = 210
SPARK_WIDTH, SPARK_HEIGHT = 120, 28


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """A number at a moment; `low` and `high`: its 95 % interval; `band`: where it usually lies."""

    at: datetime
    value: float
    low: float | None = None
    high: float | None = None
    reference: float | None = None
    band: tuple[float, float] | None = None
    limit: float | None = None
    provisional: bool = False
    bad: bool = False
    when: str = ""              # the moment in words
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Mark:
    """Something that happened at a moment."""

    at: datetime
    kind: str                   # a class: asked, promoted
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Words:
    """How a chart of one number is worded."""

    caption: str
    value: str                  # what the number is called
    limit: str = "limit"
    band: str = "usual range"
    of: Callable[[float], str] = number


def line(
    points: Sequence[Point], words: Words, zone: tzinfo, marks: Iterable[Mark] = (), *, zero: bool = False
) -> Drawing:
    """Draw the points, oldest first; at least one."""
    numbers = [v for p in points for v in (p.value, p.low, p.high, p.reference, p.limit, *(p.band or ()))
               if v is not None]
    y = scale_of([*numbers, 0.0] if zero else numbers, HEIGHT - BOTTOM, TOP, zero=zero and min(numbers) >= 0)
    first, last = points[0].at, points[-1].at
    x = Scale(first.timestamp(), last.timestamp(), LEFT + 6, WIDTH - RIGHT - 6)
    inside = [mark for mark in marks if first <= mark.at]
    body = "".join([
        grid(y, LEFT, WIDTH - RIGHT), _band(points, x, y),
        _steps("ref", [(p.at, p.reference) for p in points], x, y),
        _steps("limit", [(p.at, p.limit) for p in points], x, y),
        *(_mark(mark, x) for mark in inside),
        _whiskers(points, x, y), _path(points, x, y),
        *(_dot(p, x, y, words) for p in points),
        dates(first, last, x, HEIGHT - 6, zone),
    ])
    title = f"{words.caption}: {len(points)} windows, newest {words.of(points[-1].value)}"
    return Drawing(
        body=body, height=HEIGHT, caption=words.caption, title=title, links=any(point.href for point in points),
        heads=("window", words.value, "95 % interval", "reference", words.limit, "note"),
        rows=[_row(p, words) for p in points], keys=_keys(points, inside, words),
    )


def spark(points: Sequence[Point], title: str) -> str:
    """The same in the height of a line of text, without axes."""
    numbers = [v for p in points for v in (p.value, p.reference) if v is not None]
    if not numbers:
        return ""
    y = scale_of(numbers, SPARK_HEIGHT - 3, 3)
    x = Scale(points[0].at.timestamp(), points[-1].at.timestamp(), 3, SPARK_WIDTH - 4)
    newest = points[-1]
    kind = "dot bad" if newest.bad else "dot"
    return (
        f'<svg viewBox="0 0 {SPARK_WIDTH} {SPARK_HEIGHT}" class="spark" role="img" aria-label="{escape.html(title)}">'
        f'{_steps("ref", [(p.at, p.reference) for p in points], x, y)}{_path(points, x, y)}'
        f'<circle class="{kind}" cx="{x(newest.at.timestamp()):.0f}" cy="{y(newest.value):.0f}" r="2.5"/></svg>'
    )


def _place(at: datetime, value: float, x: Scale, y: Scale) -> str:
    return f"{x(at.timestamp()):.1f} {y(value):.1f}"


def _path(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """The line, dashed where labels are still to come."""
    found = {"line": "", "line loose": ""}
    for a, b in pairwise(points):
        kind, begin = "line loose" if b.provisional else "line", _place(a.at, a.value, x, y)
        # A line goes on where it has ended, so that its corners are joined.
        found[kind] += ("" if found[kind].endswith(begin) else f"M{begin}") + f"L{_place(b.at, b.value, x, y)}"
    return "".join(f'<path class="{kind}" d="{path}"/>' for kind, path in found.items() if path)


def _steps(kind: str, values: Sequence[tuple[datetime, float | None]], x: Scale, y: Scale) -> str:
    """A line that stays until another value comes: references and limits change at once."""
    parts: list[str] = []
    before = None
    for at, value in values:
        here = f"H{x(at.timestamp()):.1f}"
        if value is not None and before is None:
            parts.append(f"M{_place(at, value, x, y)}")
        elif value is not None and value != before:
            parts += [here, f"V{y(value):.1f}"]
        elif value is not None and parts[-1][0] == "H":
            parts[-1] = here
        elif value is not None:
            parts.append(here)
        before = value
    return f'<path class="{kind}" d="{"".join(parts)}"/>' if parts else ""


def _band(points: Sequence[Point], x: Scale, y: Scale) -> str:
    """The usual range as a surface between one point and the next."""
    found = []
    for a, b in pairwise(points):
        if b.band is not None:
            low, high = b.band
            left, right = x(a.at.timestamp()), x(b.at.timestamp())
            found.append(f"M{left:.1f} {y(high):.1f}H{right:.1f}V{y(low):.1f}H{left:.1f}Z")
    return f'<path class="band" d="{"".join(found)}"/>' if found else ""


def _whiskers(points: Sequence[Point], x: Scale, y: Scale) -> str:
    path = "".join(
        f"M{_place(p.at, p.low, x, y)}V{y(p.high):.1f}" for p in points if p.low is not None and p.high is not None
    )
    return f'<path class="interval" d="{path}"/>' if path else ""


def _dot(point: Point, x: Scale, y: Scale, words: Words) -> str:
    kind = f"dot{' bad' if point.bad else ''}{' loose' if point.provisional else ''}"
    said = f"{point.when}: {words.of(point.value)}"
    if point.low is not None and point.high is not None:
        said += f" ({words.of(point.low)} to {words.of(point.high)})"
    if point.reference is not None:
        said += f", reference {words.of(point.reference)}"
    if point.limit is not None:
        said += f", {words.limit} {words.of(point.limit)}"
    said += ", provisional: labels are still to come" if point.provisional else ""
    place = f'cx="{x(point.at.timestamp()):.1f}" cy="{y(point.value):.1f}"'
    circle = f'<circle class="{kind}" {place} r="3"><title>{escape.html(said)}</title></circle>'
    return circle if point.href is None else f'<a href="{escape.html(point.href)}" tabindex="-1">{circle}</a>'


def _mark(mark: Mark, x: Scale) -> str:
    place = min(x(mark.at.timestamp()), WIDTH - RIGHT - 3.0)
    return (f'<g class="mark {mark.kind}"><path d="M{place:.1f} {TOP}V{HEIGHT - BOTTOM}"/>'
            f'<path class="head" d="{_HEADS[mark.kind].format(x=place, y=TOP, low=HEIGHT - BOTTOM)}"/>'
            f"<title>{escape.html(mark.words)}</title></g>")


# A triangle for what was asked, a diamond for what came.
_HEADS = {
    "asked": "M{x:.1f} {y}m-5 -6h10l-5 9z",
    "promoted": "M{x:.1f} {low}m0 -6l5 6l-5 6l-5 -6z",
}


def _keys(points: Sequence[Point], marks: Sequence[Mark], words: Words) -> list[tuple[str, str]]:
    kinds = {mark.kind for mark in marks}
    known = [
        ("line", words.value, True),
        ("interval", "95 % interval", any(p.low is not None for p in points)),
        ("ref", "reference", any(p.reference is not None for p in points)),
        ("band", words.band, any(p.band for p in points)),
        ("limit", words.limit, any(p.limit is not None for p in points)),
        ("loose", "provisional", any(p.provisional for p in points)),
        ("bad", "beyond the limit", any(p.bad for p in points)),
        ("asked", "retrain asked for", "asked" in kinds),
        ("promoted", "new version", "promoted" in kinds),
    ]
    return [(kind, said) for kind, said, there in known if there]


def _row(point: Point, words: Words) -> list[str]:
    span = point.low is not None and point.high is not None
    return [
        point.when, words.of(point.value),
        f"{words.of(point.low or 0)} to {words.of(point.high or 0)}" if span else "",
        "" if point.reference is None else words.of(point.reference),
        "" if point.limit is None else words.of(point.limit),
        "provisional" if point.provisional else "beyond the limit" if point.bad else "",
    ]
