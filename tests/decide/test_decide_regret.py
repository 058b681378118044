"""What waiting has cost, and when that passes the price of a retrain."""

import math
from dataclasses import replace
from datetime import timedelta

import numpy as np
import pytest

from monitor.config.sections import WindowSection
from monitor.config.values import Level
from monitor.decide.decision import decide
from monitor.decide.regret import false_retrains, price_of
from monitor.records import Score, ScoreStatus, SnapshotStatus

PAYS = {"name": "pays", "metric": "regret", "above": 2.0, "action": "retrain"}


def _regret(made, model, past, one):
    decision = decide(model, past, one, made.START, newest=True)
    (score,) = decision.scores
    return score


def _values(made, snapshots, **given):
    decisions, _ = made.play(made.model(PAYS, **given), snapshots)
    return [d.scores[0].value for d in decisions]


def test_gains_add_up_and_never_fall_below_zero(made):
    """The sum of gains in sd, cut off at zero, is the score `regret`."""
    snapshots = [made.snapshot(i, *made.gain(g, sd=2.0)) for i, g in enumerate((1, 2, -8, 1, 3))]
    assert _values(made, snapshots) == [0.5, 1.5, 0.0, 0.5, 2.0]


def test_three_quarters_of_the_noise_are_allowed_for(made):
    """So much of the placebos' winsorised root mean square is taken off every gain."""
    snapshots = [made.snapshot(i, *made.gain(1.0, placebo=p)) for i, p in enumerate((0.4, -0.4, 0.4, 40, 0.4))]
    values = _values(made, snapshots)
    assert values[:3] == pytest.approx([0.7, 1.4, 2.1])
    assert values[4] == pytest.approx(5 * 0.7)     # the absurd fourth one counts as 0.4


def test_placebos_from_before_the_reference_still_tell_the_noise(made):
    """A new model does not make gains less noisy: the noise is known from its first window on."""
    before = tuple(made.snapshot(i, Score(metric="challenger_placebo", value=0.4)) for i in range(3))
    model, one = made.model(PAYS), made.snapshot(3, *made.gain(1.0))
    assert _regret(made, model, made.history(before=before), one).value == pytest.approx(0.7)


def test_the_unit_is_the_spread_over_all_references(made):
    """A reference whose few windows happened to be alike makes no retrain cheaper: the root mean square counts."""
    before = tuple(
        replace(made.snapshot(i, Score(metric="metric_sd", method="roc_auc", value=sd)), reference_id=name)
        for i, (name, sd) in enumerate((("first", 3.0), ("first", 3.0), ("second", 4.0)))
    )
    other = replace(made.snapshot(3, Score(metric="metric_sd", method="rmse", value=99.0)), reference_id="third")
    one = made.snapshot(4, *made.gain(1.0, sd=1.0))
    found = _regret(made, made.model(PAYS), made.history(before=(*before, other)), one)
    assert found.value == pytest.approx(1 / math.sqrt((1 + 9 + 16) / 3))


def test_a_sum_that_noise_alone_may_reach_asks_for_nothing(made):
    """Beyond the price but below 3 σ √k the trigger stays silent and says why; windows later it is sure."""
    before = tuple(made.snapshot(i, Score(metric="challenger_placebo", value=1.0)) for i in range(3))
    snapshots = [made.snapshot(i, *made.gain(3.0)) for i in range(3, 6)]
    decisions, _ = made.play(made.model(PAYS), snapshots, made.history(before=before))
    assert [d.request for d in decisions] == [False, True, False]     # 2.25 < 3, 4.5 > 3 √2
    assert decisions[0].scores[0].value > 2
    assert decisions[0].scores[0].reason.endswith("has cost more than a retrain does, but that may still be chance")
    assert "a retrain costs 2; noise alone may reach 3. Votes" in decisions[0].verdict.reasons[2]


def test_the_gap_in_kind_is_no_gain(made):
    """What a challenger as old as the model gains, on average, is taken off every gain; nothing is ever added."""
    def told(*gaps):
        scores = [() if gap is None else (Score(metric="challenger_gap", value=gap),) for gap in gaps]
        return _values(made, [made.snapshot(at, *made.gain(1.0), *found) for at, found in enumerate(scores)])[-1]

    assert [told(0.4), told(-0.5), told(None)] == pytest.approx([0.6, 1.0, 1.0])
    assert [told(0.4, None), told(0.7, 0.1), told(-0.3, 0.1)] == pytest.approx([1.2, 1.2, 2.0])


