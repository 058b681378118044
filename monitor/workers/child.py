"""The child side of `workers`: read a task, do it, answer, until stdin ends. Run by the parent only."""

import fcntl
import importlib
import inspect
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, get_type_hints

from monitor import pandas_later
from monitor.errors import DriftdError, TaskFailed
from monitor.outgoing import guard
from monitor.records import from_json, to_json
from monitor.workers.task import Answer, Asked


def main(memory_mb: int, lifeline: int) -> None:
    """Answer tasks from stdin on what was stdout; stray prints of libraries go to stderr instead."""
    guard.watch()
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    signal.signal(signal.SIGIO, signal.SIG_DFL)  # who started the daemon may have ignored it
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    leave_with_parent(lifeline)
    pandas_later.postpone()
    for line in sys.stdin.buffer:
        answers.write(json.dumps(_answer(json.loads(line), memory_mb)).encode() + b"\n")
        answers.flush()


def leave_with_parent(lifeline: int) -> None:
    """Have the kernel end this process (SIGIO) as soon as the parent's end of the lifeline closes.

    Nothing is ever written to that pipe, so its end is its only event. Unlike a thread of ours this needs no
    interpreter lock, and unlike PR_SET_PDEATHSIG it does not depend on the thread of the parent that started us.
    """
    fcntl.fcntl(lifeline, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(lifeline, fcntl.F_SETFL, fcntl.fcntl(lifeline, fcntl.F_GETFL) | os.O_ASYNC)
    poll = select.poll()
    poll.register(lifeline, 0)
    if poll.poll(0):  # it closed before we listened
        os._exit(0)


def _answer(asked: Asked, memory_mb: int) -> Answer:
    task = asked["task"]
    try:
        return {"result": perform(task, asked["payload"])}
    except MemoryError:
        return {"error": "WorkerDied", "text": f"{task} needed more than {memory_mb} MB.", "ends": True}
    except DriftdError as error:
        return {"error": type(error).__name__, "text": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises becomes a sentence, here and once
        traceback.print_exc()
        return {"error": "TaskFailed", "text": f"{task} failed: {type(error).__name__}: {error}"}


def perform(task: str, payload: Any) -> Any:
    """Do a task, named "monitor.module:function": the JSON of its request in, the JSON of its result out.

    The request's record is what the function's only parameter is annotated with. Raises TaskFailed where the name is
    no task's, and what the task raises.
    """
    function = _function(task)
    return to_json(function(from_json(_request(function), payload)))


def _function(task: str) -> Callable[[Any], Any]:
    module, _, name = task.partition(":")
    if module.split(".")[0] != "monitor" or not name.isidentifier():
        raise TaskFailed(f"{task!r} is no task, expected monitor.module:function.")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return function


def _request(function: Callable[[Any], Any]) -> type[Any]:
    (parameter,) = inspect.signature(function).parameters
    kind: type[Any] = get_type_hints(function)[parameter]
    return kind


if __name__ == "__main__":
    guard.allow_inner(json.loads(sys.argv[3]))
    main(int(sys.argv[1]), int(sys.argv[2]))
