"""Estimates before the labels: how much they are believed, by what the labels said later."""

import pytest
from scipy.stats import t

from monitor.estimation.skill import student
from monitor.records import Score

ALERT = {"name": "worse", "metric": "estimated_roc_auc", "below": 0.75}


def estimated(made, index, estimate, realised=None, reference=0.8, **given):
    """A window with an estimate and, where its labels are known, what they say."""
    scores = [Score(metric="estimated_roc_auc", method="cbpe", value=estimate, reference=reference),
              Score(metric="metric_sd", method="roc_auc", value=0.01)]
    if realised is not None:
        scores.append(Score(metric="roc_auc", value=realised, reference=reference))
    return made.snapshot(index, *scores, **({"mature": realised is not None} | given))


def skill(decision):
    return next(score for score in decision.scores if score.metric == "estimate_skill")


def test_skill_is_what_the_estimates_spare_of_the_constants_error(made):
    """By hand: off by 0.01 where the constant is off by 0.04 in the mean of five windows is a skill of 0.75."""
    real = [0.84, 0.76, 0.85, 0.75, 0.82]
    windows = [estimated(made, at, value + 0.01, value) for at, value in enumerate(real)]
    decisions, _ = made.play(made.model(ALERT), windows)
    last = skill(decisions[-1])
    assert (last.method, last.n, last.status) == ("roc_auc", 5, "ok")
    assert last.value == pytest.approx(1 - 0.01 / 0.04)
    assert last.low < last.value < last.high


def test_fewer_than_five_mature_windows_prove_nothing(made):
    """Four perfect estimates are not enough; the score says how many there are."""
    windows = [estimated(made, at, 0.7, 0.7) for at in range(4)]
    decisions, _ = made.play(made.model(ALERT), windows)
    assert (skill(decisions[-1]).status, skill(decisions[-1]).value) == ("insufficient", None)
    assert "unvalidated: 4 mature windows to compare it with, 5 are needed" in decisions[-1].verdict.reasons[2]


def test_an_estimate_worse_than_a_constant_is_unvalidated_and_only_alerts(made):
    """It misses more than the reference's own value would: skill is negative, and the alert says so."""
    windows = [estimated(made, at, 0.7, 0.8 + 0.01 * (-1) ** at) for at in range(8)]
    decisions, _ = made.play(made.model(ALERT), windows)
    assert skill(decisions[-1]).value < 0
    assert decisions[-1].verdict.action == "alert"
    assert "estimated_roc_auc (cbpe) is 0.7" in decisions[-1].verdict.reasons[2]
    assert "unvalidated: skill -9" in decisions[-1].verdict.reasons[2]
    assert "unvalidated" in decisions[0].messages[0].body


def test_an_estimate_that_has_proven_itself_is_not_called_unvalidated(made):
    """Ten windows of which half are worse, all foreseen."""
    real = [0.8, 0.81, 0.79, 0.8, 0.8, 0.7, 0.71, 0.69, 0.7, 0.7]
    windows = [estimated(made, at, value + 0.002, value) for at, value in enumerate(real)]
    decisions, _ = made.play(made.model(ALERT), windows)
    words = decisions[-1].verdict.reasons[2]
    assert "skill 0.9" in words
    assert "unvalidated" not in words


def test_a_little_luck_is_not_skill(made):
    """Once in eight windows the estimate was nearer, by chance: better than nothing, not beyond its own noise."""
    windows = [estimated(made, at, 0.81, 0.79) for at in range(7)]
    windows.append(estimated(made, 7, 0.6, 0.6))
    decisions, _ = made.play(made.model(ALERT), windows)
    assert skill(decisions[-1]).value > 0
    assert "unvalidated" in skill(decisions[-1]).reason


@pytest.mark.parametrize(
    "given", [{"mature": False}, {"status": "insufficient_data"}, {"status": "schema_changed"}]
)
def test_only_whole_mature_windows_are_counted(made, given):
    """A provisional figure, few rows or broken data are nothing to hold an estimate against."""
    windows = [estimated(made, at, 0.7, 0.7) for at in range(5)] + [estimated(made, 5, 0.9, 0.7, **given)]
    decisions, _ = made.play(made.model(ALERT), windows)
    assert skill(decisions[-1]).n == 5


@pytest.mark.parametrize("degrees", [4, 7, 20, 200])
def test_students_quantile_is_scipys(degrees):
    """Few windows make a wide interval, as wide as SciPy's quantile says."""
    assert student(degrees) == pytest.approx(t.ppf(0.975, degrees), rel=3e-3)


def test_models_without_estimates_hear_nothing_of_skill(made):
    """Where nothing is estimated there is no score of it."""
    decisions, _ = made.play(made.model(), [made.snapshot(0, *made.gain(0.5))])
    assert not [s for s in decisions[0].scores if s.metric == "estimate_skill"]
