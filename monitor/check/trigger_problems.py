"""Triggers that can never fire, as the data show it: no such column, no labels, a metric of another task."""

from collections.abc import Collection, Iterator

from monitor import escape
from monitor.config import DEFAULT_TRIGGERS, FeatureKind, ModelSection, Roles, TriggerSection
from monitor.config.drift_methods import METHODS
from monitor.config.keys import did_you_mean
from monitor.config.sections import BUILT_IN_TRIGGERS, DriftSection
from monitor.config.trigger_rules import TriggerProblem, limits_of
from monitor.drift.column_scores import chosen, wanted
from monitor.drift.methods import choose
from monitor.errors import CannotJudge
from monitor.metric_catalogue import CATALOGUE, OF_GROUPS, PERFORMANCE, Need, performance_of
from monitor.performance.class_evidence import score_column
from monitor.private import quoted
from monitor.quality.column_checks import watched
from monitor.reference.reference_data import ReferenceData
from monitor.tables import columns
from monitor.tables.digest import CategoryDigest, NumberDigest
from monitor.tables.groups import divide
from monitor.wording import number

Problem = tuple[str, str]        # the trigger's key, and what is wrong with it
_KINDS = {"unseen_share": "categorical", "out_of_range_share": "numerical", "unseen_words_share": "text",
          "text_length_drift": "text"}      # of the columns of which a metric is measured


def trigger_problems(model: ModelSection, reference: ReferenceData) -> Iterator[TriggerProblem]:
    """Yield what is wrong with the triggers of the file, given the columns and the rows of the reference."""
    for index, trigger in enumerate(model.triggers):
        if trigger.metric in CATALOGUE and trigger not in (*BUILT_IN_TRIGGERS, *DEFAULT_TRIGGERS):
            found = [*_needs(trigger, reference), *_columns(trigger, reference), *_segment(trigger, reference)]
            if not found:
                found = [*_change(trigger, reference), *_other_method(trigger, model.drift, reference)]
            for key, text in found:
                yield TriggerProblem(index, key, text)


def _needs(trigger: TriggerSection, reference: ReferenceData) -> Iterator[Problem]:
    row, roles, judged = CATALOGUE[trigger.metric], reference.roles, reference.performance
    if Need.LABELS in row.needs and roles.label is None:
        yield "metric", f'"{row.name}" needs labels, and no column is the label: name it in columns.label'
    elif judged is not None and judged.task not in row.tasks:
        known = performance_of(judged.task) if row.name in PERFORMANCE else ()
        near = did_you_mean(row.name, known) or (f", expected one of {', '.join(known)}" if known else "")
        yield "metric", f'"{row.name}" is no metric of a {judged.task} model{near}'
    elif Need.PROBABILITY in row.needs and judged is not None and score_column(roles) is None and not roles.per_class:
        yield "metric", f'"{row.name}" needs a probability, and no column is it: name it in columns.probability'
    if Need.VERSIONS in row.needs and roles.id is None:
        yield "metric", f'"{row.name}" joins predictions on an id, and no column is it: name it in columns.id'
    if Need.TEXT in row.needs and "text" not in roles.features.values():
        yield "metric", f'"{row.name}" is about text columns, and no feature is one'
    if row.name in OF_GROUPS and judged is not None and judged.task != "binary":
        yield "metric", f'"{row.name}" compares the answers of binary models, and this one is {judged.task}'


def _columns(trigger: TriggerSection, reference: ReferenceData) -> Iterator[Problem]:
    row, features = CATALOGUE[trigger.metric], reference.roles.features
    known = _measured_columns(trigger.metric, reference.roles)
    if not known and "column" in row.labels and not {Need.TOGETHER, Need.TEXT} & set(row.needs):
        yield "metric", f'"{row.name}" is measured of {_KINDS.get(row.name, "feature")} columns, and there is none'
    elif trigger.column is not None and "column" in row.labels and Need.TOGETHER not in row.needs:
        if trigger.column not in known:
            near = did_you_mean(trigger.column, known)
            there = quoted(escape.names(known)) if known else "none"
            yield "column", f'{row.name} is not measured of a column "{trigger.column}"{near or ","} there are {there}'
        elif trigger.method in METHODS and trigger.column in features:
            yield from _method(trigger, trigger.method, {features[trigger.column]})
    elif trigger.method in METHODS and trigger.metric == "drift":
        yield from _method(trigger, trigger.method, set(features.values()))


