"""Skill: whether estimates made without labels came nearer to what the labels said later than a constant does.

1 − MAE(estimate − realised) / MAE(reference value − realised), over mature disjoint windows: 1 is perfect, 0 is no
better than always saying the reference's own value, below 0 is worse. The skill score of forecasting (Murphy 1988)
with the reference's value as the forecast to beat; its interval by the delta method for a ratio of means. A skill
above 0 alone proves little: on elec2, where it ends at −0.4, it was above 0 for the first 36 weeks.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import fmean, stdev

from monitor.config.sections import TriggerSection
from monitor.history import disjoint, is_broken, usable
from monitor.metric_catalogue import ESTIMATED, ESTIMATES
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.wording import number, several

FEWEST_WINDOWS = 5


@dataclass(frozen=True, slots=True)
class Skill:
    """How far off, window by window, the estimate and the constant were; oldest first."""

    metric: str
    missed: tuple[float, ...] = ()
    constant: tuple[float, ...] = ()

    @property
    def value(self) -> float | None:
        """None while there are too few windows, or where the constant is never wrong."""
        known = len(self.missed) >= FEWEST_WINDOWS and any(self.constant)
        return 1 - fmean(self.missed) / fmean(self.constant) if known else None

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        ratio = fmean(self.missed) / fmean(self.constant)
        apart = [one - ratio * other for one, other in zip(self.missed, self.constant, strict=True)]
        return student(len(apart) - 1) * stdev(apart) / (fmean(self.constant) * math.sqrt(len(apart)))

    @property
    def proven(self) -> bool:
        """Whether the estimate beats the constant beyond its own noise."""
        return self.value is not None and self.value - self.half > 0

    @property
    def words(self) -> str:
        """What to think of the estimate."""
        windows = several(len(self.missed), "mature window")
        if self.value is None:
            return f"unvalidated: {windows} to hold it against, {FEWEST_WINDOWS} are needed"
        off = f"it was off by {number(fmean(self.missed))}, the reference's own value by {number(fmean(self.constant))}"
        found = f"skill {number(self.value)} ± {number(self.half)} over {windows}: {off}"
        return found if self.proven else f"unvalidated: {found}"


def student(degrees: int) -> float:
    """The 97.5 % quantile of Student's t, to 0.3 % from four degrees of freedom on (Abramowitz and Stegun, 26.7.5)."""
    z = 1.959963984540054
    terms = (
        (z**3 + z) / 4,
        (5 * z**5 + 16 * z**3 + 3 * z) / 96,
        (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384,
    )
    return z + sum(term / float(degrees**power) for power, term in enumerate(terms, 1))


def fold(
    triggers: Sequence[TriggerSection], judged_by: str | None, known: Sequence[Snapshot]
) -> dict[str, Skill]:
    """The skill of each estimate that is looked at: of the metric the model is judged by, and of those in triggers.

    `judged_by` is what the configuration names, if anything; what the windows were judged by goes before it.
    """
    named = {t.metric for t in triggers if t.metric in ESTIMATES}
    scale = next((s for one in reversed(known) for s in one.scores if s.metric == "metric_sd"), None)
    primary = (scale.method if scale else None) or judged_by
    wanted = {name.removeprefix(ESTIMATED) for name in named} | ({primary} if primary else set())
    return {ESTIMATED + name: _skill(name, known) for name in sorted(wanted)}


def scores(skills: Mapping[str, Skill], snapshot: Snapshot) -> list[Score]:
    """The Score `estimate_skill` of each metric (its method) that was estimated on this window."""
    there = {score.metric for score in snapshot.scores}
    return [_score(skill) for name, skill in skills.items() if name in there]


def _score(skill: Skill) -> Score:
    score = Score(metric="estimate_skill", method=skill.metric, n=len(skill.missed), reason=skill.words)
    if skill.value is None:
        return replace(score, status=ScoreStatus.INSUFFICIENT)
    low, high = skill.value - skill.half, skill.value + skill.half
    return replace(score, value=skill.value, low=low, high=high, threshold=0.0)


def _skill(metric: str, known: Sequence[Snapshot]) -> Skill:
    pairs = [pair for one in disjoint(s for s in known if _pair(s, metric)) if (pair := _pair(one, metric))]
    return Skill(metric, tuple(missed for missed, _ in pairs), tuple(constant for _, constant in pairs))


def _pair(snapshot: Snapshot, metric: str) -> tuple[float, float] | None:
    """How far the estimate and the reference's value were from what the labels said; None where they say nothing."""
    if not snapshot.mature or snapshot.status is not SnapshotStatus.OK or is_broken(snapshot):
        return None
    estimate, realised = _said(snapshot, ESTIMATED + metric), _said(snapshot, metric)
    if estimate is None or realised is None:
        return None
    said, found, before = estimate.value, realised.value, realised.reference
    return None if said is None or found is None or before is None else (abs(said - found), abs(before - found))


def _said(snapshot: Snapshot, metric: str) -> Score | None:
    found = (s for s in snapshot.scores if s.metric == metric and s.segment is None)
    return next((s for s in found if usable(s) and not s.provisional), None)
