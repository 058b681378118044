"""The governance report as one HTML file that opens offline: no script, no font, no picture from anywhere else."""

from collections.abc import Iterator
from datetime import tzinfo

from monitor import escape
from monitor.govern.chapters import Section, Table, sections
from monitor.govern.metric_chart import picture
from monitor.govern.report import Report

_STYLE = """
:root { color-scheme: light dark; --ink: light-dark(#1b1f24, #e6e8ea); --soft: light-dark(#6b7480, #98a2ad);
  --line: light-dark(#dde1e6, #353b42); --now: light-dark(#1f6feb, #6cb0ff); --bad: light-dark(#c62828, #ff7b72);
  --page: light-dark(#fff, #16191d) }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--page); max-width: 68rem;
  margin: 2rem auto; padding: 0 1rem }
h1 { font-size: 1.6rem } h2 { font-size: 1.15rem; margin-top: 2.2rem } h3 { font-size: 1rem; margin: 1rem 0 0 }
.wide { overflow-x: auto } table { border-collapse: collapse; font-size: .85rem; width: 100% }
th { text-align: left; color: var(--soft); font-weight: 600 }
th, td { border-bottom: 1px solid var(--line); padding: .3rem .6rem .3rem 0; vertical-align: top;
  overflow-wrap: anywhere; min-width: 4.5rem }
svg { width: 100%; height: auto; font: 10px system-ui, sans-serif } svg text { fill: var(--soft) }
.axis { stroke: var(--line); fill: none } .band { stroke: var(--now); stroke-opacity: .25; stroke-width: 4 }
.now, .before { fill: none; stroke: var(--now); stroke-width: 1.5 }
.before { stroke: var(--soft); stroke-dasharray: 4 3 } .ripe { fill: var(--now) } .bad { fill: var(--bad) }
.unripe { fill: var(--page); stroke: var(--now) } .bad.unripe { stroke: var(--bad) }
@media print { body { margin: 0 } h2 { break-after: avoid } }
"""


def html(report: Report, zone: tzinfo) -> str:
    """Write the report; every text in it is escaped."""
    body = "\n".join(part for section in sections(report, zone) for part in _section(section))
    title = escape.html(f"{report.model}: governance report")
    return f"""<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="default-src 'none'; style-src 'unsafe-inline'">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{_STYLE}</style>
</head>
<body>
<h1>{title}</h1>
{body}
</body>
</html>
"""


def _section(section: Section) -> Iterator[str]:
    yield f"<h2>{escape.html(section.title)}</h2>"
    for sentence in section.text:
        yield f"<p>{escape.html(sentence)}</p>"
    for name, points in (section.pictures or {}).items():
        yield f"<h3>{escape.html(name)}</h3>{picture(name, points)}"
    if section.table is not None:
        yield _table(section.table)


def _table(table: Table) -> str:
    heads = "".join(f'<th scope="col">{escape.html(head)}</th>' for head in table.heads)
    rows = "".join(f"<tr>{''.join(f'<td>{escape.html(cell)}</td>' for cell in row)}</tr>" for row in table.rows)
    return f'<div class="wide"><table><thead><tr>{heads}</tr></thead><tbody>{rows}</tbody></table></div>'
