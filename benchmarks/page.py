"""docs/benchmarks.md: each table between its two markers is replaced by a run's; the pictures are drawn anew."""

import os
import platform
import re
from collections.abc import Sequence
from importlib.metadata import version
from pathlib import Path

from benchmarks import pictures
from benchmarks.rows import Row, Section

DOCS = Path(__file__).resolve().parents[1] / "docs"
PAGE = DOCS / "benchmarks.md"


def write(name: str, section: Section, rows: Sequence[Row]) -> None:
    """Put a section's table and picture and the machine into docs/; a section without a place there is left out."""
    text = _between(PAGE.read_text(encoding="utf-8"), name, markdown(*section.table(rows)))
    PAGE.write_text(_between(text, "machine", machine()), encoding="utf-8")
    if name in pictures.DRAWN:
        (DOCS / "pictures" / f"{name}.svg").write_text(pictures.DRAWN[name](rows), encoding="utf-8")


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
    return re.sub(rf"(?s)(<!-- {name} -->\n).*?(<!-- end -->)", lambda found: f"{found[1]}{put}\n{found[2]}", text)
