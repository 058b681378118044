"""How often a window alarms where nothing has changed, and where one column has: calibrated beside the usual."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.parquet as pq
from scipy.stats import kstwo

from benchmarks.rows import Absent, Asked, Row
from monitor.calibration.calibrated_thresholds import FEWEST
from monitor.calibration.reference_blocks import calibrate, divide
from monitor.cli.terminal import progress
from monitor.config.column_roles import FeatureKind
from monitor.config.sections import DriftSection, ModelSection, QualitySection
from monitor.config.values import Budget
from monitor.drift.column_scores import column_scores, drifted_share, held_against
from monitor.records import Score, ScoreStatus
from monitor.tables.digest import Digest, NumberDigest, digest_of

DATA = (Path(__file__).resolve().parents[1] / "../shared/data").resolve()
SETS = ("elec2", "flights_nyc13", "bike_sharing", "car_loan")
NO_FEATURES = {"timestamp", "prediction_id", "prediction", "prediction_proba", "label", "label_timestamp"}
SIZES = (50, 200, 1000, 5000)
RATE = 0.1              # false alarms a window
FOLDS = 5               # every fifth window of a stream is held out in turn
MOST = 12               # windows of one fold that are judged
SHIFTS = (0.25, 0.5)    # standard deviations, of one column among
COLUMNS = 20
TRIES = 200            # windows with and without the shift
REFERENCE = 100_000


class Side:
    """Rows in memory whose digests are kept."""

    def __init__(self, table: pa.Table) -> None:
        self.table, self.rows = table, len(table)
        self._known: dict[str, Digest] = {}

    def column(self, name: str, kind: FeatureKind) -> Digest:
        if name not in self._known:
            self._known[name] = digest_of(list(self.table[name].chunks), self.rows, kind)
        return self._known[name]


class Judge:
    """A reference, the thresholds calibrated on it for windows of one size, and what it says of such windows."""

    def __init__(self, reference: pa.Table, size: int) -> None:
        self.kinds = kinds(reference)
        self.side = Side(reference)
        model = ModelSection.model_validate({
            "predictions": {"path": "."}, "reference": {"source": {"path": "."}},
            "window": {"size": size, "min_rows": min(50, size)},
            "triggers": [{"name": "drift", "metric": "drifted_share", "drifted": True}],
        })
        divided = divide(model, reference["timestamp"], self.kinds, {}, lambda name: reference[name].chunks)
        drift = model.drift.model_copy(update={"false_alarms": Budget(1, divided.pace / RATE)})
        self.calibration = calibrate(model.model_copy(update={"drift": drift}), divided)

    def scores(self, window: pa.Table) -> tuple[list[Score], Score, Score]:
        """Drift of each column and of the data by Evidently's thresholds, and of the data by the calibrated ones."""
        side, usual = Side(window), DriftSection(threshold="evidently")
        found = column_scores(self.side, side, self.kinds, {}, usual, QualitySection(), 1)
        each = [score for score in found if score.metric == "drift"]
        held = [held_against(score, "calibrated", self.calibration) for score in each if score.value is not None]
        return each, found[-1], drifted_share(held, DriftSection(), side.rows, self.calibration)


def kinds(table: pa.Table) -> dict[str, FeatureKind]:
    """Strings are categories."""
    return {
        field.name: "categorical" if pa.types.is_large_string(field.type) else "numerical"
        for field in table.schema if field.name not in NO_FEATURES
    }


def false_alarms(asked: Asked) -> list[Row]:
    """Share of windows that alarm although they are of the reference: rows shuffled, and in their order in time.

    Every fifth window of a stream is held out in turn, the thresholds are calibrated on the rest. A stream is the
    reference, the whole log where the reference is too short.
    """
    with progress("false alarms") as report:
        found = []
        for at, (name, size) in enumerate(cases := [(name, size) for size in SIZES for name in SETS]):
            report(at, len(cases))
            found += list(_both(name, size))
    return found


def _both(name: str, size: int) -> Iterator[Row]:
    stream = _stream(name, size)
    if stream is None:
        return
    order = np.random.default_rng(7).permutation(len(stream))
    values = stream.take(order).drop_columns("timestamp")
    shuffled = values.append_column("timestamp", stream["timestamp"])
    for how, table in (("shuffled", shuffled), ("in order", stream)):
        yield _rate(f"{name}, {size:,} rows, {how}", table, size)


def _stream(name: str, size: int) -> pa.Table | None:
    """The shortest of reference and whole log that holds enough windows; None where neither does."""
    if not DATA.is_dir():
        raise Absent("the real data of ../shared/data are not here")
    files = [DATA / name / f"{part}.parquet" for part in ("reference", "production")]
    needed = size * FOLDS / (FOLDS - 1) * (FEWEST + 1)
    for parts in (files[:1], files):
        table = pa.concat_tables([pq.read_table(file) for file in parts]).sort_by("timestamp")
        if len(table) >= needed:
            return table
    return None


