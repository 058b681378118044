"""The rule of persistence by itself, and triggers over windows that were never due: how often would they have begun?"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from monitor.config.model import ModelSection, TriggerSection
from monitor.config.values import Persistence
from monitor.decide.regret import Regret
from monitor.decide.triggers import Case, enough, judge
from monitor.records import Firing, Snapshot


def fires(windows: Persistence, votes: Sequence[bool | None]) -> list[bool]:
    """Return whether a trigger fires at each of these disjoint windows, oldest first, by their votes; None is none."""
    newest: deque[bool] = deque(maxlen=windows.n)
    firing, found = False, []
    for vote in votes:
        if vote is not None:
            newest.append(vote)
            firing = enough(windows, newest)
        found.append(firing)
    return found


def replay(model: ModelSection, trigger: TriggerSection, snapshots: Sequence[Snapshot]) -> list[bool]:
    """Return whether the trigger fires at each of these windows, oldest first, as `decide` would have it.

    Regret and skill are not told from snapshots alone: triggers on them do not fire here.
    """
    was: dict[str, Firing] = {}
    fired = []
    for at, snapshot in enumerate(snapshots):
        case = Case(model=model, known=snapshots[: at + 1], snapshot=snapshot, regret=Regret(), skills={}, was=was,
                    newest=True, since=snapshots[0].window.start)
        judged = judge(case, trigger)
        was[trigger.name] = _firing(model, trigger, judged.firing, judged.since)
        fired.append(judged.firing)
    return fired


def _firing(model: ModelSection, trigger: TriggerSection, firing: bool, since: datetime) -> Firing:
    return Firing(model=model.name, trigger=trigger.name, firing=firing, since=since, reason="")
