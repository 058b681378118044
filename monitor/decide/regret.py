"""Regret: a one-sided CUSUM of what a retrained model would have gained since the reference or the last request.

Each labelled row counts once.

S ← max(0, S + w · (r · gain / sd − ¾ σ)) over mature disjoint windows, oldest first: `gain` is the score of a
challenger that had not seen the window minus that of the model in service, turned so that positive is better, less
what a challenger gains by its kind alone; r the share of such gains that earlier promotions brought (`realised`); `sd`
the metric's over windows of the reference, and of those before it; σ the winsorised RMS of the placebo gains, in sd; w
the window's labelled rows relative to the mean. Newer windows whose labels are still to come count as those before
them did: h of them, at most k, make S · (1 + h / k), where k windows made S since it was zero.
It is sure when S, without them, is beyond what noise alone reaches: S ≥ 3 σ √Σw. All in reference sd × windows.

The share r: before a promotion the mean gain p of the newest k windows says what a new model would gain; in the first
window after it a fresh challenger, which knows hardly more than the model that came, still gains q over that. So p − q
was realised: later windows would show how the new model ages, not what it brought. With noise σ of one window's gain
it has the variance v = σ² (1/k + 1). A normal regression of p − q on p through zero, with the prior share 1 ± ½ (what
is rehearsed is what comes), gives r = (1/τ² + Σ p (p − q) / v) / (1/τ² + Σ p² / v), τ = ½.
"""

import math
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from itertools import groupby, islice, pairwise
from statistics import fmean

from monitor.config.sections import ModelSection
from monitor.config.values import Level
from monitor.history import SCALE, History, disjoint, is_broken, usable
from monitor.records import Score, Snapshot, SnapshotStatus
from monitor.wording import day, several

_ALLOWANCE = 0.75   # of σ, taken off every gain: chosen in the closed loop, see docs/decisions.md
_EVIDENCE = 3.0     # times σ √Σw, which a sum must reach to be sure
# By price in sd × windows, at least: retrains in 52 windows were gains noise of 0.7 sd (Stream.noise in benchmarks), if
# neighbouring challengers are unlike and windows independent, and if neighbouring challengers are much alike.
_IN_NOISE = ((2.0, 0.2, 1.4), (1.0, 0.5, 2.4), (0.25, 0.7, 4.1))
_NO_SCALE = "the spread of the metric over reference windows is not known"
_NO_SPREAD = "the metric is the same in every reference window, so gains have no scale"
_KEPT = 0.8     # a tenth of each tail is winsorised: sizes above the 80 % quantile count as that
LAST = 6          # windows before a promotion that say what is predicted
PRIOR = 0.5       # sd of the share, before anything was seen
LEAST = 0.25      # one pipeline that once brought nothing must not silence regret for good


@dataclass(frozen=True, slots=True)
class Realised:
    """The share that counts, and how many promotions it rests on."""

    share: float = 1.0
    promotions: int = 0

    @property
    def words(self) -> str:
        return f"gains count {self.share:.0%}: so much of them {several(self.promotions, 'earlier promotion')} brought"


ALL = Realised()


@dataclass(frozen=True, slots=True)
class Step:
    """Regret after one window; `since` is the start of the first window since it was last zero."""

    snapshot: Snapshot
    total: float
    since: datetime
    windows: int                # that made it since it was last zero, without those ahead
    added: float = 0.0          # what the window added
    bound: float = 0.0          # the total at which it is sure: noise alone seldom reaches it
    ahead: int = 0              # of the total, windows whose labels are still to come
    measured: Score | None = None   # the model's metric in the newest window counted …
    lost: Score | None = None       # … and whether it is worse than windows of the reference would be

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
    def metric(self) -> str | None:
        return self.scale.method if self.scale else None

    def price(self, level: Level) -> float | None:
        """What a retrain costs, in sd × windows; None while it cannot be told."""
        return price_of(level, self.sd, self.pace)


def price_of(level: Level, sd: float, pace: timedelta | None) -> float | None:
    """Return a price in sd × windows; None while it cannot be told."""
    if level.span is None:
        return level.number
    return level.number / sd * (level.span / pace) if pace and sd > 0 else None


