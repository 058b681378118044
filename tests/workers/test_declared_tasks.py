"""What workers are asked: every task is a function of its records, and keeps quiet about private columns."""

from importlib import import_module
from pathlib import Path
from typing import get_type_hints

import pytest

from monitor.check import requests
from monitor.workers.task import Task

TASKS = {name: task for name, task in vars(requests).items() if isinstance(task, Task)}


@pytest.mark.parametrize("name", TASKS)
def test_a_task_is_a_function_of_its_records(name: str) -> None:
    """The function a task names takes its request and returns its result, as its annotations say."""
    module, function = TASKS[name].function.split(":")
    hints = get_type_hints(getattr(import_module(module), function))
    assert list(hints.values()) == [TASKS[name].request, TASKS[name].result]


@pytest.mark.parametrize("name", TASKS)
def test_a_task_keeps_quiet_about_private_columns(name: str) -> None:
    """Every task is wrapped by `private.for_a_model`."""
    module, function = TASKS[name].function.split(":")
    wrapped = getattr(import_module(module), function)
    assert Path(wrapped.__code__.co_filename).name == "private.py"
