"""What verdicts and messages say, sentence by sentence and whole."""

from dataclasses import replace
from datetime import timedelta

import pytest

from monitor.config.sections import RetrainSection
from monitor.decide.decision import decide
from monitor.decide.episodes import lapse, supersede
from monitor.decide.messages import note_look
from monitor.decide.triggers import REFERENCE_GONE, SHADOW, SOURCE_DOWN
from monitor.records import Approval, Episode, EpisodeState, Firing, Score, ScoreStatus, SnapshotStatus

LOW = {"name": "low", "metric": "roc_auc", "below": 0.5}
ASKS = {**LOW, "action": "retrain"}
BAD, GOOD = Score(metric="roc_auc", value=0.4), Score(metric="roc_auc", value=0.6)
UNTOLD = Score(metric="roc_auc", status=ScoreStatus.INSUFFICIENT)
STALE = Score(metric="staleness_seconds", value=9.0, status=ScoreStatus.BREACHED)
NULLS = Score(metric="missing_share", column="age", value=0.9, status=ScoreStatus.BREACHED)
WHOLE = "broken-data: columns, types and nulls are as in the reference. It does not fire."
FRESH = "source: the source answers with fresh rows. It does not fire."
NOBODY_ASKS = 'No trigger has action = "retrain", so nothing can ask for a retrain.'
LACKS = "low would fire after 1 more window with roc_auc below 0.5"
NOT_LOW = f"No retrain is needed: low does not fire. {LACKS}."
ALREADY = ("low has already asked. It asks again once its run has ended well and the cooldown is over, or after it has "
           "cleared and fires again.")
WEEK = timedelta(days=7)


def _fires(made, *names):
    return {name: Firing(model="flights", trigger=name, firing=True, since=made.START, reason="so") for name in names}


def _episode(made, state, **given):
    fields = {"id": "0" * 40, "model": "flights", "reference_id": "ref-1", "trigger": "low", "reason": "low",
              "window": made.window(0), "approval": Approval(asked_at=made.START, asked_by=None)}
    return Episode(**(fields | given), state=state)


def _decide(made, triggers, *scores, past=(), episode=None, retrain=None, **snapshot):
    """A decision on the second window, while the triggers named in `past` fire."""
    one = made.snapshot(1, *scores, **snapshot)
    model = made.model(*triggers, **({"retrain": retrain} if retrain else {}))
    history = made.history(firing=_fires(made, *past), episode=episode)
    return decide(model, history, one, one.window.end, newest=True)


@pytest.mark.parametrize(
    ("state", "conclusion"),
    [
        ("awaiting-approval", "low waits for approval: `driftd approve` sends the request."),
        ("rejected", "low was rejected; it asks again only after it has cleared."),
        ("lapsed", "low was not approved in time; it asks again only after it has cleared."),
        ("requested", ALREADY),
    ],
)
def test_a_verdict_concludes_with_what_becomes_of_the_need(made, state, conclusion):
    """Of a need that waits, was turned down, has lapsed, or was asked for already."""
    [found] = [one for one in EpisodeState if one.value.replace("_", "-") == state]
    section = RetrainSection(pipeline="ci", min_labels=0, approval={"request": "person"})
    decision = _decide(made, [ASKS], BAD, past=["low"], episode=_episode(made, found), retrain=section)
    fires = "low: roc_auc is 0.4 (limit 0.5). Votes, newest first: yes (1 of 1 needed). It fires since 3 May 2013."
    assert decision.verdict.reasons == (WHOLE, FRESH, fires, conclusion)


@pytest.mark.parametrize(
    ("triggers", "scores", "past", "conclusion"),
    [
        ([], [BAD], [], NOBODY_ASKS),
        ([LOW], [BAD], [], NOBODY_ASKS),
        ([ASKS], [GOOD], [], NOT_LOW),
        ([ASKS, {**ASKS, "name": "two"}], [GOOD], [],
         f"No retrain is needed: low and two do not fire. {LACKS} and {LACKS.replace('low would', 'two would')}."),
        ([ASKS], [], ["low"],
         "A retrain trigger still fires, but this window adds no vote, or has opened a need before."),
        ([ASKS], [BAD], [],
         "ci is asked to retrain because of low. One guard that objects would have suppressed the request."),
    ],
)
def test_a_verdict_concludes_with_why_nothing_else_was_done(made, triggers, scores, past, conclusion):
    """The last sentence, whether something asks, could ask, or asks no more."""
    assert _decide(made, triggers, *scores, past=past).verdict.reasons[-1] == conclusion


