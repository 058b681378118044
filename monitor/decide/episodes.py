"""The life of a need to retrain. TRANSITIONS is all there is: nothing else changes an episode's state."""

from dataclasses import replace
from datetime import datetime
from enum import StrEnum

from monitor.config.model import ModelSection
from monitor.records import Episode, EpisodeState, Reference, Window
from monitor.times import format_moment

PERSON = "person"       # the trigger of a request a person made


class Event(StrEnum):
    NEEDED = "needed"               # a retrain trigger fires, or still does, and no guard speaks
    GUARDED = "guarded"             # … and guards speak
    CLEARS = "clears"               # it no longer fires
    ANSWERED = "answered"           # its run has ended well and the cooldown is over: what still fires is a new need
    NEW_REFERENCE = "new_reference"


_S = EpisodeState
TRANSITIONS: dict[tuple[EpisodeState | None, Event], EpisodeState] = {
    (None, Event.NEEDED): _S.REQUESTED,
    (None, Event.GUARDED): _S.SUPPRESSED,
    (_S.SUPPRESSED, Event.NEEDED): _S.REQUESTED,
    (_S.OPEN, Event.CLEARS): _S.CLEARED,
    (_S.SUPPRESSED, Event.CLEARS): _S.CLEARED,
    (_S.AWAITING_APPROVAL, Event.CLEARS): _S.CLEARED,
    (_S.REQUESTED, Event.CLEARS): _S.CLEARED,
    (_S.REQUESTED, Event.ANSWERED): _S.CLEARED,
    (_S.OPEN, Event.NEW_REFERENCE): _S.SUPERSEDED,
    (_S.SUPPRESSED, Event.NEW_REFERENCE): _S.SUPERSEDED,
    (_S.AWAITING_APPROVAL, Event.NEW_REFERENCE): _S.SUPERSEDED,
    (_S.REQUESTED, Event.NEW_REFERENCE): _S.SUPERSEDED,
}
OVER = (EpisodeState.CLEARED, EpisodeState.SUPERSEDED)


def is_open(episode: Episode | None) -> bool:
    """Whether there is a need that has neither cleared nor been superseded."""
    return episode is not None and episode.state not in OVER


def advance(episode: Episode, event: Event, reason: str) -> Episode:
    """Return the episode after the event; itself where the table has no such transition."""
    state = TRANSITIONS.get((episode.state, event))
    return episode if state is None else replace(episode, state=state, reason=reason)


def begin(reference: Reference, trigger: str, window: Window, event: Event, reason: str) -> Episode:
    """Open an episode. Raises KeyError for an event that opens none."""
    return Episode(
        id=Episode.new_id(reference.model, reference.id, trigger, window),
        model=reference.model,
        reference_id=reference.id,
        trigger=trigger,
        window=window,
        state=TRANSITIONS[None, event],
        reason=reason,
    )


def supersede(episode: Episode) -> Episode:
    """Return the episode after a new reference."""
    return advance(episode, Event.NEW_REFERENCE, "a new reference has come, and the need is judged afresh")


def person_request(
    model: ModelSection, reference: Reference, window: Window, by: str, reason: str, now: datetime
) -> Episode:
    """A retrain that a person asks for; person, reason and window make the same id, whenever."""
    key = "\x1f".join((PERSON, by, reason))
    return Episode(
        id=Episode.new_id(model.name, reference.id, key, window),
        model=model.name,
        reference_id=reference.id,
        trigger=PERSON,
        window=window,
        state=EpisodeState.REQUESTED,
        reason=f"{by} asked on {format_moment(now.replace(microsecond=0))}: {reason}",
    )