def false_retrains(price: float | None) -> tuple[float, float]:
    """Return about how many retrains in 52 windows chance asks for at most: if neighbouring challengers are unlike, and
    if they are much alike. A price that is not known, or below all that were tried, counts as the lowest of these.
    """
    tried = (found for least, *found in _IN_NOISE if price is not None and price >= least)
    unlike, alike = next(tried, _IN_NOISE[-1][1:])
    return unlike, alike


def fold(model: ModelSection, history: History, snapshot: Snapshot) -> Regret:
    """Compute regret from everything known now."""
    known = history.known(snapshot)
    pace = pace_of(model, known)
    judged = [s for s in known if gain(s) is not None]
    scale = _scale(history, known)
    if scale is None or not scale.value:
        return Regret(pace=pace, lack=_NO_SCALE if scale is None else _NO_SPREAD)
    noise = noise_of([placebo / scale.value for placebo in placebos_of((*history.before, *judged))])
    told = Regret((), scale, scale.value, noise, pace, realised(history, known, noise * scale.value))
    if not judged:
        return replace(told, lack="no window has both mature labels and a rehearsal yet")
    alone = list(disjoint(judged))
    mean = sum(s.labelled for s in alone) / len(alone)
    unpaid = list(disjoint(s for s in judged if s.window.start >= history.since))
    if not unpaid:
        return replace(told, lack=f"no window since {day(history.since, model.timezone)} has mature labels yet")
    share, kind = told.realised.share, kind_of(known)
    gained = [(s, share * (found - kind) / told.sd) for s in unpaid if (found := gain(s)) is not None]
    steps = walk(gained, told, mean, _ALLOWANCE, _EVIDENCE)
    return replace(told, steps=(*steps, *look_ahead(steps[-1], known)))


def _scale(history: History, known: Sequence[Snapshot]) -> Score | None:
    """`metric_sd` as a root mean square over the references that are remembered.

    The newest alone may be a few windows that happened to be alike, and a retrain would then seem cheap.
    """
    scale = newest(known, SCALE)
    if scale is None:
        return None
    said = ((snapshot, _said(snapshot, SCALE)) for snapshot in (*history.before, *known))
    spreads = {snapshot.reference_id: one.value or 0.0 for snapshot, one in said if one and one.method == scale.method}
    if len(spreads) == 1:
        return scale
    return replace(scale, value=math.sqrt(fmean(sd**2 for sd in spreads.values())), low=None, high=None)


def adds(regret: Regret, known: Sequence[Snapshot], snapshot: Snapshot) -> float | None:
    """What one window would add to the sum, unweighted, in sd; None where it says nothing."""
    found = gain(snapshot)
    if found is None or not regret.sd > 0:
        return None
    return regret.realised.share * (found - kind_of(known)) / regret.sd - _ALLOWANCE * regret.noise


def walk(
    gained: Sequence[tuple[Snapshot, float]], told: Regret, mean: float, allowance: float, evidence: float
) -> tuple[Step, ...]:
    """Sum up the gains of disjoint windows, in sd, oldest first; `mean`: labelled rows of a window, on average."""
    steps: list[Step] = []
    total, windows, weights, since = 0.0, 0, 0.0, None
    for snapshot, found in gained:
        weight = snapshot.labelled / mean if mean else 1.0
        since = since or snapshot.window.start
        added = weight * (found - allowance * told.noise)
        total = max(0.0, total + added)
        windows, weights = windows + 1, weights + weight
        bound = evidence * told.noise * math.sqrt(weights)
        measured = None if told.metric is None else _said(snapshot, told.metric)
        lost = _said(snapshot, "performance_lost")
        steps.append(Step(snapshot, total, since, windows, added, bound, measured=measured, lost=lost))
        if not total:
            windows, weights, since = 0, 0.0, None
    return tuple(steps)


def look_ahead(last: Step, known: Sequence[Snapshot]) -> Iterable[Step]:
    """Steps into the windows behind the last one counted whose labels are still to come, as those before them went."""
    awaited = disjoint(s for s in known if s.window.start >= last.snapshot.window.end and _awaited(s))
    for h, snapshot in enumerate(awaited, start=1):
        grown = 1 + min(h, last.windows) / last.windows
        yield replace(last, snapshot=snapshot, total=last.total * grown, bound=last.bound * grown, ahead=h)


def _awaited(snapshot: Snapshot) -> bool:
    return not snapshot.mature and snapshot.status is SnapshotStatus.OK and not is_broken(snapshot)


