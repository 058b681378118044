"""Whether the model is worse than it was on the reference: the Score `performance_lost`, which needs no configuration.

The value is that of the model's metric. It is lost in either of two cases, each at the level 99 %:

* it is worse than the reference's by more than windows of the reference differ (a prediction interval from k windows,
  value ± t(k − 1) · sd · √(1 + 1/k)), and its own 95 % interval is on the worse side of the reference's value;
* the model is no better than chance: the 99 % interval of its skill holds what a guess gives (0.5 of the ROC AUC or of
  the balanced accuracy of two classes, one in k of k classes, 0 of r²), while the reference's skill was above it.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from statistics import NormalDist

import numpy as np

from monitor.config.column_roles import Roles
from monitor.metric_catalogue import METRICS, Task
from monitor.performance.class_evidence import score_column
from monitor.performance.confidence_intervals import Z
from monitor.records import Score, ScoreStatus
from monitor.wording import number, shown

LEVEL = 0.99
METRIC = "performance_lost"


@dataclass(frozen=True, slots=True)
class Norm:
    """What a window's performance is held against.

    `spread`: how far below the reference a window may be, None if that is not known; `skill`: the metric that is
    compared with `chance`, what a guess gives.
    """

    metric: str
    spread: float | None
    skill: str
    chance: float


def norm_of(roles: Roles, task: Task, metric: str, classes: int, values: Sequence[float], *, resampled: bool) -> Norm:
    """Return the norm from the metric on the windows of the reference (`values`), or on resamples."""
    skill = {"multiclass": "balanced_accuracy", "regression": "r2"}.get(task)
    if skill is None:
        skill = "roc_auc" if score_column(roles) else "balanced_accuracy"
    chance = {"regression": 0.0, "multiclass": 1 / max(classes, 1)}.get(task, 0.5)
    return Norm(metric, _spread(values, resampled=resampled), skill, chance)


def _spread(values: Sequence[float], *, resampled: bool) -> float | None:
    from scipy.special import stdtrit  # scipy.stats takes a second to import

    k = len(values)
    if k < 2:
        return None
    sd = float(np.std(values, ddof=1))
    if resampled:
        return NormalDist().inv_cdf(LEVEL) * sd
    return float(stdtrit(k - 1, LEVEL)) * sd * float(np.sqrt(1 + 1 / k))


def lost_performance(norm: Norm, scores: Mapping[str, Score]) -> Score:
    """Judge a window by its performance scores, by name."""
    own, skill = scores.get(norm.metric), scores.get(norm.skill)
    score = Score(metric=METRIC, method=norm.metric, status=ScoreStatus.INSUFFICIENT)
    if own is None or own.value is None or own.reference is None:
        why = own.reason if own is not None and own.reason else f"{norm.metric} has no value to compare"
        return replace(score, reason=why, provisional=own.provisional if own else False)
    limit = _limit(norm, own.reference)
    found = replace(
        own, metric=METRIC, method=norm.metric, segment=None, threshold=limit, status=ScoreStatus.OK, reason=None
    )
    reasons = [*_worse(norm, own, limit), *_by_chance(norm, skill)]
    return replace(found, status=ScoreStatus.DRIFTED, reason="; ".join(reasons)) if reasons else found


def _limit(norm: Norm, before: float) -> float | None:
    if norm.spread is None:
        return None
    kind = METRICS[norm.metric]
    size = abs(before) if kind.signed else before
    return size - norm.spread if kind.higher_is_better else size + norm.spread


def _worse(norm: Norm, own: Score, limit: float | None) -> list[str]:
    """Say that the value is beyond the limit, and its interval beyond the reference's value."""
    assert own.value is not None
    assert own.reference is not None
    kind = METRICS[norm.metric]
    value, before = (abs(own.value), abs(own.reference)) if kind.signed else (own.value, own.reference)
    margin = 0.0 if own.low is None or own.high is None else (own.high - own.low) / 2
    if limit is None or not (value < limit if kind.higher_is_better else value > limit):
        return []
    if not (value + margin < before if kind.higher_is_better else value - margin > before):
        return []
    now, then, bound = (shown(norm.metric, one) for one in (own.value, own.reference, limit))
    return [f"{norm.metric} is {now}, {then} on the reference, of whose windows 99 % do better than {bound}"]


def _by_chance(norm: Norm, skill: Score | None) -> list[str]:
    """Say that the model is no better than a guess."""
    if skill is None or skill.value is None or skill.reference is None or skill.reference <= norm.chance:
        return []
    if skill.low is None or skill.high is None:
        below = skill.value
    else:
        below = skill.value - (skill.value - skill.low) * NormalDist().inv_cdf((1 + LEVEL) / 2) / Z
    surely = skill.high is None or skill.high < skill.reference
    if below > norm.chance or not surely:
        return []
    now, then = (shown(norm.skill, one) for one in (skill.value, skill.reference))
    return [f"no better than a guess: {norm.skill} is {now}, a guess has {number(norm.chance)}, the reference {then}"]
