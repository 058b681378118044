"""Going back: whether a version that served before surely does better than the one in service, by a sum as of regret.

S ← max(0, S + w · (gain / sd − ½ σ)) over mature disjoint windows since the reference or the last request: `gain` is
the version's score minus that of the model in service on the same rows, turned so that positive is better; w the
window's labelled rows relative to the mean. Windows whose labels are still to come count as for regret. It pays when

- S, with them, is more than going back costs, and without the best window that made it too;
- at least three windows speak for it, by more than ½ σ each, and S ≥ 3 σ √Σw;
- the version did better than fresh challengers in the newest three windows, and a retrain would not gain more beyond
  what it costs.

σ, the noise of one gain, is the largest of what placebos, gains of challengers and this version's own gains tell of it
(`gain_noise.py`). The constants are those of the benchmark rule (benchmarks/rules.py); see docs/decisions.md.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from monitor.decide.gain_noise import noise_of, of_steps
from monitor.decide.regret import Regret, Step, gains_of, judged_whole, kind_of, look_ahead, placebos_of, walk
from monitor.history import History, disjoint, usable
from monitor.records import Score, Snapshot
from monitor.wording import number, several

METRIC, GAIN = "version_regret", "version_gain"
ALLOWANCE, EVIDENCE = 0.5, 3.0
FALSE_ROLLBACKS = 0.02  # at most about so many in 52 windows, were all gains noise (benchmarks closed_loop)
FEWEST = 3          # windows that must speak for it
NEWEST = 3          # windows in which it must beat fresh challengers
TOLD = 60           # of the newest windows, whatever their reference, tell the noise


@dataclass(frozen=True, slots=True)
class Best:
    """A version after one window: its sum, whether that is more than going back costs, and what speaks against it."""

    version: str
    step: Step
    enough: bool
    doubt: str | None

    @property
    def pays(self) -> bool:
        return self.enough and self.doubt is None


@dataclass(frozen=True, slots=True)
class Version:
    """A version that served before, window by window. `noise`: σ; `fresh`: what fresh challengers gained in the newest
    windows up to each step; both in sd.
    """

    name: str
    steps: tuple[Step, ...]
    noise: float
    fresh: tuple[float, ...]

    def at(self, snapshot: Snapshot) -> int | None:
        """The place of the step after this window."""
        return next((at for at, step in enumerate(self.steps) if step.snapshot is snapshot), None)

    def after(self, at: int, price: float) -> Best:
        """What is known after the step of this number."""
        return Best(self.name, self.steps[at], self.steps[at].total > price, self._doubt(at, price))

    def last(self, price: float) -> Best:
        """What is known after all steps."""
        return self.after(len(self.steps) - 1, price)

    def _doubt(self, at: int, price: float) -> str | None:
        """Why the sum after a step is not enough to go back, though it passes the price; None where it is."""
        step = self.steps[at]
        if not step.total:
            return "it does not do better"
        run = [one for one in self.steps[: at + 1] if not one.ahead][-step.windows:]
        speak = sum(one.added > 0 for one in run)
        if speak < FEWEST:
            return f"{several(FEWEST, 'window')} must speak for it, and {speak} of its last {len(run)} did"
        if not step.sure:
            return f"chance alone may reach {number(step.bound)} sd × windows"
        if step.total * (1 - max(one.added for one in run) / run[-1].total) <= price:
            return "most of it comes from one window"
        return "a new model would do better still" if run[-1].total <= self.fresh[at] else None


@dataclass(frozen=True, slots=True)
class GoingBack:
    """Every version that served before and is compared with the one in service."""

    versions: tuple[Version, ...]
    regret: Regret
    current: str | None

    def best(self, snapshot: Snapshot, price: float) -> Best | None:
        """The version to go back to after this window, else the one that is nearest to that; None where the window says
        nothing.
        """
        places = ((one, one.at(snapshot)) for one in self.versions)
        found = (one.after(at, price) for one, at in places if at is not None)
        return max(found, key=lambda best: (best.pays, best.step.total), default=None)


def fold(history: History, snapshot: Snapshot, regret: Regret) -> GoingBack:
    """Compute the sums of all versions from everything known now."""
    known = history.known(snapshot)
    unpaid = [s for s in known if judged_whole(s) and s.window.start >= history.since and any(_gains(s))]
    names = {score.method for s in unpaid for score in _gains(s) if score.method is not None}
    versions = [] if not regret.sd > 0 else [_version(name, history, known, unpaid, regret) for name in sorted(names)]
    return GoingBack(tuple(versions), regret, snapshot.model_version)


def adds(back: GoingBack, snapshot: Snapshot, version: str) -> float | None:
    """What one window would add to the sum of a version, unweighted, in sd; None where it says nothing."""
    found = gain_over(snapshot, version)
    noise = next((one.noise for one in back.versions if one.name == version), None)
    return None if found is None or noise is None else found / back.regret.sd - ALLOWANCE * noise


def _version(
    name: str, history: History, known: Sequence[Snapshot], unpaid: Sequence[Snapshot], regret: Regret
) -> Version:
    alone = list(disjoint(s for s in unpaid if gain_over(s, name) is not None))
    gains = [gain / regret.sd for s in alone if (gain := gain_over(s, name)) is not None]
    noise = max(_noise(history, known, regret.sd), of_steps(gains))
    mean = sum(s.labelled for s in alone) / len(alone)
    told = replace(regret, noise=noise)
    steps = walk(list(zip(alone, gains, strict=True)), told, mean, ALLOWANCE, EVIDENCE)
    fresh = _fresh(alone, kind_of(known), regret.sd)
    more = tuple(look_ahead(steps[-1], known))
    return Version(name, (*steps, *more), noise, (*fresh, *fresh[-1:] * len(more)))


def _noise(history: History, known: Sequence[Snapshot], sd: float) -> float:
    """The noise of a gain as challengers tell it, over all models that served in the newest windows, in sd."""
    told = (*history.before, *known)[-TOLD:]
    services = (list(group) for _, group in groupby(told, key=lambda one: one.reference_id))
    return noise_of([placebo / sd for placebo in placebos_of(told)],
                    [[gain / sd for gain in gains_of(service, kind_of(service))] for service in services])


def _fresh(alone: Sequence[Snapshot], kind: float, sd: float) -> tuple[float, ...]:
    gained = [next(gains_of([s], kind), 0.0) / sd for s in alone]
    return tuple(sum(gained[max(0, at + 1 - NEWEST): at + 1]) for at in range(len(gained)))


def _gains(snapshot: Snapshot) -> Iterator[Score]:
    return (score for score in snapshot.scores if score.metric == GAIN and usable(score) and not score.provisional)


def gain_over(snapshot: Snapshot, version: str) -> float | None:
    """How much better a version did in a window than the one in service, in the metric; None where it says nothing."""
    if not judged_whole(snapshot):
        return None
    found = next((score.value for score in _gains(snapshot) if score.method == version), None)
    return found if found is not None and math.isfinite(found) else None
