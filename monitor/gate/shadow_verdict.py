"""Is a candidate in shadow promoted, refused, or still undecided, and for how many days? From bounds, by rules. Pure.

The bounds hold at every look (`paired_difference`), so it may be asked again and again as labels mature. Shown to be
what the gate asks for it is promoted; shown to be less, overall or in a segment, it is refused. A fairness limit, whose
bounds are those of one look, and the data contract keep it from being promoted as long as they are broken, and refuse
nothing.
"""

import math
from collections.abc import Iterator

from monitor.config.sections import GateSection
from monitor.gate.gate_verdict import GateVerdict
from monitor.gate.paired_difference import ALPHA, at_every_look
from monitor.gate_result import GateResult, Outcome, ShadowAnswer, ShadowState
from monitor.records import Score, ScoreStatus
from monitor.wording import number, several

MOST_DAYS = 3650.0       # that are told ahead


def shadow_verdict(verdict: GateVerdict, result: GateResult, section: GateSection, a_day: float) -> ShadowAnswer:
    """Judge by always-valid bounds; `result`: the same as a table, `a_day`: rows whose labels mature in a day."""
    overall = verdict.overall
    rows = several(overall.n or 0, "labelled row")
    if overall.value is None or overall.low is None or overall.high is None:
        few = section.min_rows - result.labelled
        return _undecided(result, f"{overall.reason}", few / a_day if few > 0 else None)
    worse = [f"{one.segment}: {one.reason}" for one in verdict.segments if one.status is ScoreStatus.BREACHED]
    if overall.high < section.margin:
        said = f"{overall.method} is shown {_less(section.margin)}: better by at most {number(overall.high)}"
        worse = [f"{said}, by {rows}", *worse]
    if worse:
        return ShadowAnswer(state=ShadowState.REFUSED, reason="; ".join(worse), result=result)
    if verdict.outcome is Outcome.PASSED:
        reason = f"{overall.method} is {overall.reason}, by {rows}"
        return ShadowAnswer(state=ShadowState.PROMOTED, reason=reason, result=result)
    if overall.low > section.margin:         # what keeps it back is no matter of more rows
        return _undecided(result, f"{overall.method} is {overall.reason}, but {'; '.join(_kept_back(verdict))}", None)
    low, high = number(overall.low), number(overall.high)
    found = f"{overall.method} is better by {number(overall.value)}, at least {low} and at most {high}, by {rows}"
    return _undecided(result, found, days_left(overall, section, a_day))


def _undecided(result: GateResult, reason: str, days: float | None) -> ShadowAnswer:
    return ShadowAnswer(state=ShadowState.UNDECIDED, reason=reason, days_left=days, result=result)


def _less(margin: float) -> str:
    if not margin:
        return "to be worse"
    return f"not to be better than {number(margin)}" if margin > 0 else f"to be worse by more than {number(-margin)}"


def _kept_back(verdict: GateVerdict) -> Iterator[str]:
    for score in (*verdict.contract, *verdict.fairness):
        if score.status is not ScoreStatus.OK:
            yield f"{score.metric}{f' of {score.segment}' if score.segment else ''}: {score.reason}"


def days_left(overall: Score, section: GateSection, a_day: float) -> float | None:
    """Return after how many more days a bound will have left the margin, if the improvement stays what it is now and
    standard errors go on as 1/√n; None where that takes more than ten years."""
    assert overall.value is not None
    assert overall.low is not None
    assert overall.high is not None
    assert overall.n
    rows, gap = overall.n, abs(overall.value - section.margin)
    away = overall.value - overall.low if overall.value > section.margin else overall.high - overall.value

    def undecided(days: float) -> bool:
        later = rows + days * a_day
        wider = at_every_look(later, section.min_rows, ALPHA) / at_every_look(rows, section.min_rows, ALPHA)
        return away * wider * math.sqrt(rows / later) >= gap

    if undecided(MOST_DAYS):
        return None
    low, high = 0.0, MOST_DAYS
    while high - low > 0.01 * high:
        middle = (low + high) / 2
        low, high = (middle, high) if undecided(middle) else (low, middle)
    return high
