"""Triggers that name other triggers: the names exist, nothing rests on itself, and no guess alone retrains."""

from collections.abc import Iterator, Mapping, Sequence

from monitor.config.keys import Key, did_you_mean
from monitor.config.sections import ModelSection, TriggerSection
from monitor.metric_catalogue import ESTIMATES

BUILT_IN = ("broken-data", "source")
LATER_BUILT_IN = ("no-recovery", "registry")     # judged behind the others: none may rest on them


def check(key: Key, trigger: TriggerSection, model: ModelSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with the triggers that one trigger names."""
    triggers = {one.name: one for one in model.triggers}
    for part in ("all", "any", "unless"):
        for index, name in enumerate(getattr(trigger, part) or ()):
            known = tuple(triggers) if part != "unless" else (*BUILT_IN, *triggers)
            if name not in known:
                near = did_you_mean(name, known) or f", expected one of {', '.join(known)}"
                yield (*key, part, index), f'there is no trigger "{name}"{near}'
    circle = _circle(trigger, triggers)
    if circle:
        part = next(p for p in ("all", "any", "unless") if circle[1] in (getattr(trigger, p) or ()))
        yield (*key, part), f"{' → '.join(circle)} goes round in a circle, expected triggers that do not rest on it"
    elif trigger.members and trigger.action == "retrain" and not sound(trigger, triggers):
        yield (*key, "action"), f'"{trigger.name}" may rest on estimates alone, which never retrain, expected "alert"'


def sound(trigger: TriggerSection, triggers: Mapping[str, TriggerSection]) -> bool:
    """Whether it never fires on estimates alone: one of `all` is enough, it takes each of `any`."""
    of = [sound(triggers[name], triggers) for name in trigger.members if name in triggers]
    if trigger.all is not None:
        return not of or any(of)
    return all(of) if trigger.any is not None else trigger.metric not in ESTIMATES


def in_order(triggers: Sequence[TriggerSection]) -> Iterator[TriggerSection]:
    """The triggers, each behind those it names; else in the order of the file."""
    by_name, done = {one.name: one for one in triggers}, set()

    def visit(one: TriggerSection) -> Iterator[TriggerSection]:
        if one.name not in done:
            done.add(one.name)
            for name in (*one.members, *one.unless):
                yield from visit(by_name[name]) if name in by_name else ()
            yield one

    for trigger in triggers:
        yield from visit(trigger)


def _circle(trigger: TriggerSection, triggers: Mapping[str, TriggerSection]) -> list[str]:
    """The shortest way from a trigger back to itself; empty where there is none."""
    ways, seen = [[trigger.name]], set()
    while ways:
        way = ways.pop(0)
        last = triggers.get(way[-1])
        for name in (*last.members, *last.unless) if last else ():
            if name == trigger.name:
                return [*way, name]
            if name not in seen:
                seen.add(name)
                ways.append([*way, name])
    return []
