"""Regret: what waiting has cost since the reference or the last request, each labelled row counted once.

S ← max(0, S + w · (r · gain / sd − ¾ σ)) over mature disjoint windows, oldest first: `gain` is the score of a
challenger that had not seen the window minus that of the model in service, turned so that positive is better, less
what a challenger gains by its kind alone; r the share of such gains that earlier promotions brought (`realised`);
`sd` the metric's over reference windows; σ the winsorised RMS of the placebo gains, in sd; w the window's labelled
rows relative to the mean. Newer windows whose labels are still to come count as those before them did: h of them, at
most k, make S · (1 + h / k), where k windows made S since it was zero.
It is sure when S, without them, is beyond what noise alone reaches: S ≥ 3 σ √Σw. All in reference sd × windows.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.config.sections import ModelSection, TriggerSection
from monitor.config.values import Level
from monitor.decide.challenger_gains import gain, kind_of, newest, noise_of, value_of
from monitor.decide.realised_gain import ALL, Realised, realised
from monitor.history import History, disjoint, is_broken
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.wording import day, each, number, several

_ALLOWANCE = 0.75   # of σ, taken off every gain: chosen in the closed loop, see docs/decisions.md
_EVIDENCE = 3.0     # times σ √Σw, which a sum must reach to be sure
FALSE_RETRAINS = 0.2  # about so many in 52 windows with placebos at the most, were every gain noise, of whatever size
_NO_SCALE = "the metric's spread over reference windows is not known"
_NO_SPREAD = "the metric is the same in every reference window, so there is no scale"


@dataclass(frozen=True, slots=True)
class Step:
    """Regret after one window; `since` is the start of the first window since it was last zero."""

    snapshot: Snapshot
    total: float
    since: datetime
    windows: int                # that made it since it was last zero, without those ahead
    bound: float = 0.0          # the total at which it is sure: noise alone seldom reaches it
    ahead: int = 0              # of the total, windows whose labels are still to come

    @property
    def sure(self) -> bool:
        return self.total >= self.bound


@dataclass(frozen=True, slots=True)
class Regret:
    """Regret window by window, and what it was computed with; `lack` says why there is none."""

    steps: tuple[Step, ...] = ()
    scale: Score | None = None      # `metric_sd`
    sd: float = math.nan
    noise: float = 0.0              # σ, in sd
    pace: timedelta | None = None   # from one disjoint window to the next
    realised: Realised = ALL        # what earlier promotions brought of the gain that was predicted
    lack: str | None = None

    @property
    def metric(self) -> str:
        return (self.scale.method if self.scale else None) or "of the metric"

    def price(self, level: Level) -> float | None:
        """What a retrain costs, in sd × windows; None while it cannot be told."""
        if level.span is None:
            return level.number
        return level.number / self.sd * (level.span / self.pace) if self.pace and self.sd > 0 else None


def fold(model: ModelSection, history: History, snapshot: Snapshot) -> Regret:
    """Compute regret from everything known now."""
    known = history.known(snapshot)
    pace = pace_of(model, known)
    judged = [s for s in known if gain(s) is not None]
    scale = newest(known, "metric_sd")
    if scale is None or not scale.value:
        return Regret(pace=pace, lack=_NO_SCALE if scale is None else _NO_SPREAD)
    noise = noise_of([one / scale.value for one in _placebos(history, judged)])
    told = Regret((), scale, scale.value, noise, pace, realised(history, known, noise * scale.value))
    if not judged:
        return replace(told, lack="no window has both mature labels and a rehearsal yet")
    alone = list(disjoint(judged))
    mean = sum(s.labelled for s in alone) / len(alone)
    unpaid = list(disjoint(s for s in judged if s.window.start >= history.since))
    if not unpaid:
        return replace(told, lack=f"no window begun since {day(history.since, model.timezone)} is mature yet")
    steps = _walk(unpaid, told, kind_of(known), mean)
    return replace(told, steps=(*steps, *_ahead(steps[-1], known)))


def adds(regret: Regret, known: Sequence[Snapshot], snapshot: Snapshot) -> float | None:
    """What one window would add to the sum, unweighted, in sd; None where it says nothing."""
    found = gain(snapshot)
    if found is None or not regret.sd > 0:
        return None
    return regret.realised.share * (found - kind_of(known)) / regret.sd - _ALLOWANCE * regret.noise


def score(model: ModelSection, regret: Regret) -> Score | None:
    """The Score `regret`: value and threshold in sd × windows; None where nothing asks or is known."""
    trigger = next((t for t in model.triggers if t.metric == "regret" and t.above is not None), None)
    if trigger is None and not regret.steps:
        return None
    price = None if trigger is None else _price(trigger, regret)
    if not regret.steps:
        return Score(metric="regret", threshold=price, status=ScoreStatus.INSUFFICIENT, reason=regret.lack)
    last = regret.steps[-1]
    mature = regret.steps[:len(regret.steps) - last.ahead]
    labelled = sum(s.snapshot.labelled for s in mature[-last.windows:]) if last.windows else 0
    words = cost(regret, last, price, model.timezone)
    return Score(metric="regret", value=last.total, threshold=price, n=labelled, reason=words)


def _price(trigger: TriggerSection, regret: Regret) -> float | None:
    return None if trigger.above is None else regret.price(trigger.above)


def cost(regret: Regret, step: Step, price: float | None, zone: ZoneInfo) -> str:
    """What waiting has cost up to a window, beside what a retrain costs, in words."""
    priced = "what a retrain costs is not known" if price is None else f"a retrain costs {number(price)}"
    if not step.total:
        return f"up to {day(step.snapshot.window.end, zone)} waiting has cost nothing; {priced}"
    rate = step.total / (step.windows + step.ahead)
    lost = f"waiting since {day(step.since, zone)} has cost about {number(rate * regret.sd)} {regret.metric}"
    summed = f"{number(step.total)} sd × windows in {several(step.windows + step.ahead, 'window')}"
    hoped = f", {number(rate * step.ahead)} of it in {step.ahead} without labels yet" if step.ahead else ""
    doubt = "" if step.sure else f"; noise alone may make {number(step.bound)}"
    less = f"; {regret.realised.words}" if regret.realised.share < 1 else ""
    return f"{lost} {each(regret.pace)} ({summed}{hoped}); {priced}{_price_range(regret, price)}{doubt}{less}"


def _price_range(regret: Regret, price: float | None) -> str:
    """A price of sd × windows in the metric: as uncertain as the sd is."""
    scale = regret.scale
    if price is None or scale is None or scale.low is None or scale.high is None:
        return ""
    low, high = number(price * scale.low), number(price * scale.high)
    return f" ({number(price * regret.sd)} {regret.metric} × windows, {low} to {high} by the sd's own uncertainty)"


def _walk(snapshots: Sequence[Snapshot], told: Regret, kind: float, mean: float) -> tuple[Step, ...]:
    steps: list[Step] = []
    total, windows, weights, since, share = 0.0, 0, 0.0, None, told.realised.share
    for one in snapshots:
        found = gain(one)
        assert found is not None
        weight = one.labelled / mean if mean else 1.0
        since = since or one.window.start
        total = max(0.0, total + weight * (share * (found - kind) / told.sd - _ALLOWANCE * told.noise))
        windows, weights = windows + 1, weights + weight
        steps.append(Step(one, total, since, windows, _EVIDENCE * told.noise * math.sqrt(weights)))
        if not total:
            windows, weights, since = 0, 0.0, None
    return tuple(steps)


def _ahead(last: Step, known: Sequence[Snapshot]) -> Iterable[Step]:
    """Steps into the windows behind the last one counted whose labels are still to come, as those before them went."""
    awaited = disjoint(s for s in known if s.window.start >= last.snapshot.window.end and _awaited(s))
    for h, one in enumerate(awaited, start=1):
        grown = 1 + min(h, last.windows) / last.windows
        yield replace(last, snapshot=one, total=last.total * grown, bound=last.bound * grown, ahead=h)


def _awaited(snapshot: Snapshot) -> bool:
    return not snapshot.mature and snapshot.status is SnapshotStatus.OK and not is_broken(snapshot)


def _placebos(history: History, judged: Sequence[Snapshot]) -> list[float]:
    """Of disjoint windows, those judged against earlier references included."""
    found = disjoint(s for s in (*history.before, *judged) if value_of(s, "challenger_placebo") is not None)
    return [value for s in found if (value := value_of(s, "challenger_placebo")) is not None]


def pace_of(model: ModelSection, known: Sequence[Snapshot]) -> timedelta | None:
    """Time from one disjoint window to the next; the mean length so far for windows that count rows."""
    size = model.window.size
    if isinstance(size, timedelta):
        step = model.window.step or size
        return step * math.ceil(size / step)
    lengths = [s.window.end - s.window.start for s in known]
    mean = sum(lengths, timedelta()) / len(lengths)
    return mean or None
