"""The configured metrics of Evidently's reports, as Scores, and its own report as a page."""

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa

from monitor.config.column_roles import Roles
from monitor.config.sections import DriftSection, EvidentlySection
from monitor.drift import evidently
from monitor.drift.column_scores import prediction_kinds
from monitor.drift.evidently import Answers, Definition, Value
from monitor.drift.multivariate import embedding_columns
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task
from monitor.performance.labelled_rows import classes_of, holds_scores, positive_probability, word
from monitor.private import words
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.groups import SMALLEST_CELL

MOST_VALUES = 50        # of one metric that become Scores
LONGEST = 100           # characters of a Score's method
_OF_ANSWERS = {         # metrics that use labels: rows without one are left out
    "binary": ("Accuracy", "F1", "FNR", "FPR", "LogLoss", "Precision", "Recall", "RocAuc", "TNR", "TPR", "Dummy"),
    "regression": ("AbsMaxError", "MAE", "MAPE", "MeanError", "R2Score", "RMSE", "Dummy"),
}
_OF_VALUES = ("CategoryCount", "InListValueCount", "OutListValueCount", "InRangeValueCount", "OutRangeValueCount")


def report_scores(
    reference: pa.Table, window: pa.Table, roles: Roles, drift: DriftSection, wanted: Sequence[EvidentlySection],
    task: Task | None, *, mature: bool,
) -> list[Score]:
    """Run each metric on both tables.

    A Score has the metric's name; its `method` has the options and the name of the number. A metric that fails is one
    failed Score. `mature`: whether nearly all labels are known.
    """
    return [
        score for metric in wanted for score in _scores(reference, window, roles, drift, metric, task, mature)
    ]


def report_page(
    reference: pa.Table, window: pa.Table, roles: Roles, drift: DriftSection, task: Task | None,
    without: Sequence[str] = (),
) -> str:
    """Return Evidently's HTML on both tables: drift and a summary, and performance where every row has a label.

    The columns `without`, and those without a value on one side, on which it fails, are left out. Raises CannotJudge.
    """
    valued = [name for name in reference.column_names if name not in without and name in window.column_names
              and all(table[name].null_count < len(table) for table in (reference, window))]
    sides = [table.select(valued) for table in (reference, window)]
    answers = {roles.label, roles.prediction} <= {*valued}
    whole = answers and all(columns.is_present(side[roles.label]).to_numpy().all() for side in sides if roles.label)
    try:
        definition = _definition(sides[0], sides[1], roles, drift, task if whole else None, None)
        if definition.answers and (scores := definition.answers.prediction_probas):
            classes = classes_of(sides, roles, "binary")
            sides = [_in_unit(table, roles, scores, classes) for table in sides]
        frames = [_frame(_worded(table, definition.categorical_columns), definition) for table in sides]
        return evidently.page(frames[0], frames[1], replace(definition, embeddings=None))
    except Exception as error:                   # Evidently raises anything on rows that it did not expect
        raise CannotJudge(f"Evidently cannot write its report: {words(error)[:300]}") from error


def _worded(table: pa.Table, names: Sequence[str]) -> pa.Table:
    """Return the table with these columns as text: the presets know no category that is a number of another size."""
    for name in names:
        table = table.set_column(table.column_names.index(name), name, _plain(table[name], classes=True))
    return table


def _scores(
    reference: pa.Table, window: pa.Table, roles: Roles, drift: DriftSection, wanted: EvidentlySection,
    task: Task | None, mature: bool,
) -> Iterator[Score]:
    of_answers = wanted.metric.startswith(_OF_ANSWERS["binary"] + _OF_ANSWERS["regression"])
    column = wanted.options.get("column", wanted.options.get("column_name"))
    score = Score(
        metric=wanted.metric, method=_method(wanted, ""), column=None if column is None else str(column),
        provisional=of_answers and not mature,
    )
    try:
        if of_answers:
            reference, window = (_labelled(table, roles) for table in (reference, window))
        score = replace(score, n=window.num_rows)
        definition = _definition(reference, window, roles, drift, task if of_answers else None, score.column)
        if definition.answers and (scores := definition.answers.prediction_probas):
            classes = classes_of([reference, window], roles, "binary")
            reference, window = (_in_unit(table, roles, scores, classes) for table in (reference, window))
        frames = [_frame(table, definition) for table in (reference, window)]
        values = evidently.report(wanted.metric, wanted.options, frames[0], frames[1], definition)
    except Exception as error:  # noqa: BLE001  a metric may raise anything; it must not cost the others
        yield replace(score, status=ScoreStatus.FAILED, reason=words(error)[:300])
        return
    shown = large_enough(wanted.metric, values, window, roles.label)
    if values and not shown:
        few = f"some rows, but fewer than {SMALLEST_CELL}"
        yield replace(score, n=None, status=ScoreStatus.INSUFFICIENT, reason=few)
        return
    left = f"{len(shown) - MOST_VALUES} more numbers are left out" if len(shown) > MOST_VALUES else None
    for part, value, before in shown[:MOST_VALUES]:
        yield _value_score(replace(score, method=_method(wanted, part), reason=left), value, before)
    if not shown:
        yield replace(score, status=ScoreStatus.FAILED, reason="it has no number")


