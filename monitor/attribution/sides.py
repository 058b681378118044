"""The two sides that are compared, labelled rows of the reference and of the window; a metric on weighted rows."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np

from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import Answers
from monitor.tables.columns import Floats, Numbers

RESAMPLES = 60
SURE = 1.96                  # standard deviations over resamples, of a 95 % interval
BLOCKS = 100                 # of each side, in order of time


@dataclass(frozen=True, slots=True, eq=False)
class Side:
    """Labelled rows in order of time, with their features: rows × columns, NaN where missing."""

    answers: Answers
    matrix: Floats

    def __len__(self) -> int:
        return len(self.answers)

    def take(self, rows: Numbers) -> "Side":
        return Side(self.answers.take(rows), self.matrix[rows])

    def usable(self, metric: str) -> "Side":
        """The rows on which the metric is defined. Raises CannotJudge if none are left."""
        kept = usable(metric, replace(self.answers, at=np.arange(len(self))))
        return Side(kept, self.matrix[kept.at])

    def value(self, metric: str, weight: Floats | None) -> float:
        """The metric, each row weighted. Raises CannotJudge where it is not defined."""
        return value_of(metric, self.answers if weight is None else weighted(self.answers, weight))

    @property
    def said(self) -> list[Floats]:
        """What the model itself said of each row, as columns: what it thinks likely first, its answer last."""
        answer = self.answers.predicted.astype(np.float64)
        if self.answers.chances is not None:
            return [*self.answers.chances.T, answer]
        probability = self.answers.probability
        return [answer] if probability is None else [np.nan_to_num(probability, nan=0.5), answer]


def weighted(answers: Answers, weight: Floats) -> Answers:
    """Rows that weigh nothing are left out."""
    there = weight > 0
    return replace(answers.take(there), weight=weight[there])


def resamples(reference: int, window: int) -> Iterator[tuple[Floats, Floats]]:
    """Weights of the rows of both sides: blocks of each, drawn with replacement; the same each time."""
    draw = np.random.default_rng(0)
    for _ in range(RESAMPLES):
        yield _drawn(reference, draw), _drawn(window, draw)


def _drawn(rows: int, draw: np.random.Generator) -> Floats:
    times = draw.multinomial(BLOCKS, np.full(BLOCKS, 1 / BLOCKS)).astype(np.float64)
    return np.asarray(times[np.arange(rows) * BLOCKS // rows])
