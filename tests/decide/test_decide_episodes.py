"""From a need to one request, and to its end; what people are told of it."""

import re
from dataclasses import replace
from itertools import product
from pathlib import Path

import pytest

from monitor.config.sections import ApprovalSection, RetrainSection
from monitor.decide.decision import decide
from monitor.decide.episodes import (
    PERSON,
    TRANSITIONS,
    Event,
    advance,
    approve,
    give_way,
    lapses_at,
    person_request,
    reject,
    supersede,
)
from monitor.decide.messages import explain, need_words, note_approval, note_look, standing
from monitor.decide.triggers import SOURCE_DOWN
from monitor.errors import UsageError
from monitor.records import Action, Approval, Dispatch, Episode, EpisodeState, Firing, Score

S = EpisodeState
NEED = {"name": "low", "metric": "roc_auc", "below": 0.5, "action": "retrain"}
BAD, GOOD = Score(metric="roc_auc", value=0.4), Score(metric="roc_auc", value=0.6)
OPEN = (S.OPEN, S.SUPPRESSED, S.AWAITING_APPROVAL, S.REQUESTED, S.REJECTED, S.LAPSED)
TABLE = {
    (None, Event.NEEDED): S.REQUESTED,
    (None, Event.UNAPPROVED): S.AWAITING_APPROVAL,
    (None, Event.GUARDED): S.SUPPRESSED,
    (S.SUPPRESSED, Event.NEEDED): S.REQUESTED,
    (S.SUPPRESSED, Event.UNAPPROVED): S.AWAITING_APPROVAL,
    (S.AWAITING_APPROVAL, Event.NEEDED): S.REQUESTED,
    (S.AWAITING_APPROVAL, Event.APPROVED): S.REQUESTED,
    (S.AWAITING_APPROVAL, Event.REJECTED): S.REJECTED,
    (S.AWAITING_APPROVAL, Event.LAPSES): S.LAPSED,
    (S.REQUESTED, Event.ANSWERED): S.CLEARED,
    **{(state, Event.CLEARS): S.CLEARED for state in OPEN},
    **{(state, Event.PERSON): S.SUPERSEDED for state in OPEN},
    **{(state, Event.NEW_REFERENCE): S.SUPERSEDED for state in OPEN},
}


def _episode(made, state, **given):
    where = given.pop("window", made.window(0))
    fields = {"id": "0" * 40, "model": "flights", "reference_id": "ref-1", "trigger": "low", "reason": "low"}
    return Episode(**(fields | given), window=where, state=state)


@pytest.mark.parametrize(("state", "event"), list(product(S, Event)))
def test_every_state_and_event_has_one_outcome(made, state, event):
    """An event that the table does not name for a state changes nothing."""
    episode = _episode(made, state)
    assert advance(episode, event, "why").state == TABLE.get((state, event), state)


def test_the_table_is_the_one_that_was_agreed():
    """Transitions are those written in docs/internals.md, and only decide/episodes.py makes a state."""
    assert TRANSITIONS == TABLE
    folder = Path(__file__).resolve().parents[2] / "monitor" / "decide"
    makers = {file.name for file in folder.glob("*.py") if re.search(r"state=", file.read_text(encoding="utf-8"))}
    assert makers == {"episodes.py"}


def test_a_need_asks_once_until_it_has_cleared_and_returned(made):
    """While it stands a requested need asks no more; another one after clearing has another id."""
    values = (GOOD, BAD, BAD, BAD, GOOD, BAD)
    decisions, _ = made.play(made.model(NEED), [made.snapshot(i, v) for i, v in enumerate(values)])
    assert [d.request for d in decisions] == [False, True, False, False, False, True]
    assert decisions[4].episode.state == "cleared"
    assert decisions[4].withdraw
    assert decisions[1].episode.id != decisions[5].episode.id
    assert [d.verdict.action for d in decisions[:4]] == [Action.HOLD, Action.RETRAIN, Action.ALERT, Action.ALERT]


def test_a_need_that_outlives_its_answered_run_asks_again(made):
    """When the run ended well and the cooldown is over, what still fires is a new need, under a new id."""
    limits = RetrainSection(pipeline="ci", cooldown="10d", budget="9 per 1d", min_labels=0)
    model = made.model(NEED, retrain=limits)
    (asked,), past = made.play(model, [made.snapshot(0, BAD)])
    answered = replace(past, accepted=(made.START + made.WEEK,), answered=True)
    (still, again), _ = made.play(model, [made.snapshot(1, BAD), made.snapshot(2, BAD)], answered)
    assert (still.ended, still.episode, still.request) == (None, None, False)
    assert (again.ended.id, again.ended.state) == (asked.episode.id, "cleared")
    assert (again.request, again.withdraw) == (True, False)
    assert again.episode.id != asked.episode.id


