"""Fairness between groups: Fairlearn's numbers over pooled windows, simultaneous bounds, and triggers on them."""

import itertools
import json
import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats

from monitor.config.sections import FairnessSection, WindowSection
from monitor.decide.fairness import KINDS, Rate, critical, fairness_scores, whole_windows
from monitor.records import Score, ScoreStatus

RECORDED = Path(__file__).resolve().parents[1] / "performance/fairlearn.json"
CASES = json.loads(RECORDED.read_text(encoding="utf-8"))["cases"]
GAP = "demographic_parity_difference"
RATES = ("selection_rate", "true_positive_rate", "false_positive_rate")


@pytest.fixture
def fair(made):
    """A model with the protected column `group`, and 30 rows asked for."""

    def build(*triggers, **given):
        section = FairnessSection(columns=("group",), **given)
        return made.model(*triggers, fairness=section, window=WindowSection(min_rows=30))

    return build


def told(group: str, hits: int, rows: int, metric: str = "selection_rate", **given: Any) -> Score:
    """A rate as `measure` tells it; group "a" is the one others are compared with."""
    method = "comparison" if group == "a" else None
    return Score(metric=metric, segment=f"group={group}", method=method, value=hits / rows, n=rows, **given)


def by_name(scores):
    return {(score.metric, score.segment): score for score in scores}


def over(model, known, snapshot):
    """The fairness scores of the newest windows up to one of them, by metric and segment."""
    windows = whole_windows(known, snapshot)
    return by_name(fairness_scores(model.fairness, model.window.min_rows, windows, mature=snapshot.mature))


def alone(model, snapshot):
    return over(model, [snapshot], snapshot)


def counts(case, metric):
    """Hits and rows of each group."""
    found: dict[str, list[int]] = {}
    for group, label, said, times in case["rows"]:
        if metric == "selection_rate" or label == (metric == "true_positive_rate"):
            hits_rows = found.setdefault(str(group), [0, 0])
            hits_rows[0] += times * said
            hits_rows[1] += times
    return found


