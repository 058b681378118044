"""Rules that span several parts of a configuration.

Triggers that name other triggers: the names exist, none depends on itself, no estimate retrains alone. Silences: their
times are valid, their model and trigger exist. Private columns: no column is private whose role shows its values. The
gate and the candidate in shadow: what types cannot express.
"""

import math
from collections.abc import Iterator, Mapping, Sequence

from monitor.config import cron
from monitor.config.column_roles import Roles
from monitor.config.keys import Key, did_you_mean
from monitor.config.sections import Config, ModelSection, SilenceSection, TriggerSection
from monitor.metric_catalogue import ESTIMATES, Use, names_for

BUILT_IN = ("broken-data", "source")
LATER_BUILT_IN = ("no-recovery", "registry", "shadow")     # judged after the others, so none may depend on them
Problems = Iterator[tuple[Key, str]]
OPTIONS = ("column", "column_name", "columns", "x_column", "y_column")     # of Evidently's metrics, that name columns
MOST_COLUMNS = 10     # of segments: each has up to twenty values, and each value has every metric
LIMITED = names_for(Use.LIMIT)


def composition(key: Key, trigger: TriggerSection, model: ModelSection) -> Iterator[tuple[Key, str]]:
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
        yield (*key, part), f"{' → '.join(circle)} is a circle, expected triggers that do not depend on it"
    elif trigger.members and trigger.action == "retrain" and not sound(trigger, triggers):
        yield (*key, "action"), f'"{trigger.name}" may fire on estimates alone, which never retrain, expected "alert"'


def sound(trigger: TriggerSection, triggers: Mapping[str, TriggerSection]) -> bool:
    """Whether a trigger never fires on estimates alone: of `all` one sound member is enough, of `any` all must be."""
    of = [sound(triggers[name], triggers) for name in trigger.members if name in triggers]
    if trigger.all is not None:
        return not of or any(of)
    return all(of) if trigger.any is not None else trigger.metric not in ESTIMATES


def in_order(triggers: Sequence[TriggerSection]) -> Iterator[TriggerSection]:
    """Yield the triggers, each after those it names; else in the order of the file."""
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
    """Return the shortest path from a trigger back to itself; empty if there is none."""
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


def silences(config: Config) -> Problems:
    """Yield what is wrong with each silence."""
    for index, silence in enumerate(config.silences):
        key = ("silences", index)
        if silence.cron is not None and (text := cron.wrong(silence.cron)):
            yield (*key, "cron"), f'"{silence.cron}" {text}, expected such as "0 22 * * *"'
        if silence.since and silence.until and silence.since >= silence.until:
            yield (*key, "until"), "is not after since, expected a later moment"
        if silence.model is not None and silence.model not in config.models:
            near = did_you_mean(silence.model, config.models) or f", expected one of {', '.join(config.models)}"
            yield (*key, "model"), f'there is no model "{silence.model}"{near}'
        elif silence.trigger is not None:
            yield from _silenced(key, silence, config)


def _silenced(key: Key, silence: SilenceSection, config: Config) -> Problems:
    models = [config.models[silence.model]] if silence.model else list(config.models.values())
    known = (*BUILT_IN, *LATER_BUILT_IN, *(trigger.name for model in models for trigger in model.triggers))
    if silence.trigger not in known:
        near = did_you_mean(str(silence.trigger), known) or f", expected one of {', '.join(dict.fromkeys(known))}"
        yield (*key, "trigger"), f'there is no trigger "{silence.trigger}"{near}'
    if silence.maintenance:
        yield (*key, "trigger"), "a maintenance window is of a whole model, expected no trigger"


def private_columns(model: ModelSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with the private columns of a model, as far as the configuration alone shows it."""
    private = set(model.columns.private)
    named = {"timestamp": model.columns.timestamp, "id": model.columns.id}
    yield from ((("columns", "private"), text) for text in _of_parts(model, named))
    protected = model.fairness.columns if model.fairness else ()
    for key, names in ((("columns", "segments"), model.columns.segments), (("fairness", "columns"), protected)):
        for name in names:
            if name in private:
                yield key, f'"{name}" is private, but its values would name the groups, expected another column'
    for index, one in enumerate(model.evidently):
        given = {str(name) for option in OPTIONS for name in _listed(one.options.get(option))}
        if found := sorted(given & private):
            yield ("evidently", index, "options"), \
                f'"{found[0]}" is private, and {one.metric} may show its values, expected another column'
        elif private and one.metric.endswith("ByLabel") and _of_classes(model):
            yield ("evidently", index, "metric"), \
                f"{one.metric} names the classes, expected columns.label and columns.prediction that are not private"


def wrongly_private(model: ModelSection, roles: Roles) -> list[str]:
    """Return what is wrong with private columns among those that were found by their usual names."""
    return [f"{model.name}: columns.private: {text}"
            for text in _of_parts(model, {"timestamp": roles.timestamp, "id": roles.id})]


def _of_parts(model: ModelSection, parts: dict[str, str | None]) -> Iterator[str]:
    if (name := parts["timestamp"]) in model.columns.private:
        yield f'"{name}" is the timestamp, which bounds every window, expected other columns'
    if isinstance(model.window.size, int) and (name := parts["id"]) in model.columns.private:
        yield f'"{name}" is the id, which bounds windows of so many rows, expected a window of time'


def _of_classes(model: ModelSection) -> bool:
    """Whether the classes may be values of a private column."""
    named = {model.columns.label, model.columns.prediction}
    return None in named or bool(named & set(model.columns.private))


def _listed(value: object) -> tuple[object, ...]:
    return tuple(value) if isinstance(value, list | tuple) else () if value is None else (value,)


def gate_limits(model: ModelSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with the gate of a model."""
    gate = model.gate
    for name in ("margin", "delta"):
        if not math.isfinite(getattr(gate, name)):
            yield ("gate", name), f"expected a finite number, got {getattr(gate, name)}"
    if len(gate.segments or ()) > MOST_COLUMNS:
        yield ("gate", "segments"), f"expected at most {MOST_COLUMNS} columns"
    if gate.limits and model.fairness is None:
        table = f"[models.{model.name}.fairness]"
        yield ("gate", "limits"), f"hold for protected columns, expected a table {table} that names them"
    for name, text in wrong_limits(gate.limits):
        yield ("gate", "limits", name), text


def shadow(model: ModelSection) -> Iterator[tuple[Key, str]]:
    """Yield what is wrong with how the candidate in shadow is named."""
    found, key = model.promotion.shadow, ("promotion", "shadow")
    if found is None:
        return
    if (found.version is None) == (found.alias is None):
        yield key, 'expected either version, such as "2", or the alias of the registry that names the candidate'
    elif found.alias is not None and model.registry is None:
        yield (*key, "alias"), f"is of a registry, expected a table [models.{model.name}.registry], or version instead"
    elif model.registry is not None and found.alias == model.registry.alias:
        yield (*key, "alias"), f'"{found.alias}" names the version in service, expected the alias of the candidate'


def wrong_limits(limits: Mapping[str, float]) -> Iterator[tuple[str, str]]:
    """Yield each limit that is not valid, and why."""
    for name, limit in limits.items():
        if name not in LIMITED:
            near = did_you_mean(name, LIMITED) or ", expected one of " + ", ".join(LIMITED)
            yield name, f'"{name}" is no fairness metric{near}'
        elif not 0 <= limit <= 1:
            yield name, f"expected a number from 0 to 1, got {limit:g}"
