"""`driftd rollback`, and the approval of promotions: which version is in service."""

from pathlib import Path

import click

from monitor.cli.options import by_option, config_option, load_config, model_option, open_state, reason_option
from monitor.cli.status_and_history import the_model
from monitor.cli.terminal import say
from monitor.config import Loaded
from monitor.times import utcnow

MOVES = "the service does it within a minute, or `driftd check` at once"
promotion_option = click.option("--promotion", is_flag=True, help="Answer about a new version, not about a retrain.")


@click.command()
@config_option
@model_option
@click.option("--to", "version", required=True, metavar="VERSION", help="The version to go back to.")
@by_option
@reason_option
def rollback(config_file: Path | None, model: str | None, version: str, by: str, reason: str) -> None:
    """Move the registry's alias back to an earlier version; without a registry, explain what to do instead."""
    from monitor.promotion.versions import rollback as go_back

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store:
        move = go_back(store, loaded.config.models[name], version, by, reason, utcnow())
    say(f"{name}: the alias will be moved from version {move.from_version} to {version}; {MOVES}")


def approve_promotion(loaded: Loaded, name: str, by: str, reason: str) -> str:
    """Approve the version that awaits approval; return a sentence about what follows."""
    from monitor.promotion.versions import approve_promotion as settle

    with open_state(loaded) as store:
        waiting = store.promotions.waiting(name)
        move = settle(store, loaded.config.models[name], by, reason, utcnow())
    assert waiting is not None
    if move is not None:
        return f"{name}: approved; the alias will be moved to version {move.to_version}; {MOVES}"
    return f"{name}: approved; version {waiting.version} is in service from the next check on"


def reject_promotion(loaded: Loaded, name: str, by: str, reason: str) -> str:
    """Reject the version that awaits approval; return a sentence about what follows."""
    from monitor.promotion.versions import reject_promotion as settle

    with open_state(loaded) as store:
        rejected = settle(store, loaded.config.models[name], by, reason, utcnow())
    back = f"; the alias still names it: `driftd rollback --to {rejected.replaces}`" * (rejected.origin == "registry")
    return f"{name}: version {rejected.version} is rejected{back}"
