"""Regret: what waiting has cost since the reference or the last request, each labelled row counted once.

S ← max(0, S + w · (gain / sd − σ / 2)) over mature disjoint windows, oldest first: `gain` is the score of a
challenger that had not seen the window minus that of the model in service, turned so that positive is better;
`sd` the metric's over reference windows; σ the winsorised RMS of the placebo gains, in sd; w the window's
labelled rows relative to the mean. S is in reference sd × windows.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.config.model import ModelSection, TriggerSection
from monitor.config.values import Level
from monitor.decide.history import History, disjoint, is_broken, usable
from monitor.decide.words import day, number
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus

_ENOUGH_PLACEBOS = 3
_NO_SCALE = "the metric's spread over reference windows is not known"
_NO_SPREAD = "the metric is the same in every reference window, so there is no scale"
_KEPT = 0.8     # a tenth of each tail is winsorised: sizes above the 80 % quantile count as that


@dataclass(frozen=True, slots=True)
class Step:
    """Regret after one window; `since` is the start of the first window since it was last zero."""

    snapshot: Snapshot
    total: float
    since: datetime
    windows: int


@dataclass(frozen=True, slots=True)
class Regret:
    """Regret window by window, and what it was computed with; `lack` says why there is none."""

    steps: tuple[Step, ...] = ()
    metric: str = "of the metric"
    sd: float = math.nan
    noise: float = 0.0          # σ, in sd
    pace: timedelta | None = None   # from one disjoint window to the next
    lack: str | None = None

    def price(self, level: Level) -> float | None:
        """What a retrain costs, in sd × windows; None while it cannot be told."""
        if level.span is None:
            return level.number
        return level.number / self.sd * (level.span / self.pace) if self.pace and self.sd > 0 else None


def fold(model: ModelSection, history: History, snapshot: Snapshot) -> Regret:
    """Compute regret from everything known now."""
    known = history.known(snapshot)
    pace = _pace(model, known)
    judged = [s for s in known if _gain(s) is not None]
    scale = next((scale for s in reversed(known) if (scale := _said(s, "metric_sd"))), None)
    if scale is None or not scale.value:
        return Regret(pace=pace, lack=_NO_SCALE if scale is None else _NO_SPREAD)
    metric, sd = scale.method or model.metric or "of the metric", scale.value
    if not judged:
        return Regret((), metric, sd, pace=pace, lack="no window has both mature labels and a rehearsal yet")
    alone = list(disjoint(judged))
    noise = _noise([v / sd for s in alone if (v := _value(s, "challenger_placebo")) is not None])
    mean = sum(s.labelled for s in alone) / len(alone)
    unpaid = list(disjoint(s for s in judged if s.window.start >= history.since))
    lack = None if unpaid else f"no window begun since {day(history.since, model.timezone)} is mature yet"
    return Regret(_walk(unpaid, sd, noise, mean), metric, sd, noise, pace, lack)


def score(model: ModelSection, regret: Regret) -> Score | None:
    """The Score `regret`: value and threshold in sd × windows; None where nothing asks or is known."""
    trigger = next((t for t in model.triggers if t.metric == "regret" and t.above is not None), None)
    if trigger is None and not regret.steps:
        return None
    price = None if trigger is None else _price(trigger, regret)
    if not regret.steps:
        return Score(metric="regret", threshold=price, status=ScoreStatus.INSUFFICIENT, reason=regret.lack)
    last = regret.steps[-1]
    labelled = sum(s.snapshot.labelled for s in regret.steps[-last.windows:]) if last.windows else 0
    words = cost(regret, last, price, model.timezone)
    return Score(metric="regret", value=last.total, threshold=price, n=labelled, reason=words)


def _price(trigger: TriggerSection, regret: Regret) -> float | None:
    return None if trigger.above is None else regret.price(trigger.above)


def cost(regret: Regret, step: Step, price: float | None, zone: ZoneInfo) -> str:
    """What waiting has cost up to a window, beside what a retrain costs, in words."""
    priced = "what a retrain costs is not known" if price is None else f"a retrain costs {number(price)}"
    if not step.total:
        return f"up to {day(step.snapshot.window.end, zone)} waiting has cost nothing; {priced}"
    lost = f"about {number(step.total * regret.sd / step.windows)} {regret.metric}"
    where = "in one window" if step.windows == 1 else f"in each of {step.windows} windows"
    sum_now = f"waiting has cost {number(step.total)} sd × windows"
    return f"since {day(step.since, zone)} {sum_now}, {lost} {where}; {priced}"


def _walk(snapshots: Sequence[Snapshot], sd: float, noise: float, mean: float) -> tuple[Step, ...]:
    steps: list[Step] = []
    total, windows, since = 0.0, 0, None
    for one in snapshots:
        gain = _gain(one)
        assert gain is not None
        weight = one.labelled / mean if mean else 1.0
        since = since or one.window.start
        total, windows = max(0.0, total + weight * (gain / sd - noise / 2)), windows + 1
        steps.append(Step(one, total, since, windows))
        if not total:
            windows, since = 0, None
    return tuple(steps)


def _gain(snapshot: Snapshot) -> float | None:
    """The gain a window adds; None where its labels are immature or its data broken."""
    if not snapshot.mature or snapshot.status is not SnapshotStatus.OK or is_broken(snapshot):
        return None
    return _value(snapshot, "challenger_gain")


def _value(snapshot: Snapshot, metric: str) -> float | None:
    score = _said(snapshot, metric)
    return score.value if score else None


def _said(snapshot: Snapshot, metric: str) -> Score | None:
    found = (s for s in snapshot.scores if s.metric == metric and usable(s) and not s.provisional)
    return next((s for s in found if s.value is not None and math.isfinite(s.value)), None)


def _noise(placebos: Sequence[float]) -> float:
    """Winsorised root mean square; 0 until three placebos are known."""
    if len(placebos) < _ENOUGH_PLACEBOS:
        return 0.0
    sizes = sorted(map(abs, placebos))
    cap = sizes[math.ceil(_KEPT * len(sizes)) - 1]
    return math.sqrt(sum(min(size, cap) ** 2 for size in sizes) / len(sizes))


def _pace(model: ModelSection, known: Sequence[Snapshot]) -> timedelta | None:
    """Time from one disjoint window to the next; the mean length so far for windows that count rows."""
    size = model.window.size
    if isinstance(size, timedelta):
        step = model.window.step or size
        return step * math.ceil(size / step)
    lengths = [s.window.end - s.window.start for s in known]
    mean = sum(lengths, timedelta()) / len(lengths)
    return mean or None