@pytest.mark.parametrize("seed", range(20))
def test_regret_is_the_documented_formula(made, seed):
    """On random streams the score equals the formula of docs/decisions.md, written down once more."""
    draw = np.random.default_rng(seed)
    gains, placebos = draw.normal(0.5, 1, 12), draw.normal(0, 0.5, 12)
    rows, sd, late = draw.integers(100, 2000, 12), draw.uniform(0.5, 2), int(draw.integers(0, 4))
    known = [
        made.snapshot(i, *made.gain(gains[i], sd=sd, placebo=placebos[i]), labelled=int(rows[i])) for i in range(12)
    ]
    waiting = [made.snapshot(12 + i, mature=False) for i in range(late)]
    *past, one = [*known, *waiting]
    score = _regret(made, made.model(PAYS), made.history(*past), one)
    sizes = np.abs(placebos) / sd
    noise = np.sqrt(np.mean(np.minimum(sizes, np.sort(sizes)[9]) ** 2))
    total, made_by = 0.0, 0
    for gain, weight in zip(gains, rows / rows.mean(), strict=True):
        made_by = made_by + 1 if total else 1
        total = max(0.0, total + weight * (gain / sd - 0.75 * noise))
    assert score.value == pytest.approx(total * (1 + min(late, made_by) / made_by))


def test_windows_weigh_by_their_labelled_rows(made):
    """A window with three times the labels of another counts three times as much."""
    few, many = (made.snapshot(i, *made.gain(1.0), labelled=n) for i, n in enumerate((500, 1500)))
    assert _values(made, [few, many])[1] == pytest.approx(0.5 + 1.5)
    assert _regret(made, made.model(PAYS), made.history(few), many).n == 2000


def test_each_labelled_row_counts_once(made):
    """A revision replaces its window's gain, and windows that overlap a counted one add nothing."""
    day = timedelta(days=1)
    daily = [made.snapshot(made.window(i, step=day), *made.gain(1.0)) for i in range(15)]
    assert _values(made, daily)[-1] == 3.0
    again = [made.snapshot(0, *made.gain(1.0)), made.snapshot(0, *made.gain(0.5), revision=1)]
    assert _values(made, again) == [1.0, 0.5]


@pytest.mark.parametrize(
    "given", [{"status": SnapshotStatus.SCHEMA_CHANGED}, {"status": SnapshotStatus.SOURCE_FAILED}]
)
@pytest.mark.parametrize("mature", [True, False])
def test_broken_windows_add_nothing(made, given, mature):
    """A gain on such a window is not counted, and the sum before it stands."""
    snapshots = [made.snapshot(0, *made.gain(1.0)), made.snapshot(1, *made.gain(5.0), mature=mature, **given)]
    assert _values(made, snapshots) == [1.0, 1.0]


def test_windows_without_labels_yet_count_as_those_before(made):
    """Waiting costs while labels are on their way too: at the rate so far, and at most as much again."""
    snapshots = [made.snapshot(0, *made.gain(0.5)), made.snapshot(1, *made.gain(0.9))]
    awaited = [made.snapshot(i, *made.gain(None), mature=False) for i in range(2, 5)]
    assert _values(made, [*snapshots, *awaited]) == pytest.approx([0.5, 1.4, 2.1, 2.8, 2.8])


def test_labels_that_mature_late_are_counted_when_they_do(made):
    """The revision of an older window fires the trigger though newer windows are still immature."""
    early = [made.snapshot(i, *made.gain(None), mature=False) for i in range(3)]
    late = [made.snapshot(i, *made.gain(0.8), revision=1) for i in range(2)]
    decisions, _ = made.play(made.model(PAYS), [*early, *late])
    assert [d.request for d in decisions] == [False, False, False, False, True]     # 0.8 · 2, then 1.6 · 3/2
    assert decisions[0].scores[0].status is ScoreStatus.INSUFFICIENT
    assert decisions[-1].episode.window == made.window(2)


def test_an_accepted_request_is_the_payment(made):
    """Behind the window of an accepted request the sum starts again from zero, the trigger clears, and may return."""
    model = made.model(PAYS)
    snapshots = [made.snapshot(i, *made.gain(1.1)) for i in range(2)]
    decisions, past = made.play(model, snapshots)
    assert decisions[1].request
    past = replace(past, accepted=(made.START,), paid_until=made.window(1).end)
    decisions, _ = made.play(model, [made.snapshot(i, *made.gain(1.1)) for i in range(2, 4)], past)
    assert [d.scores[0].value for d in decisions] == pytest.approx([1.1, 2.2])
    assert [d.episode.state for d in decisions] == ["cleared", "requested"]
    assert decisions[0].episode.id != decisions[1].episode.id


