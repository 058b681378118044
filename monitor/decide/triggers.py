"""What the votes of windows make of each trigger, and of those that name others (`all`, `any`, `unless`).

Also the rule of persistence by itself, and the votes of windows that were never due.
"""

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from itertools import islice
from typing import Literal

from monitor.config.sections import MEASURED, TriggerSection
from monitor.config.spanning_rules import in_order
from monitor.config.values import Persistence
from monitor.decide.going_back import FEWEST
from monitor.decide.going_back import METRIC as VERSION_REGRET
from monitor.decide.particulars import few, most_drifted
from monitor.decide.regret_words import lacks, price_of
from monitor.decide.votes import Case, Vote, awaited_date, heard_when_broken, passing, vote, vote_on_scores
from monitor.history import breaches, disjoint, is_broken
from monitor.metric_catalogue import ESTIMATES
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.wording import day, listed, several

Action = Literal["alert", "retrain", "rollback"]

BROKEN_DATA, SOURCE = "broken-data", "source"
SOURCE_DOWN = "source-down"     # noticed at a look, between windows: it cannot be read, or is stale now
SHADOW = "shadow"                        # noticed at a look: a candidate in shadow cannot be judged
REFERENCE_GONE = "reference-gone"        # noticed at a look: rows of the reference have vanished from the log
Votes = Sequence[bool | None]


@dataclass(frozen=True, slots=True)
class Judgement:
    """What became of one trigger. `stands`: it fires, and the votes known now are enough to make it fire."""

    name: str
    action: Action
    firing: bool
    changed: bool
    stands: bool
    since: datetime             # end of the window in which it last changed
    words: str                  # what the window at hand, or the newest with a vote, showed
    tally: str                  # how the windows voted, and since when it fires
    newest: str = ""            # what the newest window with a vote showed
    sound: bool = True          # its votes may carry a retrain: neither estimated, provisional nor uncalibrated
    lacks: str = ""             # when it would fire, in words
    figures: str = ""           # how the words were worked out, for who knows the method
    version: str | None = None  # that served before and is to serve again

    @property
    def sentence(self) -> str:
        return f"{self.name}: {self.words}. {f'In figures: {self.figures}. ' * bool(self.figures)}{self.tally}"


def judge(case: Case, trigger: TriggerSection) -> Judgement:
    """Fires when at least m of the n newest disjoint windows with a vote say yes, clears when fewer do."""
    was = case.was.get(trigger.name)
    fired = was is not None and was.firing
    own = vote(case, trigger, case.snapshot, fired)
    judged = _newest_votes(case, trigger, fired)
    votes = [bool(cast.yes) for cast in judged]
    stands = enough(trigger.windows, votes)
    firing = fired if own.yes is None else stands
    alone = own.yes is not None or own.figures or not judged      # a sum goes on: the one before is part of it
    words = own.words if alone else f"{own.words}; before that {judged[0].words}"
    tallied = ", ".join("yes" if cast.yes else "no" for cast in judged)
    tally = f"Votes, newest first: {tallied or 'none yet'} ({trigger.windows} needed). "
    found = judgement(case, trigger.name, trigger.action, firing, words, tally, firing and stands)
    newest = judged[0].words if judged else words
    figures = own.figures or next((cast.figures for cast in judged), "")
    version = next((cast.version for cast in judged if cast.version is not None), None)
    return replace(found, newest=newest, figures=figures, sound=firing and _sound(case, trigger, fired),
                   lacks=_lacks(case, trigger, votes), version=version)


def _sound(case: Case, trigger: TriggerSection, fired: bool) -> bool:
    """Whether it would fire as a trigger of its own for retrains."""
    if trigger.metric in ESTIMATES:
        return False
    asking = trigger.model_copy(update={"action": "retrain"})
    return enough(trigger.windows, [bool(cast.yes) for cast in _newest_votes(case, asking, fired)])


def enough(windows: Persistence, newest: Iterable[bool]) -> bool:
    """Whether the votes of the n newest windows make a trigger fire."""
    return sum(newest) >= windows.m


def _newest_votes(case: Case, trigger: TriggerSection, fired: bool) -> list[Vote]:
    """The votes of the n newest disjoint windows that have one, newest first."""
    votes: dict[int, Vote] = {}

    def has_one(snapshot: Snapshot) -> bool:
        votes[id(snapshot)] = vote(case, trigger, snapshot, fired)
        return votes[id(snapshot)].yes is not None

    newest = islice(disjoint(filter(has_one, reversed(case.known))), trigger.windows.n)
    return [votes[id(snapshot)] for snapshot in newest]


