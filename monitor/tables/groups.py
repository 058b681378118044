"""The groups of a column: its most frequent values, each a segment "column=value". And a sample of all rows."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from monitor.errors import CannotJudge
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.columns import Ints

SMALLEST_CELL = 10     # nothing is told about fewer rows: they are people
MOST_GROUPS = 20       # of a column; each comes with every metric
SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """`names`: the values, those with most rows in the reference first; `before` and `now`: the place in `names`
    of each row of the reference and of the window, −1 for none; `left_out`: why not every value has a place."""

    column: str
    names: tuple[str, ...]
    before: Ints
    now: Ints
    left_out: str | None = None

    def segment(self, place: int) -> str:
        return f"{self.column}={self.names[place]}"


def divide(column: str, reference: pa.Table, window: pa.Table) -> Groups:
    """Find the groups of a column. Raises CannotJudge where reference or window does not have it.

    Values with fewer than ten rows in both are not named, and of the others at most twenty.
    """
    for where, table in (("reference", reference), ("window", window)):
        if column not in table.column_names:
            raise CannotJudge(f"the {where} has no column {column}")
    before, now = columns.counts(reference[column]), columns.counts(window[column])
    rows = {key: (-before.get(key, 0), -now.get(key, 0), str(key)) for key in {*before, *now}}
    large = [key for key in rows if max(before.get(key, 0), now.get(key, 0)) >= SMALLEST_CELL]
    shown = sorted(large, key=rows.__getitem__)[:MOST_GROUPS]
    places = {key: place for place, key in enumerate(shown)}
    return Groups(
        column=column,
        names=tuple(map(str, shown)),
        before=columns.codes(reference[column], places),
        now=columns.codes(window[column], places),
        left_out=_left_out(column, len(large) - len(shown), len(rows) - len(large)),
    )


def small(score: Score, rows: int, min_rows: int) -> Score:
    """The score of a group too small to be judged; of fewer than ten rows not even their number is told."""
    few = replace(score, value=None, reference=None, low=None, high=None, status=ScoreStatus.INSUFFICIENT)
    if rows < SMALLEST_CELL:
        return replace(few, n=None, reason=f"fewer than {SMALLEST_CELL} rows")
    return replace(few, n=rows, reason=f"{rows} rows, expected at least {min_rows}")


def not_every(metric: str, column: str, reason: str) -> Score:
    """Say of a column why (some of) its values have no scores of their own."""
    return Score(metric=metric, segment=column, status=ScoreStatus.INSUFFICIENT, reason=reason)


def _left_out(column: str, many: int, rare: int) -> str | None:
    why = [f"{many} beyond the {MOST_GROUPS} most frequent"] if many else []
    why += [f"{rare} with fewer than {SMALLEST_CELL} rows"] if rare else []
    return f"values of {column} that are not measured one by one: {', '.join(why)}" if why else None


def draw(rows: int, most: int) -> Ints:
    """Return the numbers of at most `most` of `rows` rows in ascending order, chosen by a fixed seed."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
