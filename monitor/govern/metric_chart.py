"""One metric over time as an inline SVG: values, intervals, the reference; no script, nothing from outside."""

from collections.abc import Sequence

from monitor import escape
from monitor.govern.report import Point
from monitor.wording import shown

WIDTH, HEIGHT = 720, 180
LEFT, RIGHT, TOP, BOTTOM = 64, 12, 12, 24
BAD = ("drifted", "breached")


def picture(name: str, points: Sequence[Point]) -> str:
    """Draw the points, oldest on the left; heights in the metric's own unit."""
    numbers = [v for p in points for v in (p.value, p.reference, p.low, p.high) if v is not None]
    low, high = min(numbers), max(numbers)
    spread = high - low or abs(high) or 1.0
    low, high = low - 0.05 * spread, high + 0.05 * spread
    first, last = points[0].at.timestamp(), points[-1].at.timestamp()

    def x(point: Point) -> float:
        share = (point.at.timestamp() - first) / (last - first) if last > first else 0.5
        return LEFT + share * (WIDTH - LEFT - RIGHT)

    def y(value: float) -> float:
        return TOP + (high - value) / (high - low) * (HEIGHT - TOP - BOTTOM)

    parts = [_axis(points, low, high)]
    parts += [f'<line class="band" x1="{x(p):.1f}" x2="{x(p):.1f}" y1="{y(p.low):.1f}" y2="{y(p.high):.1f}"/>'
              for p in points if p.low is not None and p.high is not None]
    before = [(x(p), y(p.reference)) for p in points if p.reference is not None]
    parts.append(_line("before", before))
    parts.append(_line("now", [(x(p), y(p.value)) for p in points]))
    parts += [_mark(name, p, x(p), y(p.value)) for p in points]
    label = escape.html(f"{name} over time, {len(points)} windows, newest {shown(name, points[-1].value)}")
    return f'<svg viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{label}">{"".join(parts)}</svg>'


def _mark(name: str, point: Point, x: float, y: float) -> str:
    kind = "bad" if point.status in BAD else "ripe"
    kind += " unripe" if point.provisional else ""
    said = f"{point.at:%Y-%m-%d}: {shown(name, point.value)}"
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="2.5"><title>{said}</title></circle>'


def _line(kind: str, corners: Sequence[tuple[float, float]]) -> str:
    path = " ".join(f"{x:.1f},{y:.1f}" for x, y in corners)
    return f'<polyline class="{kind}" points="{path}"/>' if len(corners) > 1 else ""


def _axis(points: Sequence[Point], low: float, high: float) -> str:
    base, left = HEIGHT - BOTTOM, LEFT - 6
    return (
        f'<path class="axis" d="M{LEFT} {TOP}V{base}H{WIDTH - RIGHT}"/>'
        f'<text x="{left}" y="{TOP + 8}" text-anchor="end">{high:.4g}</text>'
        f'<text x="{left}" y="{base}" text-anchor="end">{low:.4g}</text>'
        f'<text x="{LEFT}" y="{HEIGHT - 6}">{points[0].at:%Y-%m-%d}</text>'
        f'<text x="{WIDTH - RIGHT}" y="{HEIGHT - 6}" text-anchor="end">{points[-1].at:%Y-%m-%d}</text>'
    )