def _lacks(case: Case, trigger: TriggerSection, votes: Sequence[bool]) -> str:
    """When it would fire, in words, such as "after 1 more window with …"; empty where the votes make it fire now."""
    if enough(trigger.windows, votes):
        return ""
    if trigger.every is not None or trigger.cron is not None:
        return awaited_date(trigger, case.begun(trigger), case.model.timezone)
    if trigger.metric == VERSION_REGRET:
        return f"once a version that served before has surely done better in {FEWEST} windows or more"
    if trigger.metric == "regret":
        return lacks(case.regret, price_of(trigger, case.regret))
    n = trigger.windows.n
    more = next(k for k in range(1, n + 1) if enough(trigger.windows, [True] * k + list(votes[: n - k])))
    return f"after {several(more, 'more window')} {_condition(trigger)}"


def _condition(trigger: TriggerSection) -> str:
    """The condition of a vote, in words."""
    if trigger.drifted:
        return "that drifted"
    name = next(name for name in MEASURED if getattr(trigger, name) is not None)
    joint = "with a" if name in ("rise", "drop") else "with"
    of = " of" if name in ("rise", "drop") else ""
    return f"{joint} {trigger.metric + ' ' if not of else ''}{name}{of} {getattr(trigger, name)}"


def broken_data(case: Case) -> Judgement:
    """Built in: fires on any window whose data are broken, clears on a newest window whose data are whole."""
    if is_broken(case.snapshot):
        said = case.snapshot.reason if case.snapshot.status is not SnapshotStatus.OK else None
        trouble = said or _breaches(case.snapshot) or "the schema changed"
        return _built_in(case, BROKEN_DATA, True, trouble)
    whole = case.at_newest and case.snapshot.status is SnapshotStatus.OK
    words = "columns, types and nulls are as in the reference"
    return _built_in(case, BROKEN_DATA, False if whole else None, words)


def _breaches(snapshot: Snapshot) -> str:
    found = [s for s in snapshot.scores if s.status is ScoreStatus.BREACHED]
    shown = [s.reason or f"{s.metric}{f' of {s.column}' if s.column else ''}" for s in found]
    return few(shown)


def source(case: Case) -> Judgement:
    """Built in: fires when the source fails, is empty or stale; clears when a newest window can be read."""
    trouble = _trouble(case)
    down = case.was.get(SOURCE_DOWN)
    if down is not None and down.firing:     # people know already
        return _built_in(case, SOURCE, None, f"{SOURCE_DOWN} fires already")
    if trouble:
        return _built_in(case, SOURCE, True, trouble)
    return _built_in(case, SOURCE, False if case.at_newest else None, "the source answers with fresh rows")


def _trouble(case: Case) -> str | None:
    if case.snapshot.status is SnapshotStatus.SOURCE_FAILED:
        return f"the source failed: {case.snapshot.reason or 'no reason was given'}"
    # Staleness counts from now: of a window that was caught up with or measured again it says nothing.
    return _stale(case.snapshot) if case.newest and case.at_newest else None


def _stale(snapshot: Snapshot) -> str | None:
    scores = (s for s in snapshot.scores if s.metric == "staleness_seconds")
    score = next((s for s in scores if s.status is ScoreStatus.BREACHED), None)
    if score is None:
        return None
    return f"the source is stale: {score.reason or 'its newest row is older than allowed'}"


def _built_in(case: Case, name: str, vote: bool | None, words: str) -> Judgement:
    was = case.was.get(name)
    fired = was is not None and was.firing
    firing = fired if vote is None else vote
    if vote is None and was is not None and fired:
        words = was.reason
    return judgement(case, name, "alert", firing, words, "", firing)


def judgement(
    case: Case, name: str, action: Action, firing: bool, words: str, tally: str, stands: bool
) -> Judgement:
    was = case.was.get(name)
    changed = firing != (was is not None and was.firing)
    since = was.since if was and not changed else case.snapshot.window.end
    state = f"It fires since {day(since, case.model.timezone)}" if firing else "It does not fire"
    return Judgement(name, action, firing, changed, stands, since, words, f"{tally}{state}", words)


def concerned(triggers: Sequence[TriggerSection], name: str, scores: Sequence[Score]) -> list[str]:
    """The columns and segments that make a trigger fire in a window, the worst first."""
    if name == BROKEN_DATA:
        return _places(s for s in scores if s.status is ScoreStatus.BREACHED)
    trigger = next((trigger for trigger in triggers if trigger.name == name), None)
    if trigger is None or trigger.metric in ("regret", "new_rows", VERSION_REGRET):
        return []
    if trigger.members:
        return list(dict.fromkeys(place for one in trigger.members for place in concerned(triggers, one, scores)))
    return _places(most_drifted(scores) if trigger.metric == "drifted_share" else passing(trigger, scores))


def _places(scores: Iterable[Score]) -> list[str]:
    found = ([part for part in (one.column, one.segment) if part] for one in scores)
    return list(dict.fromkeys(" of ".join(parts) for parts in found if parts))


