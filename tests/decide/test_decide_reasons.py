"""Other reasons to retrain: dates, new rows, triggers together; and when people are not told."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from apscheduler.triggers.cron import CronTrigger
from hypothesis import given, settings
from hypothesis import strategies as st

from monitor.config import Config
from monitor.config.cron import last_time
from monitor.config.sections import RetrainSection, SilenceSection
from monitor.decide.decision import decide
from monitor.decide.guards import in_force, silence_words
from monitor.decide.messages import explain
from monitor.records import Score, ScoreStatus, Silence

DAY = timedelta(days=1)
FRESH = {"name": "fresh", "metric": "new_rows", "above": 2500, "action": "retrain"}
CALENDAR = {"name": "quarter", "every": "21d", "action": "retrain"}
LOW = {"name": "low", "metric": "roc_auc", "below": 0.5}
PARIS = ZoneInfo("Europe/Paris")


def _requests(made, model, windows, **given):
    """At which of these windows a retrain is asked for, each request accepted before the next window."""
    past, asked = made.history(), []
    for index in range(windows):
        one = made.snapshot(index, **given)
        decision = decide(model, past, one, one.window.end, newest=True)
        past = made.after(past, one, decision)
        if decision.request:
            asked.append(index)
            past = made.after(past, one, decision, accepted=(one.window.end,), paid_until=one.window.end)
    return asked


def test_new_rows_ask_exactly_once_for_each_so_many(made):
    """Of 1,000 rows a window every third passes 2,500; the count then begins again."""
    assert _requests(made, made.model(FRESH), 10) == [2, 5, 8]


def test_rows_that_are_not_mature_do_not_count(made):
    """However many rows there are, labels that are still to come teach nothing."""
    assert _requests(made, made.model(FRESH), 10, mature=False) == []


def test_new_rows_are_a_score(made):
    """The count stands beside its limit, for metrics, page and reports."""
    decisions, _ = made.play(made.model(FRESH), [made.snapshot(i) for i in range(2)])
    (score,) = (one for one in decisions[1].scores if one.metric == "new_rows")
    assert (score.value, score.threshold, score.reason) == (2000, 2500, "2000 new mature rows since 3 May 2013")
    page = explain(decisions[1].verdict, made.model(FRESH))
    assert "fresh would fire after 1 more window with new_rows above 2500" in page


def test_a_calendar_counts_from_the_last_accepted_request(made):
    """Every 21 days, by windows of 7; whoever asked."""
    assert _requests(made, made.model(CALENDAR), 10) == [2, 5, 8]


def test_a_date_of_a_cron_expression_asks_once(made):
    """The first of each month, in the model's time zone, seen by the first window that ends on it or later."""
    first = {"name": "first", "cron": "0 6 1 * *", "action": "retrain"}
    assert _requests(made, made.model(first, timezone=PARIS), 14) == [4, 8, 12]      # 7 June, 5 July, 2 August


def test_a_rejected_date_counts_from_the_rejection(made):
    """It clears with the next window and asks again when its time has passed once more."""
    decisions, past = made.play(made.model(CALENDAR), [made.snapshot(i) for i in range(3)])
    assert decisions[2].request
    declined = {"quarter": made.window(2).end}
    then, _ = made.play(
        made.model(CALENDAR), [made.snapshot(i) for i in range(3, 7)], made.after(past, made.snapshot(2), decisions[2],
                                                                                 declined=declined)
    )
    assert [one.request for one in then] == [False, False, True, False]


moments = st.datetimes(datetime(2026, 1, 1), datetime(2026, 12, 31))


@settings(max_examples=60, deadline=None)
@given(
    expression=st.sampled_from(
        ["0 6 1 * *", "*/40 3 * * *", "5-50/7 3,9 10-20 jan-jun mon-fri", "0 22 * * sun", "3/20 12 * feb tue"]
    ),
    until=moments,
)
def test_dates_are_those_of_the_scheduler(expression, until):
    """The newest moment agrees with APScheduler's reading of the same expression, which looks forwards."""
    until = until.replace(microsecond=0, tzinfo=UTC)
    found = last_time(expression, ZoneInfo("UTC"), until - 400 * DAY, until)
    assert found is not None
    due = CronTrigger.from_crontab(expression, ZoneInfo("UTC"))
    assert due.get_next_fire_time(None, found) == found
    assert due.get_next_fire_time(None, found + timedelta(seconds=1)) > until


