"""Whose turn it is: `size` places for all models, of which failing ones have at most one, and one more for a hung one.

Plain bookkeeping: no thread, no process, no clock; `workers.pool` calls it under its lock.
"""

from dataclasses import dataclass, field
from enum import Enum


class Standing(Enum):
    GOOD = "good"
    FAILING = "failing"                  # its last task failed, or its process died
    HUNG = "hung"                        # its source gave no sign of life


@dataclass(slots=True, eq=False)
class Turn:
    """One task of a model that waits for a place or has one."""

    model: str
    standing: Standing
    failures: int                        # in a row before this one
    since: float                         # monotonic seconds: when it began to wait


@dataclass(slots=True)
class Places:
    """A model that fails or hangs never takes the place of one that does not.

    Failing models share one of the places, so that another is always left; of a single place they take none, but
    one beside it. A hung model waits for its source and takes no processor time: it has a place beside all others.
    Among equals whoever failed less often, then whoever waited longer, is first.
    """

    size: int
    waiting: list[Turn] = field(default_factory=list)
    running: list[Turn] = field(default_factory=list)
    _bad: dict[str, tuple[Standing, int]] = field(default_factory=dict)    # model: standing, failures in a row

    def enter(self, model: str, now: float) -> Turn:
        """Queue a task of the model."""
        standing, failures = self._bad.get(model, (Standing.GOOD, 0))
        turn = Turn(model, standing, failures, now)
        self.waiting.append(turn)
        return turn

    def is_next(self, turn: Turn) -> bool:
        """Whether this task may begin now."""
        return turn is self._next()

    def begin(self, turn: Turn) -> None:
        """Give the task its place."""
        self.waiting.remove(turn)
        self.running.append(turn)

    def leave(self, turn: Turn) -> None:
        """Take a task out, whether it waited or ran; harmless when it is gone."""
        for turns in (self.waiting, self.running):
            if turn in turns:
                turns.remove(turn)

    def wanted(self) -> bool:
        """Whether a task of a model that is not hung waits for a place."""
        return any(turn.standing is not Standing.HUNG for turn in self.waiting)

    def set_aside(self, turn: Turn) -> bool:
        """A running task is silent: its place is free for others. Whether it may go on in the one for the hung."""
        free = not self._running(Standing.HUNG)
        turn.standing = Standing.HUNG
        self._bad[turn.model] = (Standing.HUNG, turn.failures)
        return free

    def note(self, model: str, standing: Standing) -> None:
        """Remember how the model's last task went."""
        if standing is Standing.GOOD:
            self._bad.pop(model, None)
        elif model:
            _, failures = self._bad.get(model, (standing, 0))
            self._bad[model] = (standing, failures + 1)

    def _next(self) -> Turn | None:
        heads = [head for standing in Standing if (head := self._head(standing)) and self._may_begin(standing)]
        return min(heads, key=lambda turn: turn.since, default=None)

    def _head(self, standing: Standing) -> Turn | None:
        equals = [turn for turn in self.waiting if turn.standing is standing]
        return min(equals, key=lambda turn: (turn.failures, turn.since), default=None)

    def _may_begin(self, standing: Standing) -> bool:
        good, failing = self._running(Standing.GOOD), self._running(Standing.FAILING)
        if standing is Standing.HUNG:
            return not self._running(Standing.HUNG)
        if standing is Standing.FAILING:
            return not failing and (self.size == 1 or good < self.size)
        return good + (failing if self.size > 1 else 0) < self.size

    def _running(self, standing: Standing) -> int:
        return sum(turn.standing is standing for turn in self.running)
