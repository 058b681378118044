"""What keeps a needed retrain back, one guard after the other."""

from datetime import timedelta

import pytest

from monitor.config.sections import RetrainSection
from monitor.decide.decision import decide
from monitor.decide.guards import GUARDS
from monitor.records import Action, Firing, Score, ScoreStatus, SnapshotStatus

NEED = {"name": "low", "metric": "roc_auc", "below": 0.5, "action": "retrain"}
BAD = Score(metric="roc_auc", value=0.4)
DAY = timedelta(days=1)


def _limits(**given):
    return RetrainSection(**({"pipeline": "ci", "cooldown": "0s", "budget": "99 per 1d", "min_labels": 0} | given))


def _decide(made, at=None, newest=True, snapshot=None, past=None, **model):
    """A window of low AUC after another that fires already."""
    one = snapshot or made.snapshot(1, BAD)
    past = {"firing": {"low": _firing(made, "low")}} | (past or {})
    history = made.history(made.snapshot(0, BAD), **past)
    return decide(made.model(NEED, **model), history, one, at or one.window.end, newest=newest)


def _firing(made, name):
    return Firing(model="flights", trigger=name, firing=True, since=made.window(0).end, reason="so it was")


def _ago(made, *days):
    return tuple(made.window(1).end - days * DAY for days in days)


NULLS = Score(metric="missing_share", column="age", value=0.9, status=ScoreStatus.BREACHED, reason="90% missing")


@pytest.mark.parametrize(
    ("guard", "words", "given"),
    [
        ("observing", 'the model only observes; with mode = "act" it would ask ci', lambda m: {"mode": "observe"}),
        ("no-pipeline", "no pipeline is configured; name one as pipeline in [retrain]", lambda m: {"retrain": None}),
        ("paused", "ann paused it: holiday", lambda m: {"past": {"paused": "ann paused it: holiday"}}),
        ("catching-up", "newer windows have yet to be checked", lambda m: {"newest": False}),
        ("broken-data", "the data are broken: 90% missing", lambda m: {"snapshot": m.snapshot(1, BAD, NULLS)}),
        ("stale-source", "the source failed: no such file", lambda m: {
            "snapshot": m.snapshot(1, status=SnapshotStatus.SOURCE_FAILED, reason="no such file"),
        }),
        ("few-rows", "12 rows of 30", lambda m: {
            "snapshot": m.snapshot(1, status=SnapshotStatus.INSUFFICIENT_DATA, rows=12, reason="12 rows of 30"),
        }),
        ("few-rows", "the window holds only 1 row, too few to judge", lambda m: {
            "snapshot": m.snapshot(1, status=SnapshotStatus.INSUFFICIENT_DATA, rows=1),
        }),
        ("run-in-flight", f"driftd-{'0' * 40}-1 to ci is running, and only one run may be under way", lambda m: {
            "past": {"in_flight": m.run()},
        }),
        ("cooldown", "the last request was accepted on 15 May 2013; the cooldown of 3d lasts until 18 May 2013",
         lambda m: {
            "retrain": _limits(cooldown="3d"), "past": {"accepted": _ago(m, 2)},
        }),
        ("budget", "the budget of 2 per 10d is spent (2 requests accepted) until 25 May 2013", lambda m: {
            "retrain": _limits(budget="2 per 10d"), "past": {"accepted": _ago(m, 40, 2, 1)},
        }),
        ("budget", "the budget of 0 per 10d is spent (0 requests accepted)", lambda m: {
            "retrain": _limits(budget="0 per 10d"),
        }),
        ("few-labels", "2000 labelled rows since 3 May 2013, a retrain needs 2001", lambda m: {
            "retrain": _limits(min_labels=2001),
        }),
        ("few-labels", "1000 labelled rows since 10 May 2013, a retrain needs 1001", lambda m: {
            "retrain": _limits(min_labels=1001), "past": {"paid_until": m.window(0).end},
        }),
    ],
)
def test_each_guard_speaks_and_keeps_the_request_back(made, guard, words, given):
    """One guard alone suppresses the need, is named in verdict and message, and says why."""
    decision = _decide(made, **given(made))
    assert decision.verdict.action is Action.SUPPRESS
    assert decision.verdict.guards == (guard,)
    assert (decision.request, decision.episode.state) == (False, "suppressed")
    assert f"guard {guard}: {words}." in decision.verdict.reasons
    told = [m.body for m in decision.messages if m.kind == "suppressed"]
    assert all(words in body for body in told)
    assert len(told) == (guard != "catching-up")


@pytest.mark.parametrize(
    "given",
    [
        lambda m: {},
        lambda m: {"retrain": _limits(cooldown="3d"), "past": {"accepted": _ago(m, 3)}},
        lambda m: {"retrain": _limits(budget="2 per 10d"), "past": {"accepted": _ago(m, 11, 10, 1)}},
        lambda m: {"retrain": _limits(min_labels=2000)},
        lambda m: {"past": {"firing": {"low": _firing(m, "low"), "source": _firing(m, "source")}}},
    ],
)
def test_guards_are_silent_at_their_limit(made, given):
    """At the very end of cooldown, budget and label count, and once the source is back, the request is made."""
    decision = _decide(made, **given(made))
    assert (decision.verdict.action, decision.request, decision.verdict.guards) == (Action.RETRAIN, True, ())
    assert decision.episode.state == "requested"


def test_every_guard_is_in_one_table(made):
    """Guards have their names in the order in which they are told."""
    assert list(GUARDS) == [
        "observing", "no-pipeline", "paused", "maintenance", "catching-up", "broken-data", "stale-source", "few-rows",
        "run-in-flight", "cooldown", "budget", "few-labels",
    ]


def test_broken_data_guard_holds_until_a_whole_window_comes(made):
    """An insufficient window after a broken one does not lift the guard; a good one does."""
    broken = made.snapshot(1, BAD, status=SnapshotStatus.SCHEMA_CHANGED)
    thin = made.snapshot(2, rows=12, status=SnapshotStatus.INSUFFICIENT_DATA)
    decisions, _ = made.play(made.model(NEED), [made.snapshot(0), broken, thin, made.snapshot(3, BAD)])
    assert [d.request for d in decisions] == [False, False, False, True]
    assert decisions[2].verdict.fired == ("broken-data",)


def test_several_guards_speak_together(made):
    """All that speaks against a request is said, in the order of the table."""
    decision = _decide(made, mode="observe", newest=False, past={"paused": "ann paused it"})
    assert decision.verdict.guards == ("observing", "paused", "catching-up")
    assert "Without observing, paused and catching-up, ci" in decision.verdict.reasons[-1]
