"""Commands about the state as a whole: is it sound, copies of it, and putting one back."""

from pathlib import Path

import click

from monitor.cli.options import by_option, config_option, json_option, load_config, open_state, reason_option
from monitor.cli.terminal import print_json, print_table, say
from monitor.config import state_dir
from monitor.errors import StateError
from monitor.store import backups
from monitor.times import utcnow

path_argument = click.argument("path", metavar="PATH", type=click.Path(path_type=Path))


@click.group()
def state() -> None:
    """Check the whole state, back it up while it is in use, restore a backup."""


@state.command("check")
@config_option
@json_option
def state_check(config_file: Path | None, as_json: bool) -> int:
    """Look at every row, page and entry of the state; ends with 5 if anything is wrong."""
    found = backups.examine(_folder(config_file))
    problems = [one for one in found if one.problem]
    if as_json:
        print_json(sound=not problems, parts=found)
    else:
        print_table(("part", "found", "problem"), [(one.what, one.found, one.problem or "none") for one in found])
    return StateError.exit_code if problems else 0


@state.command("backup")
@config_option
@path_argument
@json_option
def state_backup(config_file: Path | None, path: Path, as_json: bool) -> None:
    """Write a copy of the state into the new folder PATH, whole or not at all; the service may run meanwhile."""
    loaded = load_config(config_file)
    with open_state(loaded):                 # a damaged or older state is refused, and an absent one made
        commits = backups.back_up(state_dir(loaded.config, loaded.path), path, utcnow())
    if as_json:
        print_json(path=str(path), commits=commits)
    else:
        say(f"{path}: the state with {commits} commits, verified")


@state.command("restore")
@config_option
@path_argument
@by_option
@json_option
def state_restore(config_file: Path | None, path: Path, by: str, as_json: bool) -> None:
    """Put the backup PATH in place of the state, which is kept beside it; the service must be stopped."""
    folder = _folder(config_file)
    put = backups.restore(folder, path, by, utcnow())
    _tell(f"{folder}: restored from {path}", put, as_json)


@state.command("accept")
@config_option
@by_option
@reason_option
@json_option
def state_accept(config_file: Path | None, by: str, reason: str, as_json: bool) -> None:
    """Go on with a state that is refused, when there is no backup: what it lost stays lost."""
    folder = _folder(config_file)
    put = backups.accept(folder, by, reason, utcnow())
    _tell(f"{folder}: accepted as it is", put, as_json)


def _folder(config_file: Path | None) -> Path:
    loaded = load_config(config_file)
    return state_dir(loaded.config, loaded.path)


def _tell(headline: str, put: backups.Put, as_json: bool) -> None:
    if as_json:
        print_json(kept=str(put.kept) if put.kept else None, commits=put.commits, lost_commits=put.lost_commits,
                   lost_requests=put.lost_requests, unsure_requests=put.unsure)
        return
    say(headline)
    for sentence in backups.said_of(put):
        say(sentence)
