"""Which windows vote yes, and when a trigger fires and clears."""

from datetime import timedelta

import pytest

from monitor.decide.decision import decide
from monitor.records import Score, ScoreStatus, SnapshotStatus

AUC = "roc_auc"


def score(value, reference=None, **given):
    return Score(metric=AUC, value=value, reference=reference, **given)


@pytest.mark.parametrize(
    ("condition", "one", "fires"),
    [
        ({"above": 0.5}, score(0.51), True),
        ({"above": 0.5}, score(0.5), False),
        ({"above": 0.0}, score(0.1), True),
        ({"below": 0.5}, score(0.49), True),
        ({"below": 0.5}, score(0.5), False),
        ({"below": 0.0}, score(-0.1), True),
        ({"rise": "15%"}, score(1.16, 1.0), True),
        ({"rise": "15%"}, score(1.14, 1.0), False),
        ({"rise": "15%"}, score(-0.8, -1.0), True),
        ({"rise": 0.1}, score(1.11, 1.0), True),
        ({"drop": "15%"}, score(0.84, 1.0), True),
        ({"drop": "15%"}, score(1.16, 1.0), False),
        ({"drop": 0.1}, score(0.89, 1.0), True),
        ({"drop": 0.1}, score(0.91, 1.0), False),
        ({"drifted": True}, score(0.3, status=ScoreStatus.DRIFTED), True),
        ({"drifted": True}, score(0.3), False),
    ],
)
def test_each_condition_compares_in_its_own_direction(made, condition, one, fires):
    """Above, below, rise, drop and drifted fire beyond their level and not at or before it."""
    model = made.model({"name": "t", "metric": AUC, **condition})
    decision = decide(model, made.history(), made.snapshot(0, one), made.START, newest=True)
    assert (decision.verdict.fired == ("t",)) is fires


@pytest.mark.parametrize(
    "one",
    [
        score(None),
        score(float("nan")),
        score(0.1, status=ScoreStatus.INSUFFICIENT, reason="12 rows"),
        score(0.1, status=ScoreStatus.FAILED, reason="no such column"),
        Score(metric="accuracy", value=0.1),
    ],
)
def test_what_cannot_be_judged_changes_nothing(made, one):
    """Without a usable score a firing trigger stays firing and a quiet one stays quiet."""
    model = made.model({"name": "low", "metric": AUC, "below": 0.5})
    decisions, _ = made.play(model, [made.snapshot(0, one), made.snapshot(1, score(0.4)), made.snapshot(2, one)])
    assert [d.verdict.fired for d in decisions] == [(), ("low",), ("low",)]
    assert not decisions[2].messages


def test_a_change_without_reference_has_no_vote(made):
    """A drop against a reference value that is missing is said to be so and does not fire."""
    model = made.model({"name": "t", "metric": AUC, "drop": "10%"})
    decision = decide(model, made.history(), made.snapshot(0, score(0.1)), made.START, newest=True)
    assert not decision.verdict.fired
    assert "has no reference value" in "".join(decision.verdict.reasons)


def test_provisional_scores_alert_and_never_retrain(made):
    """The same provisional score fires an alert trigger and has no vote for a retrain trigger."""
    model = made.model(
        {"name": "alert", "metric": AUC, "below": 0.5},
        {"name": "retrain", "metric": AUC, "below": 0.5, "action": "retrain"},
    )
    early = made.snapshot(0, score(0.4, provisional=True), mature=False)
    decisions, _ = made.play(model, [early, made.snapshot(0, score(0.4), revision=1)])
    assert [(d.verdict.fired, d.request) for d in decisions] == [(("alert",), False), (("alert", "retrain"), True)]
    assert "provisional" in "".join(decisions[0].verdict.reasons)


def test_any_column_votes_and_the_worst_three_are_named(made):
    """A trigger without a column fires on any column and names the worst three, worst first."""
    model = made.model({"name": "t", "metric": "drift", "drifted": True})
    scores = [made.drift(value, column) for column, value in zip("abcde", (0.1, 0.3, 0.9, 0.5, 0.4), strict=True)]
    decision = decide(model, made.history(), made.snapshot(0, *scores), made.START, newest=True)
    said = decision.messages[0].body
    assert decision.verdict.fired == ("t",)
    assert said.index("of c is 0.9") < said.index("of d is 0.5") < said.index("of e is 0.4") < said.index("1 more")
    assert "of b" not in said


def test_column_and_method_narrow_a_trigger(made):
    """Scores of other columns and methods do not vote."""
    model = made.model({"name": "t", "metric": "drift", "drifted": True, "column": "a", "method": "psi"})
    scores = [made.drift(0.9, "b"), made.drift(0.9, "a", method="ks"), made.drift(0.1, "a")]
    decision = decide(model, made.history(), made.snapshot(0, *scores), made.START, newest=True)
    assert not decision.verdict.fired


def _fired(made, model, values):
    decisions, _ = made.play(model, [made.snapshot(i, score(value)) for i, value in enumerate(values)])
    return [bool(d.verdict.fired) for d in decisions]


def test_two_of_three_windows(made):
    """It fires at two yes among the newest three with a vote, and clears below two."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5, "windows": "2 of 3"})
    values = [0.4, 0.6, 0.4, None, 0.6, 0.6, 0.4]
    assert _fired(made, model, values) == [False, False, True, True, False, False, False]


def test_clearing_has_its_own_level(made):
    """Between threshold and clearing level it stays as it was."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5, "clear": 0.6})
    assert _fired(made, model, [0.55, 0.45, 0.55, 0.65, 0.55]) == [False, True, True, False, False]


