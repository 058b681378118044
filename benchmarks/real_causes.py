"""Why did a model's performance fall, on real rows? How often the right cause is named, and one without cause.

What is planted where is told in `planted_causes.py`. driftd reads reference and log as files, as it always does.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import pandas as pd

from benchmarks.planted_causes import PLANTED, SETTINGS, Setting, World
from benchmarks.rows import Asked, Row
from monitor.attribution.loss_parts import Cause
from monitor.attribution.window_causes import lost_to
from monitor.check.requests import ObserveRequest
from monitor.check.window_parts import PARTS, WindowData
from monitor.cli.terminal import progress
from monitor.config import load
from monitor.records import Score, ScoreStatus, Window
from monitor.reference.reference_data import load_reference
from monitor.sources.log import Log

START, WEEK, REFERENCE_WEEKS = datetime(2024, 1, 1, tzinfo=UTC), timedelta(weeks=1), 8
END = datetime(2030, 1, 1, tzinfo=UTC)
CONFIG = """
[models.m]
task = "{task}"
metric = "{metric}"
window = {{ size = "7d", min_rows = 20 }}
predictions = "log.parquet"
reference = "reference.parquet"
rehearsal = {{ enabled = false }}

[models.m.columns]
private = {private}
"""
RIGHT, FALSE = 0.9, 0.05
FIRST_SEED, SLOWLY = 10, 4         # of the draws; those before were looked at while the method was made
STILL = 5                         # windows of each draw in which nothing is planted



def named(asked: Asked) -> list[Row]:
    """Of windows whose metric is lost, the share in which the sentence begins with a planted cause; of windows in which
    nothing is planted, the share in which any cause is sure. Raises Absent without the data.
    """
    seeds = range(FIRST_SEED, FIRST_SEED + (SLOWLY if asked.slow else 1))
    plants = ["nothing"] * STILL + [one for one in PLANTED if one != "nothing"]
    found: list[Told] = []
    with progress("causes on real rows") as report:
        for at, (setting, seed) in enumerate(product(SETTINGS, seeds)):
            report(at, len(SETTINGS) * len(seeds))
            found += told(setting, plants, seed)
    return rows_of(found)


def rows_of(found: Sequence["Told"]) -> list[Row]:
    """A row for each thing that was planted, and one for each set."""
    planted = [one for one in found if one.planted != "nothing"]
    of_sets = {one.setting.name: [other for other in planted if other.setting.name == one.setting.name]
               for one in planted}
    return [*(_row(what, [one for one in found if one.planted == what]) for what in PLANTED),
            *(_row(f"anything, {name}", windows) for name, windows in of_sets.items()), _row("anything", planted)]


def _row(what: str, found: Sequence["Told"]) -> Row:
    still = what == "nothing"
    windows = [one for one in found if still or one.lost]
    right, error = _share(windows, [bool(one.sure) if still else one.main in one.causes for one in windows])
    beside, _ = _share(windows, [bool(set(one.sure) - one.causes) for one in windows])
    also: dict[str, float | str] = {"±": error, "windows": float(len(windows)), "of": float(len(found))}
    return Row(what=what, value=right, ratio=beside, also=also, goal=f"≤ {FALSE:g}" if still else f"≥ {RIGHT:g}")


def _share(windows: Sequence["Told"], hits: Sequence[bool]) -> tuple[float, float]:
    """The share of hits, and its standard error, where windows of one world count as alike."""
    share = float(np.mean(hits)) if hits else float("nan")
    off: dict[tuple[Setting, int], float] = {}
    for one, hit in zip(windows, hits, strict=True):
        off[one.setting, one.seed] = off.get((one.setting, one.seed), 0.0) + hit - share
    return share, float(np.sqrt(sum(each**2 for each in off.values())) / max(len(hits), 1))


# As driftd reads it

@dataclass(frozen=True)
class Told:
    """Of a week: whether its metric is lost, and what that is said to be due to, the largest first."""

    setting: Setting
    seed: int
    planted: str
    lost: bool
    scores: tuple[Score, ...]

    @property
    def causes(self) -> frozenset[Cause]:
        return PLANTED[self.planted][1]

    @property
    def parts(self) -> list[Score]:
        return [one for one in self.scores if one.column is None and one.segment is None and one.value is not None]

    @property
    def sure(self) -> list[str]:
        found = [one for one in self.parts if one.status is ScoreStatus.DRIFTED]
        return [str(one.method) for one in sorted(found, key=lambda one: -(one.value or 0))]

    @property
    def main(self) -> str | None:
        """With what the sentence begins."""
        loss = sum(one.value or 0 for one in self.parts)
        first = max((one.value or 0 for one in self.parts if one.status is ScoreStatus.DRIFTED), default=0.0)
        return self.sure[0] if self.sure and first >= loss / 3 else None


def told(setting: Setting, plants: Sequence[str], seed: int) -> Iterator[Told]:
    """What driftd says of weeks in which this was planted, each week another."""
    world = World(setting, seed)
    weeks = [world.predicted(PLANTED[name][0](world)) for name in plants]
    with TemporaryDirectory(prefix="driftd-bench-") as name:
        folder = Path(name)
        _put(folder / "reference.parquet", [world.predicted(world.usual)], START - REFERENCE_WEEKS * WEEK,
             REFERENCE_WEEKS * WEEK)
        if setting.changed == "text":
            weeks = [one.assign(**{at: _as_text(one[at]) for at in world.features}) for one in weeks]
        _put(folder / "log.parquet", weeks, START, WEEK)
        private = world.words[:1] if setting.changed == "private" else []
        (folder / "driftd.toml").write_text(CONFIG.format(
            task=setting.task, metric=setting.metric, private=[*private]), encoding="utf-8")
        model = load(folder / "driftd.toml").config.models["m"]
        reference = load_reference(model, END, None, None)
        log = Log(model, reference.roles, END)
        performance = next(part for part in PARTS if part.name == "performance")
        for at, planted in enumerate(plants):
            window = Window(model="m", start=START + at * WEEK, end=START + (at + 1) * WEEK, spec="")
            request = ObserveRequest(
                model=model, as_of=END, window=window, revision=1, mature=True, first_rows=None, corrected=False,
                earlier=None, newest=END, config_hash="",
            )
            data = WindowData(request, reference, log, log.window(window))
            lost = next(one for one in performance.scores(data) if one.metric == "performance_lost")
            yield Told(setting, seed, planted, lost.status is ScoreStatus.DRIFTED,
                       tuple(lost_to(model, reference, data.judged, data.window)))


def _put(path: Path, parts: Sequence[pd.DataFrame], start: datetime, each: timedelta) -> None:
    """Write rows, each part evenly over its time."""
    moments = [start + at * each + place * (each / len(part)) for at, part in enumerate(parts)
               for place in range(len(part))]
    rows = pd.concat(parts, ignore_index=True)
    rows["prediction_id"] = [f"{start:%Y}-{at}" for at in range(len(rows))]
    rows["timestamp"] = pd.to_datetime(pd.Series(moments), utc=True)
    rows["label_timestamp"] = rows["timestamp"] + pd.Timedelta(hours=1)
    rows.to_parquet(path)


def _as_text(values: pd.Series) -> pd.Series:
    return values.map(lambda value: None if pd.isna(value) else str(value)).astype(object)
