"""The life of a need to retrain. TRANSITIONS is all there is: nothing else changes an episode's state."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from monitor.config.sections import ApprovalSection, ModelSection
from monitor.errors import UsageError
from monitor.records import Approval, Episode, EpisodeState, Reference, Window
from monitor.times import format_moment

PERSON = "person"       # the trigger of a request a person made


class Event(StrEnum):
    NEEDED = "needed"               # a retrain trigger fires, or still does, and no guard speaks
    UNAPPROVED = "unapproved"       # … but it takes a person's word
    GUARDED = "guarded"             # … and guards speak
    APPROVED = "approved"
    REJECTED = "rejected"
    LAPSES = "lapses"               # nobody has approved it in time
    CLEARS = "clears"               # it no longer fires
    ANSWERED = "answered"           # its run has ended well and the cooldown is over: what still fires is a new need
    PERSON = "person"               # a person asks for a retrain
    NEW_REFERENCE = "new_reference"


_S = EpisodeState
STANDING = (_S.OPEN, _S.SUPPRESSED, _S.AWAITING_APPROVAL, _S.REQUESTED, _S.REJECTED, _S.LAPSED)
TRANSITIONS: dict[tuple[EpisodeState | None, Event], EpisodeState] = {
    (None, Event.NEEDED): _S.REQUESTED,
    (None, Event.UNAPPROVED): _S.AWAITING_APPROVAL,
    (None, Event.GUARDED): _S.SUPPRESSED,
    (_S.SUPPRESSED, Event.NEEDED): _S.REQUESTED,
    (_S.SUPPRESSED, Event.UNAPPROVED): _S.AWAITING_APPROVAL,
    (_S.AWAITING_APPROVAL, Event.NEEDED): _S.REQUESTED,
    (_S.AWAITING_APPROVAL, Event.APPROVED): _S.REQUESTED,
    (_S.AWAITING_APPROVAL, Event.REJECTED): _S.REJECTED,
    (_S.AWAITING_APPROVAL, Event.LAPSES): _S.LAPSED,
    (_S.REQUESTED, Event.ANSWERED): _S.CLEARED,
    **{(state, Event.CLEARS): _S.CLEARED for state in STANDING},
    **{(state, Event.PERSON): _S.SUPERSEDED for state in STANDING},
    **{(state, Event.NEW_REFERENCE): _S.SUPERSEDED for state in STANDING},
}
OVER = (EpisodeState.CLEARED, EpisodeState.SUPERSEDED)


def is_open(episode: Episode | None) -> bool:
    """Whether there is a need that has neither cleared nor been superseded."""
    return episode is not None and episode.state not in OVER


def advance(episode: Episode, event: Event, reason: str) -> Episode:
    """Return the episode after the event; itself where the table has no such transition."""
    state = TRANSITIONS.get((episode.state, event))
    return episode if state is None else replace(episode, state=state, reason=reason)


def begin(
    reference: Reference, trigger: str, window: Window, event: Event, reason: str, key: str | None = None,
    version: str | None = None,
) -> Episode:
    """Open an episode; `key` stands for the trigger in its id, `version` is the one to go back to. Raises KeyError for
    an event that opens none.
    """
    return Episode(
        id=Episode.new_id(reference.model, reference.id, key or trigger, window),
        model=reference.model,
        reference_id=reference.id,
        trigger=trigger,
        window=window,
        state=TRANSITIONS[None, event],
        reason=reason,
        version=version,
    )


def supersede(episode: Episode) -> Episode:
    """Return the episode after a new reference."""
    return advance(episode, Event.NEW_REFERENCE, "a new reference has come, and the need is judged afresh")


def give_way(episode: Episode, reason: str) -> Episode:
    """Return the episode after a person asked for a retrain themselves."""
    return advance(episode, Event.PERSON, reason)


def needed(model: ModelSection, action: str = "retrain") -> Event:
    """A need that no guard speaks against: as the configuration has it.

    Going back by the registry's alias is a promotion too, so that either approval is asked for.
    """
    asks = model.retrain.approval if model.retrain else ApprovalSection()
    person = asks.request == "person"
    if action == "rollback" and model.registry is not None:
        person = person or asks.promotion == "person"
    return Event.UNAPPROVED if person else Event.NEEDED


def awaiting(episode: Episode, by: str | None, now: datetime) -> Episode:
    """Return the episode with the question asked, where it has just begun to wait for a person's word."""
    if episode.state is not EpisodeState.AWAITING_APPROVAL:
        return episode
    return replace(episode, approval=Approval(asked_at=now, asked_by=by))


def lapses_at(model: ModelSection, episode: Episode | None) -> datetime | None:
    """When nobody may approve it any more; None where it does not wait."""
    if episode is None or episode.state is not EpisodeState.AWAITING_APPROVAL or episode.approval is None:
        return None
    section = model.retrain.approval if model.retrain else ApprovalSection()
    return episode.approval.asked_at + section.lapse


def lapse(model: ModelSection, episode: Episode | None, now: datetime) -> Episode | None:
    """Return the episode lapsed, once nobody has approved it in time; else None."""
    until = lapses_at(model, episode)
    if episode is None or until is None or now < until:
        return None
    return _settled(episode, Event.LAPSES, None, f"nobody approved it by {format_moment(until)}", now)


def approve(episode: Episode, by: str, reason: str, now: datetime) -> Episode:
    """Return the episode as a person's yes leaves it. Raises UsageError where it was they who asked."""
    if episode.approval is not None and episode.approval.asked_by == by:
        raise UsageError(f"{by} asked for this retrain; expected somebody else to approve it (--by)")
    return _settled(episode, Event.APPROVED, by, reason, now)


def reject(episode: Episode, by: str, reason: str, now: datetime) -> Episode:
    """Return the episode as a person's no leaves it."""
    return _settled(episode, Event.REJECTED, by, reason, now)


def _settled(episode: Episode, event: Event, by: str | None, reason: str, now: datetime) -> Episode:
    """Return the episode with the answer; itself where it waits for none."""
    words = f"{event.value} by {by}: {reason}" if by else reason
    after = advance(episode, event, f"{episode.reason}; {words}")
    if after is episode or after.approval is None:
        return after
    answer = replace(after.approval, decision=after.state, decided_at=now, decided_by=by, reason=reason)
    return replace(after, approval=answer)


def person_request(
    model: ModelSection, reference: Reference, window: Window, by: str, reason: str, now: datetime
) -> Episode:
    """A retrain that a person asks for; person, reason and window make the same id, whenever."""
    words = f"{by} asked on {format_moment(now.replace(microsecond=0))}: {reason}"
    key = "\x1f".join((PERSON, by, reason))
    return awaiting(begin(reference, PERSON, window, needed(model), words, key), by, now)
