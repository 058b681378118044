"""Whether the need that led to a promotion has gone away with the new version, by the votes of its own trigger.

Mature windows judged against the new reference vote as they would on the trigger. It has recovered once the newest of
them can no longer make the trigger fire ("2 of 3": two of the newest three say no). Where as many as the trigger looks
at, and at least three, have voted and it has not, `no-recovery` fires until it has.
"""

from collections.abc import Iterator
from dataclasses import dataclass, replace

from monitor.config.sections import MEASURED, ModelSection, TriggerSection
from monitor.decide import going_back
from monitor.decide.regret import adds
from monitor.decide.triggers import Judgement, judgement
from monitor.decide.votes import Case, Vote, vote
from monitor.escape import name
from monitor.history import disjoint
from monitor.records import Promotion, Recovery, Snapshot
from monitor.wording import listed, several

NO_RECOVERY = "no-recovery"
FIRST = 3       # so many mature windows are waited for


@dataclass(frozen=True, slots=True)
class Recovered:
    """The built-in trigger, and the promotion where something new is known of it."""

    judgement: Judgement
    changed: Promotion | None = None


def measurable(model: ModelSection) -> frozenset[str]:
    """Names of the triggers whose need can be seen to go away: those that watch a metric, alone or among others."""
    return frozenset(trigger.name for trigger in model.triggers if list(_watching(model, trigger)))


def judge_recovery(case: Case, promotion: Promotion | None) -> Recovered | None:
    """Judge whether the promotion ended its need; None where no need is awaited and none was."""
    was = case.was.get(NO_RECOVERY)
    fired = was is not None and was.firing
    trigger = _need(case.model, promotion)
    if promotion is None or trigger is None or promotion.recovery is None:
        return Recovered(_judged(case, False, "another version is in service")) if fired else None
    if promotion.recovery is Recovery.RECOVERED:
        return Recovered(_judged(case, False, promotion.recovery_reason or "")) if fired else None
    return _looked(case, promotion, trigger, fired)


def _looked(case: Case, promotion: Promotion, trigger: TriggerSection, fired: bool) -> Recovered:
    votes = list(_votes(case, trigger, promotion))
    n, m = trigger.windows.n, trigger.windows.m
    against = [(window, vote) for window, vote in votes[:n] if not vote.yes]
    if len(against) > n - m:
        return _told(case, promotion, Recovery.RECOVERED, against[0][0], against[0][1].words)
    wanted = max(FIRST, n)
    if len(votes) >= wanted:
        words = f"version {promotion.version} has not helped {trigger.name}: {votes[0][1].words}"
        return _told(case, promotion, Recovery.MISSING, votes[0][0], words)
    more = several(wanted - len(votes), "more mature window")
    words = f"after {more} it is known whether the need of {trigger.name} has ended"
    return Recovered(_judged(case, fired, words))


def _told(case: Case, promotion: Promotion, state: Recovery, shown: Snapshot, words: str) -> Recovered:
    known = promotion.recovery is state and promotion.recovery_reason == words
    after = replace(promotion, recovery=state, recovery_at=shown.window.end, recovery_reason=words)
    return Recovered(_judged(case, state is Recovery.MISSING, words), None if known else after)


def _judged(case: Case, firing: bool, words: str) -> Judgement:
    return judgement(case, NO_RECOVERY, "alert", firing, words, "", firing)


def _need(model: ModelSection, promotion: Promotion | None) -> TriggerSection | None:
    name = promotion.need if promotion else None
    return next((trigger for trigger in model.triggers if trigger.name == name), None)


def _votes(case: Case, trigger: TriggerSection, promotion: Promotion) -> Iterator[tuple[Snapshot, Vote]]:
    """Of disjoint mature windows with a vote, newest first."""
    mature = (snapshot for snapshot in reversed(case.known) if snapshot.mature)
    votes = {id(snapshot): (snapshot, _vote(case, trigger, snapshot, promotion)) for snapshot in mature}
    voted = {key: pair for key, pair in votes.items() if pair[1].yes is not None}
    for snapshot in disjoint(pair[0] for pair in voted.values()):
        yield voted[id(snapshot)]


def _vote(case: Case, trigger: TriggerSection, snapshot: Snapshot, promotion: Promotion) -> Vote:
    """What the window says of the need: yes where it still stands."""
    if trigger.members:
        members = _watching(case.model, trigger)
        return _together(trigger, [_vote(case, member, snapshot, promotion) for member in members])
    if trigger.metric == going_back.METRIC:
        return _replaced(case, snapshot, promotion.replaces or "")
    if trigger.metric != "regret":
        return vote(case, trigger, snapshot, fired=False)
    added = adds(case.regret, case.known, snapshot)
    if added is None:
        return Vote(None, "no rehearsal shows what a new model would gain")
    return Vote(added > 0, f"a new model would gain {'more' if added > 0 else 'no more'} than noise explains")


def _replaced(case: Case, snapshot: Snapshot, version: str) -> Vote:
    """Whether the version that made way would do better than the one that is back."""
    added = going_back.adds(case.back, snapshot, version) if case.back else None
    if added is None:
        return Vote(None, f"nothing shows how version {name(version)}, which made way, would do")
    much = "better" if added > 0 else "no better than noise explains"
    return Vote(added > 0, f"version {name(version)}, which made way, would do {much}")


def _together(trigger: TriggerSection, votes: list[Vote]) -> Vote:
    if any(vote.yes is None for vote in votes):
        return Vote(None, listed([vote.words for vote in votes if vote.yes is None]))
    said = [bool(vote.yes) for vote in votes]
    return Vote(all(said) if trigger.all else any(said), listed([vote.words for vote in votes]))


def _watching(model: ModelSection, trigger: TriggerSection) -> Iterator[TriggerSection]:
    """The trigger itself, or those of its members, that watch a metric which a new version changes."""
    if any(getattr(trigger, name) is not None for name in MEASURED) and trigger.metric != "new_rows":
        yield trigger
    for one in model.triggers:
        if one.name in trigger.members:
            yield from _watching(model, one)
