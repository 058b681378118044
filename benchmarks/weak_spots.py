"""What calibrated thresholds find of one changed column in twenty, and how often they alarm where windows wander."""

from bisect import bisect
from collections.abc import Callable, Iterator, Mapping
from functools import cached_property

import numpy as np
import numpy.typing as npt
import pyarrow as pa
from scipy.special import ndtr, ndtri

from benchmarks.calibrated import RATE, Side
from benchmarks.rows import Asked, Row
from monitor.calibration.reference_blocks import Division, calibrate, divide
from monitor.cli.terminal import progress
from monitor.config.column_roles import FeatureKind
from monitor.config.sections import DriftSection, ModelSection, QualitySection
from monitor.config.values import Budget
from monitor.drift.column_scores import column_scores
from monitor.drift.methods import Calibration
from monitor.records import ScoreStatus

Values = npt.NDArray[np.float64]
Columns = dict[str, Values]      # categories as whole numbers from 0; NaN is missing

ROWS, WINDOWS, TRIES = 200, 100, 100
REFERENCES = 4                   # that are drawn anew, each with TRIES windows; in `wandering` twice as many
LEVELS = np.arange(2.0, 9.0, 0.1)
SHARES = ([0.3, 0.7], [0.3, 0.5, 0.2], [0.3, 0.4, 0.2, 0.1], [0.3, 0.25, 0.2, 0.15, 0.1],
          [0.3, 0.2, 0.15, 0.1, 0.1, 0.05, 0.05, 0.05])
PHI, LENGTHS = 0.7, (30, 60, 100)


class Reference:
    """Rows in order of time, an hour apart, divided into windows."""

    def __init__(self, columns: Columns) -> None:
        self.kinds: dict[str, FeatureKind] = {
            name: "numerical" if name.startswith("number") else "categorical" for name in columns
        }
        table = _table(columns)
        self.model = ModelSection.model_validate({
            "predictions": {"path": "."}, "reference": {"source": {"path": "."}},
            "window": {"size": ROWS, "min_rows": 50},
            "triggers": [{"name": "drift", "metric": "drifted_share", "drifted": True}],
        })
        hours = pa.chunked_array([pa.array(np.arange(len(table)) * 3_600_000_000, pa.timestamp("us", "UTC"))])
        self.side = Side(table)
        self.divided = divide(self.model, hours, self.kinds, {}, lambda name: table[name].chunks)

    @cached_property
    def stated(self) -> Calibration:
        """The thresholds for false alarms in a tenth of the windows."""
        drift = self.model.drift.model_copy(update={"false_alarms": Budget(1, self.divided.pace / RATE)})
        return calibrate(self.model.model_copy(update={"drift": drift}), self.divided)

    def alarms(self, columns: Columns, limits: Calibration) -> bool:
        """Tell whether a window drifts as a whole."""
        found = column_scores(
            self.side, Side(_table(columns)), self.kinds, {}, DriftSection(), QualitySection(), 50, limits
        )
        return found[-1].status is ScoreStatus.DRIFTED and not found[-1].uncalibrated


def at_level(divided: Division, level: float) -> Calibration:
    """Return thresholds that are as surprising as this in every column."""
    return Calibration(
        limits={name: one.limit(level) for name, one in divided.blocks.items()},
        missing={name: one.limit(level) for name, one in divided.missing.items()},
        new={name: one.limit(level) for name, one in divided.new.items()},
    )


def changes(asked: Asked) -> list[Row]:
    """Share of windows that alarm where one of ten columns of numbers, or of ten of categories, has changed.

    At the level at which a tenth of the unchanged windows of the same reference alarm, and at the stated rate.
    """
    matched: dict[str, list[float]] = {what: [] for what in CHANGES}
    stated: dict[str, list[float]] = {what: [] for what in CHANGES}
    false = []
    with progress("changes") as report:
        for number in range(REFERENCES):
            report(number, REFERENCES)
            chance = np.random.default_rng(number)
            reference = Reference(_made(chance, np.zeros((20, WINDOWS))))
            levels = [at_level(reference.divided, level) for level in LEVELS]
            still = [_made(chance, np.zeros((20, 1))) for _ in range(TRIES)]
            quiet = [bisect(levels, 0, key=lambda limits: not reference.alarms(window, limits)) for window in still]
            level = levels[min(round(float(np.quantile(quiet, 1 - RATE))), len(levels) - 1)]
            false.append(float(np.mean([reference.alarms(window, reference.stated) for window in still])))
            for what, change in CHANGES.items():
                moved = [change(chance, dict(window), at) for at, window in enumerate(still)]
                matched[what].append(float(np.mean([reference.alarms(window, level) for window in moved])))
                limits = reference.stated
                stated[what].append(float(np.mean([reference.alarms(window, limits) for window in moved])))
    return [
        Row(what=what, value=float(np.mean(found)), ratio=float(np.mean(stated[what])),
            also={"false alarms at a stated tenth": float(np.mean(false))}, goal=GOALS[what])
        for what, found in matched.items()
    ]