def test_all_and_any_follow_their_members(made):
    """All needs each of them, any needs one; both clear with their members."""
    high = {"name": "slow", "metric": "mae", "above": 3}
    model = made.model(
        {"name": "both", "all": ["low", "slow"]}, {"name": "either", "any": ["low", "slow"]}, LOW, high
    )
    seen = [(0.6, 1), (0.4, 1), (0.4, 5), (0.6, 5), (0.6, 1)]
    scores = [(Score(metric="roc_auc", value=auc), Score(metric="mae", value=mae)) for auc, mae in seen]
    decisions, _ = made.play(model, [made.snapshot(i, *both) for i, both in enumerate(scores)])
    fired = [{"both", "either"} & set(one.verdict.fired) for one in decisions]
    assert fired == [set(), {"either"}, {"both", "either"}, {"either"}, set()]


@pytest.mark.parametrize(("how", "auc", "mae", "lacks"), [
    ("all", 0.4, 1, "both would fire when slow fires too."),
    ("all", 0.6, 1, "both would fire when low and slow fire too."),
    ("any", 0.6, 1, "both would fire when one of low and slow fires."),
])
def test_what_a_composed_trigger_lacks_is_said(made, how, auc, mae, lacks):
    """The members that do not fire are named: all of them must, or one."""
    model = made.model(LOW, {"name": "slow", "metric": "mae", "above": 3},
                       {"name": "both", how: ["low", "slow"], "action": "retrain"})
    scores = Score(metric="roc_auc", value=auc), Score(metric="mae", value=mae)
    decisions, _ = made.play(model, [made.snapshot(0, *scores)])
    assert lacks in explain(decisions[0].verdict, model)


def _guess(status=ScoreStatus.OK, **given):
    return Score(metric="estimated_roc_auc", value=0.3, status=status, **given)


@pytest.mark.parametrize(
    ("how", "score", "asks"),
    [
        ("any", Score(metric="roc_auc", value=0.4), True),
        ("any", Score(metric="roc_auc", value=0.4, provisional=True), False),
        ("any", Score(metric="drifted_share", value=0.9, status=ScoreStatus.DRIFTED, uncalibrated=True), False),
        ("all", Score(metric="roc_auc", value=0.4), True),
        ("all", Score(metric="roc_auc", value=0.4, provisional=True), False),
    ],
)
def test_a_composed_retrain_needs_a_sound_member(made, how, score, asks):
    """In company too, estimates, provisional and uncalibrated scores alone never retrain."""
    guess = {"name": "guess", "metric": "estimated_roc_auc", "below": 0.5}
    drift = {"name": "drift", "metric": "drifted_share", "drifted": True}
    members = {"any": ["low", "drift", "guess"], "all": ["low", "guess"]}[how]
    model = made.model(LOW, guess, drift, {"name": "together", how: members, "action": "retrain"})
    decisions, _ = made.play(model, [made.snapshot(i, score, _guess()) for i in range(3)])
    assert any(one.request for one in decisions) == asks
    assert "guess" in decisions[0].verdict.fired


def test_a_trigger_that_is_held_back_neither_begins_nor_clears(made):
    """While another fires nothing changes and nobody is told; afterwards it is judged afresh."""
    quiet = {"name": "quiet", "metric": "mae", "above": 3, "unless": ["low"], "action": "retrain"}
    bad, good = Score(metric="roc_auc", value=0.4), Score(metric="roc_auc", value=0.6)
    seen = [(good, 5), (bad, 1), (good, 1), (bad, 5), (good, 5)]
    snapshots = [made.snapshot(i, auc, Score(metric="mae", value=mae)) for i, (auc, mae) in enumerate(seen)]
    decisions, _ = made.play(made.model(quiet, LOW), snapshots)
    assert ["quiet" in one.verdict.fired for one in decisions] == [True, True, False, False, True]
    assert [one.request for one in decisions] == [True, False, False, False, True]
    assert "held back while low fires" in " ".join(decisions[1].verdict.reasons)


