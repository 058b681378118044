"""Keeping values to ourselves: while a model with private columns is worked for, no sentence quotes what data hold.

What a library's error says may quote a value, and so may some of our own sentences. Every task of a worker says which
columns are private (`keeping_quiet`), and who writes a sentence asks here.
"""

from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from functools import wraps
from typing import Protocol, TypeVar

from monitor.errors import DriftdError, TaskFailed
from monitor.escape import sentence

HIDDEN = "(not shown: columns.private)"

_quiet: ContextVar[bool] = ContextVar("quiet", default=False)


class _Columns(Protocol):
    @property
    def private(self) -> Collection[str]: ...


class _Model(Protocol):
    @property
    def columns(self) -> _Columns: ...


class AboutAModel(Protocol):
    """A request to a worker that says which model it is about."""

    @property
    def model(self) -> _Model: ...


Req = TypeVar("Req", bound=AboutAModel)
Res = TypeVar("Res")


def for_a_model(task: Callable[[Req], Res]) -> Callable[[Req], Res]:
    """Make a worker's task keep quiet about the private columns of the model it is given."""
    @wraps(task)
    def done(request: Req) -> Res:
        with keeping_quiet(request.model.columns.private):
            return task(request)
    return done


@contextmanager
def keeping_quiet(private: Collection[str]) -> Iterator[None]:
    """Inside, a model with these private columns is worked for; what a library raises leaves without its text."""
    before = _quiet.set(bool(private))
    try:
        yield
    except (DriftdError, MemoryError):
        raise
    except Exception as error:               # whatever a library raises may quote the data
        if not private:
            raise
        raise TaskFailed(f"it failed: {words(error)}") from None     # a traceback would have the text too
    finally:
        _quiet.reset(before)


def is_quiet() -> bool:
    return _quiet.get()


def quoted(text: str) -> str:
    """A text that came from the data, on one line and of bounded length; a stand-in while there are private columns."""
    return HIDDEN if _quiet.get() else sentence(text)


def words(error: BaseException) -> str:
    """What an error that is not ours says: its kind, and its text where that may be told."""
    return f"{type(error).__name__}: {quoted(str(error))}"
