"""A need to retrain as a line of steps: need, approval, request, run, promotion, recovery."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from monitor import page_links
from monitor.gate_result import Outcome
from monitor.records import Dispatch, DispatchState, Episode, EpisodeState, Promotion, PromotionState, Recovery
from monitor.store import Store
from monitor.store.gates import Gated

NEWEST = 8          # needs of a model that are told
_FAILED = (DispatchState.FAILED, DispatchState.CANCELLED, DispatchState.ABANDONED, DispatchState.UNKNOWN)
_UNCLEAR = (DispatchState.AMBIGUOUS, DispatchState.BLOCKED)
_RECOVERY = {
    Recovery.AWAITED: ("recovery awaited", ""), Recovery.RECOVERED: ("recovered", "done"),
    Recovery.MISSING: ("no recovery", "bad"),
}


@dataclass(frozen=True, slots=True)
class Step:
    """`kind`: done, bad, or empty for what is still to come."""

    title: str
    kind: str
    at: datetime | None
    words: str
    href: str | None = None


@dataclass(frozen=True, slots=True)
class Told:
    """One need with its steps, and where its newest request is told in full."""

    episode: Episode
    steps: tuple[Step, ...]
    requests: tuple[Dispatch, ...]


def told(store: Store, model: str) -> list[Told]:
    """The newest needs of a model, the newest first."""
    return stories_of(store, model, list(reversed(store.episodes.all(model)[-NEWEST:])))


def stories_of(store: Store, model: str, needs: Sequence[Episode]) -> list[Told]:
    """These needs of a model."""
    requests, promotions = store.requests.all(model), store.promotions.all(model)
    gates = store.gates.of([one.id for one in requests])
    return [_story_of(need, requests, promotions, gates) for need in needs]


def _story_of(
    episode: Episode, requests: Sequence[Dispatch], promotions: Sequence[Promotion], gates: Mapping[str, Gated]
) -> Told:
    """One need, from its own among all requests and promotions of the model."""
    own = tuple(one for one in requests if one.episode_id == episode.id)
    made = _promotion(episode, own, promotions)
    return Told(episode, tuple(_steps(episode, own, gates, made)), own)


def _promotion(episode: Episode, own: Sequence[Dispatch], promotions: Sequence[Promotion]) -> Promotion | None:
    """The version that came of it: made by its run, or the next one that answered the same need."""
    ids = {one.id for one in own}
    named = [one for one in promotions if one.dispatch_id in ids]
    asked = min((one.created_at for one in own), default=None)
    later = [one for one in promotions if asked is not None and one.at >= asked and one.need == episode.trigger]
    return next(iter([*reversed(named), *later]), None)


def _steps(
    episode: Episode, own: Sequence[Dispatch], gates: Mapping[str, Gated], made: Promotion | None
) -> Iterator[Step]:
    window = page_links.of_window(episode.window)[1:]
    yield Step("need", "done", episode.window.end, f"{episode.trigger} fires", window)
    if episode.state is EpisodeState.SUPPRESSED:
        yield Step("held back", "bad", None, episode.reason)
    if (asked := episode.approval) is not None:
        decided = asked.decision or ""
        by = f" by {asked.decided_by}" if asked.decided_by else ""
        words = f"{decided.replace('_', ' ')}{by}: {asked.reason or ''}" if decided else "awaits a person's word"
        bad = decided in (EpisodeState.REJECTED, EpisodeState.LAPSED)
        yield Step("approval", "bad" if bad else "done" if decided else "", asked.decided_at or asked.asked_at, words)
    for one in own:
        yield from _of_request(one)
        if (gated := gates.get(one.id)) is not None:
            kind = "done" if gated.result.outcome is Outcome.PASSED else "bad"
            yield Step("gate", kind, gated.at, gated.result.sentence, f"{page_links.of_request(one.id)[1:]}#gate")
    if made is not None:
        yield from _of_promotion(made)
    elif episode.state in (EpisodeState.CLEARED, EpisodeState.SUPERSEDED):
        yield Step(episode.state.value, "done", None, episode.reason)
    elif own and own[-1].state in (DispatchState.SUCCEEDED, DispatchState.DELIVERED):
        yield Step("new version", "", None, "none has been seen yet")


def _of_request(one: Dispatch) -> Iterator[Step]:
    link, attempt = page_links.of_request(one.id)[1:], f", attempt {one.attempt}" if one.attempt > 1 else ""
    kind = "done" if one.accepted_at else "bad" if one.state in (*_FAILED, *_UNCLEAR) else ""
    words = f"{one.pipeline}: {'accepted' if one.accepted_at else one.state.value}{attempt}"
    yield Step("request", kind, one.accepted_at or one.created_at, words, link)
    if one.running_at or one.ended_at or one.accepted_at:
        kind = "bad" if one.state in (*_FAILED, *_UNCLEAR) else "done" if one.ended_at else ""
        ended = "its end is not told" if one.state is DispatchState.DELIVERED else one.state.value
        yield Step("run", kind, one.ended_at or one.running_at, ended, link)


def _of_promotion(made: Promotion) -> Iterator[Step]:
    kind = "done" if made.state is PromotionState.TAKEN else "bad" if made.state is PromotionState.REJECTED else ""
    yield Step("new version", kind, made.at, f"version {made.version} {made.state.value}")
    if made.recovery is not None:
        title, kind = _RECOVERY[made.recovery]
        yield Step(title, kind, made.recovery_at, made.recovery_reason or "")
