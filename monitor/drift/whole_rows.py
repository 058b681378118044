"""The parts of a check that look at whole rows: several columns at once, or a metric of Evidently's reports."""

from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from monitor.config import ModelSection, Roles
from monitor.drift.evidently import wrong_option
from monitor.drift.evidently_report import report_scores
from monitor.drift.multivariate import embedding_columns, multivariate_scores
from monitor.records import Score
from monitor.reference.reference_data import ReferenceData


def parts_together(
    reference: ReferenceData, rows: pa.Table, model: ModelSection, *, mature: bool
) -> dict[str, Callable[[], Iterable[Score]]]:
    """Return what is to be measured by the name of its first metric; nothing where nothing is configured."""
    table, roles, drift = reference.table, reference.roles, model.drift
    task = reference.performance.task if reference.performance else model.task
    parts: dict[str, Callable[[], Iterable[Score]]] = {}
    if drift.multivariate or drift.embeddings:
        parts["domain_classifier_auc"] = lambda: multivariate_scores(
            table, rows, roles, drift, model.window.min_rows
        )
    if model.evidently:
        parts[model.evidently[0].metric] = lambda: report_scores(
            table, rows, roles, drift, model.evidently, task, mature=mature
        )
    return parts


def problems_together(model: ModelSection, roles: Roles, names: list[str]) -> Iterator[str]:
    """Yield what is wrong with embeddings and Evidently's metrics beside the columns there are."""
    where = f"models.{model.name}"
    for name, glob in model.drift.embeddings.items():
        found = embedding_columns(roles, glob)
        if not found:
            yield f'{where}.drift.embeddings.{name}: no feature is named "{glob}"'
        elif wrong := [column for column in found if roles.features[column] != "numerical"]:
            yield f"{where}.drift.embeddings.{name}: {wrong[0]} is {roles.features[wrong[0]]}, expected numbers"
    for number, one in enumerate(model.evidently, 1):
        column = one.options.get("column", one.options.get("column_name"))
        wrong_column = f'there is no column "{column}"' if column is not None and column not in names else None
        if text := wrong_option(one.metric, one.options) or wrong_column:
            yield f"{where}.evidently.{number}.options: {text}"
