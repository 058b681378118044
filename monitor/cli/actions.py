"""Commands with which a person intervenes, each audited with a name and a reason; and the test of notifications."""

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
    person_options,
    quiet_logs,
    reason_option,
)
from monitor.cli.rollback import approve_promotion, promotion_option, reject_promotion
from monitor.cli.status_and_history import the_model
from monitor.cli.terminal import say
from monitor.decide.guards import silence_words
from monitor.decide.recovery import NO_RECOVERY
from monitor.decide.triggers import BROKEN_DATA, REFERENCE_GONE, SHADOW, SOURCE, SOURCE_DOWN
from monitor.errors import UsageError
from monitor.records import Dispatch, Silence
from monitor.store import Store
from monitor.times import utcnow

SENDS = "the service sends it within a minute, or `driftd check` at once"
Outcome = Literal["sent", "not-sent", "succeeded", "failed"]
OUTCOMES = get_args(Outcome)
dispatch_argument = click.argument("dispatch", metavar="ID")


@click.command()
@person_options()
def pause(config_file: Path | None, model: str | None, by: str, reason: str) -> None:
    """Ask for no retrain of a model until it is resumed; checks and alerts go on."""
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store:
        store.pauses.begin(name, by, reason, utcnow())
    say(f"{name}: paused; no retrain is asked for until `driftd resume --model {name}`")


@click.command()
@person_options()
def resume(config_file: Path | None, model: str | None, by: str, reason: str) -> None:
    """End the pause of a model."""
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store:
        if not store.pauses.end(name, by, reason, utcnow()):
            raise UsageError(f"{name} is not paused")
    say(f"{name}: resumed")


@click.command()
@person_options()
def retrain(config_file: Path | None, model: str | None, by: str, reason: str) -> None:
    """Ask for a retrain by hand, with the newest window as evidence; guards do not hold it back."""
    from monitor.check.checker import Checker

    quiet_logs()
    loaded = load_config(config_file)
    name = the_model(loaded, model)
    with open_state(loaded) as store, open_workers(loaded) as workers, store.transaction():
        written = Checker(loaded, store, workers).request(name, by, reason)
        store.audit.note(utcnow(), by, "retrain", written.id, reason)
    if isinstance(written, Dispatch):
        say(f"{name}: request {written.id} for {written.pipeline} is written; {SENDS}")
    else:
        say(f"{name}: the request waits until another person runs `driftd approve --model {name}`")


@click.command()
@person_options(promotion_option)
def approve(config_file: Path | None, model: str | None, promotion: bool, by: str, reason: str) -> None:
    """Approve the retrain that awaits approval; the person who asked for it by hand cannot approve it."""
    from monitor.retrain.approval import approve as settle

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    if promotion:
        say(approve_promotion(loaded, name, by, reason))
        return
    with open_state(loaded) as store:
        written = settle(store, loaded.config.models[name], by, reason, utcnow(), loaded.config.daemon.url)
    say(f"{name}: approved; request {written.id} for {written.pipeline} is written; {SENDS}")


@click.command()
@person_options(promotion_option)
def reject(config_file: Path | None, model: str | None, promotion: bool, by: str, reason: str) -> None:
    """Reject the retrain that awaits approval; its need asks for nothing more until it has cleared."""
    from monitor.retrain.approval import reject as settle

    loaded = load_config(config_file)
    name = the_model(loaded, model)
    if promotion:
        say(reject_promotion(loaded, name, by, reason))
        return
    with open_state(loaded) as store:
        settle(store, loaded.config.models[name], by, reason, utcnow())
    say(f"{name}: rejected; this need asks for nothing more until it has cleared")


@click.command()
@config_option
@model_option
@click.option("--trigger", "-t", metavar="T", help="Only messages about this trigger.")
@click.option("--for", "span", type=SPAN, metavar="2h", help="How long the silence lasts.")
@click.option("--maintenance", is_flag=True, help="Hold back retrain requests too.")
@click.option("--end", is_flag=True, help="End the silences that were set by hand.")
@by_option
@reason_option
def silence(
    config_file: Path | None, model: str | None, trigger: str | None, span: timedelta | None, maintenance: bool,
    end: bool, by: str, reason: str,
) -> None:
    """Send no messages about a model for a while; they are kept and sent afterwards."""
    loaded = load_config(config_file)
    name, now = the_model(loaded, model), utcnow()
    if end == (span is not None) or (trigger is not None and maintenance):
        raise UsageError("expected --for 2h, or --end; and --trigger or --maintenance, not both")
    if trigger is not None:
        configured = (trigger.name for trigger in loaded.config.models[name].triggers)
        built_in = (BROKEN_DATA, SOURCE, SOURCE_DOWN, REFERENCE_GONE, NO_RECOVERY, "registry", SHADOW)
        known(trigger, (*built_in, *configured), "trigger")
    with open_state(loaded) as store:
        if span is None:
            if not store.silences.end(name, by, reason, now):
                raise UsageError(f"{name} is not silenced by hand")
            say(f"{name}: messages are sent again")
            return
        one = Silence(model=name, until=now + span, reason=reason, trigger=trigger, maintenance=maintenance, by=by)
        store.silences.add(one, now)
    say(f"{name}: {silence_words(one, loaded.config.models[name].timezone)}")


@click.command()
@config_option
@dispatch_argument
@click.option("--new-attempt", is_flag=True, help="Repeat a request that has ended, under a new id.")
@by_option
@reason_option
def retry(config_file: Path | None, dispatch: str, new_attempt: bool, by: str, reason: str) -> None:
    """Send the request ID again at once, under the same id; refused if a second run could start."""
    from monitor.retrain.requests_by_hand import retry as again

    with open_state(load_config(config_file)) as store:
        written = again(store, dispatch, new_attempt=new_attempt, by=by, reason=reason, now=utcnow())
    say(f"{written.model}: request {written.id} is due; {SENDS}")


@click.command()
@config_option
@dispatch_argument
@click.argument("outcome", type=click.Choice(OUTCOMES))
@by_option
@reason_option
def resolve(config_file: Path | None, dispatch: str, outcome: Outcome, by: str, reason: str) -> None:
    """Record what became of the request ID, when only a person can find out.

    sent: it was accepted; not-sent: it never arrived, so send it; succeeded, failed: how its run ended.
    """
    from monitor.retrain.requests_by_hand import resolve as settle

    with open_state(load_config(config_file)) as store:
        written = settle(store, dispatch, outcome, by=by, reason=reason, now=utcnow())
    say(f"{written.model}: request {written.id} is {written.state}")


@click.group()
def notify() -> None:
    """Test the addresses that messages are sent to."""


@notify.command("test")
@config_option
def notify_test(config_file: Path | None) -> int:
    """Send one message to every address in [notify] urls and print whether it was delivered."""
    from monitor.notify.notifier import Notifier

    quiet_logs()
    loaded = load_config(config_file)
    if not loaded.config.notify.urls:
        raise UsageError(f"{loaded.path}: [notify] urls is empty, expected at least one address")
    with Store.memory() as store:
        people = Notifier(store.messages, loaded.config.notify, utcnow)
        results = people.test("driftd: a test", "This message is a test.")
    for result in results:
        say(f"{result.place}: {'ok' if result.ok else result.reason}")
    return 0 if all(result.ok for result in results) else 1
