"""The groups of a column, each a segment "column=value" of one frequent value; and random samples of rows."""

from dataclasses import dataclass, replace

import numpy as np
import pyarrow as pa

from monitor.errors import CannotJudge
from monitor.records import Score, ScoreStatus
from monitor.tables import columns
from monitor.tables.columns import Ints

SMALLEST_CELL = 10     # nothing is published about fewer rows, because rows may be people
MOST_GROUPS = 20       # of a column; each group has a Score of every metric
SEED = 0


@dataclass(frozen=True, slots=True, eq=False)
class Groups:
    """The groups of one column.

    `names`: the values, by descending rows in the reference. `before` and `now`: the position in `names` of each
    row of the reference and of the window, −1 for none. `left_out`: why some values have no position.
    """

    column: str
    names: tuple[str, ...]
    before: Ints
    now: Ints
    left_out: str | None = None

    def segment(self, place: int) -> str:
        return f"{self.column}={self.names[place]}"


def divide(column: str, reference: pa.Table, window: pa.Table) -> Groups:
    """Return the groups of a column. Raises CannotJudge if the reference or the window lacks it.

    Values with fewer than ten rows in each of the two are not named; of the others, the twenty most frequent are.
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


def too_small(score: Score, rows: int, min_rows: int) -> Score:
    """Return the score of a group too small to be judged; a row count under ten is not published."""
    few = replace(score, value=None, reference=None, low=None, high=None, status=ScoreStatus.INSUFFICIENT)
    if rows < SMALLEST_CELL:
        return replace(few, n=None, reason=f"fewer than {SMALLEST_CELL} rows")
    return replace(few, n=rows, reason=f"{rows} rows, expected at least {min_rows}")


def without_scores(metric: str, column: str, reason: str) -> Score:
    """Return a score whose reason says why some or all values of a column have no scores of their own."""
    return Score(metric=metric, segment=column, status=ScoreStatus.INSUFFICIENT, reason=reason)


def _left_out(column: str, many: int, rare: int) -> str | None:
    why = [f"{many} beyond the {MOST_GROUPS} most frequent"] if many else []
    why += [f"{rare} with fewer than {SMALLEST_CELL} rows"] if rare else []
    return f"values of {column} without scores of their own: {', '.join(why)}" if why else None


def draw(rows: int, most: int) -> Ints:
    """Return the ascending indices of at most `most` of `rows` rows, drawn with a fixed seed."""
    if rows <= most:
        return np.arange(rows)
    return np.sort(np.random.default_rng(SEED).choice(rows, most, replace=False))
