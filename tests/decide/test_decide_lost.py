"""A lost performance that has been told stays told until it is back."""

from dataclasses import replace

import pytest

from monitor.config.sections import TriggerSection
from monitor.decide.triggers import Ballot, ballot
from monitor.records import Score, ScoreStatus

LOST = {"name": "lost", "metric": "performance_lost", "drifted": True}


def measured(method, low, high, reference, *, drifted=False):
    return Score(metric="performance_lost", method=method, threshold=0.5, value=(low + high) / 2, low=low, high=high,
                 reference=reference, status=ScoreStatus.DRIFTED if drifted else ScoreStatus.OK)


@pytest.mark.parametrize(
    ("method", "low", "high", "reference", "stays"),
    [
        ("roc_auc", 0.70, 0.79, 0.80, True),
        ("roc_auc", 0.70, 0.81, 0.80, False),      # the interval holds the reference's value
        ("roc_auc", 0.85, 0.90, 0.80, False),
        ("mae", 2.1, 3.0, 2.0, True),
        ("mae", 1.9, 3.0, 2.0, False),
        ("mae", 1.0, 1.5, 2.0, False),
        ("bias", 0.3, 0.5, 0.2, True),             # no sign: how far from zero
        ("bias", -0.5, -0.3, 0.2, True),
        ("bias", -0.5, -0.3, -0.2, True),
        ("bias", 0.1, 0.5, 0.2, False),
        ("bias", -0.3, 0.5, 0.2, False),
        ("bias", 0.05, 0.1, 0.2, False),
    ],
)
def test_it_clears_once_the_interval_holds_the_references_value(made, method, low, high, reference, stays):
    """After a window in which it was lost: a window whose interval is all on the worse side keeps it firing."""
    worst = measured(method, low, high, reference, drifted=True)
    windows = [made.snapshot(0, worst), made.snapshot(1, measured(method, low, high, reference))]
    decisions, _ = made.play(made.model(LOST), windows)
    assert [bool(one.verdict.fired) for one in decisions] == [True, stays]
    decisions, _ = made.play(made.model(LOST), windows[1:])
    assert not decisions[0].verdict.fired               # what has not been lost is not made lost by it


@pytest.mark.parametrize("given", [{"low": None}, {"high": None}, {"reference": None}])
def test_without_an_interval_the_windows_own_word_counts(made, given):
    """Nothing is said of chance then, so the status decides."""
    windows = [made.snapshot(0, measured("mae", 2.1, 3.0, 2.0, drifted=True)),
               made.snapshot(1, replace(measured("mae", 2.1, 3.0, 2.0), **given))]
    decisions, _ = made.play(made.model(LOST), windows)
    assert [bool(one.verdict.fired) for one in decisions] == [True, False]


def test_in_a_replay_other_votes_count_while_it_fires():
    """A window that would not begin it may keep it firing, so both votes of each window are kept."""
    windows = [[measured("mae", 2.1, 3.0, 2.0, drifted=True)], [measured("mae", 2.1, 3.0, 2.0)],
               [measured("mae", 1.9, 3.0, 2.0)]]
    assert ballot(TriggerSection(**LOST), windows) == Ballot([True, False, False], [True, True, False])
