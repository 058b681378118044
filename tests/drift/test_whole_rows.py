"""Embeddings and Evidently's metrics are held against the columns of the data."""

from typing import Any

import pytest

from monitor.config import ModelSection
from monitor.config.column_roles import Roles
from monitor.drift.whole_rows import problems_together

ROLES = Roles("t", None, "p", None, None, None, None, {"e1": "numerical", "e2": "numerical", "word": "categorical"})


@pytest.mark.parametrize(
    ("given", "problem"),
    [
        ({"drift": {"embeddings": {"text": "e*"}}}, None),
        ({"drift": {"embeddings": {"text": "z*"}}}, 'models.m.drift.embeddings.text: no feature is named "z*"'),
        ({"drift": {"embeddings": {"text": "*"}}},
         "models.m.drift.embeddings.text: word is categorical, expected numbers"),
        ({"evidently": [{"metric": "MeanValue", "options": {"column": "e1"}}]}, None),
        ({"evidently": [{"metric": "MeanValue", "options": {"column": "e9"}}]},
         'models.m.evidently.1.options: there is no column "e9"'),
    ],
)
def test_what_the_data_do_not_have_is_named(given: dict[str, Any], problem: str | None) -> None:
    """With the place in the configuration, and what was expected."""
    place = {"path": "unread.csv"}
    model = ModelSection.model_validate({"name": "m", "predictions": place, "reference": {"source": place}} | given)
    assert list(problems_together(model, ROLES, ["t", "p", *ROLES.features])) == ([problem] if problem else [])
