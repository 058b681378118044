"""Why the model's performance fell, in one sentence, from the Scores `lost_to` of a window."""

from collections.abc import Iterable, Sequence

from monitor.decide.particulars import few, whole_score
from monitor.escape import name
from monitor.records import Score, ScoreStatus
from monitor.wording import listed, shown, titled

_WORDS = {
    "broken_columns": "columns are broken",
    "inputs": "other rows come than before",
    "labels": "the labels have other shares than before",
    "relation": "the same rows get other labels than before",
}
_MAIN = 1 / 3       # of the loss, at least, is what the sentence begins with


def why_it_fell(scores: Sequence[Score]) -> str | None:
    """Say how much of the loss each cause surely has, the largest first; None where the metric is not lost.

    "ROC AUC is worse by 0.071: 0.062 because the same rows get other labels than before, only where region=north; a
    new model would win back 0.055".
    """
    parts = [one for one in scores if _is_part(one)]
    lost = whole_score("performance_lost", scores)
    if not parts or lost is None or lost.method is None:
        return None
    metric, loss = lost.method, sum(one.value or 0.0 for one in parts)
    sure = sorted((one for one in parts if one.status is ScoreStatus.DRIFTED), key=lambda one: -(one.value or 0.0))
    told = [f"{shown(metric, one.value)} because {_because(one, scores)}" for one in sure]
    if not sure or (sure[0].value or 0.0) < _MAIN * loss:
        told = ["no single cause stands out", *told]
    gain, gap = (whole_score(metric, scores) for metric in ("challenger_gain", "challenger_gap"))
    won = 0.0 if gain is None else (gain.value or 0.0) - max(gap.value or 0.0 if gap else 0.0, 0.0)
    back = [f"a new model would win back {shown(metric, won)}"] if won > 0 else []
    return f"{titled(metric)} is worse by {shown(metric, loss)}: {'; '.join([listed(told), *back])}"


def _is_part(score: Score) -> bool:
    return score.metric == "lost_to" and score.column is None and score.segment is None and score.value is not None


def _because(part: Score, scores: Iterable[Score]) -> str:
    more = [one for one in scores if one.metric == "lost_to" and one.method == part.method]
    columns = [name(one.column) for one in more if one.column is not None]
    groups = [name(one.segment) for one in more if one.segment is not None]
    words = _WORDS.get(part.method or "", part.method or "")
    if part.method == "broken_columns" and part.reason:
        words = f"{words} ({part.reason})"
    by = f", mostly by {few(columns)}" if columns else ""
    where = f", only where {listed(groups)}" if groups else ""
    return words + by + where
