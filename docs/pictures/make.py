"""Plays the demo and draws what it showed: `.venv/bin/python docs/pictures/make.py` writes demo.svg, error.svg and,
from a backtest of the first model's predictions, rehearsal.svg. tests/real/test_pictures.py takes those of the pages.
"""

import io
import logging
import re
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich.console import Console

from monitor.charts.alone import svg_file
from monitor.charts.lines import GREY, Series, lanes, lines
from monitor.demo import world
from monitor.demo.output import Policy, Show, Stretch
from monitor.demo.story import FORTNIGHT, Story
from monitor.expose import logs

HERE = Path(__file__).resolve().parent
COLOURS = {"never retrain": GREY, "calendar, as often": "c1", "driftd": "c0"}


CONFIG = """
[models.rides]
predictions = "rides.parquet"
reference   = "before.parquet"
metric      = "rmse"
window      = { size = "14d", min_rows = 100 }
retrain     = { pipeline = "local", budget = "12 per year" }

[[models.rides.triggers]]
name   = "retraining-pays"
metric = "regret"
above  = 2.0
action = "retrain"

[[models.rides.triggers]]
name   = "error-rises"
metric = "rmse"
rise   = "40%"
action = "retrain"

[pipelines.local]
kind    = "command"
command = ["./retrain.sh"]
"""


def main() -> None:
    logs.configure("text", level=logging.WARNING)
    with tempfile.TemporaryDirectory() as folder:
        rehearsed(Path(folder))
    console = Console(record=True, width=80, file=io.StringIO(), highlight=False)
    with tempfile.TemporaryDirectory() as folder, Story(Path(folder), Show(console)) as story:
        told = story.play()
    picture = console.export_svg(title="make demo", unique_id="demo")
    alone = re.sub(r"@font-face \{.*?\}", "", picture, flags=re.DOTALL)     # no fonts from elsewhere
    (HERE / "demo.svg").write_text(alone, encoding="utf-8")
    (HERE / "error.svg").write_text(chart(told.served, told.policies), encoding="utf-8")


def rehearsed(folder: Path) -> None:
    """Draw what retrains would have given, had the demo's first model stayed in service for two years."""
    rows = world.rentals()
    begin = datetime.min.replace(tzinfo=world.OPENED.tzinfo)
    model = world.fit(world.between(rows, begin, world.FIRST_FIT))
    for name, start, end in (("before", world.FIRST_FIT, world.OPENED), ("rides", world.OPENED, world.CLOSED)):
        world.write(world.predict(model, world.between(rows, start, end), "1"), folder / f"{name}.parquet")
    (folder / "driftd.toml").write_text(CONFIG, encoding="utf-8")
    command = [sys.executable, "-m", "monitor", "backtest", "-c", str(folder / "driftd.toml"), "--rehearse"]
    done = subprocess.run([*command, "--picture", str(HERE / "rehearsal.svg")], stdout=subprocess.DEVNULL)
    if done.returncode not in (0, 3):
        raise SystemExit(done.returncode)


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
