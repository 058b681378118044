"""The governance report as Markdown: the same chapters, the metrics as their newest numbers."""

from collections.abc import Iterator
from datetime import tzinfo

from monitor.govern.chapters import Section, Table, sections
from monitor.govern.report import Report
from monitor.wording import shown


def markdown(report: Report, zone: tzinfo) -> str:
    """Write the report; what the texts hold cannot become a table or a chapter of its own."""
    lines = [f"# {_line(report.model)}: governance report", ""]
    for section in sections(report, zone):
        lines += [*_section(section), ""]
    return "\n".join(lines)


def _section(section: Section) -> Iterator[str]:
    yield f"## {_line(section.title)}"
    for sentence in section.text:
        yield from ("", _line(sentence))
    if section.pictures:
        rows = ((name, str(len(points)), shown(name, points[0].value), shown(name, points[-1].value),
                 shown(name, points[-1].reference)) for name, points in section.pictures.items())
        heads = ("metric", "windows", "first", "newest", "reference")
        yield from ("", *_table(Table(heads=heads, rows=tuple(rows))))
    if section.table is not None:
        yield from ("", *_table(section.table))


def _table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(table.heads)} |"
    yield f"|{'---|' * len(table.heads)}"
    for row in table.rows:
        yield f"| {' | '.join(map(_line, row))} |"


def _line(text: str) -> str:
    """One line, without signs that Markdown or HTML would take for their own."""
    plain = " ".join(text.split()).replace("<", "&lt;").replace("|", "\\|")
    return plain.replace("`", "'")
