"""`driftd try`: from a log to its page in one command; nothing is sent, and nothing stays."""

import logging
import shlex
import signal
import sys
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from monitor.cli.backtest import outcome
from monitor.cli.init import column_options, name_of, tell, write
from monitor.cli.log_look import ROLES
from monitor.cli.options import open_workers, quiet_logs
from monitor.cli.terminal import Report, progress, say
from monitor.config import Loaded, load
from monitor.times import utcnow

if TYPE_CHECKING:
    from monitor.store import Store

# As a backtest plays it: from the first row on, and every request is taken to bring the challenger of its moment.
HEAD = """\
[daemon]
listen = "{listen}"

[defaults]
mode    = "act"
since   = 1970-01-01
retrain = {{ pipeline = "assumed-challenger" }}

[pipelines.assumed-challenger]
kind    = "command"
command = ["true"]

"""


@click.command("try")
@click.argument("data", metavar="LOG")
@click.argument("reference", required=False)
@click.option("--labels", metavar="FILE", help="A separate file of labels, joined on the id of the log.")
@click.option("--keep/--no-keep", default=None, help="Serve the page until Ctrl-C; default: on a terminal.")
@column_options
def try_log(data: str, reference: str | None, labels: str | None, keep: bool | None, **given: Any) -> None:
    """Look at a log of predictions, replay it as the service would have seen it, and serve the page of it meanwhile.

    LOG is a file, a folder or a quoted glob of Parquet, ORC, Feather, CSV or JSON lines. REFERENCE holds the rows that
    windows are compared with; default: the beginning of the log. Nothing is sent. What is written lies in a temporary
    folder, which is removed at the end.
    """
    from monitor.daemon.http_side import usual_address

    quiet_logs()
    for number in (signal.SIGTERM, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_DFL:       # not ignored, as under nohup
            signal.signal(number, signal.default_int_handler)        # as Ctrl-C does: nothing stays
    name, address = name_of(data), usual_address()
    with tempfile.TemporaryDirectory(prefix="driftd-try-") as folder:
        config = Path(folder) / "driftd.toml"
        places = {"predictions": data, "labels": labels, "reference": reference}
        tell(write(config, name, places, given, head=HEAD.format(listen=address)))
        loaded, keep = load(config), sys.stdout.isatty() if keep is None else keep
        say()
        ended = _replay(loaded, name, serve=keep)
        if keep:
            _serve(config, address, ended)
    flags = {"labels": labels} | {ROLES.get(part, part): value for part, value in given.items()}
    words = [data, *([reference] if reference else []), *_as_given(flags)]
    say("", "to keep it:", f"  driftd init {shlex.join(words)}", "  driftd run -c driftd.toml")


def _as_given(flags: dict[str, Any]) -> Iterator[str]:
    """Yield the words of a command line for flags that were given, each with one value or several."""
    for flag, value in flags.items():
        for one in (value if isinstance(value, tuple) else [value] if value else []):
            yield from (f"--{flag}", one)


def _replay(loaded: Loaded, name: str, *, serve: bool) -> datetime:
    """Replay the log into the state, print what came of it, and return the last moment that was played.

    `serve`: its page can be looked at meanwhile.
    """
    from monitor.backtest.replay import backtest
    from monitor.config import state_dir
    from monitor.store import Store

    model = loaded.config.models[name]
    with (
        Store.open(state_dir(loaded.config, loaded.path)) as store, _page(loaded, store, serve=serve) as tell_page,
        open_workers(loaded) as workers, progress(f"replaying {name}") as bar,
    ):
        def report(done: int, total: int) -> None:
            tell_page(done, total)
            bar(done, total)

        result = backtest(loaded, name, workers, report, store=store)
    say(*outcome(result, model.timezone))
    return max(verdict.at for verdict in result.verdicts)


@contextmanager
def _page(loaded: Loaded, store: "Store", *, serve: bool) -> Iterator[Report]:
    """Serve the page while its state fills, if it is to be served; yield what is told how far the replay is."""
    if not serve:
        yield lambda done, total: None
        return
    from monitor.daemon.replay_page import ReplayPage

    with closing(ReplayPage(loaded, store)) as page:
        say(f"it fills while the log is replayed: http://{loaded.config.daemon.listen}/", "")
        yield page.tell


def _serve(config: Path, address: str, ended: datetime) -> None:
    """Serve the page; the clock of a log that has ended stands where the log ends."""
    from monitor.daemon.service import run

    behind = utcnow() - ended
    say("", f"look at it: http://{address}/    (Ctrl-C ends it)")
    logging.disable(logging.WARNING)     # nobody is told of a trial
    run(config, clock=lambda: utcnow() - behind, ends_with_terminal=True)
