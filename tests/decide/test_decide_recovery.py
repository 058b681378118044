"""Whether the need that led to a promotion has gone, against every way the votes may come."""

from dataclasses import replace
from itertools import product

import pytest

from monitor.config.sections import TriggerSection
from monitor.decide.decision import decide
from monitor.decide.recovery import NO_RECOVERY, measurable
from monitor.records import Promotion, PromotionState, Recovery, Score

WRONG = {"name": "wrong", "metric": "log_loss", "above": 0.5, "action": "retrain"}


@pytest.fixture
def promotion(made):
    return Promotion(
        model="flights", version="2", replaces="1", configured="1", origin="run", state=PromotionState.TAKEN,
        at=made.START, seq=1, reference_id="ref-1", need="wrong", recovery=Recovery.AWAITED,
    )


def loss(value):
    return Score(metric="log_loss", value=value, reference=0.3)


def last(made, model, promotion, snapshots):
    """The decision on the newest window, and whether no-recovery fires."""
    past = made.history(*snapshots[:-1], promotion=promotion)
    found = decide(model, past, snapshots[-1], snapshots[-1].window.end, newest=True)
    fires = {one.trigger: one.firing for one in found.firing}
    return found, fires.get(NO_RECOVERY, False)


@pytest.mark.parametrize("windows", ["1 of 1", "1 of 2", "2 of 2", "2 of 3"])
def test_every_way_the_votes_may_come(made, promotion, windows):
    """Recovered once no completion of the newest votes could make the trigger fire; missing at three votes, or n."""
    m, n = int(windows[0]), int(windows[-1])
    model = made.model(WRONG | {"windows": windows})
    for length in range(1, 5):
        for votes in product((True, False, None), repeat=length):
            snapshots = [
                made.snapshot(i, *([] if vote is None else [loss(0.9 if vote else 0.1)]))
                for i, vote in enumerate(votes)
            ]
            cast = [vote for vote in reversed(votes) if vote is not None]
            newest = cast[:n]
            completions = product((True, False), repeat=n - len(newest))
            recovered = bool(cast) and not any(sum([*newest, *rest]) >= m for rest in completions)
            missing = not recovered and len(cast) >= max(3, n)
            found, fires = last(made, model, promotion, snapshots)
            told = found.recovery.recovery if found.recovery else Recovery.AWAITED
            wanted = Recovery.RECOVERED if recovered else Recovery.MISSING if missing else Recovery.AWAITED
            assert (told, fires) == (wanted, missing), votes


def test_labels_that_are_still_to_come_say_nothing(made, promotion):
    """Provisional numbers show no recovery, and none of its absence."""
    young = [made.snapshot(i, loss(value), mature=False) for i, value in enumerate((0.1, 0.9, 0.9, 0.9))]
    found, fires = last(made, made.model(WRONG), promotion, young)
    assert (found.recovery, fires) == (None, False)


def test_what_has_recovered_stays_so(made, promotion):
    """A need that returns later is a new one, asked for by its own trigger."""
    done = replace(promotion, recovery=Recovery.RECOVERED)
    found, fires = last(made, made.model(WRONG), done, [made.snapshot(i, loss(0.9)) for i in range(4)])
    assert (found.recovery, fires, found.request) == (None, False, True)


def test_regret_recovers_when_a_fresh_model_gains_nothing_more(made, promotion):
    """Gains within the noise show recovery, gains beyond it its absence."""
    model = made.model({"name": "wrong", "metric": "regret", "above": 50.0, "action": "retrain"})
    for value, wanted in ((0.1, Recovery.RECOVERED), (5.0, Recovery.MISSING)):
        snapshots = [made.snapshot(i, *made.gain(value, placebo=1.0)) for i in range(4)]
        assert last(made, model, promotion, snapshots)[0].recovery.recovery is wanted


def test_a_composed_need_recovers_as_it_is_composed(made, promotion):
    """Of `all` one member that says no is enough, of `any` all must."""
    slow = {"name": "slow", "metric": "rows", "above": 2000}
    for how, wanted in (("all", Recovery.RECOVERED), ("any", Recovery.MISSING)):
        model = made.model(WRONG | {"name": "bad"}, slow, {"name": "wrong", how: ["bad", "slow"], "action": "retrain"})
        snapshots = [made.snapshot(i, loss(0.9), Score(metric="rows", value=1000)) for i in range(4)]
        assert last(made, model, promotion, snapshots)[0].recovery.recovery is wanted


def test_without_a_rehearsal_or_a_member_nobody_knows(made, promotion):
    """Windows that say nothing of what a new model would gain, or of one member, neither recover nor fail to."""
    regret = made.model({"name": "wrong", "metric": "regret", "above": 50.0, "action": "retrain"})
    slow = {"name": "slow", "metric": "rows", "above": 2000}
    both = made.model(WRONG | {"name": "bad"}, slow, {"name": "wrong", "all": ["bad", "slow"], "action": "retrain"})
    for model in (regret, both):
        found, fires = last(made, model, promotion, [made.snapshot(i, loss(0.1)) for i in range(4)])
        assert (found.recovery, fires) == (None, False)


def test_dates_and_new_rows_have_nothing_to_recover_from(made):
    """Only needs that watch a metric can be seen to go."""
    model = made.model(
        WRONG, {"name": "monthly", "every": "30d", "action": "retrain"},
        {"name": "fresh", "metric": "new_rows", "above": 100, "action": "retrain"},
        {"name": "both", "all": ["wrong", "monthly"], "action": "retrain"}, {"name": "one", "any": ["fresh"]},
    )
    assert measurable(model) == {"wrong", "both"}


def test_a_trigger_taken_out_of_the_file_is_waited_for_no_more(made, promotion):
    """Nobody can say any more whether its need has gone: what fired because of it ends."""
    snapshots = [made.snapshot(i, loss(0.9)) for i in range(4)]
    past = made.history(*snapshots[:-1], promotion=promotion)
    first = decide(made.model(WRONG), past, snapshots[-1], snapshots[-1].window.end, newest=True)
    firing = {one.trigger: one for one in first.firing}
    assert firing[NO_RECOVERY].firing
    other = TriggerSection(**(WRONG | {"name": "another"}))
    model = made.model().model_copy(update={"triggers": (other,)})
    later = decide(model, replace(past, firing=firing), made.snapshot(4, loss(0.9)), made.window(5).end, newest=True)
    assert [one.firing for one in later.firing if one.trigger == NO_RECOVERY] == [False]


def test_what_is_told_of_a_recovery(made, promotion):
    """While windows are missing how many; then which window showed it; that it has not helped alerts and clears."""
    model = made.model(WRONG)
    snapshots = [made.snapshot(i, loss(0.9)) for i in range(3)]
    found, _ = last(made, model, promotion, snapshots[:1])
    assert "after 2 more mature windows it is known whether the need of wrong has ended" in str(found.verdict.reasons)
    found, fires = last(made, model, promotion, snapshots)
    assert (found.recovery.recovery_at, fires) == (snapshots[-1].window.end, True)
    assert found.recovery.recovery_reason.startswith("version 2 has not helped wrong: log_loss is 0.9")
