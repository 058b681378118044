"""The gate's rule: what refuses, what is told and refuses nothing, and what could not be judged."""

from dataclasses import dataclass, replace

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from monitor.config.sections import GateSection
from monitor.gate.gate_verdict import Outcome, gate
from monitor.records import Score, ScoreStatus

DIFFERENCE, RATIO = "demographic_parity_difference", "equal_opportunity_ratio"
numbers = st.integers(-4, 4).map(lambda n: n / 10)
shares = st.integers(0, 10).map(lambda n: n / 10)


@dataclass(frozen=True)
class Number:
    """A value with bounds; None: it could not be had."""

    value: float | None
    low: float
    high: float


def bounded(values: st.SearchStrategy[float]) -> st.SearchStrategy[Number]:
    def make(three: list[float], there: bool) -> Number:
        return Number(three[1] if there else None, three[0], three[2])

    return st.builds(make, st.lists(values, min_size=3, max_size=3).map(sorted), st.booleans())


def score(metric: str, number: Number, segment: str | None = None) -> Score:
    if number.value is None:
        return Score(metric=metric, segment=segment, status=ScoreStatus.INSUFFICIENT, reason="too few")
    return Score(metric=metric, segment=segment, value=number.value, low=number.low, high=number.high)


def by_hand(
    overall: Number, segments: list[Number], differences: list[Number], ratios: list[Number], broken: bool,
    margin: float, delta: float, limits: dict[str, float],
) -> Outcome:
    """The rule written a second time, as the documentation says it."""
    refused = broken
    if overall.value is not None and not overall.low > margin:
        refused = True
    for one in segments:
        if one.value is not None and one.high < -delta:
            refused = True
    if DIFFERENCE in limits:
        refused |= any(one.value is not None and one.low > limits[DIFFERENCE] for one in differences)
    if RATIO in limits:
        refused |= any(one.value is not None and one.high < limits[RATIO] for one in ratios)
    if refused:
        return Outcome.REFUSED
    silent = overall.value is None
    silent |= DIFFERENCE in limits and all(one.value is None for one in differences)
    silent |= RATIO in limits and all(one.value is None for one in ratios)
    return Outcome.UNJUDGED if silent else Outcome.PASSED


@settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])    # a machine may be busy
@given(
    bounded(numbers), st.lists(bounded(numbers), max_size=3), st.lists(bounded(shares), max_size=2),
    st.lists(bounded(shares), max_size=2), st.booleans(), numbers, shares, shares,
    st.sets(st.sampled_from([DIFFERENCE, RATIO])),
)
def test_the_verdict_is_that_of_the_rule_written_twice(
    overall: Number, segments: list[Number], differences: list[Number], ratios: list[Number], broken: bool,
    margin: float, delta: float, limit: float, limited: set[str],
) -> None:
    """Whatever the numbers, the outcome and the parts that refuse are those of a second, plain writing."""
    limits = dict.fromkeys(sorted(limited), limit)
    fairness = [score(DIFFERENCE, one, f"sex={place}") for place, one in enumerate(differences)]
    fairness += [score(RATIO, one, f"sex={place}") for place, one in enumerate(ratios)]
    contract = [Score(metric="rows", status=ScoreStatus.BREACHED if broken else ScoreStatus.OK, reason="odd")]
    verdict = gate(
        score("improvement", overall), [score("improvement", one, f"s={place}") for place, one in enumerate(segments)],
        fairness, contract, GateSection(margin=margin, delta=delta, limits=limits),
    )
    assert verdict.outcome == by_hand(overall, segments, differences, ratios, broken, margin, delta, limits)
    breached = sum(one.status is ScoreStatus.BREACHED for one in verdict.scores)
    assert bool(breached) == (verdict.outcome is Outcome.REFUSED)
    assert bool(verdict.reasons) == (verdict.outcome is not Outcome.PASSED)


SURE = Score(metric="improvement", method="accuracy", value=0.05, low=0.02, high=0.08)


def test_a_segment_that_looks_worse_is_told_and_blocks_nothing() -> None:
    """A worse point estimate whose bound is not below −delta passes, with a sentence."""
    worse = Score(metric="improvement", method="accuracy", segment="origin=LGA", value=-0.03, low=-0.1, high=0.01)
    verdict = gate(SURE, [worse], [], [], GateSection())
    assert verdict.outcome is Outcome.PASSED
    assert verdict.segments[0].reason == "looks worse by 0.03, not shown: at most 0.01"


