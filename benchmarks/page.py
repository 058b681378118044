"""docs/benchmarks.md: each table between its two markers is replaced by a run's; the pictures are drawn anew."""

import os
import platform
import re
from collections.abc import Mapping, Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks import pictures
from benchmarks.rows import Row, Section

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"
Measured = Mapping[str, tuple[Section, Sequence[Row]]]


def write(measured: Measured) -> None:
    """Put the tables, the machine and the pictures of a run into docs/. Raises ValueError where a marker is missing."""
    text = PAGE.read_text(encoding="utf-8")
    for name, (section, rows) in measured.items():
        text = _between(text, name, markdown(*section.table(rows)))
    PAGE.write_text(_between(text, "machine", machine()), encoding="utf-8")
    for name, draw in pictures.DRAWN.items():
        if name in measured:
            (DOCS / "pictures" / f"{name}.svg").write_text(draw(measured[name][1]), encoding="utf-8")


def markdown(headings: Sequence[str], cells: Sequence[Sequence[str]]) -> str:
    """A Markdown table; all columns but the first hold numbers."""
    lines = [headings, ["---", *("---:" for _ in headings[1:])], *cells]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def machine() -> str:
    """What was measured on, in one sentence."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    packages = ", ".join(f"{name} {version(name)}" for name in ("pyarrow", "numpy", "scipy", "evidently"))
    return (f"Measured on {os.cpu_count()} cores ({_processor()}) with {memory:.0f} GB, {platform.system()}, Python "
            f"{platform.python_version()}, {packages}.")


def _processor() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    return found[1] if found else platform.machine()


def _between(text: str, name: str, put: str) -> str:
    marked = re.compile(rf"(<!-- {name} -->\n).*?(<!-- end -->)", re.DOTALL)
    if not marked.search(text):
        raise ValueError(f"{PAGE.name} has no place for {name}, expected <!-- {name} --> and, below it, <!-- end -->")
    return marked.sub(lambda found: f"{found[1]}{put}\n{found[2]}", text)
