"""The governance report as one HTML file that opens offline: no script, no font, no picture from anywhere else."""

from collections.abc import Iterator, Sequence
from datetime import tzinfo

from monitor import escape
from monitor.charts import alone
from monitor.charts.line import Point as Drawn
from monitor.charts.line import Words, line
from monitor.govern.chapters import Section, Table, sections
from monitor.govern.report import Point, Report
from monitor.wording import shown

BAD = ("drifted", "breached")

_STYLE = """
h2 { font-size: 1.15rem; margin-top: 2.2rem }
details.data .wide { max-height: none }
@media print { h2 { break-after: avoid } }
"""


def sheet() -> str:
    """The style sheet inside the file."""
    return alone.sheet(_STYLE)


def html(report: Report, zone: tzinfo, about: str = "governance report") -> str:
    """Write the report; every text in it is escaped."""
    body = "\n".join(part for section in sections(report, zone) for part in _section(section, zone))
    return alone.page(f"{report.model}: {about}", body, _STYLE)


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
    return line(drawn, Words(caption=name, value=name, of=lambda value: shown(name, value)), zone).html()


def _table(title: str, table: Table) -> str:
    name = escape.html(title)
    heads = "".join(f'<th scope="col">{escape.html(head)}</th>' for head in table.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape.html(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return (
        f'<div class="wide" tabindex="0" role="region" aria-label="{name}"><table><caption class="hidden">{name}'
        f"</caption><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>"
    )
