"""Plays the demo and draws what it showed: `.venv/bin/python docs/pictures/make.py` writes demo.svg and error.svg."""

import io
import logging
import re
import tempfile
from collections.abc import Sequence
from datetime import datetime
from pathlib import Path

from rich.console import Console

from monitor.demo.output import Policy, Show, Stretch
from monitor.demo.story import FORTNIGHT, Story
from monitor.expose import logs

HERE = Path(__file__).resolve().parent
COLOURS = {"never retrain": "#999999", "calendar, as often": "#d08770", "driftd": "#2b6cb0"}
LEFT, TOP, WIDTH, HEIGHT, RIGHT = 48, 44, 560, 220, 150     # of the plot, and of the names beside it


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
    """Error by fortnight of each policy, a dot where driftd asked for a retrain."""
    top = max(max(policy.errors) for policy in policies)
    start, end = served[0].start, served[-1].start + FORTNIGHT

    def x(moment: datetime) -> float:
        return LEFT + WIDTH * ((moment - start) / (end - start))

    def y(error: float) -> float:
        return TOP + HEIGHT * (1 - error / top)

    body = [f'<text x="{LEFT}" y="22" font-size="15">Error of the model in service, rentals an hour</text>']
    for level in range(0, int(top) + 1, 50):
        body.append(f'<path d="M{LEFT} {y(level):.1f}h{WIDTH}" stroke="#dddddd"/>')
        body.append(f'<text x="{LEFT - 6}" y="{y(level) + 4:.1f}" text-anchor="end">{level}</text>')
    for one in served[::6]:
        body.append(f'<text x="{x(one.start):.1f}" y="{TOP + HEIGHT + 18}">{one.start:%b %Y}</text>')
    for policy in policies:
        colour = COLOURS[policy.name]
        places = [f"{x(one.start + FORTNIGHT / 2):.1f},{y(error):.1f}"
                  for one, error in zip(served, policy.errors, strict=True)]
        width = 2.5 if policy.name == "driftd" else 1.5
        body.append(f'<polyline points="{" ".join(places)}" fill="none" stroke="{colour}" stroke-width="{width}"/>')
    for number, policy in enumerate(policies):
        text, down = f"{policy.name}: {policy.mean:.0f}", TOP + 16 + 22 * number
        body.append(f'<text x="{LEFT + WIDTH + 8}" y="{down}" fill="{COLOURS[policy.name]}">{text}</text>')
    base = TOP + HEIGHT
    for moment in policies[-1].retrains:
        body.append(f'<path d="M{x(moment):.1f} {TOP}V{base}" stroke="#2b6cb0" stroke-dasharray="2 4"/>')
    if policies[-1].retrains:
        body.append(f'<text x="{LEFT + WIDTH + 8}" y="{TOP + 86}" fill="#2b6cb0">┊ driftd asked</text>')
    size = f'viewBox="0 0 {LEFT + WIDTH + RIGHT} {base + 30}"'
    style = 'font-family="sans-serif" font-size="12" fill="#444444"'
    lines = "\n".join(body)
    return (f'<svg xmlns="http://www.w3.org/2000/svg" {size}>\n<rect width="100%" height="100%" fill="white"/>\n'
            f"<g {style}>\n{lines}\n</g>\n</svg>\n")


if __name__ == "__main__":
    main()
