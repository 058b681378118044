"""Triggers that can never fire, as far as the configuration alone shows it: each is an error."""

import math
from collections.abc import Iterator
from dataclasses import dataclass

from monitor.config.drift_methods import METHODS, is_p_value
from monitor.config.keys import Key, did_you_mean
from monitor.config.sections import DEFAULT_TRIGGERS, ModelSection, TriggerSection
from monitor.config.values import Change
from monitor.metric_catalogue import CATALOGUE, Better, Metric, Need, Unit, Use

Problems = Iterator[tuple[Key, str]]
_PARTS = ("column", "segment", "method")


@dataclass(frozen=True, slots=True)
class TriggerProblem:
    """What is wrong with one key of the trigger at `index`."""

    index: int
    key: str
    text: str


def never(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    """Yield why a trigger of a known metric can never fire."""
    yield from _conflicting(key, trigger, model)
    row = CATALOGUE.get(trigger.metric)
    if row is None or trigger in DEFAULT_TRIGGERS:      # nobody wrote these: one that cannot work is quiet
        return
    yield from _parts(key, trigger, row)
    yield from _needs(key, trigger, row, model)
    yield from _range(key, trigger, row)
    yield from _clear(key, trigger, row)
    yield from _of_method(key, trigger, model)


def _parts(key: Key, trigger: TriggerSection, row: Metric) -> Problems:
    """A metric that is not told by column (or method) has no score that a column could select."""
    for part in ("column", "method"):
        if getattr(trigger, part) is not None and part not in row.labels:
            with_it = [name for name, other in CATALOGUE.items() if part in other.labels and other.uses]
            near = did_you_mean(trigger.metric, with_it)
            yield (*key, part), f'"{row.name}" is not measured by {part}, expected no {part}, or another metric{near}'
    if trigger.action == "retrain" and Use.ALERT in row.uses and Use.RETRAIN not in row.uses and not row.estimate_of:
        yield (*key, "action"), f'"{row.name}" never retrains, expected "alert"'


def _needs(key: Key, trigger: TriggerSection, row: Metric, model: ModelSection) -> Problems:
    missing = {
        Need.REHEARSAL: (not model.rehearsal.enabled, "rehearsal.enabled = false"),
        Need.ESTIMATION: (not model.estimation.enabled, "estimation.enabled = false"),
        Need.TOGETHER: (not (model.drift.multivariate or model.drift.embeddings), "drift.multivariate = false"),
    }
    for need in row.needs:
        lacks, why = missing.get(need, (False, ""))
        if lacks:
            yield (*key, "metric"), f'"{row.name}" is not measured with {why}, expected it to be enabled'
    if Need.VERSIONS in row.needs and model.versions is None:
        table = f"[models.{model.name}.versions]"
        yield (*key, "metric"), f'"{row.name}" compares versions, expected a table {table} that says where they predict'
    if row.name == "rows" and isinstance(model.window.size, int):
        yield (*key, "metric"), f"every window has {model.window.size} rows, which window.size counts, expected another"
    if row.name == "unmatched_labels_share" and model.labels is None:
        yield (*key, "metric"), f'"{row.name}" is about labels that are kept apart, expected labels beside predictions'
    groups = model.drift.embeddings
    if Need.TOGETHER in row.needs and trigger.column is not None and trigger.column not in groups:
        near = did_you_mean(trigger.column, groups) or f", expected one of {', '.join(groups) or 'none'}"
        yield (*key, "column"), f'there is no group of embeddings "{trigger.column}"{near}'


def limits_of(row: Metric) -> tuple[float, float]:
    """Return the smallest and the largest value a metric can have."""
    if row.unit is Unit.SHARE and row.better is not Better.ZERO and row.name != "gain_realised":
        return 0.0, 1.0
    if row.name in ("r2", "estimate_skill"):
        return -math.inf, 1.0
    counted = row.unit in (Unit.COUNT, Unit.SECONDS, Unit.REGRET) or row.name in ("log_loss", "mae", "rmse", "mape")
    estimated = (row.estimate_of or "") in ("log_loss", "mae", "rmse", "mape")
    return (0.0, math.inf) if counted or estimated or row.name == "metric_sd" else (-math.inf, math.inf)


def _range(key: Key, trigger: TriggerSection, row: Metric) -> Problems:
    low, high = limits_of(row)
    if trigger.metric == "drift" and trigger.method in METHODS:
        low, high = 0.0, 1.0 if is_p_value(trigger.method) else math.inf
    between = f"from {low:g} to {high:g}" if math.isfinite(high) else f"of at least {low:g}"
    for name, level in (("above", trigger.above), ("below", trigger.below)):
        if level is None or level.span is not None:
            continue
        beyond = level.number >= high if name == "above" else level.number <= low
        if not math.isfinite(level.number):
            yield (*key, name), f"expected a finite number, got {level.number:g}"
        elif beyond:
            yield (*key, name), f'{row.name} is a number {between}, never {name} {level.number:g}'
        elif not low <= level.number <= high:
            always = f"always {name} {level.number:g}"
            yield (*key, name), f"{row.name} is a number {between}, {always}: expected one of them"
    for name in ("rise", "drop"):
        if isinstance(change := getattr(trigger, name), Change):
            yield from _change((*key, name), name, change, low, high, row)


def _change(key: Key, name: str, change: Change, low: float, high: float, row: Metric) -> Problems:
    if not math.isfinite(change.amount):
        yield key, f"expected a finite number, got {change.amount:g}"
    elif change.relative and name == "drop" and low == 0 and change.amount >= 1:
        yield key, f"{row.name} cannot drop by {change} of its value, expected less than 100%"
    elif not change.relative and math.isfinite(high - low) and change.amount >= high - low:
        percent = f', or "{change.amount:g}%" of its value' if change.amount < 100 else ""
        yield key, f"{row.name} lies between {low:g} and {high:g}, it never changes by {change}: expected less{percent}"


def _clear(key: Key, trigger: TriggerSection, row: Metric) -> Problems:
    """The clearing level lies on the quiet side of the threshold, where the metric can be."""
    clear, (low, high) = trigger.clear, limits_of(row)
    if clear is None:
        return
    if not math.isfinite(clear):
        yield (*key, "clear"), f"expected a finite number, got {clear:g}"
    elif trigger.drifted:
        yield (*key, "clear"), "goes with above, below, rise or drop, expected no clear beside drifted"
    elif trigger.above is not None and trigger.above.span is None and clear > trigger.above.number:
        yield (*key, "clear"), f"{clear:g} is above the threshold {trigger.above.number:g}, expected at most that"
    elif trigger.below is not None and clear < trigger.below.number:
        yield (*key, "clear"), f"{clear:g} is below the threshold {trigger.below.number:g}, expected at least that"
    elif (trigger.below is not None and clear > high) or (trigger.above is not None and clear < low):
        yield (*key, "clear"), f"{row.name} is a number from {low:g} to {high:g}, so it never clears at {clear:g}"
    elif (change := trigger.rise or trigger.drop) is not None and clear > change.amount:
        yield (*key, "clear"), f"{clear:g} is more than the change {change.amount:g}, expected at most that"


def _of_method(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    """A column that has a method of its own is measured by no other."""
    own = model.drift.columns.get(trigger.column or "")
    method = own.method if own is not None else None
    if trigger.metric == "drift" and trigger.method and method not in (None, "auto", trigger.method):
        yield (*key, "method"), f'"{trigger.column}" is measured by {method}, expected that'


def _conflicting(key: Key, trigger: TriggerSection, model: ModelSection) -> Problems:
    """Members that cannot fire together, and a trigger held back by what makes it fire."""
    triggers = {one.name: one for one in model.triggers}
    if trigger.all is not None:
        held = [name for name in trigger.all if name in trigger.unless]
        yield from _apart(key, [triggers[name] for name in trigger.all if name in triggers])
    else:
        held = list(trigger.any or ()) if set(trigger.any or ()) <= set(trigger.unless) else []
    if held:
        yield (*key, "unless"), f'"{held[0]}" makes it fire and holds it back, expected it in one of them'
    again = [name for name in trigger.members if list(trigger.members).count(name) > 1]
    if again:
        yield (*key, "all" if trigger.all else "any"), f'"{again[0]}" is there twice, expected each name once'


def _apart(key: Key, members: list[TriggerSection]) -> Problems:
    for one in members:
        for other in members:
            same = one.metric == other.metric and all(getattr(one, p) == getattr(other, p) for p in _PARTS)
            if not (same and one.above and other.below and one.metric and one.windows.m == one.windows.n == 1):
                continue
            if other.windows.n == 1 and one.above.number >= other.below.number:
                both = f"above {one.above.number:g} and below {other.below.number:g}"
                yield (*key, "all"), f'{one.metric} is never {both}, as "{one.name}" and "{other.name}" would have it'

