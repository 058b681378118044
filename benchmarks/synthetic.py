"""Seeded streams whose truth is known: really fitted models on rows drawn from a linear relation that changes.

A window is 100 rows: x ~ N(0, I) in four columns, y = x · θ + ε, ε ~ N(0, 1). θ stands still in the reference and then
moves by its shape:

| shape | θ after the reference |
| --- | --- |
| step | one jump of 0.45 |
| steps | four jumps of 0.35 |
| slow | away at an even pace, 0.8 in 50 windows |
| seasonal | 0.8 away and back, a cosine with a period of 26 windows |
| returning | between two regimes 0.75 apart, each for 6 to 13 windows |
| walk | a random walk, 0.04 in each column and window |
| heals | a jump of 0.95 that ends after 18 windows |
| null | still |

Two kinds of model, both ridge regression: on all rows so far, and on those of the newest ten windows. The score is
−RMSE in sd of the shipped model's over the windows of the reference. Row t + 1 is fitted on the windows labelled by the
end of window t.
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from benchmarks.streams import Stream

WINDOWS, REFERENCE, ROWS, COLUMNS = 60, 12, 100, 4
MEMORY = {"all": REFERENCE + WINDOWS, "newest": 10}     # windows that a model is fitted on
DELAYS = (1, 0, 2)      # windows until labels are known, in turn
PENALTY = 1e-3          # of the ridge

Floats = np.ndarray
Path = Callable[[np.random.Generator, Floats], Floats]


def _away(draw: np.random.Generator, size: float) -> Floats:
    """Return a vector of that length in any direction."""
    way = draw.normal(size=COLUMNS)
    return np.asarray(size * way / np.linalg.norm(way))


def _step(draw: np.random.Generator, time: Floats) -> Floats:
    at = draw.integers(10, 25)
    return np.outer(time >= at, _away(draw, 0.45))


def _steps(draw: np.random.Generator, time: Floats) -> Floats:
    places = draw.choice(np.arange(5, 50), 4, replace=False)
    return np.asarray(np.sum([np.outer(time >= at, _away(draw, 0.35)) for at in places], axis=0))


def _slow(draw: np.random.Generator, time: Floats) -> Floats:
    return np.outer(time / 50, _away(draw, 0.8))


def _seasonal(draw: np.random.Generator, time: Floats) -> Floats:
    return np.outer(1 - np.cos(2 * np.pi * time / 26), _away(draw, 0.4))


def _returning(draw: np.random.Generator, time: Floats) -> Floats:
    turns = np.cumsum(draw.integers(6, 14, size=len(time)))
    return np.outer(np.searchsorted(turns, time, side="right") % 2, _away(draw, 0.75))


def _walk(draw: np.random.Generator, time: Floats) -> Floats:
    return np.cumsum(draw.normal(0, 0.04, (len(time), COLUMNS)), axis=0)


def _heals(draw: np.random.Generator, time: Floats) -> Floats:
    at = draw.integers(12, 20)
    return np.outer((time >= at) & (time < at + 18), _away(draw, 0.95))


def _null(draw: np.random.Generator, time: Floats) -> Floats:
    return np.zeros((len(time), COLUMNS))


SHAPES: dict[str, Path] = {
    "step": _step, "steps": _steps, "slow": _slow, "seasonal": _seasonal, "returning": _returning, "walk": _walk,
    "heals": _heals, "null": _null,
}


@dataclass(frozen=True)
class Rows:
    """The rows of a stream, windows × rows (× columns), the reference first, and how late labels are, in windows."""

    x: Floats
    y: Floats
    delay: int

    def end(self, row: int) -> int:
        """How many windows are labelled when the model of that row of the scores is fitted."""
        return max(REFERENCE, REFERENCE + row - self.delay)

    def fitted(self, row: int, kind: str) -> Floats:
        """The coefficients of that model."""
        end = self.end(row)
        start = max(0, end - MEMORY[kind])
        return _fitted(self.x[start:end], self.y[start:end])


def rows(shape: str, seed: int = 0) -> Rows:
    """Draw the rows of one shape."""
    draw = np.random.default_rng([seed, list(SHAPES).index(shape)])
    still, moving = draw.normal(0, 0.5, COLUMNS), SHAPES[shape](draw, np.arange(WINDOWS, dtype=float))
    truth = still + np.vstack([np.zeros((REFERENCE, COLUMNS)), moving])
    x = draw.normal(size=(len(truth), ROWS, COLUMNS))
    y = np.einsum("wrc,wc->wr", x, truth) + draw.normal(size=x.shape[:2])
    return Rows(x, y, DELAYS[(seed + list(SHAPES).index(shape)) % len(DELAYS)])


def synthetic(shape: str, kind: str, seed: int = 0) -> Stream:
    """Make one stream; the two kinds of model see the same rows."""
    made = rows(shape, seed)
    models = np.array([made.fitted(row, kind) for row in range(WINDOWS + 1)])
    rmse = np.sqrt(np.mean((made.y - np.einsum("wrc,mc->mwr", made.x, models)) ** 2, axis=2))
    before, since = rmse[0, :REFERENCE], rmse[:, REFERENCE:]
    sd = float(before.std(ddof=1))
    return Stream(
        -since / sd, np.arange(WINDOWS) + made.delay, name=f"{shape}, {kind} rows", family=shape,
        usual=-float(before.mean()) / sd, sd=sd,
    )


def _fitted(x: Floats, y: Floats) -> Floats:
    """Ridge regression on windows × rows × columns."""
    rows, told = x.reshape(-1, COLUMNS), y.ravel()
    return np.asarray(np.linalg.solve(rows.T @ rows + PENALTY * np.eye(COLUMNS), rows.T @ told))