@pytest.mark.parametrize(("length", "threshold"), [(7, 0.02 / 0.05 * 30 / 7), (1, 0.02 / 0.05 * 30)])
def test_a_price_becomes_sd_times_windows(made, length, threshold):
    """0.02 for 30 d is 0.02 / sd a window, for as many windows as there are in 30 days."""
    model = made.model({**PAYS, "above": "0.02 for 30d"}, window=WindowSection(size=f"{length}d"))
    one = made.snapshot(made.window(0, timedelta(days=length)), *made.gain(0.01, sd=0.05))
    assert _regret(made, model, made.history(), one).threshold == pytest.approx(threshold)


def test_what_has_been_lost_is_held_against_that_price(made):
    """0.02 for 30 days is 1.7 sd × windows of a week here: one sd lost is less, two are more."""
    model = made.model({**PAYS, "above": "0.02 for 30d"}, window=WindowSection(size="7d"))
    gains = (-0.1, 0.02, 0.03, 0.05)
    decisions, _ = made.play(model, [made.snapshot(i, *made.gain(g, sd=0.05)) for i, g in enumerate(gains)])
    assert ["pays" in one.verdict.fired for one in decisions] == [False, False, False, True]


def test_overlapping_windows_are_priced_by_those_that_count(made):
    """With daily steps of a week only each seventh window counts, so the price is that of weekly windows."""
    model = made.model({**PAYS, "above": "0.02 for 30d"}, window=WindowSection(size="7d", step="1d"))
    score = _regret(made, model, made.history(), made.snapshot(0, *made.gain(0.01, sd=0.05)))
    assert score.threshold == pytest.approx(0.02 / 0.05 * 30 / 7)


def test_windows_that_count_rows_are_priced_by_their_length_so_far(made):
    """For windows of 5,000 rows the price uses how long such windows have lasted."""
    model = made.model({**PAYS, "above": "0.02 for 30d"}, window=WindowSection(size=5000))
    short, long = (made.window(0, timedelta(days=2)), made.window(1, timedelta(days=2)))
    long = replace(long, end=long.start + timedelta(days=4))
    past = made.history(made.snapshot(short, *made.gain(0.01, sd=0.05)))
    score = _regret(made, model, past, made.snapshot(long, *made.gain(0.01, sd=0.05)))
    assert score.threshold == pytest.approx(0.02 / 0.05 * 30 / 3)


@pytest.mark.parametrize(
    ("scores", "words"),
    [
        (lambda made: made.gain(1.0)[:1], "over reference windows is not known"),
        (lambda made: made.gain(1.0, sd=0.0), "the same in every reference window"),
        (lambda made: made.gain(1.0)[1:], "no window has both mature labels and a rehearsal"),
    ],
)
def test_regret_that_cannot_be_told_says_why(made, scores, words):
    """Without scale or rehearsal the score is insufficient with its reason, and nothing fires."""
    decision = decide(made.model(PAYS), made.history(), made.snapshot(0, *scores(made)), made.START, newest=True)
    (score,) = decision.scores
    assert (score.status, score.value) == (ScoreStatus.INSUFFICIENT, None)
    assert words in score.reason
    assert not decision.verdict.fired


def test_without_trigger_and_rehearsal_there_is_no_score(made):
    """A model that has neither gets no score `regret`."""
    assert decide(made.model(), made.history(), made.snapshot(0), made.START, newest=True).scores == ()


def _measured(metric, value, reference, margin=0.005):
    return Score(metric=metric, value=value, reference=reference, low=value - margin, high=value + margin, n=1000)


SINCE = "waiting since 3 May 2013 has cost"
AUC, ERROR, BIAS = ("roc_auc", 0.8, 0.8), ("rmse", 9.0, 9.0), ("bias", 0.4, -0.4)


