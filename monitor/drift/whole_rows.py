"""Checks the parts of a configuration that use several columns at once against the columns of the data."""

from collections.abc import Iterator

from monitor.config import ModelSection, Roles
from monitor.drift.evidently import wrong_option
from monitor.drift.multivariate import embedding_columns


def problems_together(model: ModelSection, roles: Roles, names: list[str]) -> Iterator[str]:
    """Yield what is wrong with embeddings and Evidently's metrics, given the columns of the data."""
    where = f"models.{model.name}"
    for name, glob in model.drift.embeddings.items():
        members = embedding_columns(roles, glob)
        if not members:
            yield f'{where}.drift.embeddings.{name}: no feature is named "{glob}"'
        elif wrong := [column for column in members if roles.features[column] != "numerical"]:
            yield f"{where}.drift.embeddings.{name}: {wrong[0]} is {roles.features[wrong[0]]}, expected numbers"
    for number, metric in enumerate(model.evidently, 1):
        column = metric.options.get("column", metric.options.get("column_name"))
        wrong_column = f'there is no column "{column}"' if column is not None and column not in names else None
        if text := wrong_option(metric.metric, metric.options) or wrong_column:
            yield f"{where}.evidently.{number}.options: {text}"