def test_a_change_clears_at_its_own_amount(made):
    """A drop of 20 % clears once the drop is under the 10 % that `clear` names."""
    model = made.model({"name": "t", "metric": AUC, "drop": "20%", "clear": 0.1})
    snapshots = [made.snapshot(i, score(value, 1.0)) for i, value in enumerate((0.85, 0.75, 0.85, 0.95))]
    decisions, _ = made.play(model, snapshots)
    assert [bool(d.verdict.fired) for d in decisions] == [False, True, True, False]


def test_overlapping_windows_do_not_vote_twice(made):
    """With daily steps a second yes counts only from a window that shares no row with the first."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5, "windows": "2 of 2"})
    daily = [made.snapshot(made.window(i, step=timedelta(days=1)), score(0.4)) for i in range(8)]
    decisions, _ = made.play(model, daily)
    assert [bool(d.verdict.fired) for d in decisions] == [False] * 7 + [True]


def test_a_revision_replaces_a_vote(made):
    """Two revisions of one window are one vote, and the newer one counts."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5, "windows": "2 of 2"})
    first = made.snapshot(0, score(0.4))
    again = made.snapshot(0, score(0.4), revision=1)
    other = made.snapshot(1, score(0.4))
    better = made.snapshot(0, score(0.6), revision=2)
    decisions, _ = made.play(model, [first, again, other, better])
    assert [bool(d.verdict.fired) for d in decisions] == [False, False, True, False]


def test_windows_cut_another_way_do_not_count(made):
    """After the window size changed the old windows have no vote beside the new ones."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5, "windows": "2 of 2"})
    other = made.snapshot(made.window(0), score(0.4))
    other = type(other)(**{f: getattr(other, f) for f in other.__slots__} | {
        "window": type(other.window)(model="flights", start=other.window.start, end=other.window.end, spec="old"),
    })
    decision = decide(model, made.history(other), made.snapshot(1, score(0.4)), made.START, newest=True)
    assert not decision.verdict.fired


BREACHED = ScoreStatus.BREACHED
NULLS = Score(metric="missing_share", column="age", value=0.9, status=BREACHED, reason="90% of age is missing")
STALE = Score(metric="staleness_seconds", value=9e5, status=BREACHED, reason="newest row is 10 days old")


@pytest.mark.parametrize(
    ("given", "scores", "name"),
    [
        ({"status": SnapshotStatus.SCHEMA_CHANGED, "reason": "column age is missing"}, (), "broken-data"),
        ({}, (NULLS,), "broken-data"),
        ({"status": SnapshotStatus.SOURCE_FAILED, "reason": "no such file"}, (), "source"),
        ({}, (STALE,), "source"),
    ],
)
def test_built_in_triggers_need_no_configuration(made, given, scores, name):
    """Broken data and a silent source fire, are told once each way, and clear on the next good window."""
    bad = made.snapshot(0, *scores, **given)
    worse = made.snapshot(1, *scores, **given)
    decisions, _ = made.play(made.model(), [bad, worse, made.snapshot(2)])
    assert [d.verdict.fired for d in decisions] == [(name,), (name,), ()]
    kinds = ["source", "source"] if name == "source" else ["firing", "cleared"]
    assert [m.kind for d in decisions for m in d.messages] == kinds


def test_staleness_of_a_window_caught_up_with_says_nothing(made):
    """Only the newest window tells whether the source is fresh."""
    decision = decide(made.model(), made.history(), made.snapshot(0, STALE), made.START, newest=False)
    assert not decision.verdict.fired


def test_broken_windows_have_no_vote_but_on_the_breakage_itself(made):
    """Drift is not judged on broken data; an alert on missing values still is."""
    model = made.model(
        {"name": "drift", "metric": "drift", "drifted": True},
        {"name": "nulls", "metric": "missing_share", "above": 0.5},
        {"name": "asks", "metric": "missing_share", "above": 0.5, "action": "retrain"},
    )
    bad = made.snapshot(0, NULLS, made.drift(0.9, "age"))
    decision = decide(model, made.history(), bad, made.START, newest=True)
    assert decision.verdict.fired == ("broken-data", "nulls")


def test_what_fired_stays_firing_while_the_source_is_silent(made):
    """A failed source changes no other trigger, however long."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5})
    silent = [made.snapshot(i, rows=0, status=SnapshotStatus.SOURCE_FAILED) for i in range(1, 6)]
    decisions, past = made.play(model, [made.snapshot(0, score(0.4)), *silent])
    assert decisions[-1].verdict.fired == ("source", "t")
    assert past.firing["t"].since == made.window(0).end


def test_a_trigger_taken_out_of_the_configuration_is_forgotten(made):
    """It stops firing, and the need it opened clears."""
    model = made.model({"name": "t", "metric": AUC, "below": 0.5, "action": "retrain"})
    _, past = made.play(model, [made.snapshot(0, score(0.4))])
    decision = decide(made.model(), past, made.snapshot(1, score(0.4)), made.START, newest=True)
    assert [(f.trigger, f.firing) for f in decision.firing] == [("t", False)]
    assert decision.episode.state == "cleared"
    assert decision.withdraw
