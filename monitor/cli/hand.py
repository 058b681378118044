"""A person's hand on it, with a name and a reason, audited; and trying the places people are told at."""

from pathlib import Path

import click

from monitor.cli.common import (
    by_option,
    chosen,
    config_option,
    load_config,
    open_state,
    reason_option,
)
from monitor.errors import UsageError
from monitor.times import utcnow

id_argument = click.argument("dispatch_id", metavar="ID")
model_argument = click.argument("model")


@click.command()
@config_option
@model_argument
@by_option
@reason_option
def pause(config_file: Path | None, model: str, by: str, reason: str) -> None:
    """Ask for no retrain of MODEL until it is resumed; checks and alerts go on."""
    loaded = load_config(config_file)
    [name] = chosen(loaded, model)
    with open_state(loaded) as store:
        store.pause(name, by, reason, utcnow())
    click.echo(f"{name}: paused, no retrain is asked for until `driftd resume {name}`")


@click.command()
@config_option
@model_argument
@by_option
@click.option("--reason", default="", help="Why; kept in the audit.")
def resume(config_file: Path | None, model: str, by: str, reason: str) -> None:
    """End the pause of MODEL."""
    loaded = load_config(config_file)
    [name] = chosen(loaded, model)
    with open_state(loaded) as store:
        if not store.resume(name, by, reason, utcnow()):
            raise UsageError(f"{name} is not paused")
    click.echo(f"{name}: resumed")
