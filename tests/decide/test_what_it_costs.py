"""What waiting has cost and what going back would gain, beside the price: in words, in figures, and what is doubted."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.decide import going_back_words, regret_words
from monitor.decide.going_back import Best, GoingBack, Version
from monitor.decide.regret import Regret, Step
from monitor.records import Score

WEEK = timedelta(days=7)
AUC_SD = Score(metric="metric_sd", method="roc_auc", value=0.05)
TWO = "2 windows (0.1 roc_auc a week since 3 May 2013)"
THREE = "3 windows (0.05 roc_auc a week since 3 May 2013, 2 of that assumed for 2 without labels yet)"
IN_AUC = Regret((), AUC_SD, sd=0.05, noise=0.3, pace=WEEK)


def _step(made, total, windows=2, **given):
    return Step(made.snapshot(3), total, made.START, windows, **given)


@pytest.mark.parametrize(
    ("given", "price", "waiting", "figures", "lacks"),
    [
        ({"total": 4.0}, 2.0, "more than a retrain does",
         f"4 sd × windows in {TWO}; a retrain costs 2", ""),
        ({"total": 4.0, "bound": 5.0}, 2.0, "more than a retrain does, but that may still be chance",
         f"4 sd × windows in {TWO}; a retrain costs 2; noise alone may reach 5",
         ", beyond what chance explains"),
        ({"total": 4.0, "bound": 4.0}, 4.0, "about as much as a retrain does",
         f"4 sd × windows in {TWO}; a retrain costs 4", ""),
        ({"total": 1.99}, 2.0, "about as much as a retrain does",
         "1.99 sd × windows in 2 windows (0.04975 roc_auc a week since 3 May 2013); a retrain costs 2", ""),
        ({"total": 1.98}, 2.0, "99% of what a retrain does",
         "1.98 sd × windows in 2 windows (0.0495 roc_auc a week since 3 May 2013); a retrain costs 2",
         " (99% of it so far)"),
        ({"total": 3.0, "windows": 1, "ahead": 2}, 6.0, "50% of what a retrain does",
         f"3 sd × windows in {THREE}; a retrain costs 6", " (50% of it so far)"),
    ],
)
def test_what_waiting_has_cost_beside_the_price(made, given, price, waiting, figures, lacks):
    """Below, at and above the price, sure and not: the sentence, its figures, and what must come before it asks."""
    step, zone = _step(made, **given), made.model().timezone
    regret = replace(IN_AUC, steps=(step,))
    said = regret_words.cost(regret, step, price, zone).partition("; ")
    assert said[2] == f"waiting since 3 May 2013 has cost {waiting}"
    assert regret_words.figures(regret, step, price, zone) == f"regret is {figures}"
    assert regret_words.lacks(regret, price) == f"once waiting has cost more than a retrain does{lacks}"


def test_what_waiting_has_cost_where_something_is_not_known(made):
    """Without a price, without a metric, and where nothing was lost."""
    lost, nothing, zone = _step(made, 4.0), _step(made, 0.0), made.model().timezone
    assert regret_words.cost(IN_AUC, lost, None, zone) == (
        "a retrain would gain about 0.1 ROC AUC; waiting since 3 May 2013 has cost something, and what a retrain costs "
        "is not known yet")
    assert regret_words.figures(IN_AUC, lost, None, zone).endswith("; the price of a retrain is not known")
    assert regret_words.cost(replace(IN_AUC, scale=None), _step(made, 1.0), 2.0, zone).startswith(
        "a retrain would gain about 0.025 of the metric; ")
    assert regret_words.cost(IN_AUC, nothing, 2.0, zone) == (
        "a retrain would gain nothing that can be told from chance")
    assert regret_words.figures(IN_AUC, nothing, 2.0, zone) == "the regret up to 31 May 2013 is 0; a retrain costs 2"


@pytest.mark.parametrize(
    ("given", "price", "much", "comes_to", "figures"),
    [
        ({"total": 1.0}, 2.0, "0.025", "50% of what going back costs",
         "1 sd × windows in 2 windows; going back costs 2; chance alone may reach 0"),
        ({"total": 4.0}, 2.0, "0.1", "more than going back costs",
         "4 sd × windows in 2 windows; going back costs 2; chance alone may reach 0"),
        ({"total": 4.0, "bound": 1.5, "ahead": 2}, 2.0, "0.05", "more than going back costs, but it may be luck",
         "4 sd × windows in 4 windows, 2 of them without labels yet; going back costs 2; chance alone may reach 1.5"),
        ({"total": 1.0}, 0.0, "0.025", "no more than going back costs",
         "1 sd × windows in 2 windows; going back costs 0; chance alone may reach 0"),
    ],
)
def test_how_a_version_that_served_before_does(made, given, price, much, comes_to, figures):
    """How much better in the metric, what that comes to beside the price, and in figures."""
    step = _step(made, **given)
    best = Best("6", step, enough=step.total > price > 0, doubt="it may be luck" if step.bound else None)
    for current, beside in (("7", "version 7 in service"), (None, "the one in service")):
        said = going_back_words.words(GoingBack((), IN_AUC, current), best, price, made.model().timezone)
        assert said == (f"version 6, which served before, does better than {beside} by about {much} ROC AUC a week; "
                        f"since 3 May 2013 that is {comes_to}")
    assert going_back_words.figures(best, price) == f"the sum is {figures}"
    none = going_back_words.words(GoingBack((), IN_AUC, "7"), replace(best, step=_step(made, 0.0)), price,
                                  made.model().timezone)
    assert none == "no version that served before does better than the one in service by more than chance"


@pytest.mark.parametrize(
    ("added", "given", "price", "enough", "doubt"),
    [
        ([0.0], {}, 1.0, False, "it does not do better"),
        ([1.0, 1.0], {}, 1.0, True, "3 windows must speak for it, and 2 of its last 2 did"),
        ([1.0, -0.5, 1.0], {}, 1.0, True, "3 windows must speak for it, and 2 of its last 3 did"),
        ([1.0, 0.0, 1.0], {}, 1.0, True, "3 windows must speak for it, and 2 of its last 3 did"),
        ([1.0, 1.0, 1.0], {"bound": 3.01}, 1.0, True, "chance alone may reach 3.01 sd × windows"),
        ([1.0, 1.0, 1.0], {"bound": 3.0}, 1.9, True, None),
        ([1.0, 1.0, 1.0], {}, 2.0, True, "most of it comes from one window"),
        ([1.0, 1.0, 1.0], {"fresh": 3.0}, 1.0, True, "a new model would do better still"),
        ([1.0, 1.0, 1.0], {"fresh": 2.9}, 1.0, True, None),
        ([1.0, 1.0, 1.0], {"ahead": 1}, 3.5, True, "most of it comes from one window"),
        ([1.0, 1.0, 1.0], {"ahead": 1}, 1.9, True, None),
        ([1.0, 1.0, 1.0], {}, 3.0, False, "most of it comes from one window"),
    ],
)
def test_what_speaks_against_going_back(made, added, given, price, enough, doubt):
    """Each doubt alone, and at its very limit; a window whose labels are still to come adds one to the sum."""
    bound, ahead = given.get("bound", 0.0), given.get("ahead", 0)
    steps = [Step(made.snapshot(at), sum(added[: at + 1]), made.START, at + 1, one, bound)
             for at, one in enumerate(added)]
    more = [Step(made.snapshot(9), sum(added) + 1, made.START, len(added), 0.0, bound, ahead)] * ahead
    version = Version("6", (*steps, *more), 0.3, (given.get("fresh", 0.0),) * (len(added) + ahead))
    best = version.last(price)
    assert (best.enough, best.doubt, best.pays) == (enough, doubt, enough and doubt is None)
