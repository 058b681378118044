"""A person's hand on it, with a name and a reason, audited; and trying the places people are told at."""

from datetime import timedelta
from pathlib import Path
from typing import Literal, get_args

import click

from monitor.cli.options import (
    SPAN,
    by_option,
    config_option,
    known,
    load_config,
    model_option,
    open_state,
    open_workers,
    quiet_logs,
    reason_option,
)
from monitor.cli.rollback import approve_promotion, promotion_option, reject_promotion
from monitor.cli.status_and_history import the_model
from monitor.decide.guards import silence_words
from monitor.decide.recovery import NO_RECOVERY
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN
from monitor.errors import UsageError
from monitor.records import Dispatch, Silence
from monitor.store import Store
from monitor.times import utcnow

SENDS = "the service sends it within a minute, or `driftd check` at once"
Outcome = Literal["sent", "not-sent", "succeeded", "failed"]
OUTCOMES = get_args(Outcome)
dispatch_argument = click.argument("dispatch", metavar="ID")


@click.command()
@config_option
@model_option
@by_option
@reason_option
def pause(config_file: Path | None, model: str | None, by: str, reason: str) -> None:
    """Ask for no retrain of a model until it is resumed; checks and alerts go on."""
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store:
        store.pauses.begin(name, by, reason, utcnow())
    click.echo(f"{name}: paused; no retrain is asked for until `driftd resume --model {name}`")


@click.command()
@config_option
@model_option
@by_option
@reason_option
def resume(config_file: Path | None, model: str | None, by: str, reason: str) -> None:
    """End the pause of a model."""
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store:
        if not store.pauses.end(name, by, reason, utcnow()):
            raise UsageError(f"{name} is not paused")
    click.echo(f"{name}: resumed")


@click.command()
@config_option
@model_option
@by_option
@reason_option
def retrain(config_file: Path | None, model: str | None, by: str, reason: str) -> None:
    """Ask for a retrain by hand, with the newest window as evidence; no guard speaks against a person."""
    from monitor.check.checker import Checker

    quiet_logs()
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store, open_workers(loaded) as workers, store.transaction():
        written = Checker(loaded, store, workers).request(name, by, reason)
        store.audit.note(utcnow(), by, "retrain", written.id, reason)
    if isinstance(written, Dispatch):
        click.echo(f"{name}: request {written.id} for {written.pipeline} is written; {SENDS}")
    else:
        click.echo(f"{name}: it is asked for once somebody else says `driftd approve --model {name}`")


@click.command()
@config_option
@model_option
@promotion_option
@by_option
@reason_option
def approve(config_file: Path | None, model: str | None, promotion: bool, by: str, reason: str) -> None:
    """Ask for the retrain that awaits approval; who asked for it by hand cannot approve it."""
    from monitor.retrain.approval import approve as settle

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    if promotion:
        click.echo(approve_promotion(loaded, name, by, reason))
        return
    with open_state(loaded) as store:
        written = settle(store, loaded.config.models[name], by, reason, utcnow())
    click.echo(f"{name}: approved; request {written.id} for {written.pipeline} is written; {SENDS}")


@click.command()
@config_option
@model_option
@promotion_option
@by_option
@reason_option
def reject(config_file: Path | None, model: str | None, promotion: bool, by: str, reason: str) -> None:
    """Turn down the retrain that awaits approval; its need is silent until it has cleared."""
    from monitor.retrain.approval import reject as settle

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    if promotion:
        click.echo(reject_promotion(loaded, name, by, reason))
        return
    with open_state(loaded) as store:
        settle(store, loaded.config.models[name], by, reason, utcnow())
    click.echo(f"{name}: rejected; silent until the need has cleared")


@click.command()
@config_option
@model_option
@click.option("--trigger", "-t", metavar="T", help="Only messages about this trigger.")
@click.option("--for", "span", type=SPAN, metavar="2h", help="For how long.")
@click.option("--maintenance", is_flag=True, help="Ask for no retrain meanwhile either.")
@click.option("--end", is_flag=True, help="End what was silenced by hand.")
@by_option
@reason_option
def silence(
    config_file: Path | None, model: str | None, trigger: str | None, span: timedelta | None, maintenance: bool,
    end: bool, by: str, reason: str,
) -> None:
    """Tell people nothing about a model for a while; what there is to say is told afterwards."""
    loaded = load_config(config_file)
    name, now = the_model(loaded, model), utcnow()
    if end == (span is not None) or (trigger is not None and maintenance):
        raise UsageError("expected --for 2h, or --end; and --trigger or --maintenance, not both")
    if trigger is not None:
        configured = (trigger.name for trigger in loaded.config.models[name].triggers)
        known(trigger, (BROKEN_DATA, SOURCE, SOURCE_DOWN, NO_RECOVERY, "registry", *configured), "trigger")
    with open_state(loaded) as store:
        if span is None:
            if not store.silences.end(name, by, reason, now):
                raise UsageError(f"{name} is not silenced by hand")
            click.echo(f"{name}: people are told again")
            return
        one = Silence(model=name, until=now + span, reason=reason, trigger=trigger, maintenance=maintenance, by=by)
        store.silences.add(one, now)
    click.echo(f"{name}: {silence_words(one, loaded.config.models[name].timezone)}")


@click.command()
@config_option
@dispatch_argument
@click.option("--new-attempt", is_flag=True, help="After its end: once more, under a new id.")
@by_option
@reason_option
def retry(config_file: Path | None, dispatch: str, new_attempt: bool, by: str, reason: str) -> None:
    """Send the request ID again, now, under the same id; refused where a second run could start."""
    from monitor.retrain.requests_by_hand import retry as again

    with open_state(load_config(config_file)) as store:
        written = again(store, dispatch, new_attempt=new_attempt, by=by, reason=reason, now=utcnow())
    click.echo(f"{written.model}: request {written.id} is due; {SENDS}")


@click.command()
@config_option
@dispatch_argument
@click.argument("outcome", type=click.Choice(OUTCOMES))
@by_option
@reason_option
def resolve(config_file: Path | None, dispatch: str, outcome: Outcome, by: str, reason: str) -> None:
    """Say what became of the request ID, when nobody but a person can know.

    sent: it was accepted; not-sent: it never arrived, so send it; succeeded, failed: how its run ended.
    """
    from monitor.retrain.requests_by_hand import resolve as settle

    with open_state(load_config(config_file)) as store:
        written = settle(store, dispatch, outcome, by=by, reason=reason, now=utcnow())
    click.echo(f"{written.model}: request {written.id} is {written.state}")


@click.group()
def notify() -> None:
    """Try the places that people are told at."""


@notify.command("test")
@config_option
def notify_test(config_file: Path | None) -> int:
    """Send one message to every address in [notify] urls and say how each took it."""
    from monitor.notify.notifier import Notifier

    quiet_logs()
    loaded = load_config(config_file)
    if not loaded.config.notify.urls:
        raise UsageError(f"{loaded.path}: [notify] urls is empty, there is nobody to tell")
    with Store.memory() as store:
        people = Notifier(store.messages, loaded.config.notify, utcnow)
        results = people.test("driftd: a test", "This message is a test.")
    for result in results:
        click.echo(f"{result.place}: {'ok' if result.ok else result.reason}")
    return 0 if all(result.ok for result in results) else 1