@pytest.mark.parametrize(
    ("measured", "gain", "above", "sentence"),
    [
        (AUC, 0.02, 0.3, f"as good as; a retrain would gain about 0.02 ROC AUC; {SINCE} more than a retrain does"),
        (("roc_auc", 0.7, 0.8), 0.02, 1.0, f"worse than; a retrain would gain about 0.02 ROC AUC; {SINCE} 40% of"),
        (("roc_auc", 0.9, 0.8), 0.02, 0.4, f"better than; a retrain would gain about 0.02 ROC AUC; {SINCE} about as"),
        (ERROR, 1.0, 19.0, f"as good as; a retrain would lower its RMSE by about 1; {SINCE} more"),
        (("rmse", 9.5, 9.0), 1.0, 40.0, f"worse than; a retrain would lower its RMSE by about 1; {SINCE} 50% of"),
        (BIAS, 0.05, 2.0, f"as good as; a retrain would bring its bias nearer to zero by about 0.05; {SINCE} 50%"),
        (AUC, -0.02, 1.0, "as good as; a retrain would gain nothing that can be told from chance"),
        (AUC, 0.02, "0.02 for 1d", f"as good as; a retrain would gain about 0.02 ROC AUC; {SINCE} more than"),
    ],
)
def test_one_sentence_says_to_anybody_whether_a_retrain_pays(made, measured, gain, above, sentence):
    """How the model does, what a retrain would gain in the metric, what waiting has cost beside it; no other word."""
    sd = Score(metric="metric_sd", method=measured[0], value=0.05)
    one = made.snapshot(0, made.gain(gain)[0], sd, _measured(*measured))
    decision = decide(made.model({**PAYS, "above": above}), made.history(), one, made.START, newest=True)
    said = decision.scores[0].reason
    standing, rest = sentence.split(";", 1)
    assert said.startswith(f"the model is {standing} before;{rest}")
    assert not [word for word in ("regret", "sd", "σ", "×", "_") if word in said]
    assert decision.verdict.reasons[2].startswith(f"pays: {said}. In figures: ")
    assert [one.reason for one in decision.firing if one.trigger == "pays"] == [said]


def test_a_model_is_no_worse_than_the_alert_on_its_performance_says(made):
    """Where windows of the reference differ as much, the sentence says so, as `performance-lost` stays silent."""
    sd, metric = Score(metric="metric_sd", method="roc_auc", value=0.05), _measured("roc_auc", 0.7, 0.8)
    lost = Score(metric="performance_lost", method="roc_auc", value=0.7, reference=0.8, low=0.69, high=0.71)
    said = {}
    for status in (ScoreStatus.OK, ScoreStatus.DRIFTED, ScoreStatus.INSUFFICIENT):
        one = made.snapshot(0, made.gain(0.02)[0], sd, metric, replace(lost, status=status))
        said[status] = _regret(made, made.model(PAYS), made.history(), one).reason.partition(";")[0]
    assert said[ScoreStatus.OK] == "the model is worse than before, by no more than windows differ"
    assert said[ScoreStatus.DRIFTED] == said[ScoreStatus.INSUFFICIENT] == "the model is worse than before"


def test_the_figures_follow_in_the_explanation(made):
    """The sum, the mean of a week in the metric, what is assumed, the price with its range."""
    snapshots = [made.snapshot(i, *made.gain(g, sd=0.05)) for i, g in enumerate((-0.1, 0.02, 0.03))]
    decisions, past = made.play(made.model(PAYS), snapshots)
    since = "0.025 roc_auc a week since 10 May 2013"
    summed = f"In figures: regret is 1 sd × windows in 2 windows ({since}); a retrain costs 2. Votes"
    assert summed in decisions[2].verdict.reasons[2]
    assert decisions[2].verdict.reasons[-1].endswith(
        "pays would fire once waiting has cost more than a retrain does (50% of it so far).")
    scale = Score(metric="metric_sd", method="roc_auc", value=0.05, low=0.04, high=0.07)
    one = made.snapshot(3, *made.gain(None)[:1], scale, mature=False)
    later = decide(made.model(PAYS), past, one, made.START, newest=True)
    assert (
        f"regret is 1.5 sd × windows in 3 windows ({since}, 0.5 of that assumed for 1 without labels yet); "
        "a retrain costs 2 (0.1 roc_auc × windows, 0.08 to 0.14 as the sd is uncertain)"
    ) in later.verdict.reasons[2]


def test_values_that_are_no_numbers_are_left_out(made):
    """A gain of NaN or infinity is no gain."""
    snapshots = [made.snapshot(i, *made.gain(g)) for i, g in enumerate((1.0, math.nan, math.inf, 0.5))]
    assert _values(made, snapshots) == [1.0, 1.0, 1.0, 1.5]


@pytest.mark.parametrize(("level", "stated"), [
    (Level(2.0), (0.2, 1.4)),
    (Level(1.5), (0.5, 2.4)),
    (Level(0.1), (0.7, 4.1)),
    (Level(6.0, timedelta(days=7)), (0.2, 1.4)),        # of 3 a window is 2 sd × windows
    (Level(6.0, timedelta(days=3)), (0.7, 4.1)),
])
def test_the_cheaper_a_retrain_the_oftener_chance_asks(level, stated):
    """What `validate` states follows from the price, in the metric's unit too; an unknown price counts as a low one."""
    assert false_retrains(price_of(level, sd=3.0, pace=timedelta(days=7))) == stated
    assert false_retrains(price_of(Level(9.0, timedelta(days=9)), sd=0.0, pace=None)) == (0.7, 4.1)