def test_a_segment_shown_to_be_worse_blocks_a_candidate_that_is_better_overall() -> None:
    """Its bound for all segments at once is below −delta; the reason names it with both numbers."""
    worse = Score(metric="improvement", method="accuracy", segment="origin=LGA", value=-0.09, low=-0.15, high=-0.03)
    assert gate(SURE, [worse], [], [], GateSection(delta=0.05)).outcome is Outcome.PASSED
    verdict = gate(SURE, [worse], [], [], GateSection(delta=0.02))
    assert verdict.outcome is Outcome.REFUSED
    assert verdict.reasons == (
        "accuracy of origin=LGA: shown to be worse: -0.09, at most -0.03 with all segments looked at",
    )


def test_a_negative_margin_asks_only_that_it_is_not_worse() -> None:
    """An equal candidate is refused by default, and passes where a loss of 0.02 is borne."""
    equal = Score(metric="improvement", method="accuracy", value=0.0, low=-0.015, high=0.015)
    assert gate(equal, [], [], [], GateSection()).outcome is Outcome.REFUSED
    assert gate(equal, [], [], [], GateSection(margin=-0.02)).outcome is Outcome.PASSED


def test_a_limit_that_no_group_can_be_held_against_is_no_pass() -> None:
    """Nothing known of fairness is not fairness."""
    verdict = gate(SURE, [], [], [], GateSection(limits={DIFFERENCE: 0.1}))
    assert verdict.outcome is Outcome.UNJUDGED
    assert verdict.reasons == (f"{DIFFERENCE}: there is no group to hold against it",)


@pytest.mark.parametrize(
    ("low", "margin", "said"),
    [
        (0.02, 0.0, "shown to be better: at least 0.02"),
        (0.02, 0.01, "shown to be better than 0.01: at least 0.02"),
        (0.02, 0.02, "not shown to be better than 0.02: 0.05, at least 0.02"),
        (0.0, 0.0, "not shown to be better: 0.05, at least 0"),
    ],
)
def test_the_overall_improvement_is_told_beside_the_margin(low: float, margin: float, said: str) -> None:
    """Its bound must be beyond the margin; at the very margin it is not."""
    verdict = gate(replace(SURE, low=low), [], [], [], GateSection(margin=margin))
    assert (verdict.overall.reason, verdict.overall.threshold) == (said, margin)
    assert verdict.reasons == ((f"accuracy of overall: {said}",) if said.startswith("not") else ())


@pytest.mark.parametrize(
    ("metric", "value", "low", "high", "said"),
    [
        (DIFFERENCE, 0.3, 0.25, 0.4, "0.3, at least 0.25 with all groups looked at, limit 0.2"),
        (DIFFERENCE, 0.3, 0.2, 0.4, "0.3 is beyond the limit 0.2, not shown: at least 0.2"),
        (DIFFERENCE, 0.2, 0.1, 0.4, None),
        (RATIO, 0.1, 0.05, 0.15, "0.1, at most 0.15 with all groups looked at, limit 0.2"),
        (RATIO, 0.1, 0.05, 0.2, "0.1 is beyond the limit 0.2, not shown: at most 0.2"),
        (RATIO, 0.2, 0.05, 0.3, None),
    ],
)
def test_a_limit_of_fairness_is_told_with_value_and_bound(
    metric: str, value: float, low: float, high: float, said: str | None
) -> None:
    """Shown beyond it, beyond it and not shown, at the very limit; a metric without a limit is left out."""
    own = Score(metric=metric, segment="sex=f", value=value, low=low, high=high)
    verdict = gate(SURE, [], [own, replace(own, metric="equalised_odds_difference")], [],
                   GateSection(limits={metric: 0.2}))
    [judged] = verdict.fairness
    assert (judged.metric, judged.reason, judged.threshold) == (metric, said, 0.2)
    refused = said is not None and "looked at" in said
    assert verdict.reasons == ((f"{metric} of sex=f: {said}",) if refused else ())


def test_a_segment_as_bad_as_is_allowed_is_not_told() -> None:
    """At −delta, and at no difference at all, nothing is said; what could not be judged keeps its own reason."""
    own = Score(metric="improvement", method="accuracy", segment="s=1")
    few = replace(own, status=ScoreStatus.INSUFFICIENT, reason="too few")
    given = [replace(own, value=-0.1, low=-0.2, high=-0.05), replace(own, value=0.0, low=-0.1, high=0.1), few]
    verdict = gate(SURE, given, [], [], GateSection(delta=0.05))
    assert [one.reason for one in verdict.segments] == [
        "looks worse by 0.1, not shown: at most -0.05", None, "too few"]
    assert verdict.outcome is Outcome.PASSED