def placebos_of(snapshots: Sequence[Snapshot]) -> list[float]:
    """The placebo gains of disjoint windows, whatever reference they were judged against."""
    found = disjoint(s for s in snapshots if value_of(s, "challenger_placebo") is not None)
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


def gain(snapshot: Snapshot) -> float | None:
    """The gain a window adds; None where its labels are immature or its data broken."""
    return value_of(snapshot, "challenger_gain") if judged_whole(snapshot) else None


def judged_whole(snapshot: Snapshot) -> bool:
    """Whether a window's labels are mature and its data whole."""
    return snapshot.mature and snapshot.status is SnapshotStatus.OK and not is_broken(snapshot)


def value_of(snapshot: Snapshot, metric: str) -> float | None:
    """A score's value, where it says anything and is not provisional."""
    score = _said(snapshot, metric)
    return score.value if score else None


def newest(known: Sequence[Snapshot], metric: str) -> Score | None:
    """The newest such Score of these windows, which come oldest first."""
    return next((score for s in reversed(known) if (score := _said(s, metric))), None)


def _said(snapshot: Snapshot, metric: str) -> Score | None:
    whole = (s for s in snapshot.scores if s.metric == metric and s.segment is None)
    found = (s for s in whole if usable(s) and not s.provisional)
    return next((s for s in found if s.value is not None and math.isfinite(s.value)), None)


def noise_of(placebos: Sequence[float]) -> float:
    """Winsorised root mean square; 0 while there are none."""
    if not placebos:
        return 0.0
    sizes = sorted(map(abs, placebos))
    cap = sizes[math.ceil(_KEPT * len(sizes)) - 1]
    return math.sqrt(sum(min(size, cap) ** 2 for size in sizes) / len(sizes))


def kind_of(known: Sequence[Snapshot]) -> float:
    """What of every gain comes from the challenger being of another kind than the model: what one as old as the model
    gains on the same windows.

    One that is worse may only have had fewer rows to learn from: nothing is added for it.
    """
    gaps = [value_of(s, "challenger_gap") for s in disjoint(s for s in known if gain(s) is not None)]
    return max(fmean(found), 0.0) if (found := [one for one in gaps if one is not None]) else 0.0


def realised(history: History, known: Sequence[Snapshot], noise: float) -> Realised:
    """Compare what was predicted with what came, over the promotions whose windows are still remembered.

    `noise`: of one window's gain, in the metric; 0 while nobody knows, and then every gain counts whole.
    """
    if not noise:
        return ALL
    pairs = list(_promotions((*history.before, *known)))
    drawn = sum(p * (p - q) / (noise**2 * (1 / k + 1)) for p, k, q in pairs)
    sure = sum(p * p / (noise**2 * (1 / k + 1)) for p, k, _ in pairs)
    share = (1 / PRIOR**2 + drawn) / (1 / PRIOR**2 + sure)
    return Realised(min(1.0, max(LEAST, share)), len(pairs))


def realised_score(found: Realised) -> Score | None:
    """The Score `gain_realised`; None before a promotion could be looked back on."""
    if not found.promotions:
        return None
    return Score(metric="gain_realised", value=found.share, n=found.promotions, reference=1.0, reason=found.words)


def _promotions(snapshots: Sequence[Snapshot]) -> Iterator[tuple[float, int, float]]:
    """Per promotion what was predicted, by how many windows, and what was left; snapshots come oldest first."""
    services = [list(group) for _, group in groupby(snapshots, key=lambda one: one.reference_id)]
    served: set[str] = set()
    for old, new in pairwise(services):
        served |= {one.model_version for one in old if one.model_version is not None}
        if new[0].model_version in served:
            continue       # another reference for the same model, or a version that is back: no retrain
        before = list(islice(gains_of(old, kind_of(old), reverse=True), LAST))
        after = next(gains_of(new, kind_of(new)), None)
        if before and after is not None and fmean(before) > 0:
            yield fmean(before), len(before), after


def gains_of(snapshots: Sequence[Snapshot], kind: float, *, reverse: bool = False) -> Iterator[float]:
    """The gain beyond that of the challenger's kind, of disjoint windows."""
    judged = [snapshot for snapshot in snapshots if gain(snapshot) is not None]
    for snapshot in disjoint(reversed(judged) if reverse else judged):
        found = gain(snapshot)
        assert found is not None
        yield found - kind