def _value_score(score: Score, value: float, before: float | None) -> Score:
    if not np.isfinite(value):
        return replace(score, status=ScoreStatus.FAILED, reason="it is not a finite number")
    return replace(score, value=value, reference=before if before is not None and np.isfinite(before) else None)


def _method(wanted: EvidentlySection, part: str) -> str | None:
    """Return the options except the column, and the name of the number: "quantile=0.9", "category=a share"."""
    options = ",".join(
        f"{name}={value}" for name, value in wanted.options.items() if name not in ("column", "column_name")
    )
    return " ".join(filter(None, (options, part)))[:LONGEST] or None


def _labelled(table: pa.Table, roles: Roles) -> pa.Table:
    return table.filter(columns.is_present(table[roles.label])) if roles.label in table.column_names else table


def _definition(
    reference: pa.Table, window: pa.Table, roles: Roles, drift: DriftSection, task: Task | None, column: str | None
) -> Definition:
    """Return the kinds of the columns, and the label and prediction columns."""
    shared = {*reference.column_names} & {*window.column_names}
    kinds = {**roles.features, **prediction_kinds(reference, roles, task)}
    if roles.label is not None and roles.label == column:        # only if a metric names it
        text = columns.type_name(reference[roles.label].type) == "text"
        kinds[roles.label] = "categorical" if text else "numerical"
    shared_kinds = {name: kind for name, kind in kinds.items() if name in shared}
    of_kind = {
        kind: [name for name, of_column in shared_kinds.items() if of_column == kind]
        for kind in ("numerical", "categorical", "text")
    }
    embeddings = {name: embedding_columns(roles, glob) for name, glob in drift.embeddings.items()}
    return Definition(
        numerical_columns=of_kind["numerical"],
        categorical_columns=of_kind["categorical"],
        text_columns=of_kind["text"],
        embeddings=embeddings or None,
        timestamp=roles.timestamp if roles.timestamp in window.column_names else None,
        answers=_answers(reference, window, roles, task) if task else None,
    )


def _answers(reference: pa.Table, window: pa.Table, roles: Roles, task: Task) -> Answers:
    if task == "regression":
        return Answers(task=task, target=roles.label, prediction=roles.prediction)
    if task == "multiclass":
        return Answers(task=task, target=roles.label, prediction_labels=roles.prediction)
    positive = classes_of([reference, window], roles, task)[-1]
    if holds_scores(window[roles.prediction], roles):
        return Answers(task=task, target=roles.label, prediction_probas=roles.prediction, pos_label=positive)
    return Answers(
        task=task, target=roles.label, prediction_labels=roles.prediction, prediction_probas=roles.probability,
        pos_label=positive,
    )


def _in_unit(table: pa.Table, roles: Roles, scores: str, classes: tuple[str, ...]) -> pa.Table:
    """Return the table with its column of scores as our own metrics read it: percent as shares, and of one class."""
    values = positive_probability(table, roles, classes)
    return table.set_column(table.column_names.index(scores), scores, pa.chunked_array([pa.array(values)]))


def _frame(table: pa.Table, definition: Definition) -> Any:
    """Return the columns of the definition as a pandas frame; classes are text, so true, 1 and "1" are one class."""
    answers = definition.answers
    names = {*definition.features, definition.timestamp, answers and answers.target}
    of_classes = {answers.target, answers.prediction_labels} if answers and answers.task != "regression" else set()
    kept = table.select([name for name in table.column_names if name in names])
    for at, name in enumerate(kept.column_names):
        kept = kept.set_column(at, name, _plain(kept[name], name in of_classes))
    return kept.to_pandas()


def _plain(column: pa.ChunkedArray, classes: bool) -> pa.ChunkedArray:
    kind = columns.value_type(column.type)
    if classes:
        keys = (columns.category(value) for value in column.to_pylist())
        return pa.chunked_array([pa.array([None if key is None else word(key) for key in keys], pa.string())])
    return column.cast(pa.float64() if pa.types.is_decimal(kind) else kind)


def large_enough(metric: str, values: Sequence[Value], window: pa.Table, label: str | None) -> list[Value]:
    """Return a metric's numbers without those about at least one but fewer than ten rows on either side."""
    if metric in _OF_VALUES:
        return [] if any(part == "count" and _small(now, before) for part, now, before in values) else list(values)
    if metric == "UniqueValueCount":
        few = {part.partition(".")[2] for part, now, before in values
               if part.startswith("counts.") and _small(now, before)}
        return [value for value in values if value[0].partition(".")[2] not in few]
    if metric.endswith("ByLabel") and label in window.column_names:
        few = {word(key) for key, rows in columns.counts(window[label]).items() if rows < SMALLEST_CELL}
        return [value for value in values if value[0] not in few]
    return list(values)


def _small(*counts: float | None) -> bool:
    return any(count is not None and 0 < count < SMALLEST_CELL for count in counts)