@pytest.mark.parametrize("case", CASES)
def test_pooled_over_windows_the_numbers_are_fairlearns(case, made, fair):
    """The rows of a case dealt out over four windows give the same differences and ratios to 1e-12."""
    windows = []
    for part in range(4):
        scores = []
        for metric in RATES:
            for place, (group, (hits, rows)) in enumerate(counts(case, metric).items()):
                own = [n // 4 + (part < n % 4) for n in (hits, rows - hits)]
                method = None if place else "comparison"
                scores.append(Score(metric=metric, segment=f"group={group}", method=method, value=own[0] / sum(own),
                                    n=sum(own)))
        windows.append(made.snapshot(part, *scores))
    found = over(fair(), windows, windows[-1])
    for metric, expected in case["expected"].items():
        assert found[metric, "group"].value == pytest.approx(expected, abs=1e-12)


def test_a_group_is_held_against_the_comparison_group(made, fair):
    """Each other group has its own score; the comparison group has none; the reason tells both rates."""
    one = made.snapshot(0, told("a", 60, 100), told("b", 30, 100), told("c", 66, 100))
    found = alone(fair(), one)
    assert found[GAP, "group=b"].value == pytest.approx(0.3)
    assert found[GAP, "group=c"].value == pytest.approx(0.06)
    assert (GAP, "group=a") not in found
    assert found[GAP, "group"].value == pytest.approx(0.36)      # between b and c, as Fairlearn says
    assert found["demographic_parity_ratio", "group=b"].value == pytest.approx(0.5)
    assert found[GAP, "group=b"].reason == "selection_rate 0.3, of group=a 0.6; 1 window together"


def test_only_the_newest_windows_are_pooled_and_each_once(made, fair):
    """With `windows = 2` the third last counts no more; a window whose source failed counts not at all."""
    known = [made.snapshot(i, told("a", 50, 100), told("b", hits, 100)) for i, hits in enumerate((0, 20, 40))]
    broken = made.snapshot(3, status="source_failed")
    found = over(fair(windows=2), [*known, broken], broken)
    assert found[GAP, "group=b"].value == pytest.approx(0.5 - 0.3)
    assert found[GAP, "group=b"].n == 200
    earlier = over(fair(windows=2), known, known[1])
    assert earlier[GAP, "group=b"].value == pytest.approx(0.5 - 0.1)


def test_small_groups_are_insufficient_until_the_pool_is_large_enough(made, fair):
    """12 rows a window are too few alone and enough in three; fewer than ten are never told."""
    known = [made.snapshot(i, told("a", 50, 100), told("b", 3, 12, status=ScoreStatus.INSUFFICIENT),
                           Score(metric="selection_rate", segment="group=c", status=ScoreStatus.INSUFFICIENT))
             for i in range(3)]
    first = alone(fair(), known[0])[GAP, "group=b"]
    assert (first.status, first.value) == (ScoreStatus.INSUFFICIENT, None)
    assert first.reason == "group=b: 12 rows in 1 window, expected at least 30"
    found = over(fair(), known, known[-1])
    assert (found[GAP, "group=b"].value, found[GAP, "group=b"].n) == (pytest.approx(0.25), 36)
    few = found[GAP, "group=c"]
    assert (few.value, few.n, few.reason) == (None, None, "group=c: fewer than 10 rows")


def test_rates_that_need_labels_wait_until_they_are_mature(made, fair):
    """While labels mature equal opportunity is not judged; demographic parity needs none and is."""
    scores = [told(group, 50, 100, metric, provisional=metric != "selection_rate")
              for metric in RATES for group in "ab"]
    found = alone(fair(), made.snapshot(0, *scores, mature=False))
    assert found[GAP, "group=b"].status is ScoreStatus.OK
    assert found["equal_opportunity_difference", "group"].status is ScoreStatus.INSUFFICIENT
    assert "maturing" in found["equal_opportunity_difference", "group"].reason


def test_without_any_positive_answer_there_is_no_ratio(made, fair):
    """0 of 0 is no number; the difference is 0."""
    found = alone(fair(), made.snapshot(0, told("a", 0, 100), told("b", 0, 100)))
    assert found[GAP, "group=b"].value == 0.0
    assert found["demographic_parity_ratio", "group=b"].status is ScoreStatus.INSUFFICIENT


def test_the_critical_value_is_that_of_the_joint_normal_distribution():
    """Against SciPy's multivariate normal, and against the formula of independent groups."""
    for loadings in ([0.5, 0.7, 0.3], [0.9, 0.9, 0.9, 0.9], [0.2, 0.95]):
        c = critical(loadings, 0.05)
        correlation = np.outer(loadings, loadings)
        np.fill_diagonal(correlation, 1.0)
        k = len(loadings)
        joint = stats.multivariate_normal(np.zeros(k), correlation, seed=np.random.default_rng(0))
        assert joint.cdf(np.full(k, c), lower_limit=np.full(k, -c)) == pytest.approx(0.95, abs=0.001)
    assert critical([1e-6] * 5, 0.05) == pytest.approx(stats.norm.ppf((1 + 0.95**0.2) / 2), abs=0.002)
    assert critical([0.7], 0.05) == pytest.approx(1.96, abs=0.001)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
@pytest.mark.parametrize(("rate", "rows"), [(0.05, 30), (0.2, 60), (0.4, 60), (0.9, 30)])
def test_equal_groups_seldom_look_unequal(kind, rate, rows):
    """20 small groups with one rate: at most 5 % of populations show any gap at all; a real one is found."""
    generator = np.random.default_rng(0)
    alarms = found = 0
    z = critical([np.sqrt(rows / (400 + rows))] * 20, 0.05)
    for _ in range(400):
        shared = Rate(int(generator.binomial(400, rate)), 400)
        hits = [int(n) for n in generator.binomial(rows, rate, 20)]
        alarms += any(_gap(kind, Rate(n, rows), shared, z) for n in hits)
        found += _gap(kind, Rate(int(generator.binomial(rows, (rate + 0.5) % 1)), rows), shared, z)
    assert alarms <= 27          # 5 % of 400, and one and a half standard deviations of the simulation
    assert found >= 360


def _gap(kind, own, shared, z) -> bool:
    """Whether a trigger on any gap at all would fire."""
    low, high = kind.bounds(own, shared, z)
    return low > 0 if kind.name == "difference" else high < 1


def test_a_trigger_fires_on_the_bound_and_not_on_the_value(made, fair):
    """A gap of 0.2 on 40 rows says nothing against a limit of 0.1, on 2000 rows it does."""
    trigger = {"name": "unfair", "metric": GAP, "above": 0.1}
    few = made.snapshot(0, told("a", 24, 40), told("b", 16, 40))
    many = made.snapshot(1, told("a", 1200, 2000), told("b", 800, 2000))
    decisions, _ = made.play(fair(trigger, windows=1), [few, many])
    assert decisions[0].verdict.action == "hold"
    assert decisions[1].verdict.fired == ("unfair",)
    assert decisions[1].verdict.action == "alert"
    sentence = next(s for s in decisions[1].verdict.reasons if s.startswith("unfair"))
    assert "demographic_parity_difference of group=b is 0.2 (at least 0.1" in sentence
    assert {score.metric for score in decisions[1].scores} >= {GAP}


def test_a_ratio_below_four_fifths_fires(made, fair):
    """The rule of four fifths, on a group that is surely below it, and not on one that may be."""
    trigger = {"name": "four-fifths", "metric": "demographic_parity_ratio", "below": 0.8}
    sure = made.snapshot(0, told("a", 1000, 2000), told("b", 600, 2000))
    unsure = made.snapshot(0, told("a", 1000, 2000), told("b", 13, 35))
    assert made.play(fair(trigger), [sure])[0][0].verdict.fired == ("four-fifths",)
    assert made.play(fair(trigger), [unsure])[0][0].verdict.fired == ()


def test_a_segment_narrows_a_trigger(made):
    """`origin=JFK` looks at one airport, `origin` at all; without a segment only the whole model is looked at."""
    scores = [Score(metric="accuracy", value=0.9, low=0.88, high=0.92),
              Score(metric="accuracy", segment="origin=JFK", value=0.6, low=0.5, high=0.7),
              Score(metric="accuracy", segment="origin=LGA", value=0.85, low=0.7, high=0.95)]
    asked = {"jfk": "origin=JFK", "lga": "origin=LGA", "any": "origin", "whole": None, "other": "carrier"}
    one = {"metric": "accuracy", "below": 0.8}
    triggers = [one | {"name": name, "segment": segment} for name, segment in asked.items()]
    decisions, _ = made.play(made.model(*triggers), [made.snapshot(0, *scores)])
    assert decisions[0].verdict.fired == ("jfk", "any")
    assert "any: accuracy of origin=JFK is 0.6 (at most 0.7 by the interval for all groups at once, limit 0.8)" in (
        " ".join(decisions[0].verdict.reasons)
    )


def test_a_drop_of_a_segment_is_against_its_own_reference(made):
    """15 % below the same segment's reference, with the bound; a segment without a reference has no vote."""
    trigger = {"name": "worse", "metric": "accuracy", "segment": "origin", "drop": "15%"}
    sure = Score(metric="accuracy", segment="origin=JFK", value=0.6, high=0.65, low=0.55, reference=0.8)
    unsure = Score(metric="accuracy", segment="origin=JFK", value=0.6, high=0.75, low=0.45, reference=0.8)
    new = Score(metric="accuracy", segment="origin=EWR", value=0.1, high=0.2, low=0.0)
    fired = [made.play(made.model(trigger), [made.snapshot(0, score, new)])[0][0].verdict.fired
             for score in (sure, unsure)]
    assert fired == [("worse",), ()]


def test_provisional_segments_never_retrain(made):
    """While labels mature a segment's score may alert, and opens no need to retrain."""
    score = Score(metric="accuracy", segment="origin=JFK", value=0.6, low=0.5, high=0.7, provisional=True)
    trigger = {"name": "jfk", "metric": "accuracy", "below": 0.8, "segment": "origin"}
    retraining = made.play(made.model(trigger | {"action": "retrain"}), [made.snapshot(0, score, mature=False)])[0][0]
    assert retraining.verdict.fired == ()
    assert made.play(made.model(trigger), [made.snapshot(0, score, mature=False)])[0][0].verdict.fired == ("jfk",)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.name)
