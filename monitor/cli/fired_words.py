"""Which triggers fired in a window, and for which columns and segments, as tables show it."""

from collections.abc import Sequence

from monitor.config.sections import TriggerSection
from monitor.decide.particulars import few
from monitor.decide.triggers import concerned
from monitor.escape import name
from monitor.metric_catalogue import Group, names
from monitor.records import Score, Verdict


def telling(triggers: Sequence[TriggerSection]) -> set[str]:
    """The metrics whose scores say which columns and segments the triggers fire for."""
    return {"drift", *names(Group.QUALITY), *(trigger.metric for trigger in triggers)}


def fired_words(triggers: Sequence[TriggerSection], verdict: Verdict, scores: Sequence[Score]) -> list[str]:
    """Each trigger that fired, with the columns and segments it fired for."""
    places = {trigger: [name(place) for place in concerned(triggers, trigger, scores)] for trigger in verdict.fired}
    return [f"{trigger} ({few(found)})" if found else trigger for trigger, found in places.items()]