@pytest.mark.parametrize(
    ("trigger", "scores", "said", "lacks"),
    [
        ({"every": "30d"}, [], "30d since 10 May 2013 last until 9 Jun 2013. Votes, newest first: no (1 of 1 needed)",
         "with a window that ends on 9 Jun 2013 or later"),
        ({"cron": "0 0 1 * *"}, [],
         'no date of "0 0 1 * *" since 10 May 2013. Votes, newest first: no (1 of 1 needed)',
         'at the next date of "0 0 1 * *"'),
        ({"metric": "version_regret", "above": 1.0, "action": "rollback"}, [],
         "the spread of the metric over reference windows is not known",
         "once a version that served before has surely done better in 3 windows or more"),
        ({"metric": "regret", "above": 1.0}, [], "the spread of the metric over reference windows is not known",
         "once it can be computed what waiting has cost, and that passes the price of a retrain"),
        ({"metric": "regret", "above": 1.0}, [Score(metric="metric_sd", method="roc_auc", value=0.0)],
         "the metric is the same in every reference window, so gains have no scale",
         "once it can be computed what waiting has cost, and that passes the price of a retrain"),
        ({"metric": "regret", "above": 1.0}, [Score(metric="metric_sd", method="roc_auc", value=0.1)],
         "no window has both mature labels and a rehearsal yet",
         "once it can be computed what waiting has cost, and that passes the price of a retrain"),
        ({"metric": "roc_auc", "drop": 0.1}, [BAD], "roc_auc has no reference value to compare with",
         "after 1 more window with a drop of 0.1"),
        ({"metric": "rmse", "rise": "20%"}, [], "rmse was not measured", "after 1 more window with a rise of 20%"),
        ({"metric": "roc_auc", "above": 0.9, "segment": "city"}, [], "roc_auc of city was not measured",
         "after 1 more window with roc_auc above 0.9"),
        ({"metric": "drift", "drifted": True, "windows": "2 of 3"}, [], "drift was not measured",
         "after 2 more windows that drifted"),
        ({"metric": "new_rows", "above": 5000}, [],
         "1000 new mature rows since 10 May 2013 (limit 5000). Votes, newest first: no (1 of 1 needed)",
         "after 1 more window with new_rows above 5000"),
        (LOW, [replace(BAD, provisional=True)],
         "roc_auc is provisional until its labels are mature: it may alert, never retrain",
         "after 1 more window with roc_auc below 0.5"),
        (LOW, [replace(UNTOLD, reason="12 rows")], "roc_auc could not be judged (12 rows)",
         "after 1 more window with roc_auc below 0.5"),
        (LOW, [UNTOLD], "roc_auc could not be judged", "after 1 more window with roc_auc below 0.5"),
        (LOW, [BAD, NULLS], "the window does not vote, because its data are broken",
         "after 1 more window with roc_auc below 0.5"),
    ],
)
def test_a_trigger_says_what_it_saw_and_what_it_lacks(made, trigger, scores, said, lacks):
    """Of a trigger that could ask and does not fire: why this window has no vote for it, and when it would fire."""
    needed = trigger.get("windows", "1 of 1")
    tally = "" if "Votes" in said else f". Votes, newest first: none yet ({needed} needed)"
    reasons = _decide(made, [{"action": "retrain", **trigger, "name": "t"}], *scores).verdict.reasons
    assert reasons[2] == f"t: {said}{tally}. It does not fire."
    assert reasons[-1] == f"No retrain is needed: t does not fire. t would fire {lacks}."


def test_a_drift_that_is_not_calibrated_says_that_it_may_not_ask(made):
    """The distance and the threshold that it passed, and why that is no vote for a retrain."""
    trigger = {"name": "t", "metric": "drift", "drifted": True, "action": "retrain"}
    said = _decide(made, [trigger], replace(made.drift(0.5, "c"), uncalibrated=True)).verdict.reasons[2]
    assert said == (
        "t: drift (psi) of c is 0.5 (limit 0.2), uncalibrated, as the reference is too short: it may alert, never "
        "retrain by itself. Votes, newest first: none yet (1 of 1 needed). It does not fire.")


