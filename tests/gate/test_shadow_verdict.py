"""A candidate in shadow, looked at again and again: what promotes, what refuses, and when it will be known."""

from dataclasses import replace

import numpy as np
import pytest

from monitor.config.sections import GateSection
from monitor.gate.gate_verdict import gate
from monitor.gate.paired_difference import ALPHA, at_every_look, improvements
from monitor.gate.shadow_verdict import days_left, shadow_verdict
from monitor.gate_result import GateResult
from monitor.records import Score, ScoreStatus
from tests.gate.test_paired_difference import alike

BETTER = Score(metric="improvement", method="mae", value=0.3, low=0.1, high=0.5, n=400)
UNKNOWN, WORSE = replace(BETTER, low=-0.1), replace(BETTER, value=-0.3, low=-0.5, high=-0.1)
LOSING = replace(WORSE, segment="s=1")
BROKEN = Score(metric="schema_changes", status=ScoreStatus.BREACHED, reason="the candidate answers x")
CASES = {
    "better": (BETTER, [], [], 0.0, "promoted"),
    "better by less than the margin": (BETTER, [], [], 0.2, "undecided"),
    "certainly by less than the margin": (BETTER, [], [], 0.6, "refused"),
    "not known": (UNKNOWN, [], [], 0.0, "undecided"),
    "not known, but not much worse": (UNKNOWN, [], [], -0.2, "promoted"),
    "worse": (WORSE, [], [], 0.0, "refused"),
    "worse by more than is allowed": (WORSE, [], [], -0.05, "refused"),
    "worse by what may be allowed": (WORSE, [], [], -0.2, "undecided"),
    "better, and worse in a segment": (BETTER, [LOSING], [], 0.0, "refused"),
    "better, with answers that no label can be": (BETTER, [], [BROKEN], 0.0, "undecided"),
    "worse, with such answers": (WORSE, [], [BROKEN], 0.0, "refused"),
}


@pytest.mark.parametrize("name", CASES)
def test_the_rule(name: str) -> None:
    """Shown to be what the gate asks for, shown to be less, or neither; a broken contract only keeps it back."""
    overall, segments, contract, margin, wanted = CASES[name]
    section = GateSection(margin=margin, always_valid=True)
    verdict = gate(overall, segments, [], contract, section)
    table = GateResult(outcome=verdict.outcome, metric="mae", rows=400, labelled=400, reasons=(), parts=())
    assert shadow_verdict(verdict, table, section, 20).state == wanted


@pytest.mark.parametrize(("value", "half", "margin"), [(0.3, 0.4, 0.0), (-0.1, 0.4, 0.0), (0.0, 0.3, -0.2)])
def test_the_days_left_are_those_until_a_bound_leaves_the_margin(value: float, half: float, margin: float) -> None:
    """As by trying day after day: the bound is so many standard errors away as holds at every look."""
    overall = Score(metric="improvement", value=value, low=value - half, high=value + half, n=200)
    error = half / at_every_look(200, 100, ALPHA) * 200**0.5
    day = next(day for day in range(5000)
               if at_every_look(200 + 10 * day, 100, ALPHA) * error / (200 + 10 * day) ** 0.5 < abs(value - margin))
    assert days_left(overall, GateSection(margin=margin), 10) == pytest.approx(day, abs=1.1, rel=0.01)


def test_no_days_are_told_where_there_is_no_end() -> None:
    """A difference of nothing is never known to be one."""
    assert days_left(Score(metric="improvement", value=0.0, low=-1.0, high=1.0, n=200), GateSection(), 10) is None


@pytest.mark.parametrize("phi", [0.0, 0.98])
def test_looking_again_promotes_no_equal_candidate(phi: float) -> None:
    """Of twenty equal candidates looked at six times from few rows on none is shown to be better or worse, whether
    rows resemble their neighbours or not."""
    shown = 0
    for seed in range(20):
        pair = alike(phi, 1500, 100 + seed)
        looks = [improvements("mae", pair.take(np.arange(rows)), [], 100, always_valid=True)[0]
                 for rows in (150, 250, 400, 600, 1000, 1500)]
        shown += any(one.low is not None and one.high is not None and not one.low <= 0 <= one.high for one in looks)
    assert shown == 0
