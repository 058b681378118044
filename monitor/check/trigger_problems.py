"""Triggers that can never fire, as the data show it: no such column, no labels, a metric of another task."""

from collections.abc import Collection, Iterator

from monitor import escape
from monitor.config import DEFAULT_TRIGGERS, Roles, TriggerSection
from monitor.config.drift_methods import METHODS
from monitor.config.keys import did_you_mean
from monitor.config.sections import BUILT_IN_TRIGGERS
from monitor.config.trigger_rules import TriggerProblem
from monitor.errors import CannotJudge
from monitor.metric_catalogue import CATALOGUE, OF_GROUPS, PERFORMANCE, Need, performance_of
from monitor.performance.class_evidence import score_column
from monitor.private import quoted
from monitor.quality.column_checks import watched
from monitor.reference.reference_data import ReferenceData
from monitor.tables.groups import divide

Problem = tuple[str, str]        # the trigger's key, and what is wrong with it


def trigger_problems(triggers: Collection[TriggerSection], reference: ReferenceData) -> Iterator[TriggerProblem]:
    """Yield what is wrong with the triggers of the file, given the columns and the rows of the reference."""
    for index, trigger in enumerate(triggers):
        if trigger.metric in CATALOGUE and trigger not in (*BUILT_IN_TRIGGERS, *DEFAULT_TRIGGERS):
            found = (*_needs(trigger, reference), *_columns(trigger, reference), *_segment(trigger, reference))
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
    if Need.TEXT in row.needs and "text" not in roles.features.values():
        yield "metric", f'"{row.name}" is about text columns, and no feature is one'
    if row.name in OF_GROUPS and judged is not None and judged.task != "binary":
        yield "metric", f'"{row.name}" compares the answers of binary models, and this one is {judged.task}'


def _columns(trigger: TriggerSection, reference: ReferenceData) -> Iterator[Problem]:
    row, features = CATALOGUE[trigger.metric], reference.roles.features
    known = _measured_columns(trigger.metric, reference.roles)
    if trigger.column is not None and "column" in row.labels and Need.TOGETHER not in row.needs:
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
    kinds = {"unseen_share": "categorical", "out_of_range_share": "numerical", "unseen_words_share": "text",
             "text_length_drift": "text"}
    if metric == "missing_share":
        return watched(roles)
    if metric in ("prediction_drift", "prediction_collapse"):
        return [name for name in (roles.prediction, roles.probability) if name]
    return [name for name, kind in roles.features.items() if kinds.get(metric, kind) == kind]


def _segment(trigger: TriggerSection, reference: ReferenceData) -> Iterator[Problem]:
    """A value that no row has is a fault where another one is spelt nearly so; else it may come."""
    column, equals, value = (trigger.segment or "").partition("=")
    if not equals or trigger.metric not in PERFORMANCE:
        return
    try:
        values = divide(column, reference.answers, reference.answers).names
    except CannotJudge:
        return
    if value not in values and (near := did_you_mean(value, values)):
        yield "segment", f'no row has "{trigger.segment}"{quoted(near)}'
