"""Schedules scored in hindsight, against trying them all."""

from itertools import combinations

import numpy as np
import pytest

from monitor.backtest.policies import compare, nearest
from monitor.backtest.schedules import Scores, lead, net

SEEDS = range(6)


def _scores(seed, windows=7):
    """Any model may be better or worse anywhere."""
    return Scores(np.random.default_rng(seed).normal(0.0, 1.0, (windows + 1, windows)))


def _every(windows):
    return [list(made) for count in range(windows) for made in combinations(range(windows - 1), count)]


def _by_hand(scores, schedule, price):
    """Walk through the windows: who serves, what it gains, what a retrain costs."""
    serving, total = 0, 0.0
    for window in range(len(scores)):
        total += scores.score[serving, window] - scores.score[0, window]
        if window in schedule:
            serving, total = window + 1, total - price
    return total


@pytest.mark.parametrize("seed", SEEDS)
@pytest.mark.parametrize("price", [0.2, 1.0, 3.0])
def test_the_best_schedule_is_that_of_trying_all(seed, price):
    """Dynamic programming finds what a search through every schedule finds, at every price."""
    scores = _scores(seed)
    best = max(_by_hand(scores, made, price) for made in _every(7))
    assert scores.paid(scores.best(price), price).sum() == pytest.approx(best)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_most_of_so_many_retrains_is_that_of_trying_all(seed):
    """With exactly K retrains, for each K."""
    scores = _scores(seed)
    for count in range(5):
        most = max(_by_hand(scores, made, 0.0) for made in _every(7) if len(made) == count)
        assert scores.most(count) == pytest.approx(most)


def test_net_and_lead_are_as_defined():
    """Net: gain less price as a share of the best's. Lead: over a calendar, as a share of the best with as many."""
    scores, made = _scores(3, windows=9), [2, 5]
    best = scores.best(0.5)
    expected = _by_hand(scores, made, 0.5) / _by_hand(scores, best, 0.5)
    assert net(scores.paid(made, 0.5), scores.paid(best, 0.5)) == pytest.approx(expected)
    calendar = np.mean([_by_hand(scores, one, 0.0) for one in scores.calendars(2)])
    assert lead(scores, made) == pytest.approx((_by_hand(scores, made, 0.0) - calendar) / scores.most(2))
    assert lead(scores, []) == 0.0


def test_where_nothing_pays_there_is_no_net():
    """With models that are all the same the best schedule is never, and a share of nothing is not told."""
    policies = compare(Scores(np.ones((9, 8))), 1.0, {"mine": [3]})
    assert {one.kind: one.net for one in policies} == {"trigger": None, "best": None, "calendar": None, "never": None}
    assert next(one for one in policies if one.kind == "best").schedule == []


def test_policies_lie_between_the_best_and_what_they_cost():
    """The best has net 1, never 0, and no calendar beats the best one."""
    policies = compare(_scores(1, windows=16), 0.5, {"mine": [4, 9]})
    found = {one.name: one for one in policies}
    assert found["best schedule"].net == pytest.approx(1.0)
    assert found["never"].net == 0.0
    top = found["best calendar"].net
    assert all(one.net <= top for one in policies if one.kind == "calendar")
    assert all(one.net <= 1.0 for one in policies)


def test_the_price_for_a_number_of_retrains_is_the_middle_of_those_that_give_it():
    """Of the prices that give the wanted number, or the nearest, the middle one of the longest run."""
    counts = {1.0: 5, 2.0: 3, 3.0: 3, 4.0: 3, 5.0: 2, 6.0: 3, 7.0: 0}
    assert nearest(counts, 3) == 3.0
    assert nearest(counts, 1) in (5.0, 7.0)
    assert nearest(counts, 9) == 1.0


@pytest.mark.parametrize("seed", SEEDS)
def test_going_back_serves_the_earlier_model_and_costs_a_quarter(seed):
    """Walked through window by window: who serves, what it gains, what a retrain or going back costs."""
    scores, made, back = _scores(seed), [1, 3, 5], {3: 0, 5: 2}
    serving, total = 0, 0.0
    for window in range(len(scores)):
        total += scores.score[serving, window] - scores.score[0, window]
        if window in made:
            serving, total = back.get(window, window + 1), total - (0.25 if window in back else 1.0) * 2.0
    assert scores.paid(made, 2.0, back).sum() == pytest.approx(total)
    policy = compare(scores, 2.0, {"t": made}, {"t": back})[0]
    assert (policy.retrains, len(policy.back)) == (1, 2)
    assert policy.gain - 2.0 * 1.5 == pytest.approx(total)
