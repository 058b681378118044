"""The JSON Schema of the configuration."""

import click

from monitor.config.schema import text


@click.command()
@click.option("--included", is_flag=True, help="Of the files that a configuration includes.")
def schema(included: bool) -> None:
    """Print the JSON Schema (2020-12) of the configuration, every key with its meaning and default.

    Editors complete and check a file by it whose first line is `#:schema ./driftd.schema.json`.
    """
    click.echo(text(included=included), nl=False)
