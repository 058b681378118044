"""What goes with a sentence: the metric now and before, and the columns that drifted most."""

from collections.abc import Iterable, Sequence

from monitor.config.drift_methods import METHODS, is_p_value
from monitor.escape import name
from monitor.metric_catalogue import DRIFT, PERFORMANCE
from monitor.records import Score, ScoreStatus
from monitor.wording import listed, shown, titled

MOST = 3        # columns that are named
_TINY = 1e-300  # a p-value may be 0


def judged_metric(configured: str | None, scores: Sequence[Score]) -> str | None:
    """The metric a model is judged by: as configured, or as it was measured."""
    named = next((score.method for score in scores if score.metric in ("metric_sd", "performance_lost")), None)
    return configured or named or next((score.metric for score in scores if score.metric in PERFORMANCE), None)


def whole_score(metric: str | None, scores: Iterable[Score]) -> Score | None:
    """The score of this metric that is of the model as a whole."""
    whole = (one for one in scores if one.metric == metric and one.column is None and one.segment is None)
    return next((one for one in whole if one.value is not None), None)


def metric_line(configured: str | None, scores: Sequence[Score]) -> str | None:
    """RMSE now 102.4, before 52.9; None while the window has no such score."""
    one = whole_score(judged_metric(configured, scores), scores)
    return None if one is None else f"{now_and_before(one)}."


def now_and_before(one: Score) -> str:
    """RMSE now 102.4, before 52.9."""
    before = f", before {shown(one.metric, one.reference)}" if one.reference is not None else ""
    doubt = " (provisional: not all labels have come)" if one.provisional else ""
    return f"{titled(one.metric)} now {shown(one.metric, one.value)}{before}{doubt}"


def columns_line(scores: Iterable[Score]) -> str | None:
    """The columns that drifted most, each with its distance or p-value and the threshold; None where none did."""
    drifted = most_drifted(scores)
    if not drifted:
        return None
    return f"Drifted most: {few(list(map(_one, drifted)))}."


def few(texts: Sequence[str], count: int | None = None) -> str:
    """The first of them, and how many more there are; `count`: of so many in all."""
    more = (len(texts) if count is None else count) - MOST
    return listed([*texts[:MOST], *([f"{more} more"] if more > 0 else [])])


def _one(score: Score) -> str:
    if (why := by_missing_or_new(score)) is not None:
        return f"{name(score.column or '')} ({why})"
    limit = f", threshold {shown(score.metric, score.threshold)}" if score.threshold is not None else ""
    return f"{name(score.column or '')} {shown(score.metric, score.value)} ({score.method}{limit})"


def by_missing_or_new(score: Score) -> str | None:
    """Why a column drifted whose distance is not beyond its threshold; None where it is."""
    below = score.metric in DRIFT and score.status is ScoreStatus.DRIFTED and 0 <= beyond(score) < 1
    return score.reason if below else None


def most_drifted(scores: Iterable[Score]) -> list[Score]:
    """The scores of columns that drifted, the farthest beyond their thresholds first."""
    found = (one for one in scores if one.metric == "drift" and one.status is ScoreStatus.DRIFTED and one.column)
    return sorted(found, key=beyond, reverse=True)


def beyond(score: Score) -> float:
    """How far a score is beyond its threshold, as a factor: above 1 is drift; −1 if that is not known."""
    if score.value is None or score.threshold is None:
        return -1.0
    value, threshold = (max(number, _TINY) for number in (score.value, score.threshold))
    return threshold / value if score.method in METHODS and is_p_value(score.method) else value / threshold
