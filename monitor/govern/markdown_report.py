"""The governance report as Markdown: the same chapters, the metrics as their newest numbers."""

from collections.abc import Iterator
from datetime import tzinfo

from monitor.escape import markdown as escaped
from monitor.govern.chapters import Section, Table, sections
from monitor.govern.report import Report
from monitor.wording import shown


def markdown(report: Report, zone: tzinfo) -> str:
    """Write the report; what the texts hold cannot become a table or a chapter of its own."""
    lines = [f"# {escaped(report.model)}: governance report", ""]
    for section in sections(report, zone):
        lines += [*_section(section), ""]
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    yield f"## {escaped(section.title)}"
    for sentence in section.text:
        yield from ("", escaped(sentence))
    if section.pictures:
        rows = ((name, str(len(points)), shown(name, points[0].value), shown(name, points[-1].value),
                 shown(name, points[-1].reference)) for name, points in section.pictures.items())
        heads = ("metric", "windows", "first", "newest", "reference")
        yield from ("", *_table(Table(heads=heads, rows=tuple(rows))))
    if section.table is not None:
        yield from ("", *_table(section.table))


def _table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(escaped, table.heads))} |"
    yield f"|{'---|' * len(table.heads)}"
    for row in table.rows:
        yield f"| {' | '.join(map(escaped, row))} |"

