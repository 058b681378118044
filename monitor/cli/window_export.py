"""`driftd window`: writes rows of windows with the champion's predictions and matured labels; Evidently's report."""

from datetime import datetime
from pathlib import Path

import click

from monitor.check.checker import Checker
from monitor.cli.log_rows import Asked, read_matured, stretch_options
from monitor.cli.options import (
    config_option,
    json_option,
    load_config,
    model_option,
    open_state,
    open_workers,
    quiet_logs,
)
from monitor.cli.status_and_history import find_window, the_model
from monitor.cli.terminal import print_json, say, write_private
from monitor.config import ModelSection
from monitor.escape import names
from monitor.wording import stretch


@click.group()
def window() -> None:
    """Write rows of windows with the model's predictions, or Evidently's report of a window."""


@window.command()
@config_option
@model_option
@stretch_options
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path), metavar="FILE",
              help="The file: Parquet, CSV or JSON lines, by its ending; it is replaced if it exists.")
@click.option("--private", is_flag=True, help="Also write the columns that are configured as private.")
@json_option
def export(
    config_file: Path | None, model: str | None, window: str | None, since: datetime | None, until: datetime | None,
    output: Path, private: bool, as_json: bool,
) -> None:
    """Write rows of the log whose labels have matured, with the predictions of the model in service.

    Every row has an id, on which `driftd gate` joins a candidate's predictions. Only its owner can read the file.
    """
    from monitor.gate.matured_rows import write_rows

    quiet_logs()
    section, found = read_matured(config_file, model, Asked(window, since, until))
    left_out = () if private else _private(section)
    formulas = write_rows(found.rows, output, left_out)
    first, last = (found.rows[found.roles.timestamp][place].as_py() for place in (0, -1))
    if as_json:
        print_json(model=section.name, file=str(output), rows=len(found.rows), first=first, last=last,
                   left_out=list(left_out), formulas=formulas)
        return
    say(f"{output}: {len(found.rows)} rows of {section.name}, from {first:%Y-%m-%d} to {last:%Y-%m-%d}, "
               f"named by {found.roles.id}")
    if formulas:
        say(f"{formulas} texts that a spreadsheet would work out begin with an apostrophe now; Parquet and JSON lines "
            "hold them as they are")
    if left_out:
        say(f"left out as private: {names(left_out)}")


@window.command()
@config_option
@model_option
@click.option("--window", "at", metavar="W", default="newest", show_default=True,
              help="The window: the date of its start, or `newest`.")
@click.option("--output", "-o", required=True, type=click.Path(path_type=Path, dir_okay=False), metavar="FILE",
              help="The file, HTML; it is replaced if it exists.")
def evidently(config_file: Path | None, model: str | None, at: str, output: Path) -> None:
    """Write Evidently's own report of a window beside the reference, as one HTML file that opens offline.

    Private columns are left out. At most 10,000 rows of each side are drawn. Only its owner can read the file.
    """
    quiet_logs()
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    zone = loaded.config.models[name].timezone
    with open_state(loaded) as store, open_workers(loaded) as workers:
        found = find_window(store, name, at, zone).window
        text = Checker(loaded, store, workers).evidently_page(found)
    write_private(output, text)
    say(f"{output}: Evidently's report of {name}, {stretch(found, zone)}")


def _private(model: ModelSection) -> tuple[str, ...]:
    """Return the columns that are exported only with --private."""
    return model.columns.private