def test_bounds_hold_the_value_and_tighten_with_rows(kind):
    """Whatever the counts, none and all among them: low ≤ value ≤ high, and a hundred times the rows say more."""
    for hits, others in itertools.product((0, 1, 15, 29, 30), (0, 2, 20, 40)):
        value = kind.of(hits / 30, others / 40)
        low, high = kind.bounds(Rate(hits, 30), Rate(others, 40), 2.8)
        closer = kind.bounds(Rate(100 * hits, 3000), Rate(100 * others, 4000), 2.8)
        assert 0 <= low <= high <= 1
        assert value is None or low - 1e-12 <= value <= high + 1e-12
        assert closer[1] - closer[0] <= high - low


def test_a_pool_without_a_comparison_group_says_so(made, fair):
    """Windows in which the group to compare with has no rows tell nothing of the others."""
    score = Score(metric="selection_rate", segment="group=b", value=0.5, n=100)
    found = alone(fair(), made.snapshot(0, score))
    assert found[GAP, "group"].reason == "there is no group to compare with"
    assert found[GAP, "group"].status is ScoreStatus.INSUFFICIENT


@pytest.mark.parametrize(("hits", "rows"), [(1, 12), (7, 30), (15, 30), (29, 30), (400, 5000)])
def test_the_limits_of_a_rate_solve_their_equation(hits, rows):
    """Wilson's limits with continuity correction: the rates that lie z standard errors and half a row away."""
    for z in (1.0, 1.96, 2.8):
        for limit, side in zip(Rate(hits, rows).limits(z), (1, -1), strict=True):
            away = side * (hits / rows - limit) - 1 / (2 * rows)
            assert away == pytest.approx(z * math.sqrt(limit * (1 - limit) / rows), rel=1e-9)
    assert Rate(0, rows).limits(1.96)[0] == 0.0
    assert Rate(rows, rows).limits(1.96)[1] == 1.0


