"""`driftd demo`: two years of real data with a real webhook and real retraining; only the clock is simulated."""

import logging
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.expose import logs
from monitor.times import utcnow

if TYPE_CHECKING:
    from monitor.demo.output import Show

FOLDER = Path(".demo")


def run(keep: bool | None) -> int:
    """Play the demo in ./.demo; on a terminal or with `keep`, then continue as a daemon. Returns the exit code."""
    from monitor.demo.output import Show
    from monitor.demo.story import Story

    logs.configure("text", level=logging.WARNING)
    shutil.rmtree(FOLDER, ignore_errors=True)
    show = Show()
    with Story(FOLDER.resolve(), show) as story:
        story.play()
    if keep if keep is not None else sys.stdout.isatty():
        return _stay(show, story.listen)
    return 0


def _stay(show: "Show", address: str) -> int:
    """Run the daemon with the clock set to the end of the data."""
    from monitor.daemon.service import run as run_daemon
    from monitor.demo.world import CLOSED

    offset = CLOSED - utcnow()
    config = FOLDER / "driftd.toml"
    show.stay(address, str(config))
    return run_daemon(config, clock=lambda: utcnow() + offset, ends_with_terminal=True)