@pytest.mark.parametrize(
    ("fires", "words"),
    [("all", "low fires and one does not. It does not fire."),
     ("any", "low fires and one does not. It fires since 17 May 2013."),
     ("unless", "held back while low fires. It does not fire.")],
)
def test_a_trigger_made_of_others_says_which_of_them_fire(made, fires, words):
    """In the order of the file; of one that is held back, by what."""
    own = {"metric": "f1", "below": 0.3, "unless": ["low"]} if fires == "unless" else {fires: ["low", "one"]}
    triggers = [LOW, {"name": "one", "metric": "f1", "below": 0.3}, {"name": "t", **own}]
    assert f"t: {words}" in _decide(made, triggers, BAD).verdict.reasons


@pytest.mark.parametrize(
    ("scores", "status", "past", "sentences", "title"),
    [
        ([], "source_failed", [],
         [WHOLE, "source: the source failed: no reason was given. It fires since 17 May 2013."],
         "the source is silent"),
        ([STALE], "ok", [],
         [WHOLE, "source: the source is stale: its newest row is older than allowed. It fires since 17 May 2013."],
         "the source is silent"),
        ([], "ok", ["source"], [WHOLE, FRESH], "the source has returned"),
        ([], "ok", [SOURCE_DOWN], [WHOLE, "source: source-down fires already. It does not fire."], None),
        ([], "schema_changed", [], ["broken-data: the schema changed. It fires since 17 May 2013.", FRESH],
         "the data are broken"),
        ([NULLS], "ok", [], ["broken-data: missing_share of age. It fires since 17 May 2013.", FRESH],
         "the data are broken"),
        ([], "ok", ["broken-data"], [WHOLE, FRESH], "the data are whole again"),
    ],
)
def test_the_built_in_triggers_say_what_ails_data_and_source(made, scores, status, past, sentences, title):
    """Sentence and title, where they begin to fire and where they clear."""
    decision = _decide(made, [], *scores, past=past, status=SnapshotStatus(status))
    assert list(decision.verdict.reasons[:2]) == sentences
    assert [one.title for one in decision.messages] == ([f"flights: {title}"] if title else [])


@pytest.mark.parametrize(
    ("trigger", "titles", "over"),
    [
        (SOURCE_DOWN, ("the source is down", "the source is back"),
         "the source has fresh rows again; it had been down"),
        (REFERENCE_GONE, ("rows of the reference are gone", "the reference is whole"),
         "the reference has all its rows again; some had been missing"),
        (SHADOW, ("the candidate in shadow cannot be judged", "the candidate in shadow can be judged"),
         "its predictions can be used again; they could not be used"),
    ],
)
def test_what_a_look_finds_is_told_both_ways(made, trigger, titles, over):
    """That it fails, with the reason; that it is over, and since when it had been so."""
    failing, begun = note_look("flights", trigger, None, "no file at log.csv", made.START)
    cleared, ended = note_look("flights", trigger, failing, None, made.START + WEEK)
    then = "\ndriftd looks again at every check; until then nothing is judged." * (trigger == SOURCE_DOWN)
    assert (begun.body, ended.body) == (f"no file at log.csv.{then}", f"{over} since 2013-05-03T00:00:00Z.")
    assert (begun.title, ended.title) == tuple(f"flights: {title}" for title in titles)
    assert (failing.reason, cleared.reason) == ("no file at log.csv", over.partition(";")[0])
    assert (begun.next_try_at, ended.next_try_at, ended.kind) == (made.START, made.START + WEEK, "source")


def test_an_open_need_says_why_it_ended(made):
    """A trigger that was taken out of the configuration, another reference, nobody's approval."""
    gone = _decide(made, [], BAD, past=["old"], episode=_episode(made, EpisodeState.REQUESTED, trigger="old"))
    assert gone.episode.reason == "old no longer asks for retrains in the configuration"
    assert [one.reason for one in gone.firing if one.trigger == "old"] == ["it is no longer configured"]
    other = _decide(made, [], BAD, episode=_episode(made, EpisodeState.REQUESTED, reference_id="ref-0"))
    assert other.episode.reason == "a new reference has come"
    after = supersede(_episode(made, EpisodeState.SUPPRESSED))
    assert after.reason == "a new reference has come, and the need is judged afresh"
    waits, until = _episode(made, EpisodeState.AWAITING_APPROVAL), made.START + WEEK
    assert lapse(made.model(), waits, until).reason == "low; nobody approved it by 2013-05-10T00:00:00Z"
    assert lapse(made.model(), waits, until - timedelta(seconds=1)) is None
