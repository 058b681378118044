"""A model with private columns: what a library says when it fails is not passed on."""

import traceback
from typing import Any

import pytest

from monitor.errors import SourceError, TaskFailed
from monitor.private import HIDDEN, for_a_model, quoted


def payload(*private: str) -> dict[str, Any]:
    return {"model": {"columns": {"private": list(private)}}}


@for_a_model
def trips(task: dict[str, Any]) -> Any:
    return float("Xanthippe")


def test_an_error_leaves_without_its_text() -> None:
    """Neither its sentence nor its traceback quotes the value; without private columns it is as it was."""
    with pytest.raises(TaskFailed, match="ValueError") as caught:
        trips(payload("name"))
    assert "Xanthippe" not in "".join(traceback.format_exception(caught.value))
    with pytest.raises(ValueError, match="Xanthippe"):
        trips(payload())


def test_our_own_errors_stay_and_the_silence_ends() -> None:
    """What we say ourselves is chosen with care, and passes; after the task texts may be quoted again."""
    @for_a_model
    def fails(task: dict[str, Any]) -> Any:
        raise SourceError(f"log.csv: holds {quoted('Xanthippe')}")

    with pytest.raises(SourceError) as caught:
        fails(payload("name"))
    assert str(caught.value) == f"log.csv: holds {HIDDEN}"
    assert quoted("a") == "a"
