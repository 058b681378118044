"""A person's word on a retrain that needs one: yes, no, or none in time. Episode and request are written together."""

from datetime import datetime

from monitor.config.sections import ModelSection
from monitor.decide import episodes
from monitor.decide.episodes import PERSON, lapses_at
from monitor.decide.messages import note_approval
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN
from monitor.errors import UsageError
from monitor.records import Dispatch, Episode
from monitor.retrain.outbox import new_dispatch
from monitor.store import Store


def approve(
    store: Store, model: ModelSection, by: str, reason: str, now: datetime, url: str | None = None
) -> Dispatch:
    """Ask for the retrain that awaits approval; audited. `url`: where people reach the page.

    Raises UsageError where none waits, where `by` asked for it themselves, or where the data are broken now.
    """
    with store.transaction():
        episode = episodes.approve(_awaiting(store, model, now), by, reason, now)
        _whole(store, model.name)
        reference, newest = store.references.current(model.name), store.snapshots.newest(model.name)
        assert reference is not None
        assert newest is not None
        verdict = None if episode.trigger == PERSON else store.verdicts.newest_on(newest.window)
        dispatch = new_dispatch(model, episode, newest, verdict, reference, now, url)
        store.requests.add(dispatch, episode)
        store.audit.note(now, by, "approve", dispatch.id, reason)
    return dispatch


def reject(store: Store, model: ModelSection, by: str, reason: str, now: datetime) -> Episode:
    """Turn down the retrain that awaits approval; audited. Raises UsageError where none waits."""
    with store.transaction():
        episode = episodes.reject(_awaiting(store, model, now), by, reason, now)
        store.episodes.save(episode)
        store.audit.note(now, by, "reject", episode.id, reason)
    return episode


def lapse(store: Store, model: ModelSection, now: datetime) -> None:
    """End the waiting for an answer that has not come in time, and tell people."""
    with store.transaction():
        standing = store.episodes.standing(model.name)
        lapsed = episodes.lapse(model, standing, now)
        if lapsed is not None and standing is not None and not _jumped_over(store, model, standing, now):
            store.episodes.save(lapsed)
            store.audit.note(now, "driftd", "lapse", lapsed.id)
            store.messages.add(note_approval(model, lapsed, now))


def _jumped_over(store: Store, model: ModelSection, standing: Episode, now: datetime) -> bool:
    """Whether the time to answer is over only because the clock was set forward."""
    until = lapses_at(model, standing)
    if standing.approval is None or until is None:
        return False
    asked = standing.approval.asked_at
    return now < until + (store.as_of_now(asked) - asked)


def _awaiting(store: Store, model: ModelSection, now: datetime) -> Episode:
    episode = store.episodes.standing(model.name)
    until = lapses_at(model, episode)
    if episode is None or until is None or now >= until:
        stands = f"; its need is {episode.state}" if episode else ""
        raise UsageError(f"{model.name}: no retrain awaits approval{stands}")
    return episode


def _whole(store: Store, name: str) -> None:
    """Broken data never cause a retrain, whoever says so."""
    against = {BROKEN_DATA, SOURCE, SOURCE_DOWN}
    found = next((firing for firing in store.firings.all(name) if firing.firing and firing.trigger in against), None)
    if found is not None:
        raise UsageError(f"{name}: {found.trigger} fires, {found.reason}; approve once it has cleared")