def _silences(model, now, *sections):
    config = Config(models={model.name: model}, silences=tuple(SilenceSection.model_validate(one) for one in sections))
    return list(in_force(config, model, now))


def test_silences_hold_in_their_time(made):
    """Once from `since` to `until`, or after each date of a cron expression, in the model's time zone."""
    model = made.model(LOW, timezone=PARIS)
    nights = {"cron": "0 22 * * *", "duration": "8h", "reason": "nights"}
    once = {"since": made.START, "until": made.START + DAY, "reason": "a holiday", "model": "flights"}
    night = datetime(2013, 5, 3, 21, 30, tzinfo=UTC)      # 23:30 in Paris
    assert [one.reason for one in _silences(model, night, nights, once)] == ["nights", "a holiday"]
    assert _silences(model, night, nights)[0].until == datetime(2013, 5, 4, 4, tzinfo=UTC)
    assert _silences(model, datetime(2013, 5, 4, 4, tzinfo=UTC), nights, once) == []
    assert _silences(model, night, once | {"model": "other"}) == []


def test_what_is_silent_is_said_in_a_line(made):
    """All messages, one trigger's or maintenance; until when, why, and who said so where it was a person."""
    until = datetime(2013, 5, 4, 22, 30, 59, tzinfo=UTC)
    silence = Silence(model="flights", until=until, reason="a holiday")
    assert silence_words(silence, UTC) == "messages silenced until 4 May 2013 22:30: a holiday"
    assert silence_words(replace(silence, trigger="low", by="ann"), UTC).startswith("low silenced until ")
    assert silence_words(replace(silence, trigger="low", by="ann"), UTC).endswith(": a holiday, says ann")
    assert silence_words(replace(silence, maintenance=True), PARIS).startswith("maintenance until 5 May 2013")


def test_maintenance_holds_a_need_back_and_lets_it_go_afterwards(made):
    """The guard says until when and why; a plain silence is no guard."""
    model = made.model(LOW | {"action": "retrain"})
    bad = Score(metric="roc_auc", value=0.4)
    until = {"until": made.START + 8 * DAY, "reason": "the pipeline moves"}
    moving = tuple(_silences(model, made.window(0).end, until | {"maintenance": True}))
    (held,), past = made.play(model, [made.snapshot(0, bad)], made.history(silences=moving))
    assert held.verdict.guards == ("maintenance",)
    assert "maintenance until 11 May 2013: the pipeline moves" in " ".join(held.verdict.reasons)
    (then,), _ = made.play(model, [made.snapshot(1, bad)], made.after(past, made.snapshot(0, bad), held, silences=()))
    assert (then.request, then.episode.id) == (True, held.episode.id)
    quiet = tuple(_silences(model, made.window(0).end, until))
    (plain,), _ = made.play(model, [made.snapshot(0, bad)], made.history(silences=quiet))
    assert plain.request


def test_people_are_told_what_awaits_approval_once(made):
    """The message names the commands and the day it lapses; nothing is asked for meanwhile."""
    limits = RetrainSection(pipeline="ci", cooldown="0s", min_labels=0, approval={"request": "person"})
    model = made.model(LOW | {"action": "retrain"}, retrain=limits)
    bad = Score(metric="roc_auc", value=0.4)
    decisions, past = made.play(model, [made.snapshot(i, bad) for i in range(3)])
    assert not any(one.request for one in decisions)
    (told,) = [message for one in decisions for message in one.messages if message.kind == "approval"]
    assert "`driftd approve --model flights" in told.body
    assert "It lapses on 17 May 2013." in told.body
    assert (past.episode.state, past.episode.approval.asked_by) == ("awaiting_approval", None)
    assert "waits for approval" in explain(decisions[0].verdict, model)
