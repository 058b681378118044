"""Metrics of Evidently's reports, as the configuration names them, as Scores."""

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
from monitor.metric_catalogue import Task
from monitor.performance.labelled_rows import classes_of, is_score, word
from monitor.private import words
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.groups import SMALLEST_CELL

MOST_VALUES = 50        # of one metric that become Scores
LONGEST = 100           # characters of a Score's method
_OF_ANSWERS = {         # these look at labels: rows without one are left out
    "binary": ("Accuracy", "F1", "FNR", "FPR", "LogLoss", "Precision", "Recall", "RocAuc", "TNR", "TPR", "Dummy"),
    "regression": ("AbsMaxError", "MAE", "MAPE", "MeanError", "R2Score", "RMSE", "Dummy"),
}
_OF_VALUES = ("CategoryCount", "InListValueCount", "OutListValueCount", "InRangeValueCount", "OutRangeValueCount")


def report_scores(
    reference: pa.Table, window: pa.Table, roles: Roles, drift: DriftSection, wanted: Sequence[EvidentlySection],
    task: Task | None, *, mature: bool,
) -> list[Score]:
    """Run each metric on both tables. A Score has the metric's name and, as `method`, its options and which of its
    numbers it is; one that fails is one failed Score. `mature`: whether nearly all labels are known.
    """
    return [
        score for one in wanted for score in _scores(reference, window, roles, drift, one, task, mature)
    ]


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
        frames = [_frame(table, definition) for table in (reference, window)]
        found = evidently.report(wanted.metric, wanted.options, frames[0], frames[1], definition)
    except Exception as error:  # noqa: BLE001  a metric may raise anything; it must not cost the others
        yield replace(score, status=ScoreStatus.FAILED, reason=words(error)[:300])
        return
    told = large_enough(wanted.metric, found, window, roles.label)
    if found and not told:
        few = f"some rows, but fewer than {SMALLEST_CELL}"
        yield replace(score, n=None, status=ScoreStatus.INSUFFICIENT, reason=few)
        return
    left = f"{len(told) - MOST_VALUES} more numbers are left out" if len(told) > MOST_VALUES else None
    for part, value, beside in told[:MOST_VALUES]:
        yield _one(replace(score, method=_method(wanted, part), reason=left), value, beside)
    if not told:
        yield replace(score, status=ScoreStatus.FAILED, reason="it has no number")


def _one(score: Score, value: float, beside: float | None) -> Score:
    if not np.isfinite(value):
        return replace(score, status=ScoreStatus.FAILED, reason="it is not a finite number")
    return replace(score, value=value, reference=beside if beside is not None and np.isfinite(beside) else None)


def _method(wanted: EvidentlySection, part: str) -> str | None:
    """The options besides the column, and which number of several: "quantile=0.9", "category=a share"."""
    options = ",".join(
        f"{name}={value}" for name, value in wanted.options.items() if name not in ("column", "column_name")
    )
    return " ".join(filter(None, (options, part)))[:LONGEST] or None


def _labelled(table: pa.Table, roles: Roles) -> pa.Table:
    return table.filter(columns.is_present(table[roles.label])) if roles.label in table.column_names else table


def _definition(
    reference: pa.Table, window: pa.Table, roles: Roles, drift: DriftSection, task: Task | None, column: str | None
) -> Definition:
    """Which columns there are, and what the model says of which label."""
    shared = {*reference.column_names} & {*window.column_names}
    kinds = {**roles.features, **prediction_kinds(reference, roles, task)}
    if roles.label is not None and roles.label == column:        # only where it is asked for: it has holes
        words = columns.type_name(reference[roles.label].type) == "text"
        kinds[roles.label] = "categorical" if words else "numerical"
    there = {name: kind for name, kind in kinds.items() if name in shared}
    of_kind = {
        kind: [name for name, found in there.items() if found == kind] for kind in ("numerical", "categorical", "text")
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
    if is_score(window[roles.prediction]):
        return Answers(task=task, target=roles.label, prediction_probas=roles.prediction, pos_label=positive)
    return Answers(
        task=task, target=roles.label, prediction_labels=roles.prediction, prediction_probas=roles.probability,
        pos_label=positive,
    )


def _frame(table: pa.Table, definition: Definition) -> Any:
    """The columns of the definition as pandas holds them; classes as words, so that true, 1 and "1" are one."""
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


def large_enough(metric: str, found: Sequence[Value], window: pa.Table, label: str | None) -> list[Value]:
    """Leave out of a metric's numbers those that are about some rows, but fewer than ten, on either side."""
    if metric in _OF_VALUES:
        return [] if any(part == "count" and _small(now, before) for part, now, before in found) else list(found)
    if metric == "UniqueValueCount":
        few = {part.partition(".")[2] for part, now, before in found
               if part.startswith("counts.") and _small(now, before)}
        return [one for one in found if one[0].partition(".")[2] not in few]
    if metric.endswith("ByLabel") and label in window.column_names:
        few = {word(key) for key, rows in columns.counts(window[label]).items() if rows < SMALLEST_CELL}
        return [one for one in found if one[0] not in few]
    return list(found)


def _small(*counts: float | None) -> bool:
    return any(count is not None and 0 < count < SMALLEST_CELL for count in counts)