def _rate(what: str, stream: pa.Table, size: int) -> Row:
    window = np.arange(len(stream)) // size
    count = len(stream) // size
    alarms, columns, half, judged = 0, 0.0, 0, 0
    for fold in range(FOLDS):
        judge = Judge(stream.filter(pa.array((window % FOLDS != fold) & (window < count))), size)
        held = np.arange(fold, count, FOLDS)
        for at in held[np.linspace(0, len(held) - 1, min(MOST, len(held))).astype(int)]:
            table = stream.slice(at * size, size)
            each, usual, share = judge.scores(table)
            alarms += share.status is ScoreStatus.DRIFTED and not share.uncalibrated
            columns += sum(score.status is ScoreStatus.DRIFTED for score in each) / len(each)
            half += usual.status is ScoreStatus.DRIFTED
            judged += 1
    rate = alarms / judged
    also = {"windows": judged, "Evidently's columns": columns / judged, "Evidently's data drift": half / judged}
    return Row(what=what, value=rate, ratio=rate / RATE, also=also, goal=f"≤ {RATE:g}")


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What each way says of one window."""

    alarm: bool          # calibrated
    usual: bool          # any column by Evidently's thresholds
    half: bool           # half of the columns by them
    ks: bool             # any column by the Kolmogorov-Smirnov test with Bonferroni's correction
    largest: float       # of Evidently's numbers
    beyond: float        # the largest of them by its calibrated threshold
    gap: float           # −log of the smallest p


def power(asked: Asked) -> list[Row]:
    """Share of windows that alarm when one of twenty columns has moved, and when none has."""
    chance = np.random.default_rng(7)
    reference = _made(chance, REFERENCE)
    found = []
    with progress("power") as report:
        for at, size in enumerate(SIZES[1:]):
            report(at, len(SIZES) - 1)
            found += list(_powers(chance, reference, size))
    return found


def _powers(chance: np.random.Generator, reference: pa.Table, size: int) -> Iterator[Row]:
    judge = Judge(reference, size)
    spread = {name: float(np.std(reference[name].to_numpy())) for name in judge.kinds}
    still = [_said(judge, _made(chance, size)) for _ in range(TRIES)]
    for shift in SHIFTS:
        moved = []
        for at in range(TRIES):
            window, name = _made(chance, size), f"column {at % COLUMNS}"
            column = pa.array(window[name].to_numpy() + shift * spread[name])
            moved.append(_said(judge, window.set_column(window.column_names.index(name), name, column)))
        yield _power(f"{size:,} rows, {shift:g} sd", still, moved)


def _power(what: str, still: Sequence[Said], moved: Sequence[Said]) -> Row:
    """As each way comes, with its false alarms; and with levels that give each the same rate of them."""
    def share(windows: Sequence[Said], alarm: Callable[[Said], bool]) -> float:
        return float(np.mean([alarm(one) for one in windows]))

    def alike(number: Callable[[Said], float]) -> float:
        level = float(np.quantile([number(one) for one in still], 1 - RATE))
        return share(moved, lambda one: number(one) > level)

    also = {
        "false alarms": share(still, lambda one: one.alarm), "ks, Bonferroni": share(moved, lambda one: one.ks),
        "its false alarms": share(still, lambda one: one.ks),
        "Evidently's, any column": share(moved, lambda one: one.usual),
        "its false alarms ": share(still, lambda one: one.usual),
        "Evidently's data drift": share(moved, lambda one: one.half),
        f"calibrated at {RATE:g}": alike(lambda one: one.beyond), f"ks at {RATE:g}": alike(lambda one: one.gap),
        f"Evidently's at {RATE:g}": alike(lambda one: one.largest),
    }
    value, other = also[f"calibrated at {RATE:g}"], also[f"ks at {RATE:g}"]
    return Row(what=what, value=share(moved, lambda one: one.alarm), ratio=value / other if other else 1.0, also=also,
               goal="≥ 1")


def _said(judge: Judge, window: pa.Table) -> Said:
    each, usual, share = judge.scores(window)
    n = judge.side.rows * len(window) / (judge.side.rows + len(window))
    gaps = [_gap(judge.side.column(name, "numerical"), window[name].to_numpy()) for name in judge.kinds]
    p = kstwo.sf(gaps, round(n))
    return Said(
        alarm=share.status is ScoreStatus.DRIFTED and not share.uncalibrated,
        usual=any(score.status is ScoreStatus.DRIFTED for score in each),
        half=usual.status is ScoreStatus.DRIFTED, ks=min(p) <= RATE / COLUMNS,
        largest=max(score.value or 0.0 for score in each),
        beyond=max((score.value or 0.0) / judge.calibration.limits[str(score.column)].value for score in each),
        gap=float(-np.log(max(np.min(p), 1e-300))),
    )


def _gap(reference: Digest, window: npt.NDArray[np.float64]) -> float:
    assert isinstance(reference, NumberDigest)
    ordered = np.sort(window)
    below = (np.searchsorted(reference.ascending, ordered, side) / reference.n for side in ("left", "right"))
    steps = np.arange(len(ordered) + 1) / len(ordered)
    return float(max(np.max(next(below) - steps[:-1]), np.max(steps[1:] - next(below))))


def _made(chance: np.random.Generator, rows: int) -> pa.Table:
    """Columns as logs have them: bells, long tails, counts, evenly spread ones."""
    draws: list[Callable[[], npt.NDArray[np.float64]]] = [
        lambda: chance.normal(size=rows), lambda: chance.lognormal(0, 0.8, rows), lambda: chance.uniform(size=rows),
        lambda: chance.standard_t(4, rows), lambda: np.round(chance.exponential(5, rows)),
    ]
    held = {f"column {at}": pa.array(draws[at % len(draws)]()) for at in range(COLUMNS)}
    times = pa.array(np.arange(rows) * 600_000_000, pa.timestamp("us", "UTC"))     # ten minutes apart
    return pa.table({"timestamp": times, **held})