def test_a_failed_run_is_not_repeated_by_itself(made):
    """Without a good end the need stays as it is, however long it stands."""
    _, past = made.play(made.model(NEED), [made.snapshot(0, BAD)])
    decisions, _ = made.play(
        made.model(NEED), [made.snapshot(i, BAD) for i in range(1, 9)], replace(past, accepted=(made.START,))
    )
    assert not any(d.ended or d.episode or d.request for d in decisions)


def test_an_answered_need_that_no_longer_fires_just_ends(made):
    """Its episode is cleared and nothing is taken back: the request was carried out."""
    _, past = made.play(made.model(NEED), [made.snapshot(0, BAD)])
    answered = replace(past, accepted=(made.START,), answered=True)
    decision = decide(made.model(NEED), answered, made.snapshot(1, GOOD), made.START + 2 * made.WEEK, newest=True)
    assert (decision.ended.state, decision.episode, decision.withdraw) == ("cleared", None, False)


def test_a_suppressed_need_is_looked_at_with_every_window(made):
    """It asks as soon as no guard speaks, under the id it opened with, and is told of once."""
    acting, observing = made.model(NEED), made.model(NEED, mode="observe")
    first, past = made.play(observing, [made.snapshot(0, BAD), made.snapshot(1, BAD)])
    then, _ = made.play(acting, [made.snapshot(2, BAD)], past)
    assert [m.kind for d in (*first, *then) for m in d.messages] == ["firing", "suppressed", "requested"]
    assert then[0].request
    assert then[0].episode.id == first[0].episode.id


def test_a_suppressed_need_asks_on_a_window_without_a_vote_of_its_own(made):
    """Immature windows do not hide what mature ones have shown: the newest good window may ask."""
    late = Score(metric="roc_auc", value=0.4, provisional=True)
    past = made.play(made.model(NEED, mode="observe"), [made.snapshot(0, BAD)])[1]
    decision = decide(made.model(NEED), past, made.snapshot(1, late, mature=False), made.START, newest=True)
    assert decision.request


def test_a_need_whose_evidence_is_gone_does_not_ask(made):
    """When a revision can no longer judge the only window that voted, the trigger stays firing but nothing is asked."""
    past = made.play(made.model(NEED, mode="observe"), [made.snapshot(0, BAD)])[1]
    decision = decide(made.model(NEED), past, made.snapshot(0, revision=1), made.START, newest=True)
    assert (decision.verdict.fired, decision.request, decision.episode) == (("low",), False, None)


def test_a_suppressed_need_that_clears_never_asks(made):
    """It becomes cleared, and there is nothing to take back."""
    decisions, _ = made.play(made.model(NEED, mode="observe"), [made.snapshot(0, BAD), made.snapshot(1, GOOD)])
    assert (decisions[1].episode.state, decisions[1].request, decisions[1].withdraw) == ("cleared", False, False)


def test_one_need_at_a_time(made):
    """A second retrain trigger opens its own need only when the first has cleared, at a later window."""
    other = {"name": "rmse-up", "metric": "rmse", "above": 1.0, "action": "retrain"}
    high = Score(metric="rmse", value=2.0)
    stream = [made.snapshot(i, one, high) for i, one in enumerate((BAD, BAD, GOOD, GOOD))]
    decisions, _ = made.play(made.model(NEED, other), stream)
    seen = [(d.episode.trigger, d.episode.state) if d.episode else None for d in decisions]
    assert seen == [("low", "requested"), None, ("low", "cleared"), ("rmse-up", "requested")]


def test_one_window_opens_one_episode(made):
    """Revisions that take a need back and bring it again do not bring its id again."""
    stream = [made.snapshot(0, score, revision=i) for i, score in enumerate((BAD, GOOD, BAD))]
    decisions, _ = made.play(made.model(NEED), [*stream, made.snapshot(1, BAD)])
    assert [d.request for d in decisions] == [True, False, False, True]


def test_a_memory_of_firing_is_no_evidence_against_a_new_reference(made):
    """After a promotion a trigger that still fires asks only when windows of the new reference vote."""
    _, past = made.play(made.model(NEED), [made.snapshot(0, BAD)])
    after = replace(past, snapshots=(), episode=supersede(past.episode), reference=replace(made.REFERENCE, id="ref-2"))
    decisions, _ = made.play(made.model(NEED), [made.snapshot(1), made.snapshot(2, BAD)], after)
    assert [d.request for d in decisions] == [False, True]
    assert decisions[1].episode.reference_id == "ref-2"


