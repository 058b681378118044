"""What a worker can be asked for: a task names its function, the record it is given and the record it returns."""

from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Generic, Protocol, TypedDict, TypeVar, runtime_checkable

Req = TypeVar("Req")
Res = TypeVar("Res")


@dataclass(frozen=True, slots=True)
class Task(Generic[Req, Res]):
    """A function of a module that only a worker imports. Both records cross the pipe as JSON (`monitor.records`)."""

    function: str                        # "monitor.module:function"
    request: type[Req]
    result: type[Res]


@dataclass(frozen=True, slots=True)
class Asker:
    """The model that a request is about, and how long its source may be silent before the task is ended."""

    model: str
    patience: timedelta | None


NOBODY = Asker("", None)


@runtime_checkable
class Asks(Protocol):
    """A request that says whom it is for, so that no model waits for the source of another."""

    @property
    def asker(self) -> Asker: ...


class Runner(Protocol):
    """Where tasks are done: `workers.pool.Workers`, or what stands in for it in a backtest."""

    def run(self, task: Task[Req, Res], request: Req) -> Res: ...


class Asked(TypedDict):
    """The line a parent writes to a child."""

    task: str
    payload: Any                         # JSON of the request


class Answer(TypedDict, total=False):
    """The line a child writes back: a result, or an error with its class of `monitor.errors`."""

    result: Any                          # JSON of the result
    error: str
    text: str
    ends: bool                           # the child is of no more use
