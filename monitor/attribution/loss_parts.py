"""Why is a window's metric worse than the reference's? The loss, split into parts that add up to it.

In this order, each part being what the metric changes by at its step:

* *broken columns*: rows with missing or far values in a column that had few such before are set aside;
* then either *inputs*: rows as in the window, with the relation of label to row that the reference has (covariate
  shift); or *labels*: shares of the labels as in the window, with the rows of each label that the reference has (label
  shift). Both are tested, and the one that describes the window better is taken;
* *relation*: what is left. The same rows get other labels than they would have got (concept shift).

Given the rows of the window, the metric that the reference's relation would bring is worked out from expected labels
(`relation.chances`), corrected by how far expected and actual labels differ on the reference where it is weighted to
resemble the window (doubly robust; Robins, Rotnitzky and Zhao 1994). Rows that the reference has nothing like
(`relation.spread`) count with their own labels: their loss is the inputs' (Cai, Namkoong and Yadlowsky 2023). Intervals
are 95 %, of a normal distribution with the standard deviation over resamples of both sides in blocks of time.
"""

from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from typing import NamedTuple

import numpy as np

from monitor.attribution.broken_columns import broken_columns, harmed_rows
from monitor.attribution.explanations import Explanations
from monitor.attribution.sides import SURE, Side, resamples
from monitor.errors import CannotJudge
from monitor.metric_catalogue import better_by
from monitor.tables.columns import Floats, Numbers

FEWEST_ROWS = 200            # of either side
MAIN = 1 / 3                 # of the loss, that its main cause has at least


class Cause(StrEnum):
    BROKEN = "broken_columns"
    INPUTS = "inputs"
    LABELS = "labels"
    RELATION = "relation"


class Part(NamedTuple):
    """What a cause costs in the metric's own unit, positive where the metric is worse; 95 % interval."""

    cause: Cause
    value: float
    low: float
    high: float


@dataclass(frozen=True, slots=True)
class Loss:
    """`parts` add up to `value`, how much worse the metric is. Columns are told by their places.

    `effects`: how much of the inputs' part is due to each column's own spread, largest first. `group`: column and bin
    (`relation.binned`) of the only rows in which the relation changed. `changed`: whether the better explanation that
    leaves the relation as it was is refuted.
    """

    value: float
    rows: int
    parts: tuple[Part, ...]
    effects: tuple[tuple[int, float], ...] = ()
    group: tuple[int, int] | None = None
    broken: tuple[int, ...] = ()
    changed: bool = False

    @property
    def sure(self) -> tuple[Part, ...]:
        """The parts that surely cost something, the largest first."""
        costly = (part for part in self.parts if part.low > 0 and (self.changed or part.cause is not Cause.RELATION))
        return tuple(sorted(costly, key=lambda part: -part.value))

    @property
    def main(self) -> Part | None:
        """The largest of these, if it is at least a third of the loss."""
        return self.sure[0] if self.sure and self.sure[0].value >= self.value * MAIN else None


def loss_parts(metric: str, reference: Side, window: Side, categorical: list[bool]) -> Loss:
    """Split the loss of a window; `categorical` of each column.

    Raises CannotJudge where either side has too few rows, or the metric is not defined on one.
    """
    reference, window = reference.usable(metric), window.usable(metric)
    fewest = min(len(reference), len(window))
    if fewest < FEWEST_ROWS:
        raise CannotJudge(f"{fewest} labelled rows, {FEWEST_ROWS} are needed of the window and of the reference")
    broken = broken_columns(reference, window, categorical)
    whole = ~harmed_rows(reference, window, broken, categorical)
    explained = None
    if whole.sum() >= FEWEST_ROWS:
        explained = Explanations(metric, reference, window.take(whole), categorical)
    steps = _steps(metric, reference, window, whole, explained, None, None)
    draws = np.array(list(_drawn(metric, reference, window, whole, explained)))
    spread = draws.std(axis=0) if len(draws) else np.full(len(steps), np.inf)
    causes = _causes(explained, bool(whole.all()))
    parts = tuple(Part(cause, value, value - SURE * sd, value + SURE * sd)
                  for cause, value, sd in zip(causes, steps, spread.tolist(), strict=True))
    loss = Loss(sum(steps), len(window), parts, broken=broken)
    if explained is None:
        return loss
    inputs = sum(part.value for part in parts if part.cause is Cause.INPUTS)
    return Loss(loss.value, loss.rows, parts, tuple(explained.effects(inputs)), explained.group(), broken,
                explained.changed)


def _causes(explained: Explanations | None, whole: bool) -> list[Cause]:
    if explained is None:
        return [Cause.BROKEN]
    causes = [Cause.LABELS if explained.by_labels else Cause.INPUTS, Cause.RELATION]
    return causes if whole else [Cause.BROKEN, *causes]


def _drawn(
    metric: str, reference: Side, window: Side, whole: Numbers, explained: Explanations | None
) -> "list[list[float]]":
    """The steps on resamples; those on which the metric is not defined are left out."""
    found = []
    for before, now in resamples(len(reference), len(window)):
        try:
            found.append(_steps(metric, reference, window, whole, explained, before, now))
        except CannotJudge:
            continue
    return found


def _steps(
    metric: str, reference: Side, window: Side, whole: Numbers, explained: Explanations | None,
    before: Floats | None, now: Floats | None,
) -> list[float]:
    """How much worse the metric becomes at each step, rows of the two sides weighted. Raises CannotJudge."""
    usual, last = reference.value(metric, before), window.value(metric, now)
    if explained is None:
        return [better_by(metric, usual, last)]
    inner = None if now is None else now[whole]
    values = [usual, explained.value(before, inner), explained.window.value(metric, inner)]
    steps = [better_by(metric, one, other) for one, other in pairwise(values)]
    return steps if whole.all() else [better_by(metric, values[-1], last), *steps]
