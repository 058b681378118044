"""Options that select rows of a model's log, and reading those rows."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

import click

from monitor.check.checker import Checker
from monitor.cli.options import MOMENT, load_config, open_state, open_workers
from monitor.cli.status_and_history import find_window, the_model
from monitor.config import Loaded, ModelSection
from monitor.errors import UsageError
from monitor.gate.trial import Seen, stretch_of
from monitor.private import keeping_quiet
from monitor.store import Store
from monitor.times import utcnow

if TYPE_CHECKING:
    from monitor.gate.matured_rows import Matured

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows asked for: a window, by the date of its start or `newest`, or a stretch of time."""

    window: str | None
    since: datetime | None
    until: datetime | None


def stretch_options(command: F) -> F:
    """Add --window, --since and --until."""
    for option in (
        click.option("--until", type=MOMENT, help="Rows before this time; default: all whose labels have matured."),
        click.option("--since", type=MOMENT, help="Rows from this time on; default: all after the reference."),
        click.option("--window", metavar="W", help="Rows of one window: the date of its start, or `newest`."),
    ):
        command = option(command)
    return command


def read_matured(
    config_file: Path | None, model: str | None, asked: Asked, seen: Seen | None = None
) -> "tuple[ModelSection, Matured]":
    """Read the rows asked for from the log of the model version in service. Raises UsageError, CannotJudge."""
    from monitor.gate.matured_rows import matured

    if asked.window and (asked.since or asked.until):
        raise UsageError("--window selects the rows already, expected no --since and no --until")
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store:
        section = _in_service(loaded, store, name)
        found = find_window(store, name, asked.window, section.timezone).window if asked.window else None
        reference = store.references.current(name)
        stretch = stretch_of(found, asked.since, asked.until, reference.since if reference else None, seen or Seen())
        span = section.reference.first
        beginning = reference.since - span if reference and span else None
        profiles = store.folder / "profiles" if store.folder else None
        with keeping_quiet(section.columns.private):
            return section, matured(section, stretch, utcnow(), beginning, profiles)


def _in_service(loaded: Loaded, store: Store, name: str) -> ModelSection:
    with open_workers(loaded) as workers:
        return Checker(loaded, store, workers).in_service(name)
