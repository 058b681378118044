"""May a candidate replace the champion? From bounds that were measured, by rules. Pure.

Overall the candidate must be shown: its improvement's lower bound is above the margin. A segment blocks only where it
is shown to be worse: its upper bound, which holds for all segments at once, is below −delta. Among many small segments
some always look worse, so a worse point estimate alone is told and blocks nothing. A fairness limit is passed where
the bound of a group's distance from the others is beyond it, for all groups at once.
"""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace

from monitor.config.sections import GateSection
from monitor.gate_result import Outcome
from monitor.metric_catalogue import CATALOGUE
from monitor.records import Score, ScoreStatus
from monitor.wording import number


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """The outcome, what refuses in words, and each number with its status: a breached one refuses."""

    outcome: Outcome
    reasons: tuple[str, ...]
    overall: Score
    segments: tuple[Score, ...]
    fairness: tuple[Score, ...]
    contract: tuple[Score, ...]

    @property
    def scores(self) -> tuple[Score, ...]:
        return (*self.contract, self.overall, *self.segments, *self.fairness)


def gate(
    overall: Score, segments: Iterable[Score], fairness: Iterable[Score], contract: Sequence[Score],
    section: GateSection,
) -> GateVerdict:
    """Judge a candidate. `overall` and `segments` are improvements with one-sided bounds, `fairness` its numbers as
    `fairness_scores` makes them, `contract` what was measured of the data, breached where it is broken."""
    judged = _overall(overall, section.margin)
    of_segments = tuple(_segment(score, section.delta) for score in segments)
    of_groups = tuple(_limited(fairness, section))
    everything = (*contract, judged, *of_segments, *of_groups)
    refusing = [score for score in everything if score.status == ScoreStatus.BREACHED]
    unjudged = [score for score in (judged, *_unlimited(of_groups, section)) if score.status in _SILENT]
    outcome = Outcome.REFUSED if refusing else Outcome.UNJUDGED if unjudged else Outcome.PASSED
    return GateVerdict(
        outcome=outcome,
        reasons=tuple(f"{_of(score)}: {score.reason}" for score in refusing or unjudged),
        overall=judged,
        segments=of_segments,
        fairness=of_groups,
        contract=tuple(contract),
    )


_SILENT = (ScoreStatus.INSUFFICIENT, ScoreStatus.FAILED)


def _overall(score: Score, margin: float) -> Score:
    if score.value is None or score.low is None:
        return replace(score, threshold=margin)
    low = number(score.low)
    what = f"better than {number(margin)}" if margin else "better"
    if score.low > margin:
        return replace(score, threshold=margin, reason=f"shown to be {what}: at least {low}")
    said = f"not shown to be {what}: {number(score.value)}, at least {low}"
    return replace(score, threshold=margin, status=ScoreStatus.BREACHED, reason=said)


def _segment(score: Score, delta: float) -> Score:
    score = replace(score, threshold=-delta)
    if score.value is None or score.high is None:
        return score
    high = number(score.high)
    if score.high < -delta:
        said = f"shown to be worse: {number(score.value)}, at most {high} with all segments looked at"
        return replace(score, status=ScoreStatus.BREACHED, reason=said)
    if score.value < 0:
        return replace(score, reason=f"looks worse by {number(-score.value)}, not shown: at most {high}")
    return score


def _limited(scores: Iterable[Score], section: GateSection) -> Iterator[Score]:
    """The fairness numbers that have a limit: those of groups, for a column as a whole has no bounds."""
    for score in scores:
        if (limit := section.limits.get(score.metric)) is None:
            continue
        from_below = CATALOGUE[score.metric].higher_is_better
        bound, least = (score.high, "at most") if from_below else (score.low, "at least")
        score = replace(score, threshold=limit)
        if score.value is None:
            yield score
        elif bound is not None and _beyond(score.metric, bound, limit):
            said = f"{number(score.value)}, {least} {number(bound)} with all groups looked at, limit {number(limit)}"
            yield replace(score, status=ScoreStatus.BREACHED, reason=said)
        elif bound is not None and _beyond(score.metric, score.value, limit):
            said = f"{number(score.value)} is beyond the limit {number(limit)}, not shown: {least} {number(bound)}"
            yield replace(score, reason=said)
        elif bound is not None:
            yield score


def _beyond(metric: str, value: float, limit: float) -> bool:
    """Ratios are limited from below, differences from above."""
    return value < limit if CATALOGUE[metric].higher_is_better else value > limit


def _unlimited(scores: Sequence[Score], section: GateSection) -> Iterator[Score]:
    """A limit that no group could be held against: nothing is known of it, which is no pass."""
    for name in section.limits:
        own = [score for score in scores if score.metric == name]
        if not any(score.value is not None for score in own):
            none = Score(metric=name, status=ScoreStatus.INSUFFICIENT, reason="there is no group to hold against it")
            yield next(iter(own), none)


def _of(score: Score) -> str:
    where = score.segment or score.column or ("overall" if score.metric == "improvement" else "")
    name = score.method or "" if score.metric == "improvement" else score.metric
    return f"{name} of {where}" if where and name else name or where
