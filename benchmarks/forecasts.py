"""What a new model is said to win back, beside what it won: on seeded streams, each request met at once.

At each request driftd says what a challenger of the model's own kind won in the newest window with labels, as in the
sentence that tells why performance fell. What came is how much better the model fitted then did than the one before, in
the windows until the next request, four at the most.
"""

from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from typing import NamedTuple

import numpy as np
import pyarrow as pa

from benchmarks import product
from benchmarks.rows import Asked, Row
from benchmarks.synthetic import COLUMNS, MEMORY, REFERENCE, ROWS, SHAPES, WINDOWS, Floats, Rows, rows, synthetic
from monitor.challenger.rehearsal import fit, gains
from monitor.config.column_roles import Roles

PRICE, FOLLOWED, CLOSE, SLOWLY = 2.0, 4, 0.2, 3
FAR = 2.7                    # sd below the reference's metric, as a window is whose performance is lost
NAMES = [f"x{at}" for at in range(COLUMNS)]
ROLES = Roles(
    timestamp="timestamp", id=None, prediction="prediction", probability=None, label="label", label_timestamp=None,
    model_version=None, features=dict.fromkeys(NAMES, "numerical"),
)


class Forecast(NamedTuple):
    """Of one request: the shape of its stream, both gains in the metric's unit, and whether performance was lost."""

    shape: str
    said: float
    came: float
    lost: bool


def forecasts(asked: Asked) -> list[Row]:
    """How far the mean of what is said is from the mean of what came, and how many are within a fifth of it."""
    found = [one for shape in SHAPES if shape != "null" for kind in MEMORY
             for seed in range(SLOWLY if asked.slow else 1) for one in _requests(shape, kind, seed) if one.said > 0]
    return [
        _row("all requests", found), _row("where performance is lost", [one for one in found if one.lost]),
        *(_row(shape, [one for one in found if one.shape == shape]) for shape in SHAPES if shape != "null"),
    ]


def _row(what: str, found: Sequence[Forecast]) -> Row:
    said, came = np.array([one.said for one in found]), np.array([one.came for one in found])
    ratio = said.mean() / came.mean()
    error = np.std(said - ratio * came) / np.sqrt(len(found)) / abs(came.mean())
    also: dict[str, float | str] = {
        "±": float(error), "requests": float(len(found)), "said": float(said.mean()), "came": float(came.mean()),
    }
    return Row(what=what, value=float(ratio - 1), also=also, goal="-0.2 to 0.2",
               ratio=float(np.mean(abs(said - came) <= CLOSE * abs(came))))


def _requests(shape: str, kind: str, seed: int) -> Iterator[Forecast]:
    stream, made = synthetic(shape, kind, seed), rows(shape, seed)
    schedule = product.schedule(stream, PRICE)
    models, ends = [0, *(at + 1 for at in schedule)], [*(at + 1 for at in schedule[1:]), WINDOWS]
    assert stream.usual is not None
    for old, at, end in zip(models, schedule, ends, strict=False):
        seen = at - made.delay
        after = range(at + 1, min(end, at + 1 + FOLLOWED))
        if seen < 0 or not after:
            continue
        came = np.mean([stream.score[at + 1, now] - stream.score[old, now] for now in after]) * stream.sd
        lost = stream.score[old, seen] < stream.usual - FAR
        yield Forecast(shape, _said(made, kind, old, seen), float(came), bool(lost))


def _said(made: Rows, kind: str, old: int, seen: int) -> float:
    """The gain of a challenger fitted just before that window."""
    model, end = made.fitted(old, kind), made.end(seen)
    past = _table(made, range(max(0, end - MEMORY[kind]), end), model)
    challenger = fit(past, ROLES, "regression", "rmse", len(past), "linear")
    [gain, _] = gains(challenger, None, _table(made, [REFERENCE + seen], model), ROLES, "regression", "rmse")
    assert gain.value is not None
    return gain.value


def _table(made: Rows, windows: Sequence[int], model: Floats) -> pa.Table:
    x, y = (np.concatenate([side[window] for window in windows]) for side in (made.x, made.y))
    start = datetime(2024, 1, 1, tzinfo=UTC)
    moments = [start + timedelta(weeks=window, minutes=row) for window in windows for row in range(ROWS)]
    return pa.table({"timestamp": pa.array(moments, pa.timestamp("us", "UTC")), "prediction": x @ model, "label": y,
                     **{name: x[:, at] for at, name in enumerate(NAMES)}})
