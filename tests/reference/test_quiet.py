"""A model with private columns: what a library says when it fails is not passed on."""

import traceback
from datetime import UTC, datetime

import pytest

from monitor.check.requests import Extent, Look
from monitor.config import ModelSection
from monitor.errors import SourceError, TaskFailed
from monitor.private import HIDDEN, for_a_model, quoted


def request(*private: str) -> Look:
    model = {
        "name": "m", "predictions": {"path": "log.csv"}, "reference": {"first": "30d"},
        "columns": {"private": list(private)},
    }
    return Look(model=ModelSection.model_validate(model), as_of=datetime(2026, 3, 2, tzinfo=UTC))


@for_a_model
def trips(look: Look) -> Extent:
    raise ValueError("Xanthippe")


def test_an_error_leaves_without_its_text() -> None:
    """Neither its sentence nor its traceback quotes the value; without private columns it is as it was."""
    with pytest.raises(TaskFailed, match="ValueError") as caught:
        trips(request("name"))
    assert "Xanthippe" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValueError, match="Xanthippe"):
        trips(request())


def test_our_own_errors_stay_and_the_silence_ends() -> None:
    """What we say ourselves is chosen with care, and passes; after the task texts may be quoted again."""
    @for_a_model
    def fails(look: Look) -> Extent:
        raise SourceError(f"log.csv: holds {quoted('Xanthippe')}")

    with pytest.raises(SourceError) as caught:
        fails(request("name"))
    assert str(caught.value) == f"log.csv: holds {HIDDEN}"
    assert quoted("a") == "a"
