"""Plays the demo and draws what it showed: `.venv/bin/python docs/pictures/make.py` writes demo.svg and error.svg."""

import io
import logging
import re
import tempfile
from collections.abc import Sequence
from datetime import UTC
from pathlib import Path

from rich.console import Console

from monitor.charts.alone import svg_file
from monitor.charts.lines import GREY, Series, lanes, lines
from monitor.demo.output import Policy, Show, Stretch
from monitor.demo.story import FORTNIGHT, Story
from monitor.expose import logs

HERE = Path(__file__).resolve().parent
COLOURS = {"never retrain": GREY, "calendar, as often": "c1", "driftd": "c0"}


def main() -> None:
    logs.configure("text", level=logging.WARNING)
    console = Console(record=True, width=80, file=io.StringIO(), highlight=False)
    with tempfile.TemporaryDirectory() as folder, Story(Path(folder), Show(console)) as story:
        told = story.play()
    picture = console.export_svg(title="make demo", unique_id="demo")
    alone = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)     # no fonts from elsewhere
    (HERE / "demo.svg").write_text(alone, encoding="utf-8")
    (HERE / "error.svg").write_text(chart(told.served, told.policies), encoding="utf-8")


def chart(served: Sequence[Stretch], policies: Sequence[Policy]) -> str:
    """Error by fortnight of each policy, and when driftd and the calendar asked for a retrain."""
    ends = [one.start + FORTNIGHT for one in served]
    errors = [Series(f"{one.name}: {one.mean:.0f}", COLOURS[one.name], one.errors) for one in policies]
    asked = [(one.name, COLOURS[one.name], one.retrains) for one in policies if one.retrains]
    return svg_file([
        lines(ends, errors, "Error of the model in service, rentals an hour, by fortnight", UTC, zero=True),
        lanes(ends[0], ends[-1], asked, "Retrains", UTC),
    ])


if __name__ == "__main__":
    main()
