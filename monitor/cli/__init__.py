"""The `driftd` command: its subcommands and their exit codes.

A subcommand is imported when it is called, so that `driftd --help` costs almost nothing. It returns its exit code
(0 fine · 1 a fault of driftd · 2 usage or configuration · 3 the answer is yes · 4 could not be judged · 5 the state
is locked or damaged). An exception carries its exit code.
"""

import os
import signal
import sys

# Before anything that takes time; `daemon.signals` takes over. Nothing is open yet that would have to be closed, and an
# exception out of a handler may be lost: an import that is under way may catch it.
if next((word for word in sys.argv[1:] if not word.startswith("-")), "") == "run":
    for number in (signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_IGN)        # the start reads the configuration and checks every model anyway
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: os._exit(0))

import difflib
import errno
import importlib
import traceback
from collections.abc import Sequence
from io import StringIO
from types import TracebackType
from typing import Any

import click

from monitor.errors import DriftdError, UsageError
from monitor.outgoing import guard

COMMANDS = {   # name: where it is, what it does, an example
    "demo": ("monitor.cli.run:demo", "Play two years of a watched model on bundled real data.",
             "driftd demo --keep"),
    "try": ("monitor.cli.try_log:try_log", "Replay a log of your own and look at the page, without a configuration.",
            "driftd try exports/log.csv"),
    "init": ("monitor.cli.init:init", "Look at a prediction log and write a first configuration.",
             "driftd init exports/log.csv"),
    "validate": ("monitor.cli.validate:validate", "Check the configuration and the data it names.",
                 "driftd validate -c driftd.toml --show"),
    "schema": ("monitor.cli.schema:schema", "Print the JSON Schema of the configuration, for editors.",
               "driftd schema"),
    "collect": ("monitor.cli.collect:collect", "Keep the rows of a stream, of Redis or Kafka, in a folder.",
                "driftd collect redis://localhost --topic predictions --folder log/predictions"),
    "run": ("monitor.cli.run:run", "Run the service.",
            "driftd run -c /etc/driftd/driftd.toml"),
    "check": ("monitor.cli.run:check", "Do the checks that are due, send what is due, then stop.",
              "driftd check --model rides"),
    "status": ("monitor.cli.status_and_history:status", "Show the current state of each model.",
               "driftd status -c driftd.toml"),
    "history": ("monitor.cli.status_and_history:history", "Show what was decided for each window, and why.",
                "driftd history --model rides --explain newest"),
    "report": ("monitor.cli.governance:report", "Write the governance report of a model: HTML, Markdown, JSON.",
               "driftd report --model rides --html rides.html"),
    "audit": ("monitor.cli.governance:audit", "Verify the audit, or export an archive of it.",
              "driftd audit verify"),
    "forget": ("monitor.cli.governance:forget", "Remove what the state holds about people.",
               "driftd forget --model rides --id 4711 --reason 'asked to'"),
    "state": ("monitor.cli.state:state", "Check, back up or restore the state.",
              "driftd state check"),
    "compare": ("monitor.cli.compare:compare", "Compare two files without a configuration.",
                "driftd compare january.csv february.csv"),
    "gate": ("monitor.cli.gate:gate", "Judge whether a candidate may replace the champion.",
             "driftd gate --model rides --candidate candidate.csv"),
    "window": ("monitor.cli.window_export:window", "Export rows of windows with the model's predictions.",
               "driftd window export --model rides -o rows.parquet"),
    "backtest": ("monitor.cli.backtest:backtest", "Replay the log: what would have fired, when and why.",
                 "driftd backtest --model rides --rehearse"),
    "retrain": ("monitor.cli.actions:retrain", "Ask for a retrain by hand.",
                "driftd retrain --model rides --reason 'new prices'"),
    "retry": ("monitor.cli.actions:retry", "Send a request again.",
              "driftd retry driftd-4f0c…-1 --reason 'CI is back'"),
    "resolve": ("monitor.cli.actions:resolve", "Record what became of a request with an unknown outcome.",
                "driftd resolve driftd-4f0c…-1 succeeded --reason 'seen in CI'"),
    "pause": ("monitor.cli.actions:pause", "Ask for no retrain of a model until it is resumed.",
              "driftd pause --model rides --reason 'new sensor'"),
    "resume": ("monitor.cli.actions:resume", "End a pause.",
               "driftd resume --model rides --reason 'sensor is in'"),
    "approve": ("monitor.cli.actions:approve", "Approve the retrain or the version that awaits approval.",
                "driftd approve --model rides --reason 'looks right'"),
    "reject": ("monitor.cli.actions:reject", "Reject the retrain or the version that awaits approval.",
               "driftd reject --model rides --reason 'holidays'"),
    "rollback": ("monitor.cli.rollback:rollback", "Move the registry's alias back to an earlier version.",
                 "driftd rollback --model rides --to 7 --reason 'fits again'"),
    "silence": ("monitor.cli.actions:silence", "Send no messages about a model for a while.",
                "driftd silence --model rides --for 2h --reason 'deploying'"),
    "notify": ("monitor.cli.actions:notify", "Test the addresses that messages are sent to.",
               "driftd notify test"),
    "completion": ("monitor.cli.completion:completion", "Print what makes a shell complete commands and options.",
                   "driftd completion bash"),
}
INTERRUPTED, BROKEN_PIPE = 130, 141   # as a shell reports SIGINT and SIGPIPE