def wandering(asked: Asked) -> list[Row]:
    """Share of unchanged windows that alarm at a stated tenth, where the columns' window means are an AR(1)."""
    cases = [(moves, length) for moves in (0.3, 1.0) for length in LENGTHS]
    found = []
    with progress("wandering") as report:
        for at, (moves, length) in enumerate(cases):
            report(at, len(cases))
            rate = float(np.mean(list(_wandering(moves, length))))
            found.append(Row(what=f"{length} windows, means move {moves:g} sd", value=rate, ratio=rate / RATE,
                             goal="≤ 0.12"))
    return found


def _wandering(moves: float, length: int) -> Iterator[bool]:
    for number in range(2 * REFERENCES):
        chance = np.random.default_rng((length, number))
        walk = np.zeros((20, length + TRIES // 2))
        walk[:, 0] = chance.normal(size=20)
        for at in range(1, walk.shape[1]):
            walk[:, at] = PHI * walk[:, at - 1] + np.sqrt(1 - PHI**2) * chance.normal(size=20)
        columns = _made(chance, moves * walk)
        reference = Reference({name: values[:length * ROWS] for name, values in columns.items()})
        limits = reference.stated
        for at in range(length, walk.shape[1]):
            window = {name: values[at * ROWS:(at + 1) * ROWS] for name, values in columns.items()}
            yield reference.alarms(window, limits)


def _made(chance: np.random.Generator, moves: Values) -> Columns:
    """Ten columns of numbers and ten of 2 to 8 categories, each window moved by so many standard deviations."""
    rows = moves.shape[1] * ROWS
    columns: Columns = {}
    for at, walk in enumerate(moves):
        add = np.repeat(walk, ROWS)
        if at < 10:
            draws: list[Callable[[], Values]] = [
                lambda: chance.normal(size=rows), lambda: chance.lognormal(0, 0.8, rows) / 1.3,
                lambda: chance.uniform(size=rows) * np.sqrt(12), lambda: chance.standard_t(4, rows) / np.sqrt(2),
                lambda: np.round(chance.exponential(5, rows)) / 5,
            ]
            columns[f"number {at}"] = draws[at % len(draws)]() + add
        else:
            shares = np.cumsum(SHARES[at % len(SHARES)])[:-1]
            spread = ndtr(ndtri(chance.uniform(size=rows)) + add)
            columns[f"word {at}"] = np.searchsorted(shares, spread).astype(np.float64)
    return columns


def _table(columns: Mapping[str, Values]) -> pa.Table:
    return pa.table({
        name: pa.array(values, from_pandas=True) if name.startswith("number")
        else pa.array([f"w{code:g}" for code in values], pa.large_string())
        for name, values in columns.items()
    })


def _mean(chance: np.random.Generator, window: Columns, at: int) -> Columns:
    return window | {f"number {at % 10}": window[f"number {at % 10}"] + 0.25}


def _share(chance: np.random.Generator, window: Columns, at: int) -> Columns:
    """The first category takes a seventh of the others' rows."""
    name = f"word {10 + at % 10}"
    return window | {name: np.where(chance.uniform(size=ROWS) < 1 / 7, 0.0, window[name])}


def _new(chance: np.random.Generator, window: Columns, at: int) -> Columns:
    name = f"word {10 + at % 10}"
    return window | {name: np.where(chance.uniform(size=ROWS) < 0.01, 99.0, window[name])}


def _missing(chance: np.random.Generator, window: Columns, at: int) -> Columns:
    name = f"number {at % 10}"
    return window | {name: np.where(chance.uniform(size=ROWS) < 0.15, np.nan, window[name])}


CHANGES: Mapping[str, Callable[[np.random.Generator, Columns, int], Columns]] = {
    "mean by 0.25 sd": _mean, "share 0.3 → 0.4": _share, "new category, 1 %": _new, "15 points missing": _missing,
}
GOALS = dict(zip(CHANGES, ("≥ 0.75", "≥ 0.45", "≥ 0.8", "≥ 0.9"), strict=True))
