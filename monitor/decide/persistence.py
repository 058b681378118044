"""The rule of persistence by itself, and the votes of windows that were never due."""

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass

from monitor.config.sections import ModelSection, TriggerSection
from monitor.config.values import Persistence
from monitor.decide.regret import Regret
from monitor.decide.triggers import enough
from monitor.decide.votes import Case, vote
from monitor.records import Snapshot

Votes = Sequence[bool | None]


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
                firing = enough(windows, (one[firing] for one in newest))
        found.append(firing)
    return found


def ballot(model: ModelSection, trigger: TriggerSection, snapshots: Sequence[Snapshot]) -> Ballot:
    """Let windows vote on a trigger, oldest first, as `decide` would have it.

    Regret, skill, dates and new rows are not told from snapshots alone: nobody votes on them here.
    """
    def cast(snapshot: Snapshot, fired: bool) -> bool | None:
        case = Case(model=model, known=snapshots, snapshot=snapshot, regret=Regret(), skills={}, was={}, newest=True,
                    since=snapshots[0].window.start)
        return vote(case, trigger, snapshot, fired).yes

    votes = [cast(one, False) for one in snapshots]
    return Ballot(votes, votes if trigger.clear is None else [cast(one, True) for one in snapshots])
