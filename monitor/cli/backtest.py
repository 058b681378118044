"""The log through the same code as the service: what would have fired, when and why."""

from datetime import tzinfo
from pathlib import Path
from typing import TYPE_CHECKING

import click

from monitor.cli.common import config_option, json_option, load_config, model_option, open_workers, quiet_logs
from monitor.cli.look import the_model
from monitor.cli.show import print_json, print_table, progress, span
from monitor.errors import NotInThisVersion
from monitor.records import Action, Verdict, Window

if TYPE_CHECKING:
    from monitor.backtest import Backtest

YES = 3
_WEIGHT = (Action.HOLD, Action.ALERT, Action.SUPPRESS, Action.RETRAIN)


@click.command()
@config_option
@model_option
@json_option
@click.option("--rehearse", is_flag=True, hidden=True)
@click.option("--suggest", is_flag=True, hidden=True)
def backtest(
    config_file: Path | None, model: str | None, as_json: bool, rehearse: bool, suggest: bool
) -> int:
    """Run the log through the configuration: what would have fired, when and why.

    Nothing is recorded or sent. Labels count from when they were known. A retrain that would have been asked
    for changes nothing but cooldown and budget. Ends with 3 when there is one.
    """
    for name, given in (("--rehearse", rehearse), ("--suggest", suggest)):
        if given:
            raise NotInThisVersion(f"driftd backtest {name}: not in this version")
    from monitor.backtest import backtest as play

    quiet_logs()
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_workers(loaded) as workers, progress(f"backtest of {name}") as report:
        result = play(loaded, name, workers, report)
    if as_json:
        print_json(**result.to_json())
    else:
        _print(result, loaded.config.models[name].timezone)
    return YES if any(not one.suppressed_by for one in result.retrains) else 0


def weightiest(result: "Backtest") -> dict[Window, Verdict]:
    """Of each window's revisions the verdict that says most, the newest of those, in the windows' order."""
    chosen: dict[Window, Verdict] = {}
    for verdict in result.verdicts:
        before = chosen.get(verdict.window)
        if before is None or _WEIGHT.index(verdict.action) >= _WEIGHT.index(before.action):
            chosen[verdict.window] = verdict
    return dict(sorted(chosen.items(), key=lambda pair: (pair[0].start, pair[0].start_id)))


def _print(result: "Backtest", zone: tzinfo) -> None:
    verdicts = weightiest(result)
    rows = [
        (span(window, zone), verdict.action, ", ".join(verdict.fired), ", ".join(verdict.guards))
        for window, verdict in verdicts.items()
    ]
    print_table(("window", "verdict", "fired", "suppressed by"), rows)
    asked = [one for one in result.retrains if not one.suppressed_by]
    fired = sum(bool(verdict.fired) for verdict in verdicts.values())
    times = "once" if len(asked) == 1 else f"{len(asked)} times" if asked else "never"
    click.echo(f"\n{len(verdicts)} windows: something fired in {fired}, a retrain was asked for {times}, "
               f"suppressed {len(result.retrains) - len(asked)} times")
