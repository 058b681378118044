"""Whether a window shows that the model lost what it could."""

from typing import Any

import numpy as np
import pytest
from scipy import stats

from monitor.config.column_roles import Roles
from monitor.performance.lost_performance import lost_performance, norm_of
from monitor.records import Score, ScoreStatus

ROLES = Roles("t", None, "p", "chance", "label", None, None, {})
VALUES = [0.80, 0.82, 0.78, 0.81, 0.79, 0.80]


def score(metric: str, value: float | None, low: float | None, high: float | None, reference: float | None) -> Score:
    return Score(metric=metric, value=value, low=low, high=high, reference=reference, n=500)


def test_the_limit_is_students_prediction_bound_over_the_references_windows() -> None:
    """Of one more window of the reference 99 in 100 lie above it; from resamples the normal quantile serves."""
    sd = float(np.std(VALUES, ddof=1))
    norm = norm_of(ROLES, "binary", "roc_auc", 2, VALUES, resampled=False)
    assert norm.spread == pytest.approx(stats.t.ppf(0.99, 5) * sd * np.sqrt(1 + 1 / 6))
    assert norm_of(ROLES, "binary", "roc_auc", 2, VALUES, resampled=True).spread == pytest.approx(
        stats.norm.ppf(0.99) * sd)
    assert norm_of(ROLES, "binary", "roc_auc", 2, VALUES[:1], resampled=False).spread is None
    skills = [norm_of(roles, task, "accuracy", 4, VALUES, resampled=False) for roles, task in (
        (ROLES, "binary"), (Roles("t", None, "p", None, "label", None, None, {}), "binary"), (ROLES, "multiclass"),
        (ROLES, "regression"))]
    assert [(one.skill, one.chance) for one in skills] == [
        ("roc_auc", 0.5), ("balanced_accuracy", 0.5), ("balanced_accuracy", 0.25), ("r2", 0.0)]


@pytest.mark.parametrize(
    ("values", "own", "skill", "lost"),
    [
        (VALUES, ("accuracy", 0.70, 0.67, 0.73, 0.80), None, True),
        (VALUES, ("accuracy", 0.70, 0.55, 0.85, 0.80), None, False),         # chance alone explains it
        (VALUES, ("accuracy", 0.79, 0.785, 0.795, 0.80), None, False),       # within what windows show
        (VALUES[:1], ("accuracy", 0.10, 0.08, 0.12, 0.80), None, False),     # nobody knows what windows show
        (VALUES, ("bias", -0.9, -0.95, -0.85, 0.1), None, True),             # as far on the other side
        (VALUES, ("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.50, 0.47, 0.53, 0.85), True),
        (VALUES, ("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.50, None, None, 0.85), True),
        (VALUES, ("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.60, 0.57, 0.63, 0.85), False),
        (VALUES, ("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.45, 0.40, 0.49, 0.48), False),   # it never could
        (VALUES, ("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.50, 0.10, 0.90, 0.85), False),
    ],
)
def test_lost_is_what_is_beyond_windows_and_chance(
    values: list[float], own: tuple[Any, ...], skill: tuple[Any, ...] | None, lost: bool
) -> None:
    """Worse than 99 in 100 windows of the reference and surely worse than it; or no better than a guess."""
    norm = norm_of(ROLES, "binary", own[0], 2, values, resampled=False)
    given = {one[0]: score(*one) for one in (own, skill) if one}
    found = lost_performance(norm, given)
    assert (found.status is ScoreStatus.DRIFTED) is lost
    assert bool(found.reason) is lost


def test_what_was_lost_is_told_with_its_limit() -> None:
    """The value now and before, and what windows of the reference show; a guess beside it."""
    norm = norm_of(ROLES, "binary", "accuracy", 2, VALUES, resampled=False)
    given = {"accuracy": score("accuracy", 0.70, 0.67, 0.73, 0.80), "roc_auc": score("roc_auc", 0.50, 0.47, 0.53, 0.85)}
    limit = 0.80 - float(stats.t.ppf(0.99, 5) * np.std(VALUES, ddof=1) * np.sqrt(1 + 1 / 6))
    found = lost_performance(norm, given)
    assert found.reason == (
        f"accuracy is 0.7, 0.8 on the reference, of whose windows 99 % do better than {limit:.4g}; "
        "no better than a guess: roc_auc is 0.5, a guess has 0.5, the reference 0.85")
    assert (found.threshold, found.method) == (pytest.approx(limit), "accuracy")


@pytest.mark.parametrize(
    ("own", "skill", "lost"),
    [
        (("accuracy", 0.70, 0.61, 0.79, 0.80), None, True),
        (("accuracy", 0.75, 0.70, 0.80, 0.80), None, False),       # its interval reaches the reference's value
        (("accuracy", 0.70, None, None, 0.80), None, True),
        (("log_loss", 0.30, 0.28, 0.32, 0.20), None, True),        # of a loss more is worse
        (("log_loss", 0.10, 0.08, 0.12, 0.20), None, False),
        (("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.50, 0.47, 0.53, 0.50), False),    # it was a guess before
        (("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.51, None, None, 0.85), False),
        (("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.55, 0.51, 0.59, 0.85), True),      # at 99 %, not at 95 %
        (("accuracy", 0.80, 0.77, 0.83, 0.80), ("roc_auc", 0.56, 0.52, 0.60, 0.60), False),     # nor surely worse
    ],
)
def test_at_the_limit_nothing_is_lost(own: tuple[Any, ...], skill: tuple[Any, ...] | None, lost: bool) -> None:
    """Windows of the reference differ by about 0.01 here."""
    norm = norm_of(ROLES, "binary", own[0], 2, [0.800, 0.801, 0.799, 0.800], resampled=False)
    found = lost_performance(norm, {one[0]: score(*one) for one in (own, skill) if one})
    assert (found.status is ScoreStatus.DRIFTED) is lost


def test_without_a_value_on_both_sides_nothing_is_said() -> None:
    """The reason is the metric's own where it has one."""
    norm = norm_of(ROLES, "binary", "accuracy", 2, VALUES, resampled=False)
    for given, why in (({}, "accuracy has no value to compare"),
                       ({"accuracy": Score(metric="accuracy", reason="too few rows")}, "too few rows")):
        found = lost_performance(norm, given)
        assert (found.status, found.reason, found.value) == (ScoreStatus.INSUFFICIENT, why, None)
