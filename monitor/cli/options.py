"""What most commands share: options, the configuration, the state, the models asked for, quiet logs."""

import difflib
import getpass
import logging
import os
import warnings
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import click

from monitor.cli.limits import set_limits
from monitor.cli.terminal import say
from monitor.config import Loaded, find_config, load, state_dir
from monitor.errors import ConfigError, UsageError
from monitor.escape import NAME, SENTENCE
from monitor.outgoing import guard
from monitor.sources import copies
from monitor.store import Store
from monitor.times import parse_duration, parse_moment
from monitor.workers.pool import Workers

Command = Callable[..., None]
Option = Callable[[Command], Command]



class Words(click.ParamType[str]):
    """What a person types for the audit: kept as it is, so it must be text that can be kept, and not a file."""

    name = "TEXT"

    def __init__(self, longest: int) -> None:
        self.longest = longest

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> str:
        text = str(value)
        if len(text) > self.longest:
            self.fail(f"it has {len(text)} characters, expected at most {self.longest}")
        if any("\ud800" <= sign <= "\udfff" for sign in text):
            self.fail("it is not valid Unicode, expected UTF-8")
        return text


BY, REASON = Words(NAME), Words(SENTENCE)
config_option = click.option(
    "-c", "--config", "config_file", metavar="FILE", type=click.Path(path_type=Path),
    help="The configuration; default $DRIFTD_CONFIG, then /etc/driftd/driftd.toml.",
)
json_option = click.option("--json", "as_json", is_flag=True, help="Print one JSON document.")
model_option = click.option("--model", "-m", metavar="M", help="Name of the model; default: all, or the only one.")


def login_name() -> str:
    """The name of who is logged in; the number where the system has no name for it, as in many containers."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return str(os.getuid())


by_option = click.option("--by", type=BY, default=login_name, show_default="the login name",
                         help="Name for the audit.")
reason_option = click.option("--reason", type=REASON, required=True, help="The reason, for the audit.")


def person_options(*more: Option) -> Option:
    """The options of what a person does to one model: which, `more`, who and why."""
    options: list[Option] = [config_option, model_option, *more, by_option, reason_option]

    def add(command: Command) -> Command:
        for option in reversed(options):
            command = option(command)
        return command

    return add


class Moment(click.ParamType[datetime]):
    """ISO 8601; without an offset it is UTC."""

    name = "TIME"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> datetime:
        try:
            return value if isinstance(value, datetime) else parse_moment(value)
        except ValueError:
            self.fail(f"{value!r} is not a time, expected ISO 8601 such as 2013-05-01 or 2013-05-01T06:00Z")


def load_config(option: Path | None, *, whole: bool = False, stand_in: float | None = None) -> Loaded:
    """Read the configuration, print its warnings. Raises ConfigError; with `whole` also for data that are absent."""
    loaded = load(find_config(option), stand_in=stand_in, data=whole)
    guard.allow_inner(loaded.config.daemon.allow_inner)
    copies.keep_in(state_dir(loaded.config, loaded.path))
    daemon = loaded.config.daemon
    set_limits(daemon.worker_memory_mb, daemon.worker_timeout * max(1, len(loaded.config.models)))
    if whole and loaded.absent:
        raise ConfigError(list(loaded.absent))
    for warning in loaded.warnings:
        say(f"warning: {warning}", err=True)
    return loaded


def open_state(loaded: Loaded, *, exclusive: bool = False) -> Store:
    """Open the state; `exclusive` if checks or requests are made. Raises StateError, StateLocked."""
    return Store.open(state_dir(loaded.config, loaded.path), exclusive=exclusive)


def open_workers(loaded: Loaded) -> Workers:
    """Open the processes that read and measure, with the limits that the service has."""
    daemon = loaded.config.daemon
    # A command is too short for its children to need replacing; a new one would import and fit everything again.
    return Workers(daemon.workers, daemon.worker_memory_mb, daemon.worker_timeout, tasks_per_child=100_000)


def chosen(loaded: Loaded, model: str | None) -> list[str]:
    """Return the names of the models asked for: the given one, or all. Raises UsageError."""
    if model is None:
        return list(loaded.config.models)
    return [known(model, loaded.config.models, "model")]


def known(name: str, names: Iterable[str], what: str) -> str:
    """Return `name` if it is one of `names`; else raise UsageError with the nearest name, or with all."""
    names = list(names)
    if name in names:
        return name
    near = difflib.get_close_matches(name, names, 1)
    hint = f"did you mean {near[0]!r}?" if near else f"there are: {', '.join(names) or 'none'}"
    raise UsageError(f"no {what} {name!r}; {hint}")


def quiet_logs() -> None:
    """Log only warnings, to stderr, so that stdout holds nothing but a command's answer."""
    from monitor.expose import logs

    logs.configure("text", level=logging.WARNING)
    warnings.simplefilter("ignore")      # libraries warn about their own internals


class Span(click.ParamType[timedelta]):
    """A duration, more than none."""

    name = "DURATION"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        try:
            span = value if isinstance(value, timedelta) else parse_duration(value)
        except ValueError as error:
            self.fail(str(error))
        return span if span else self.fail(f"{value!r} is no time at all, expected a duration such as 2h")


MOMENT = Moment()
SPAN = Span()
