"""Gains count by what earlier promotions really brought of what was predicted."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.decide.decision import decide

PAYS = {"name": "pays", "metric": "regret", "above": 2.0, "action": "retrain"}
NOISE = 0.5       # of every placebo


def served(made, reference, first, gains, version=None):
    """Windows of one model in service, each with its gain."""
    windows = (made.snapshot(first + at, *made.gain(gain, placebo=NOISE)) for at, gain in enumerate(gains))
    return tuple(replace(one, reference_id=reference, model_version=version) for one in windows)


def told(made, before, gains, version="b"):
    """The Scores of the newest window after these."""
    return {score.metric: score for score in decided(made, before, gains, version).scores}


def decided(made, before, gains, version="b"):
    now = served(made, made.history().reference.id, len(before), gains, version)
    past = made.history(before=before, snapshots=now[:-1])
    return decide(made.model(PAYS), past, now[-1], made.START, newest=True)


def posterior_mean(pairs, noise):
    """The mean of the share given (gains before, gain left after) of each promotion, by going through all shares."""
    share = np.linspace(-5, 7, 240_001)
    log = -0.5 * ((share - 1) / 0.5) ** 2
    for before, left in pairs:
        p, v = np.mean(before), noise**2 * (1 / len(before) + 1)
        log = log - 0.5 * (p - left - share * p) ** 2 / v
    weight = np.exp(log - log.max())
    return float((share * weight).sum() / weight.sum())


def test_before_a_promotion_every_gain_counts_whole(made):
    """There is no such score, and regret is the sum of the gains less the allowance."""
    scores = told(made, (), [1.0, 1.0])
    assert set(scores) == {"regret"}
    assert scores["regret"].value == pytest.approx(2 * (1.0 - 0.75 * NOISE))


@pytest.mark.parametrize("left", [0.0, 0.6, 1.0])
def test_the_share_is_a_posterior_mean(made, left):
    """One promotion after two windows, looked back on with what a challenger still gains in the first window."""
    before = served(made, "a", 0, [1.0, 1.4], "a")
    scores = told(made, before, [left, 2.0, 2.0])
    share = min(1.0, posterior_mean([([1.0, 1.4], left)], NOISE))
    assert scores["gain_realised"].value == pytest.approx(share, abs=1e-4)
    assert scores["gain_realised"].n == 1
    steps = [share * gain - 0.75 * NOISE for gain in (left, 2.0, 2.0)]
    assert scores["regret"].value == pytest.approx(max(0.0, steps[0]) + steps[1] + steps[2], abs=1e-3)


def test_two_promotions_weigh_together(made):
    """Each by how much was predicted and how sure that was; of many windows only the newest six."""
    before = (*served(made, "a", 0, [9.0, *[1.0] * 6], "a"), *served(made, "b", 7, [0.5, 2.0], "b"))
    share = posterior_mean([([1.0] * 6, 0.5), ([2.0, 0.5], 1.5)], NOISE)
    assert told(made, before, [1.5], "c")["gain_realised"].value == pytest.approx(share, abs=1e-4)


def test_regret_is_never_silenced_for_good(made):
    """A pipeline that made things worse leaves a quarter of every gain."""
    decision = decided(made, served(made, "a", 0, [4.0] * 6, "a"), [9.0, 2.0])
    assert {score.metric: score.value for score in decision.scores}["gain_realised"] == 0.25
    assert "gains count 25%: so much of them 1 earlier promotion brought" in " ".join(decision.verdict.reasons)


def test_another_reference_is_no_promotion(made):
    """The same model beside other rows realised nothing, and lost nothing."""
    assert "gain_realised" not in told(made, served(made, "a", 0, [4.0] * 6, "b"), [4.0])


def test_a_model_that_needed_nothing_says_nothing(made):
    """Where no gain was predicted there is none to realise."""
    assert "gain_realised" not in told(made, served(made, "a", 0, [-1.0] * 6, "a"), [4.0])
