"""The governance report as one HTML file that opens offline: no script, no font, no picture from anywhere else."""

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from monitor import escape
from monitor.charts.figure import style
from monitor.charts.line import Point as Drawn
from monitor.charts.line import Words, line
from monitor.govern.chapters import Section, Table, sections
from monitor.govern.report import Point, Report
from monitor.wording import shown

BAD = ("drifted", "breached")

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 68rem;
  margin: 2rem auto; padding: 0 1rem; overflow-wrap: break-word }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem }
table { border-collapse: collapse; font-size: .85rem; width: 100% }
th { text-align: left; color: var(--soft); font-weight: 600 }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top;
  overflow-wrap: anywhere; min-width: 4.5rem }
details.data .wide { max-height: none }
@media print { body { margin: 0 } h2 { break-after: avoid } figure { break-inside: avoid } }
"""


def sheet() -> str:
    """The style sheet inside the file."""
    return style() + _STYLE


def html(report: Report, zone: tzinfo, about: str = "governance report") -> str:
    """Write the report; every text in it is escaped."""
    body = "\n".join(part for section in sections(report, zone) for part in _section(section, zone))
    title = escape.html(f"{report.model}: {about}")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{sheet()}</style>
</head>
<body>
<main>
<h1>{title}</h1>
{body}
</main>
</body>
</html>
"""


def _section(section: Section, zone: tzinfo) -> Iterator[str]:
    yield f"<h2>{escape.html(section.title)}</h2>"
    for sentence in section.text:
        yield f"<p>{escape.html(sentence)}</p>"
    for name, points in (section.pictures or {}).items():
        yield _picture(name, points, zone)
    if section.table is not None:
        yield _table(section.title, section.table)


def _picture(name: str, points: Sequence[Point], zone: tzinfo) -> str:
    """One metric over time."""
    drawn = [
        Drawn(at=one.at, value=one.value, low=one.low, high=one.high, reference=one.reference, limit=one.threshold,
              provisional=one.provisional, bad=one.status in BAD, when=f"{one.at.astimezone(zone):%Y-%m-%d}")
        for one in points
    ]
    return line(drawn, Words(caption=name, value=name, of=lambda value: shown(name, value)), zone)


def _table(title: str, table: Table) -> str:
    name = escape.html(title)
    heads = "".join(f'<th scope="col">{escape.html(head)}</th>' for head in table.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape.html(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table><caption class="hidden">{name}'
        f"</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
