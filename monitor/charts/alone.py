"""Drawings in a file that stands alone: as SVG with its colours, light and dark, or as a page with the tables."""

from collections.abc import Iterator, Sequence

from monitor import escape
from monitor.charts.figure import TOP, WIDTH, Drawing, style

LINE, SIZE, WIDE = 20, 12, 5.8      # of text: from one line to the next, height, and about the width of a character
_PAD = 16

# How a key of the legend looks, 18 wide around the middle of its line; what is missing here is a square of its class.
_SAMPLES = {
    **{kind: f'<path class="{kind}" d="M0 0h18"/>' for kind in ("line", "ref", "limit")},
    **{kind: f'<path class="series {kind}" d="M0 0h18"/>' for kind in ("c0", "c1", "c2", "c3", "c4", "grey")},
    "loose": '<path class="line loose" d="M0 0h18"/>',
    "interval": '<path class="interval" d="M9 -6v12"/>',
    "bad": '<circle class="dot bad" cx="9" cy="0" r="4"/>',
    "asked": '<g class="mark asked"><path class="head" d="M4 -4h10l-5 9z"/></g>',
    "promoted": '<g class="mark promoted"><path class="head" d="M9 -5l5 5l-5 5l-5 -5z"/></g>',
    "band": '<rect class="band" x="0" y="-5" width="18" height="10"/>',
    "window": '<rect class="bar" x="0" y="-5" width="18" height="10"/>',
    "reference": '<path class="outline" d="M0 5v-10h18v10"/>',
}


def svg_file(drawings: Sequence[Drawing], title: str = "", note: str = "") -> str:
    """One SVG with the drawings below one another, each with its caption and its legend; needs nothing else."""
    body, y = "", float(_PAD)
    if title:
        body, y = _text(title, y, "title"), y + LINE + 6
    for one in drawings:
        body += _text(one.caption, y, "caption")
        y += LINE + 2
        body += f'<g class="{one.kind}" transform="translate({_PAD} {y:.1f})">{one.body}</g>'
        y += one.height + 4
        for line in _lines(one.keys):
            body += f'<g transform="translate({_PAD} {y:.1f})">{line}</g>'
            y += LINE
        y += TOP
    body += _text(note, y, "note") if note else ""
    height, width = y + (LINE if note else 0), WIDTH + 2 * _PAD
    said = escape.html(title or "; ".join(one.caption for one in drawings))
    return (f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height:.0f}" width="{width}" '
            f'height="{height:.0f}" class="alone" role="img" aria-label="{said}"><style>{style()}</style>'
            f'<rect class="card" x="0" y="0" width="{width}" height="{height:.0f}"/>{body}</svg>\n')


def sheet(more: str = "") -> str:
    """The style sheet inside a page."""
    return style() + _PAGE + more


def page(title: str, body: str, more: str = "") -> str:
    """A page that loads nothing and runs nothing: `body` is HTML, `more` goes to its style sheet."""
    named = escape.html(title)
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{named}</title>
<style>{sheet(more)}</style>
</head>
<body>
<main>
<h1>{named}</h1>
{body}
</main>
</body>
</html>
"""


_PAGE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 68rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word }
h1 { font-size: 1.6rem }
table { border-collapse: collapse; font-size: .85rem; width: 100% }
th { text-align: left; color: var(--soft); font-weight: 600 }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top;
  overflow-wrap: anywhere; min-width: 4.5rem }
@media print { body { margin: 0 } figure { break-inside: avoid } }
"""


def _text(words: str, y: float, kind: str) -> str:
    return f'<text class="{kind}" x="{_PAD}" y="{y + SIZE:.1f}">{escape.html(words)}</text>'


def _lines(keys: Sequence[tuple[str, str]]) -> Iterator[str]:
    """The legend, as many keys on a line as there is room for."""
    line, x = "", 0.0
    for kind, words in keys:
        width = 26 + WIDE * len(words) + 18
        if line and x + width > WIDTH:
            yield line
            line, x = "", 0.0
        sample = _SAMPLES.get(kind, f'<rect class="{kind}" x="0" y="-5" width="18" height="10"/>')
        line += (f'<g transform="translate({x:.1f} 6)">{sample}<text x="24" y="4">{escape.html(words)}</text></g>')
        x += width
    if line:
        yield line
