"""The part of a check that judges the candidate in shadow, if it is time."""

import logging
from collections.abc import Callable
from dataclasses import replace

from monitor.check.requests import SHADOW, Look, ShadowRequest
from monitor.config import ModelSection
from monitor.decide.triggers import BROKEN_DATA
from monitor.errors import CannotJudge, DriftdError, SourceError, Stopping, UsageError
from monitor.gate_result import ShadowAnswer, ShadowState
from monitor.promotion.shadow import is_due, note_answer, shadow_in
from monitor.records import Reference
from monitor.store import Store
from monitor.store.shadows import Shadow
from monitor.workers.task import Runner

_log = logging.getLogger(__name__)


def check_shadow(
    store: Store, workers: Runner, look: Look, reference: Reference, note: Callable[[str | None], None], *,
    measured: bool,
) -> None:
    """Judge it, write what was found and what follows. `note` hears why it cannot be judged, or None once it can;
    `measured`: whether this check has measured a window."""
    model, now = look.model, look.as_of
    try:
        shadow = shadow_in(store, model, reference, now)
    except UsageError as error:
        _log.warning("%s: %s", model.name, error)
        note(str(error))
        return
    if shadow is None:
        note(None)
    elif is_due(shadow, now, measured=measured):
        answer, failure = _judged(workers, look, shadow)
        note_answer(store, model, shadow, _held_back(store, model, answer), now)
        note(failure)


def _held_back(store: Store, model: ModelSection, answer: ShadowAnswer) -> ShadowAnswer:
    """Rows of broken data promote nobody: what they show is looked at again once they are whole."""
    broken = [one.reason for one in store.firings.all(model.name) if one.trigger == BROKEN_DATA and one.firing]
    if answer.state is not ShadowState.PROMOTED or not broken:
        return answer
    return replace(answer, state=ShadowState.UNDECIDED, reason=f"{answer.reason}; but {BROKEN_DATA} fires: {broken[0]}")


def _judged(workers: Runner, look: Look, shadow: Shadow) -> tuple[ShadowAnswer, str | None]:
    """What is found of it, undecided with the reason where that is nothing; and what is wrong with its predictions."""
    section = look.model.promotion.shadow
    assert section is not None
    try:
        return workers.run(SHADOW, ShadowRequest(
            model=look.model, as_of=look.as_of, stretch=look.stretch, taken=look.taken, profiles=look.profiles,
            shadow=section.of_version(shadow.version), since=shadow.since,
        )), None
    except Stopping:
        raise
    except DriftdError as error:
        answer = ShadowAnswer(state=ShadowState.UNDECIDED, reason=str(error), result=shadow.result)
        if isinstance(error, CannotJudge) and not isinstance(error, SourceError):
            return answer, None
        _log.warning("%s: the candidate in shadow could not be judged: %s", look.model.name, error)
        return answer, str(error)
