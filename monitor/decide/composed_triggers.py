"""Triggers together: those that name others (`all`, `any`, `unless`), each judged behind what it names."""

from collections.abc import Mapping, Sequence
from dataclasses import replace

from monitor.config.composition_rules import in_order
from monitor.config.sections import TriggerSection
from monitor.decide.triggers import BROKEN_DATA, SOURCE, Judgement, broken_data, judge, judgement, source
from monitor.decide.votes import Case
from monitor.wording import listed


def judge_all(case: Case) -> tuple[Judgement, ...]:
    """The built-in triggers, then the configured ones in the order of the file."""
    judged = {one.name: one for one in (broken_data(case), source(case))}
    for trigger in in_order(case.model):
        against = [name for name in trigger.unless if judged[name].firing]
        judged[trigger.name] = _held_back(case, trigger, against) if against else _judge(case, trigger, judged)
    return tuple(judged[name] for name in (BROKEN_DATA, SOURCE, *(one.name for one in case.model.triggers)))


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
    names = [f"{one.name} {'fires' if one.firing else 'does not'}" for one in members]
    words = listed(names) + ("" if sound or not (asks and holds) else "; none of them may ask for a retrain by itself")
    found = judgement(case, trigger.name, trigger.action, firing, words, "", firing and stands and (sound or not asks))
    need = listed([one.name for one in members if not one.firing])
    lacks = f"{need} firing too" if trigger.all else f"one of {need} firing"
    return replace(found, sound=sound, lacks="" if firing else lacks if need else "a member that may ask for retrains")


def _together(trigger: TriggerSection, members: Sequence[Judgement]) -> tuple[bool, bool, bool]:
    """Whether the members make it fire, whether soundly, and on votes known now."""
    some = any(one.firing and one.sound for one in members)
    if trigger.all:
        return all(one.firing for one in members), some, all(one.stands for one in members)
    counted = [one for one in members if one.sound or trigger.action == "alert"]
    return any(one.firing for one in members), some, any(one.stands for one in counted)


def _held_back(case: Case, trigger: TriggerSection, against: Sequence[str]) -> Judgement:
    """While one of `unless` fires nothing changes: it neither begins nor clears, and asks for nothing."""
    was = case.was.get(trigger.name)
    words = f"held back while {listed(against)} {'fires' if len(against) == 1 else 'fire'}"
    firing = was is not None and was.firing
    found = judgement(case, trigger.name, trigger.action, firing, words, "", stands=False)
    return replace(found, sound=False, lacks=f"{listed(against)} not firing")
