"""The decision on one snapshot: triggers → episode → verdict, words and messages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.config.sections import ModelSection
from monitor.decide import going_back, going_back_words, regret_words
from monitor.decide import regret as waiting
from monitor.decide.episodes import PERSON, Event, advance, awaiting, begin, is_open, needed
from monitor.decide.fairness import fairness_scores, whole_windows
from monitor.decide.guards import Moment, speak
from monitor.decide.messages import Letter, Outcome, reasons
from monitor.decide.recovery import judge_recovery
from monitor.decide.triggers import REFERENCE_GONE, SOURCE_DOWN, Judgement, judge_all
from monitor.decide.votes import Case, data_ended, rows_score
from monitor.estimation import skill as estimates
from monitor.history import History
from monitor.records import (
    Action,
    Episode,
    EpisodeState,
    Firing,
    Message,
    Promotion,
    Recovery,
    Score,
    Snapshot,
    Verdict,
    Window,
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Decision:
    """What is to be written after a check, all of it in one transaction."""

    verdict: Verdict
    scores: tuple[Score, ...]        # computed here, for the snapshot: fairness, `regret`, `gain_realised`, …
    firing: tuple[Firing, ...]       # only what is new or changed
    episode: Episode | None          # only if new or changed
    ended: Episode | None            # an answered one that makes way for it, or just ends
    request: bool                    # a dispatch is to be written now for this episode
    withdraw: bool                   # its need cleared: take its dispatch back if nothing was ever sent
    messages: tuple[Message, ...]
    recovery: Promotion | None       # the version in service, where it became known whether it helped


def decide(
    model: ModelSection, history: History, snapshot: Snapshot, now: datetime, *, newest: bool
) -> Decision:
    """Judge one revision of one window; `newest` says that no newer window is still to be checked."""
    gaps = _fairness(model, history.known(snapshot), snapshot)
    snapshot = replace(snapshot, scores=(*snapshot.scores, *gaps))
    known = history.known(snapshot)
    regret = waiting.fold(model, history, snapshot)
    skills = estimates.fold(model.triggers, model.metric, known)
    since = data_ended(history, known)
    back = going_back.fold(history, snapshot, regret) if model.versions else None
    case = Case(model, known, snapshot, regret, skills, history.firing, newest, since, history.declined, back)
    recovered = judge_recovery(case, history.promotion)
    judged = (*judge_all(case), *([recovered.judgement] if recovered else []))
    firing = {judgement.name: judgement.words for judgement in judged if judgement.firing}
    said = speak(Moment(model, history, snapshot, now, newest, firing))
    ended = _answered(model, history, now)
    needs = _needs(model, judged, guarded=bool(said))
    episode = _episode(history, ended or history.episode, needs, known[-1].window)
    changed = None if episode in (ended, history.episode) or episode is None else awaiting(episode, None, now)
    asked = changed is not None and changed.state is EpisodeState.REQUESTED
    outcome = Outcome(model, judged, said, episode, asked)
    rows = rows_score(model, known, since, history.declined)
    told = (regret_words.score(model, regret), waiting.realised_score(regret.realised), rows,
            *(going_back_words.scores(model, back) if back else ()))
    recovery = recovered.changed if recovered else None
    return Decision(
        verdict=_verdict(snapshot, now, outcome),
        scores=(*gaps, *(score for score in told if score), *estimates.scores(skills, snapshot)),
        firing=(*_changed(case, judged), *_gone(history, judged)),
        episode=changed,
        ended=ended,
        request=asked,
        withdraw=_withdraw(history.episode, changed),
        messages=_messages(Letter(model, history, snapshot, now), judged, changed, said, recovery),
        recovery=recovery,
    )


def _fairness(model: ModelSection, known: Sequence[Snapshot], snapshot: Snapshot) -> tuple[Score, ...]:
    """Between the groups of protected columns, over the newest windows up to the one at hand."""
    if model.fairness is None:
        return ()
    windows = whole_windows(known, snapshot)
    return fairness_scores(model.fairness, model.window.min_rows, windows, mature=snapshot.mature)


def _answered(model: ModelSection, history: History, now: datetime) -> Episode | None:
    """The standing episode, ended, when its run went well and the cooldown is over; a failed one is never repeated."""
    standing, section = history.episode, model.retrain
    if standing is None or section is None or not history.answered or not history.accepted:
        return None
    if standing.state is not EpisodeState.REQUESTED or now < history.accepted[-1] + section.cooldown:
        return None
    return advance(standing, Event.ANSWERED, "its run has ended well; what still fires is judged afresh")


def _needs(model: ModelSection, judged: Sequence[Judgement], *, guarded: bool) -> dict[str, tuple[Judgement, Event]]:
    """By name the triggers that ask for something, each with what befalls a need of it.

    Going back comes first, since it fires only where it gains more than a retrain.
    """
    asking = sorted((one for one in judged if one.action != "alert"), key=lambda one: one.action != "rollback")
    return {one.name: (one, Event.GUARDED if guarded else needed(model, one.action)) for one in asking}


def _episode(
    history: History, standing: Episode | None, needs: Mapping[str, tuple[Judgement, Event]], newest: Window
) -> Episode | None:
    """The model's newest episode after this check; `standing` itself where nothing changed."""
    if standing is not None and is_open(standing):
        event, why = _event(history, standing, needs)
        return standing if event is None else advance(standing, event, why)
    need, wanted = next((one for one in needs.values() if one[0].stands), (None, None))
    if need is None or wanted is None or not _later(newest, standing, history):
        return standing
    return begin(history.reference, need.name, newest, wanted, need.words, version=need.version)


