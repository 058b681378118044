"""The rule of persistence by itself, and triggers over windows that were never due: how often would they have begun?"""

from collections import deque
from collections.abc import Sequence
from datetime import datetime

from monitor.config.model import ModelSection, TriggerSection
from monitor.config.values import Persistence
from monitor.decide.regret import Regret
from monitor.decide.triggers import Case, enough, judge
from monitor.records import Firing, Snapshot


def episodes(windows: Persistence, votes: Sequence[bool | None]) -> int:
    """Return how often a trigger begins to fire on the votes of disjoint windows, oldest first; None is no vote."""
    newest: deque[bool] = deque(maxlen=windows.n)
    firing, begun = False, 0
    for vote in votes:
        if vote is not None:
            newest.append(vote)
            fires = enough(windows, newest)
            begun, firing = begun + (fires and not firing), fires
    return begun


def replay(model: ModelSection, trigger: TriggerSection, snapshots: Sequence[Snapshot]) -> list[bool]:
    """Return whether the trigger fires at each of these windows, oldest first, as `decide` would have it.

    Regret and skill are not told from snapshots alone: triggers on them do not fire here.
    """
    was: dict[str, Firing] = {}
    fired = []
    for at, snapshot in enumerate(snapshots):
        case = Case(model=model, known=snapshots[: at + 1], snapshot=snapshot, regret=Regret(), skills={}, was=was,
                    newest=True)
        judged = judge(case, trigger)
        was[trigger.name] = _firing(model, trigger, judged.firing, judged.since)
        fired.append(judged.firing)
    return fired


def _firing(model: ModelSection, trigger: TriggerSection, firing: bool, since: datetime) -> Firing:
    return Firing(model=model.name, trigger=trigger.name, firing=firing, since=since, reason="")