def _method(trigger: TriggerSection, method: str, kinds: Collection[str]) -> Iterator[Problem]:
    fit = METHODS[method].kinds
    if not set(fit) & set(kinds):
        what = f'"{trigger.column}" is {", ".join(kinds)}' if trigger.column else "no feature is"
        yield "method", f'"{method}" is for {" or ".join(fit)} columns, and {what}'


def _measured_columns(metric: str, roles: Roles) -> list[str]:
    """Return the columns of which a metric is measured."""
    if metric == "missing_share":
        return watched(roles)
    if metric in ("prediction_drift", "prediction_collapse"):
        return [name for name in (roles.prediction, roles.probability) if name]
    return [name for name, kind in roles.features.items() if _KINDS.get(metric, kind) == kind]


def _change(trigger: TriggerSection, reference: ReferenceData) -> Iterator[Problem]:
    """A change against the reference's value that leads beyond what the metric can be."""
    change = trigger.rise or trigger.drop
    before = _before(trigger, reference) if change is not None and trigger.segment is None else None
    if change is None or before is None:
        return
    low, high = limits_of(CATALOGUE[trigger.metric])
    amount = change.amount * abs(before) if change.relative else change.amount
    if trigger.rise and before + amount >= high:
        yield "rise", f"{trigger.metric} is {number(before)} on the reference and never above {high:g}: expected less"
    if trigger.drop and before - amount <= low:
        yield "drop", f"{trigger.metric} is {number(before)} on the reference and never below {low:g}: expected less"


def _before(trigger: TriggerSection, reference: ReferenceData) -> float | None:
    """Return the reference's value of a metric, where it is at hand, of several columns the largest."""
    label, answers, judged = reference.roles.label, reference.answers, reference.performance
    if trigger.metric in PERFORMANCE and judged is not None:
        return judged.reference.values(judged.reference.classes(answers)).get(trigger.metric)
    if trigger.metric == "label_coverage" and label in answers.column_names and len(answers):
        return 1 - columns.missing(answers[label]) / len(answers)
    if trigger.metric == "missing_share" and trigger.drop is not None:
        watched = {name: kind for name, kind in reference.roles.features.items() if trigger.column in (None, name)}
        digests = [reference.profile.column(name, kind) for name, kind in watched.items()]
        return max((one.missing / one.rows for one in digests if one is not None and one.rows), default=None)
    return None


def _other_method(trigger: TriggerSection, drift: DriftSection, reference: ReferenceData) -> Iterator[Problem]:
    """A drift method by which none of the columns is measured."""
    if trigger.metric != "drift" or trigger.method is None:
        return
    features = {name: kind for name, kind in reference.roles.features.items()
                if kind != "text" and trigger.column in (None, name)}
    used = {method for name, kind in features.items() for method in _used(name, kind, drift, reference)}
    if features and trigger.method not in used:
        what = f'"{trigger.column}" is' if trigger.column else "columns are"
        yield "method", (f'{what} measured by {" or ".join(sorted(used))}, not by "{trigger.method}": expected one of '
                         "these, or set drift.method")


def _used(name: str, kind: FeatureKind, drift: DriftSection, reference: ReferenceData) -> set[str]:
    """Return the methods by which a column may be measured; "auto" chooses by the values of both sides."""
    method, _, _ = wanted(name, kind, drift)
    digest = reference.profile.column(name, kind) if method == "auto" else None
    if not isinstance(digest, CategoryDigest | NumberDigest):
        return {method} - {"auto"}
    return {chosen(digest, digest, kind), choose(kind, digest.n, digest.n)}


def _segment(trigger: TriggerSection, reference: ReferenceData) -> Iterator[Problem]:
    """A value that no row has is a fault where another one is spelt nearly so; else it may come."""
    column, equals, value = (trigger.segment or "").partition("=")
    if not equals or trigger.metric not in PERFORMANCE:
        return
    if not value:
        yield "segment", f'"{trigger.segment}" names no value, expected one, or "{column}" for every value'
        return
    try:
        values = divide(column, reference.answers, reference.answers).names
    except CannotJudge:
        return
    if value not in values and (near := did_you_mean(value, values)):
        yield "segment", f'no row has "{trigger.segment}"{quoted(near)}'