def _event(
    history: History, episode: Episode, needs: Mapping[str, tuple[Judgement, Event]]
) -> tuple[Event | None, str]:
    """What has happened to an open episode, and why."""
    if episode.reference_id != history.reference.id:
        return Event.NEW_REFERENCE, "a new reference has come"
    if episode.trigger == PERSON:
        waits = history.in_flight or episode.state is EpisodeState.AWAITING_APPROVAL
        return (None, "") if waits else (Event.CLEARS, "the request has run its course")
    own, wanted = needs.get(episode.trigger, (None, None))
    if own is None:
        return Event.CLEARS, f"{episode.trigger} no longer asks for retrains in the configuration"
    if not own.firing:
        return Event.CLEARS, own.sentence
    if own.version not in (None, episode.version) and episode.state is not EpisodeState.REQUESTED:
        return Event.CLEARS, f"version {episode.version} is no longer the best of those that served before"
    return (wanted, own.words) if own.stands else (None, "")


def _later(newest: Window, episode: Episode | None, history: History) -> bool:
    """At most one episode opens at one window, so that no id ever comes twice."""
    if episode is None or episode.reference_id != history.reference.id:
        return True
    return (newest.start, newest.start_id) > (episode.window.start, episode.window.start_id)


def _withdraw(before: Episode | None, changed: Episode | None) -> bool:
    """A need that cleared takes its request back; what a person asked for, or an old model needed, stays."""
    if before is None or changed is None or before.trigger == PERSON:
        return False
    return (before.state, changed.state) == (EpisodeState.REQUESTED, EpisodeState.CLEARED)


def _changed(case: Case, judged: Sequence[Judgement]) -> list[Firing]:
    """What each trigger does now, where that is new: its reason is always what the newest window showed."""
    found = [(judgement, case.was.get(judgement.name)) for judgement in judged]
    return [
        Firing(
            model=case.model.name, trigger=one.name, firing=one.firing, since=one.since,
            reason=one.words if case.at_newest else one.newest,
        )
        for one, was in found
        if was is None or one.changed or (case.at_newest and was.reason != one.words)
    ]


def _gone(history: History, judged: Sequence[Judgement]) -> list[Firing]:
    """Triggers that fired and are no longer configured."""
    names = {SOURCE_DOWN, REFERENCE_GONE, *(judgement.name for judgement in judged)}
    return [
        replace(was, firing=False, reason="it is no longer configured")
        for name, was in history.firing.items() if was.firing and name not in names
    ]


def _verdict(snapshot: Snapshot, now: datetime, outcome: Outcome) -> Verdict:
    return Verdict(
        window=snapshot.window,
        revision=snapshot.revision,
        at=now,
        action=outcome.action,
        fired=outcome.fired,
        guards=tuple(outcome.said) if outcome.action is Action.SUPPRESS else (),
        reasons=reasons(outcome),
    )


def _messages(
    letter: Letter, judged: Sequence[Judgement], changed: Episode | None, said: dict[str, str],
    recovery: Promotion | None,
) -> tuple[Message, ...]:
    found = [letter.of_trigger(judgement) for judgement in judged if judgement.changed]
    if changed is not None and changed.state is EpisodeState.REQUESTED:
        found.append(letter.requested(changed, changed.reason))
    if changed is not None and changed.state is EpisodeState.AWAITING_APPROVAL:
        found.append(letter.awaiting(changed))
    # A need held back only until the round's newest window is told of then, if it still stands.
    if changed is not None and changed.state is EpisodeState.SUPPRESSED and list(said) != ["catching-up"]:
        found.append(letter.suppressed(changed, changed.reason, said))
    if recovery is not None and recovery.recovery is Recovery.RECOVERED:
        found.append(letter.recovered(recovery))
    return tuple(found)
