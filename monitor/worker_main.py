"""The child side of `workers`: read a task, do it, answer, until stdin ends. Run by the parent only."""

import fcntl
import importlib
import json
import os
import resource
import select
import signal
import sys
import traceback
from collections.abc import Callable
from typing import Any, BinaryIO

from monitor.errors import DriftdError, TaskFailed


def main(memory_mb: int) -> None:
    """Answer tasks from stdin on what was stdout; stray prints of libraries go to stderr instead."""
    answers = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])
    resource.setrlimit(resource.RLIMIT_DATA, (memory_mb << 20, memory_mb << 20))
    # Unbuffered, so that what the kernel holds is all there is when we ask whether the parent is still there.
    with open(0, "rb", buffering=0, closefd=False) as requests:
        while line := _line(requests):
            _leave_with_parent(True)
            answer = json.dumps(_answer(json.loads(line), memory_mb)).encode()
            _leave_with_parent(False)
            answers.write(answer + b"\n")
            answers.flush()


def _line(requests: BinaryIO) -> bytes:
    chunks = []
    while chunk := os.read(requests.fileno(), 1 << 16):
        chunks.append(chunk)
        if chunk.endswith(b"\n"):
            return b"".join(chunks)
    return b""


def _leave_with_parent(on: bool) -> None:
    """While on, the kernel ends this process (SIGIO) as soon as the parent's end of stdin closes.

    The parent writes nothing while a task runs, so the only event on stdin is the end of the parent. Unlike
    a thread of ours this needs no interpreter lock, and unlike PR_SET_PDEATHSIG it does not depend on the
    thread of the parent that started us.
    """
    flags = fcntl.fcntl(0, fcntl.F_GETFL)
    if not on:
        fcntl.fcntl(0, fcntl.F_SETFL, flags & ~os.O_ASYNC)
        return
    fcntl.fcntl(0, fcntl.F_SETOWN, os.getpid())
    fcntl.fcntl(0, fcntl.F_SETFL, flags | os.O_ASYNC)
    if any(event & select.POLLHUP for _, event in _poll_stdin()):
        os._exit(0)


def _poll_stdin() -> list[tuple[int, int]]:
    poll = select.poll()
    poll.register(0, 0)
    return poll.poll(0)


def _answer(request: dict[str, Any], memory_mb: int) -> dict[str, Any]:
    task = request["task"]
    try:
        return {"result": _function(task)(request["payload"])}
    except MemoryError:
        return {"error": "WorkerDied", "text": f"{task} needed more than {memory_mb} MB.", "ends": True}
    except DriftdError as error:
        return {"error": type(error).__name__, "text": str(error)}
    except Exception as error:  # noqa: BLE001 - whatever a library raises becomes a sentence, here and once
        traceback.print_exc()
        return {"error": "TaskFailed", "text": f"{task} failed: {type(error).__name__}: {error}"}


def _function(task: str) -> Callable[[Any], Any]:
    module, _, name = task.partition(":")
    if module.split(".")[0] != "monitor" or not name.isidentifier():
        raise TaskFailed(f"{task!r} is no task, expected monitor.module:function.")
    function: Callable[[Any], Any] = getattr(importlib.import_module(module), name)
    return function


if __name__ == "__main__":
    main(int(sys.argv[1]))