def judge_all(case: Case) -> tuple[Judgement, ...]:
    """The built-in triggers, then the configured ones in the order of the file."""
    judged = {judgement.name: judgement for judgement in (broken_data(case), source(case))}
    for trigger in in_order(case.model.triggers):
        against = [name for name in trigger.unless if judged[name].firing]
        judged[trigger.name] = _held_back(case, trigger, against) if against else _judge(case, trigger, judged)
    return tuple(judged[name] for name in (BROKEN_DATA, SOURCE, *(trigger.name for trigger in case.model.triggers)))


def _judge(case: Case, trigger: TriggerSection, judged: Mapping[str, Judgement]) -> Judgement:
    if trigger.members:
        return _composed(case, trigger, [judged[name] for name in trigger.members])
    return judge(case, trigger)


def _composed(case: Case, trigger: TriggerSection, members: Sequence[Judgement]) -> Judgement:
    """Fires with all of its members, or with any; a retrain needs a sound one among them.

    `all` never fires where its sound member alone would not; `any` counts sound members only.
    """
    was = case.was.get(trigger.name)
    fired = was is not None and was.firing
    holds, sound, stands = _together(trigger, members)
    asks = trigger.action == "retrain"
    firing = holds and (sound or fired or not asks)
    names = [f"{member.name} {'fires' if member.firing else 'does not'}" for member in members]
    words = listed(names) + ("" if sound or not (asks and holds) else "; no member may ask for a retrain by itself")
    found = judgement(case, trigger.name, trigger.action, firing, words, "", firing and stands and (sound or not asks))
    quiet = [member.name for member in members if not member.firing]
    need = listed(quiet)
    too = f"when {need} {'fires' if len(quiet) == 1 else 'fire'} too"
    lacks = too if trigger.all else f"when one of {need} fires"
    if not need:
        lacks = "when a member fires that may ask for retrains"
    return replace(found, sound=sound, lacks="" if firing else lacks)


def _together(trigger: TriggerSection, members: Sequence[Judgement]) -> tuple[bool, bool, bool]:
    """Whether the members make it fire, whether soundly, and on votes known now."""
    some = any(member.firing and member.sound for member in members)
    if trigger.all:
        return all(member.firing for member in members), some, all(member.stands for member in members)
    counted = [member for member in members if member.sound or trigger.action == "alert"]
    return any(member.firing for member in members), some, any(member.stands for member in counted)


def _held_back(case: Case, trigger: TriggerSection, against: Sequence[str]) -> Judgement:
    """While one of `unless` fires nothing changes: it neither begins nor clears, and asks for nothing."""
    was = case.was.get(trigger.name)
    words = f"held back while {listed(against)} {'fires' if len(against) == 1 else 'fire'}"
    firing = was is not None and was.firing
    found = judgement(case, trigger.name, trigger.action, firing, words, "", stands=False)
    return replace(found, sound=False, lacks=f"once none of {listed(against)} fires")


@dataclass(frozen=True, slots=True)
class Ballot:
    """How disjoint windows, oldest first, vote on one trigger: while it does not fire, and while it does."""

    votes: Votes
    clearing: Votes

    def of(self, windows: Sequence[int]) -> "Ballot":
        """The votes of these windows, by their places, in this order."""
        return Ballot([self.votes[at] for at in windows], [self.clearing[at] for at in windows])


def fires(
    windows: Persistence, votes: Votes, clearing: Votes | None = None, held: Sequence[bool] | None = None
) -> list[bool]:
    """Return whether a trigger fires at each of these disjoint windows, oldest first, by their votes; None is none.

    `clearing`: the votes that count while it fires, where those are others; where `held` nothing changes.
    """
    newest: deque[tuple[bool, bool]] = deque(maxlen=windows.n)
    firing, found = False, []
    for at, cast in enumerate(votes):
        if cast is not None:
            newest.append((cast, bool(clearing[at]) if clearing else cast))
            if not (held and held[at]):
                firing = enough(windows, (votes_of[firing] for votes_of in newest))
        found.append(firing)
    return found


def ballot(trigger: TriggerSection, windows: Sequence[Sequence[Score]]) -> Ballot:
    """Let windows vote on a trigger by their scores, oldest first, as `decide` would have it.

    Regret, dates and new rows are not told from the scores of single windows: nobody votes on them here.
    """
    def cast(scores: Sequence[Score], fired: bool) -> bool | None:
        if breaches(scores) and not heard_when_broken(trigger):
            return None
        return vote_on_scores(trigger, scores, fired).yes

    votes = [cast(window, False) for window in windows]
    same = trigger.clear is None and trigger.metric != "performance_lost"
    return Ballot(votes, votes if same else [cast(window, True) for window in windows])