class Commands(click.Group):
    """A group whose commands are named in COMMANDS and imported when called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        if name not in COMMANDS:
            return None
        module, attribute = COMMANDS[name][0].split(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        command.epilog = f"Example: {COMMANDS[name][2]}"
        return command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        if args and args[0] not in COMMANDS and (near := difflib.get_close_matches(args[0], COMMANDS, 1)):
            ctx.fail(f"no command {args[0]!r}; did you mean {near[0]!r}?")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl([(name, text) for name, (_, text, _) in COMMANDS.items()])


def _print_version(ctx: click.Context, param: click.Parameter, asked: bool) -> None:
    if asked:
        from monitor.cli.version import version

        click.echo(f"driftd, version {version()}")
        ctx.exit()


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.option("--version", is_flag=True, is_eager=True, expose_value=False, callback=_print_version,
              help="Show the version, in a checkout with its commit.")
@click.option("--debug", is_flag=True, help="Print the traceback of an unexpected error (or DRIFTD_DEBUG=1).")
@click.pass_context
def driftd(ctx: click.Context, debug: bool) -> None:
    """Watch deployed models, and ask for a retrain when it pays.

    Exit codes: 0 fine, 1 a fault of driftd, 2 usage or configuration, 3 the answer is yes (drifted, fired),
    4 could not be judged, 5 the state is locked or damaged.
    """
    if debug:
        os.environ["DRIFTD_DEBUG"] = "1"


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code; an error that a user can cause is one sentence on stderr."""
    sys.excepthook = _fault
    guard.watch()
    for stream in (sys.stdout, sys.stderr):
        if reconfigure := getattr(stream, "reconfigure", None):
            reconfigure(errors="replace")   # a terminal that cannot show a character shows ?
    given = list(sys.argv[1:] if arguments is None else arguments)
    if asked := os.environ.get("_DRIFTD_COMPLETE"):
        from monitor.cli.completion import answer

        return answer(driftd, asked)
    if arguments is None and (ended := _in_child(given)) is not None:
        return ended
    try:
        code = _invoke(given)
        sys.stdout.flush()
    except click.ClickException as error:
        _complain(*_usage(error), f"Error: {error.format_message()}")
        return error.exit_code
    except DriftdError as error:
        _complain(*str(error).split("\n"))
        return error.exit_code
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())   # for the interpreter's last flush
        return BROKEN_PIPE
    except KeyboardInterrupt:
        return INTERRUPTED
    except MemoryError:
        from monitor.cli.limits import UNJUDGED, out_of_memory

        _complain(out_of_memory(given[0]))
        return UNJUDGED
    except OSError as error:
        if error.errno == errno.ENAMETOOLONG:
            _complain(f"{error.filename}: no file can have so long a name, expected the path of a file")
        elif _is_nowhere():
            _complain("the folder that driftd was started in is gone, expected one that is there; start it in another")
        else:
            raise
        return UsageError.exit_code
    return code if isinstance(code, int) else 0


def _is_nowhere() -> bool:
    try:
        os.getcwd()
    except FileNotFoundError:
        return True
    return False


def _in_child(arguments: list[str]) -> int | None:
    from monitor.cli.limits import run_in_child

    return run_in_child(arguments)


def _invoke(arguments: list[str]) -> Any:
    """Do what `driftd.main()` does, without its own handling of Ctrl-C and broken pipes."""
    try:
        with driftd.make_context("driftd", arguments) as context:
            return driftd.invoke(context)
    except click.exceptions.Exit as leave:
        return leave.exit_code


def _fault(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
    """Print an exception that nobody caught; the interpreter calls this and then exits with 1."""
    if os.environ.get("DRIFTD_DEBUG") == "1":
        _complain(*"".join(traceback.format_exception(kind, error, trace)).rstrip().split("\n"))
    text = f"a fault of ours: {kind.__name__}: {error}; --debug (or DRIFTD_DEBUG=1) prints the traceback"
    _complain(text)


def _usage(error: click.ClickException) -> list[str]:
    """How the command is used: what click prints before the error, which holds nothing from outside."""
    shown = StringIO()
    error.show(shown)
    return shown.getvalue().partition("Error: ")[0].splitlines()


def _complain(*lines: str) -> None:
    from monitor.cli.terminal import say

    say(*lines, err=True)
