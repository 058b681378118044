"""Skill: whether estimates made without labels are closer to the later realised metric than a constant is.

1 − MAE(estimate − realised) / MAE(reference value − realised), over mature disjoint windows: 1 is perfect, 0 is no
better than always estimating the reference's value, below 0 is worse. This is the skill score of forecasting (Murphy
1988) with the reference's value as the baseline; its interval is by the delta method for a ratio of means. A skill
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
    """The absolute errors of the estimate (`missed`) and of the constant, one per window, oldest first."""

    metric: str
    missed: tuple[float, ...] = ()
    constant: tuple[float, ...] = ()

    @property
    def value(self) -> float | None:
        """The skill; None while there are too few windows, or if the constant has no error."""
        known = len(self.missed) >= FEWEST_WINDOWS and any(self.constant)
        return 1 - fmean(self.missed) / fmean(self.constant) if known else None

    @property
    def half(self) -> float:
        """Half the width of the 95 % interval."""
        ratio = fmean(self.missed) / fmean(self.constant)
        residuals = [miss - ratio * base for miss, base in zip(self.missed, self.constant, strict=True)]
        return student(len(residuals) - 1) * stdev(residuals) / (fmean(self.constant) * math.sqrt(len(residuals)))

    @property
    def proven(self) -> bool:
        """Whether the estimate beats the constant beyond its own noise."""
        return self.value is not None and self.value - self.half > 0

    @property
    def words(self) -> str:
        """The skill as a sentence for a Score's reason."""
        windows = several(len(self.missed), "mature window")
        if self.value is None:
            return f"unvalidated: {windows} to compare it with, {FEWEST_WINDOWS} are needed"
        off = f"it was off by {number(fmean(self.missed))}, the reference's own value by {number(fmean(self.constant))}"
        sentence = f"skill {number(self.value)} ± {number(self.half)} over {windows}: {off}"
        return sentence if self.proven else f"unvalidated: {sentence}"


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
    """Return the skill of the estimates of the model's primary metric and of the metrics in triggers, by name.

    `judged_by` is the configured primary metric, if any; the metric in the windows' scores takes precedence.
    """
    named = {t.metric for t in triggers if t.metric in ESTIMATES}
    scale = next((s for snapshot in reversed(known) for s in snapshot.scores if s.metric == "metric_sd"), None)
    primary = (scale.method if scale else None) or judged_by
    wanted = {name.removeprefix(ESTIMATED) for name in named} | ({primary} if primary else set())
    return {ESTIMATED + name: _skill(name, known) for name in sorted(wanted)}


def scores(skills: Mapping[str, Skill], snapshot: Snapshot) -> list[Score]:
    """Return the Score `estimate_skill` of each metric (its method) that was estimated on this window."""
    there = {score.metric for score in snapshot.scores}
    return [_score(skill) for name, skill in skills.items() if name in there]


def _score(skill: Skill) -> Score:
    score = Score(metric="estimate_skill", method=skill.metric, n=len(skill.missed), reason=skill.words)
    if skill.value is None:
        return replace(score, status=ScoreStatus.INSUFFICIENT)
    low, high = skill.value - skill.half, skill.value + skill.half
    return replace(score, value=skill.value, low=low, high=high, threshold=0.0)


def _skill(metric: str, known: Sequence[Snapshot]) -> Skill:
    paired = disjoint(s for s in known if _pair(s, metric))
    pairs = [pair for snapshot in paired if (pair := _pair(snapshot, metric))]
    return Skill(metric, tuple(missed for missed, _ in pairs), tuple(constant for _, constant in pairs))


def _pair(snapshot: Snapshot, metric: str) -> tuple[float, float] | None:
    """Return the absolute errors of the estimate and of the reference's value; None if there is no realised value."""
    if not snapshot.mature or snapshot.status is not SnapshotStatus.OK or is_broken(snapshot):
        return None
    estimate, realised = _usable_score(snapshot, ESTIMATED + metric), _usable_score(snapshot, metric)
    if estimate is None or realised is None:
        return None
    value, truth, constant = estimate.value, realised.value, realised.reference
    return None if value is None or truth is None or constant is None else (abs(value - truth), abs(constant - truth))


def _usable_score(snapshot: Snapshot, metric: str) -> Score | None:
    scores = (s for s in snapshot.scores if s.metric == metric and s.segment is None)
    return next((s for s in scores if usable(s) and not s.provisional), None)
