"""Every error in the file; the effective values; whether what it names can be reached."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import click

from monitor.cli.common import config_option, load_config, quiet_logs
from monitor.cli.show import moment, print_table
from monitor.config import Loaded, ModelSection, Roles, missing_secrets, settings
from monitor.errors import CannotJudge, ConfigError, DriftdError
from monitor.records import from_json, to_json
from monitor.times import format_duration, utcnow


@dataclass(frozen=True, slots=True, kw_only=True)
class Looked:
    """What a look at one model's data told."""

    roles: Roles
    task: str | None
    metric: str | None
    reference_rows: int
    rows: int
    first: datetime | None
    newest: datetime | None
    guesses: dict[str, str]


@click.command()
@config_option
@click.option("--show", is_flag=True, help="Every setting with its value and where that comes from.")
@click.option("--online", is_flag=True, help="Also whether pipelines can be reached and secrets can be read.")
def validate(config_file: Path | None, show: bool, online: bool) -> int:
    """Check the configuration, and look at the data it names.

    Prints every problem at once and ends with 2; with 4 where only the data are not there yet.
    """
    quiet_logs()
    loaded = load_config(config_file)
    looked, errors = _look_all(loaded)
    problems = [*_problems(errors), *(missing_secrets(loaded) if online else []), *(_pipelines(loaded) if online else [])]
    for text in problems:
        click.echo(text, err=True)
    if show:
        roles = {name: look.roles for name, look in looked.items()}
        print_table(("setting", "value", "from"), [(s.key, str(s.value), s.origin) for s in settings(loaded, roles)])
    for name, look in looked.items():
        _confirm(loaded.config.models[name], look)
    if not online:
        _unread(loaded)
    if not problems:
        click.echo(f"{loaded.path}: fine, configuration {loaded.hash[:12]}")
    if [error for error in errors.values() if not isinstance(error, CannotJudge)] or len(problems) > len(errors):
        return ConfigError.exit_code
    return CannotJudge.exit_code if errors else 0