def test_an_episode_of_an_old_reference_is_superseded(made):
    """A need left open against another reference ends, and nothing of it is asked or taken back."""
    past = made.history(episode=_episode(made, S.SUPPRESSED, reference_id="ref-0"))
    decision = decide(made.model(NEED), past, made.snapshot(1, BAD), made.START, newest=True)
    assert (decision.episode.state, decision.request, decision.withdraw) == ("superseded", False, False)


def test_a_person_asks_under_a_stable_id(made):
    """The same person, reason and window make the same id, at whatever moment; another reason another."""
    where = (made.model(NEED), made.REFERENCE, made.window(0))
    one, again = (person_request(*where, "ann", "new prices", at) for at in (made.START, made.START + made.WEEK))
    other = person_request(*where, "ann", "new stock", made.START)
    assert (one.trigger, one.state, one.id) == (PERSON, "requested", again.id)
    assert one.id != other.id
    assert "ann" in one.reason
    assert len(Dispatch.new_id(one.id, 1)) == len("driftd-") + 40 + len("-1")


def test_a_persons_request_ends_with_its_run(made):
    """While it is under way no need opens; then it is over, is not taken back, and needs may open again."""
    asked = person_request(made.model(NEED), made.REFERENCE, made.window(0), "ann", "new prices", made.START)
    past = made.history(made.snapshot(0), episode=asked, in_flight=made.run())
    under_way = decide(made.model(NEED), past, made.snapshot(1, BAD), made.START, newest=True)
    assert (under_way.episode, under_way.request) == (None, False)
    decisions, _ = made.play(
        made.model(NEED), [made.snapshot(i, BAD) for i in (1, 2)], replace(past, in_flight=None)
    )
    assert (decisions[0].episode.state, decisions[0].withdraw) == ("cleared", False)
    assert decisions[1].request


def test_people_are_told_once_per_event(made):
    """One message when a trigger fires, one when a retrain is asked for, one when it clears; same event, same id."""
    stream = [made.snapshot(i, v) for i, v in enumerate((BAD, BAD, GOOD))]
    decisions, _ = made.play(made.model(NEED), stream)
    told = [m for d in decisions for m in d.messages]
    assert [m.kind for m in told] == ["firing", "requested", "cleared"]
    assert len({m.id for m in told}) == 3
    repeated, _ = made.play(made.model(NEED), stream)
    assert [m.id for d in repeated for m in d.messages] == [m.id for m in told]
    assert told[0].title == "flights: low fires"
    assert "roc_auc is 0.4 (limit 0.5)" in told[0].body
    assert "since 10 May 2013" in told[2].body
    assert "1,000 rows, 1,000 of them labelled; reference reference.csv, model 2013-03" in told[1].body


def test_a_source_that_cannot_be_read_is_told_once_each_way(made):
    """Failure and return make one message each, and only a change is remembered."""
    fired, told = note_look("flights", SOURCE_DOWN, None, "no file at log.csv", made.START)
    assert (fired.trigger, fired.firing, told.kind) == (SOURCE_DOWN, True, "source")
    assert (told.title, told.trigger) == ("flights: the source is down", SOURCE_DOWN)
    assert "no file at log.csv" in told.body
    assert note_look("flights", SOURCE_DOWN, fired, "no file at log.csv", made.START + made.WEEK) is None
    other, nothing = note_look("flights", SOURCE_DOWN, fired, "another reason", made.START + made.WEEK)
    assert (other.reason, other.since, nothing) == ("another reason", fired.since, None)
    cleared, back = note_look("flights", SOURCE_DOWN, fired, None, made.START + made.WEEK)
    assert not cleared.firing
    assert back.id != told.id
    assert back.title == "flights: the source is back"
    assert back.body == "the source has fresh rows again; it had been down since 2013-05-03T00:00:00Z."
    assert note_look("flights", SOURCE_DOWN, cleared, None, made.START) is None
    assert note_look("flights", SOURCE_DOWN, None, None, made.START) is None