def _rates(**hits):
    """Selection rates of 40 rows, before 0.5 where nothing else is given; group a is the one compared with."""
    return [Score(metric="selection_rate", segment=f"group={group}", method="comparison" if group == "a" else None,
                  value=None if rows == 0 else yes / rows, n=rows, reference=before)
            for group, (yes, rows, before) in hits.items()]


@pytest.mark.parametrize(
    ("scores", "between", "against"),
    [
        ([], {"difference": (None, None, "no window tells a selection_rate of its groups")}, {}),
        (_rates(b=(10, 40, 0.5)), {"ratio": (None, None, "there is no group to compare with")}, {}),
        (_rates(a=(20, 40, 0.5), b=(3, 29, 0.4)),
         {"ratio": (None, None, "fewer than two groups have enough rows")},
         {"ratio": (None, None, "group=b: 29 rows in 1 window, expected at least 30")}),
        (_rates(a=(20, 40, 0.5), b=(3, 9, 0.4)), {"ratio": (None, None, "fewer than two groups have enough rows")},
         {"ratio": (None, None, "group=b: fewer than 10 rows")}),
        (_rates(a=(0, 40, 0.5), b=(0, 40, 0.4)),
         {"ratio": (None, None, "no group has any positive answer")},
         {"ratio": (None, None, "neither group has any positive answer")}),
        (_rates(a=(20, 40, 0.5), b=(10, 40, 0.4)),
         {"difference": (0.25, 0.1, "between 2 groups, 1 window together"),
          "ratio": (0.5, 0.8, "between 2 groups, 1 window together")},
         {"difference": (0.25, 0.1, "selection_rate 0.25, of group=a 0.5; 1 window together"),
          "ratio": (0.5, 0.8, "selection_rate 0.25, of group=a 0.5; 1 window together")}),
        (_rates(a=(20, 40, 0.5), b=(10, 40, None)),
         {"difference": (0.25, None, "between 2 groups, 1 window together")},
         {"difference": (0.25, None, "selection_rate 0.25, of group=a 0.5; 1 window together")}),
    ],
)
def test_fairness_says_what_was_compared_or_why_nothing_was(scores, between, against):
    """Of all groups and of one: value, the same before, and the sentence."""
    section = FairnessSection(columns=("group",))
    found = {(one.metric, one.segment): one for one in fairness_scores(section, 30, [scores] if scores else [])}
    for segment, wanted in (("group", between), ("group=b", against)):
        for kind, (value, before, reason) in wanted.items():
            one = found[f"demographic_parity_{kind}", segment]
            assert (one.value, one.reference) == (pytest.approx(value), pytest.approx(before))
            assert one.reason == reason
    late = found["equal_opportunity_difference", "group"].reason
    assert late.endswith("of its groups, or the labels of this one are still maturing")
