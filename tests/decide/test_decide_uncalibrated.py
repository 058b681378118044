"""Scores against a fixed threshold that merely stands in for a calibrated one: they alert, they do not retrain."""

from dataclasses import replace

import pytest

from monitor.config.values import Persistence
from monitor.decide.triggers import ballot, fires
from monitor.records import Action, Score, ScoreStatus


def share(value: float, *, uncalibrated: bool) -> Score:
    status = ScoreStatus.DRIFTED if value >= 0.5 else ScoreStatus.OK
    return Score(metric="drifted_share", value=value, threshold=0.5, status=status, uncalibrated=uncalibrated)


def asks(action: str, **given: object) -> dict[str, object]:
    return {"name": "drift", "metric": "drifted_share", "drifted": True, "action": action} | given


@pytest.mark.parametrize(("uncalibrated", "action"), [(True, Action.HOLD), (False, Action.RETRAIN)])
def test_an_uncalibrated_score_is_never_alone_a_cause_to_retrain(made, uncalibrated, action):
    """The same share of drifted columns asks for a retrain only where its thresholds are what they should be."""
    window = made.snapshot(0, share(1.0, uncalibrated=uncalibrated))
    decisions, _ = made.play(made.model(asks("retrain")), [window])
    assert decisions[-1].verdict.action is action
    assert any("uncalibrated" in reason for reason in decisions[-1].verdict.reasons) is uncalibrated


def test_an_uncalibrated_score_may_alert(made):
    """People are told, whatever the threshold is."""
    decisions, _ = made.play(made.model(asks("alert")), [made.snapshot(0, share(1.0, uncalibrated=True))])
    assert decisions[-1].verdict.action is Action.ALERT


def test_beside_a_calibrated_score_it_does_no_harm(made):
    """One column that drifted by a calibrated threshold is cause enough, whatever the others rest on."""
    known, unknown = made.drift(0.9, "age"), replace(made.drift(0.9, "fare"), uncalibrated=True)
    trigger = {"name": "drift", "metric": "drift", "drifted": True, "action": "retrain"}
    for scores, action in (((unknown,), Action.HOLD), ((known, unknown), Action.RETRAIN)):
        decisions, _ = made.play(made.model(trigger), [made.snapshot(0, *scores)])
        assert decisions[-1].verdict.action is action


def test_a_number_in_the_trigger_counts_whatever_the_threshold(made):
    """Who wrote a number of their own did not ask for a calibrated one."""
    trigger = {"name": "psi", "metric": "drift", "above": 0.25, "action": "retrain"}
    score = replace(made.drift(0.9, "fare"), uncalibrated=True)
    decisions, _ = made.play(made.model(trigger), [made.snapshot(0, score)])
    assert decisions[-1].verdict.action is Action.RETRAIN


def test_a_no_of_an_uncalibrated_score_clears(made):
    """What did not drift even by a threshold too low has not drifted."""
    decisions, _ = made.play(
        made.model(asks("retrain")),
        [made.snapshot(0, share(1.0, uncalibrated=False)), made.snapshot(1, share(0.0, uncalibrated=True))],
    )
    assert [decision.verdict.action for decision in decisions] == [Action.RETRAIN, Action.HOLD]


@pytest.mark.parametrize(("m", "n", "votes", "begun"), [
    (1, 1, "ynyyn", 2),
    (2, 3, "ynnyyn-ny", 1),
    (2, 3, "ynynnnyy", 2),
    (1, 1, "y--y", 1),
    (1, 1, "", 0),
])
def test_episodes_are_counted_as_decided(made, m, n, votes, begun):
    """The rule alone, one trigger, and the whole decision fire at the same windows."""
    windows = Persistence(m, n)
    cast = [{"y": True, "n": False, "-": None}[vote] for vote in votes]
    snapshots = [
        made.snapshot(at, *(() if vote is None else (share(float(vote), uncalibrated=False),)))
        for at, vote in enumerate(cast)
    ]
    model = made.model(asks("alert", windows=f"{m} of {n}"))
    votes = ballot(model.triggers[0], [one.scores for one in snapshots]).votes
    assert votes == cast
    fired = fires(windows, votes)
    assert sum(now and not before for before, now in zip([False, *fired], fired, strict=False)) == begun
    decisions, _ = made.play(model, snapshots)
    assert fired == ["drift" in decision.verdict.fired for decision in decisions]
