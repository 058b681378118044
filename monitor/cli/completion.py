"""`driftd completion`: what makes a shell complete the commands and options of driftd when TAB is pressed."""

import click
from click.shell_completion import BashComplete, get_completion_class, shell_complete

from monitor.cli.terminal import print_document

ASKED = "_DRIFTD_COMPLETE"      # the shell sets it where it asks what may follow
SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(SHELLS))
def completion(shell: str) -> None:
    """Print the script that completes commands and options in a shell: bash (4.4 or newer), zsh or fish.

    Keep it where the shell looks for such scripts: bash in ~/.local/share/bash-completion/completions/driftd, zsh in a
    file _driftd in a folder of $fpath, fish in ~/.config/fish/completions/driftd.fish.
    """
    print_document(script(click.get_current_context().find_root().command, shell).rstrip("\n"))


def script(command: click.Command, shell: str) -> str:
    """The script for one of these shells, whichever of them are installed."""
    kind = get_completion_class(shell)
    assert kind is not None
    made = kind(command, {}, "driftd", ASKED)
    # click's bash would first ask which bash is installed here; the script is for where it is kept
    return made.source_template % made.source_vars() if isinstance(made, BashComplete) else made.source()


def answer(command: click.Command, asked: str) -> int:
    """Answer a shell that asks what may follow; returns the exit code."""
    return shell_complete(command, {}, "driftd", ASKED, asked)
