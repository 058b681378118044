"""The state of a model in a word, and a plain sentence on what a window's verdict means."""

from collections.abc import Collection, Sequence
from enum import StrEnum

from monitor.decide.messages import standing
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN
from monitor.expose.status_document import under_way
from monitor.expose.view import ModelView
from monitor.records import Action, DispatchState, EpisodeState, SnapshotStatus
from monitor.wording import listed


class State(StrEnum):
    """The most urgent thing about a model; in this order models are listed."""

    YOURS = "needs you"                  # nobody but a person can go on
    BROKEN = "data broken"
    ALERT = "alert"
    RETRAINING = "retraining"
    WAITING = "held back"                # a retrain is needed, and a guard objects
    NEW = "not checked yet"
    PAUSED = "paused"
    FINE = "fine"


_BROKEN = (BROKEN_DATA, SOURCE, SOURCE_DOWN)
_UNREAD = (SnapshotStatus.SCHEMA_CHANGED, SnapshotStatus.SOURCE_FAILED)
_ASK_A_PERSON = (DispatchState.AMBIGUOUS, DispatchState.BLOCKED, DispatchState.UNKNOWN)


def state_of(model: ModelView) -> State:
    """The state of a model now."""
    firing = [one.trigger for one in model.firing if one.firing]
    request, need = under_way(model.dispatches), model.episode
    last = model.dispatches[-1] if model.dispatches else None
    if (
        (need is not None and need.state is EpisodeState.AWAITING_APPROVAL) or model.waiting is not None
        or (last is not None and last.state in _ASK_A_PERSON)
    ):
        return State.YOURS
    if any(name in _BROKEN for name in firing) or (model.newest is not None and model.newest.status in _UNREAD):
        return State.BROKEN
    if request is not None:
        return State.RETRAINING
    if model.newest is None:
        return State.NEW
    if need is not None and need.state is EpisodeState.SUPPRESSED:
        return State.WAITING
    if firing or standing(model.verdict, model.firing) not in (Action.HOLD, None):
        return State.ALERT
    return State.PAUSED if model.paused else State.FINE


def verdict_words(
    action: Action | None, fired: Collection[str], guards: Collection[str], reasons: Sequence[str]
) -> str:
    """What a verdict says, in one sentence."""
    names = listed(list(fired))
    match action:
        case None:
            return "There is no verdict yet."
        case Action.HOLD:
            return "Nothing fires."
        case Action.ALERT:
            fires = "fires" if len(fired) < 2 else "fire"
            return f"{names or 'A trigger'} {fires}; people are told, no retrain is asked for."
        case Action.RETRAIN | Action.ROLLBACK:
            asked = "A retrain" if action is Action.RETRAIN else "Going back"
            return reasons[-1] if reasons else f"{asked} is asked for: {names}."
        case Action.SUPPRESS:
            return f"A retrain is needed, but held back by {listed(list(guards))}."
