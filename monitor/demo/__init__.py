"""`driftd demo`: two years of real data with a real webhook and real retraining; only the clock is simulated."""

import logging
import re
import shutil
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.errors import StateLocked, UsageError
from monitor.expose import logs
from monitor.store.state_folder import Lock
from monitor.times import utcnow

if TYPE_CHECKING:
    from monitor.demo.output import Show

FOLDER = Path(".demo")


def run(keep: bool | None) -> int:
    """Play the demo in ./.demo; on a terminal or with `keep`, then continue as a daemon. Returns the exit code."""
    from monitor.demo.output import Show
    from monitor.demo.story import Story

    logs.configure("text", level=logging.WARNING)
    _require_no_other()
    shutil.rmtree(FOLDER, ignore_errors=True)
    show = Show()
    with Story(FOLDER.resolve(), show) as story:
        story.play()
    if keep if keep is not None else sys.stdout.isatty():
        return _stay(show, story.listen)
    return 0


def _require_no_other() -> None:
    """Raise UsageError if another demo runs in this folder, whose files would be removed under it."""
    if not (FOLDER / "state").is_dir():
        return
    try:
        held = Lock(FOLDER / "state")
    except StateLocked:
        listen = re.search(r'^listen = "(.*)"', (FOLDER / "driftd.toml").read_text(encoding="utf-8"), re.MULTILINE)
        where = f"; once it has played it is seen at http://{listen[1]}" if listen else ""
        raise UsageError(f"a demo runs in {FOLDER.resolve()} already{where}; end that one with Ctrl-C first, or start "
                         "this one in another folder") from None
    held.release()


def _stay(show: "Show", address: str) -> int:
    """Run the daemon with the clock set to the end of the data."""
    from monitor.daemon.service import run as run_daemon
    from monitor.demo.world import CLOSED

    offset = CLOSED - utcnow()
    config = FOLDER / "driftd.toml"
    show.stay(address, str(config))
    return run_daemon(config, clock=lambda: utcnow() + offset, ends_with_terminal=True)
