"""The JSON Schema of the configuration."""

import click

from monitor.cli.terminal import print_document
from monitor.config.schema import text


@click.command()
@click.option("--included", is_flag=True, help="Print the schema of included files instead.")
def schema(included: bool) -> None:
    """Print the JSON Schema (2020-12) of the configuration, every key with its meaning and default.

    Editors use it for a file whose first line is `#:schema ./driftd.schema.json`: they complete keys and mark errors.
    """
    print_document(text(included=included).rstrip("\n"))
