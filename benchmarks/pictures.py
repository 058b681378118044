"""Pictures of a run: bars of processor seconds on a logarithmic scale, driftd's beneath each peer's; and of memory."""

import math
from collections.abc import Callable, Sequence

from benchmarks.rows import Row, short

LEFT, WIDTH, BAR, GAP, RIGHT, TOP = 300, 420, 11, 12, 70, 40     # pixels: names, bars, their height, and the rest
OURS, THEIRS = "#2b6cb0", "#bbbbbb"


def peers(rows: Sequence[Row]) -> str:
    """Processor seconds of each peer above driftd's for the same work."""
    bars = [(row.what, row.value, float(row.also["driftd"])) for row in rows]
    return _bars("CPU seconds for one window: each peer (grey), driftd (blue); logarithmic", bars)


def peak(rows: Sequence[Row]) -> str:
    """Megabytes Arrow takes for the whole file above what a one-pass check takes."""
    bars = [(row.what, float(row.also["Arrow whole, MB"]), row.value) for row in rows]
    return _bars("MB at the peak: all columns in Arrow (grey), a one-pass check (blue); logarithmic", bars)


def _bars(title: str, bars: Sequence[tuple[str, float, float]]) -> str:
    """Two bars a name, from the largest power of ten below all of them."""
    values = [max(value, 1e-3) for _, *pair in bars for value in pair]
    least = math.floor(math.log10(min(values)))
    scale = WIDTH / (math.log10(max(values)) - least or 1)
    body = [f'<text x="8" y="22" font-size="15">{title}</text>']
    for place, (name, theirs, ours) in enumerate(bars):
        top = TOP + place * (2 * BAR + GAP)
        body.append(f'<text x="{LEFT - 8}" y="{top + BAR + 4}" text-anchor="end">{name}</text>')
        for down, value, colour in ((0, theirs, THEIRS), (BAR, ours, OURS)):
            long = max(1.0, scale * (math.log10(max(value, 1e-3)) - least))
            body.append(f'<rect x="{LEFT}" y="{top + down}" width="{long:.1f}" height="{BAR - 1}" fill="{colour}"/>')
            body.append(f'<text x="{LEFT + long + 4:.1f}" y="{top + down + 9}" font-size="10">{short(value)}</text>')
    size = f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {TOP + len(bars) * (2 * BAR + GAP)}"'
    style = 'font-family="sans-serif" font-size="12" fill="#444444"'
    lines = "\n".join(body)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<rect width="100%" height="100%" fill="white"/>\n'
            f"<g {style}>\n{lines}\n</g>\n</svg>\n")


DRAWN: dict[str, Callable[[Sequence[Row]], str]] = {"peers": peers, "peak": peak}    # section -> its picture
