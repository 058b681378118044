"""`driftd window export`: write rows of windows with the champion's predictions and matured labels to a file."""

from datetime import datetime
from pathlib import Path

import click

from monitor.cli.log_rows import Asked, read_matured, stretch_options
from monitor.cli.options import config_option, json_option, model_option, quiet_logs
from monitor.cli.terminal import print_json, say
from monitor.config import ModelSection
from monitor.escape import names


@click.group()
def window() -> None:
    """Export rows of windows with the model's predictions."""


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


def _private(model: ModelSection) -> tuple[str, ...]:
    """Return the columns that are exported only with --private."""
    return model.columns.private