def test_every_verdict_explains_itself(made):
    """Values, limits, votes, guards and what would have changed the outcome are kept with the verdict."""
    limits = RetrainSection(pipeline="ci", cooldown="3d", min_labels=0)
    model = made.model({**NEED, "windows": "2 of 3"}, mode="observe", retrain=limits)
    decisions, _ = made.play(model, [made.snapshot(i, v) for i, v in enumerate((BAD, GOOD, BAD))])
    page = explain(decisions[2].verdict, model)
    for words in (
        "flights, window 17 May 2013 to 24 May 2013, revision 0: suppress",
        "low: roc_auc is 0.4 (limit 0.5). Votes, newest first: yes, no, yes (2 of 3 needed).",
        "It fires since 24 May 2013.",
        'guard observing: the model only observes; with mode = "act" it would ask ci',
        "These guards do not object: no-pipeline, paused",
        "Without observing, ci would have been asked to retrain because of low.",
    ):
        assert words in page
    lacks = "low would fire after 1 more window with roc_auc below 0.5"
    assert f"No retrain is needed: low does not fire. {lacks}." in explain(decisions[0].verdict, model)


def test_a_word_that_nobody_waits_for_changes_nothing(made):
    """A request that has gone out is neither turned down nor approved; who asked may not approve it themselves."""
    gone = _episode(made, S.REQUESTED)
    assert reject(gone, "ann", "no", made.START) is gone
    waiting = _episode(made, S.AWAITING_APPROVAL, approval=Approval(asked_at=made.START, asked_by="ann"))
    with pytest.raises(UsageError, match="ann asked for this retrain; expected somebody else to approve it"):
        approve(waiting, "ann", "yes", made.START)
    no = reject(waiting, "bob", "not now", made.START)
    assert (no.state, no.reason, no.approval.reason) == (S.REJECTED, "low; rejected by bob: not now", "not now")
    done = approve(waiting, "bob", "fine", made.START + made.WEEK)
    assert (done.state, done.reason) == (S.REQUESTED, "low; approved by bob: fine")
    assert (done.approval.decision, done.approval.decided_by) == (S.REQUESTED, "bob")
    assert lapses_at(made.model(retrain=None), waiting) == made.START + ApprovalSection().lapse    # asked under another
    taken = give_way(_episode(made, S.SUPPRESSED), "ann asked")
    assert (taken.state, taken.reason) == (S.SUPERSEDED, "ann asked")


@pytest.mark.parametrize(
    ("state", "by", "firing", "words"),
    [
        (S.SUPPRESSED, None, True, "roc_auc 0.4 < 0.5"),
        (S.SUPPRESSED, None, False, "low"),
        (S.REJECTED, "bob", True, "roc_auc 0.4 < 0.5; rejected by bob: not now"),
        (S.LAPSED, None, True, "roc_auc 0.4 < 0.5; not now"),
    ],
)
def test_why_a_need_stands_is_told_as_it_is_now(made, state, by, firing, words):
    """What its trigger shows now and what a person answered; of one that no longer fires, what opened it."""
    approval = Approval(asked_at=made.START, asked_by=None, decision=state, decided_by=by, reason="not now")
    now = [Firing(model="flights", trigger=name, firing=firing, since=made.START, reason=reason)
           for name, reason in (("other", "else"), ("low", "roc_auc 0.4 < 0.5"))]
    assert need_words(_episode(made, state, approval=approval), now) == words


def test_the_newest_verdict_is_told_as_it_stands_now(made):
    """What has begun to fire since makes a hold an alert; what has cleared, an alert a hold; a request stays one."""
    on, off = (Firing(model="m", trigger="t", firing=fires, since=made.START, reason="") for fires in (True, False))
    verdict = decide(made.model(), made.history(), made.snapshot(0), made.START, newest=True).verdict
    for said, now, wanted in ((Action.HOLD, [off, on], Action.ALERT), (Action.ALERT, [off], Action.HOLD),
                              (Action.RETRAIN, [on], Action.RETRAIN), (Action.SUPPRESS, [], Action.SUPPRESS)):
        assert standing(replace(verdict, action=said), now) is wanted
    assert standing(None, [on]) is None


@pytest.mark.parametrize("lapsed", [False, True])
def test_a_persons_request_that_waits_is_told_with_its_commands(made, lapsed):
    """How to answer and until when; of one that has lapsed, that it is asked again only after clearing."""
    state = S.LAPSED if lapsed else S.AWAITING_APPROVAL
    waits = _episode(made, state, approval=Approval(asked_at=made.START, asked_by="ann"))
    told = note_approval(made.model(), waits, made.START)
    if lapsed:
        assert told.title == "flights: a retrain was not approved in time"
        assert told.body == "low.\nThe trigger asks again only after it has cleared."
    else:
        assert told.title == "flights: a retrain awaits approval"
        assert "`driftd approve --model flights --reason \"…\"` sends the request" in told.body
        assert "It lapses on 10 May 2013" in told.body
