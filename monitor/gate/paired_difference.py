"""How much better a candidate is than the champion on the same rows, and how sure that is.

Rows in the order of time are cut into disjoint blocks of consecutive rows, which are drawn with replacement
(Carlstein 1986), the same blocks for both models, for all rows and for every segment: what the two have in common
cancels, and rows near in time stay together. Bounds reflect the draws' deviations (basic bootstrap). Those of segments
hold for all of them at once: the quantile is that of the largest deviation over its standard error (max-t, Romano
and Wolf 2005).

Draws take the blocks for independent. How much less sure the difference is if they are not comes from what each block
adds to it (jackknife): `long_run_error`. Its distance at the level of one score serves at every level, as a multiple of
the normal's, since the far tail of a mixture would tell of its prior.

A candidate that is looked at again and again has bounds that hold at all looks together: a confidence sequence, the
one-sided boundary of Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas (2024), Time-uniform central limit theory and
asymptotic confidence sequences, Annals of Statistics 52.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from monitor.errors import CannotJudge
from monitor.gate.long_run_error import long_run_error
from monitor.gate.resampled_metrics import Redrawn, redrawn
from monitor.metric_catalogue import METRICS, better_by
from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import Answers
from monitor.records import Score, ScoreStatus
from monitor.tables.columns import Floats, Ints, Numbers
from monitor.tables.groups import SMALLEST_CELL

ALPHA = 0.05
ASKED, OF_SEGMENTS = 0.055, 0.06   # levels asked for, by which the rates kept are 0.05 (benchmarks gate)
BLOCKS = 100
DRAWS = 2000
FEWEST_BLOCKS = 10       # that a segment's rows are spread over
FEWEST_INDEPENDENT = 8   # as few independent values as dependent ones may be worth
MOST_UNDEFINED = 0.1     # of the draws
TIGHTEST = 1000          # rows at which bounds for any number of looks are tightest


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What champion and candidate say of the same labelled rows, oldest first."""

    champion: Answers
    candidate: Answers

    def __len__(self) -> int:
        return len(self.champion)

    def take(self, rows: Numbers) -> "Pair":
        return Pair(self.champion.take(rows), self.candidate.take(rows))


def pair_of(champion: Answers, candidate: Answers) -> Pair:
    """Keep the rows both have answers for."""
    rows = np.intersect1d(champion.at, candidate.at)
    return Pair(*(answers.take(np.searchsorted(answers.at, rows)) for answers in (champion, candidate)))


def rested_on(metric: str, pair: Pair) -> Pair:
    """Keep the rows the metric is defined on for both. Raises CannotJudge where it is not defined."""
    keep = np.ones(len(pair), bool)
    if METRICS[metric].needs_probability:
        for answers, who in ((pair.champion, "champion"), (pair.candidate, "candidate")):
            chances = answers.probability if answers.chances is None else answers.chances.sum(axis=1)
            if chances is None:
                each = " of each class" if answers.task == "multiclass" else ""
                raise CannotJudge(f"{metric} needs a probability column{each}, the {who}'s predictions have none")
            keep &= ~np.isnan(chances)
    if metric == "mape":
        keep &= pair.champion.truth != 0
    pair = pair.take(keep)
    for answers in (pair.champion, pair.candidate):
        usable(metric, answers)
    return pair


def improvements(
    metric: str, pair: Pair, segments: Sequence[tuple[str, Numbers]], min_rows: int, *, repeated: bool = False
) -> tuple[Score, tuple[Score, ...]]:
    """Score how much better the candidate is: on all rows, and on those of each segment (name, mask of the table's
    rows). `low` and `high` are one-sided 95 % bounds, of segments for all at once; `repeated`: at any number of looks.

    Fewer than `min_rows` rows are insufficient, and rows so much alike that they say as little as a few; of a segment
    also rows in fewer than ten blocks, or where the metric rests on fewer than ten rows. Raises CannotJudge where the
    metric is not defined on all rows.
    """
    whole = rested_on(metric, pair)
    count = min(BLOCKS, len(whole))
    block = np.arange(len(whole)) * count // max(1, len(whole))
    weights = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS).astype(np.float64)
    weights = np.vstack([weights, 1 - np.eye(count)])
    overall = _bounded([_improvement(metric, None, whole, block, weights, min_rows)], ASKED, repeated)[0]
    found = []
    for name, inside in segments:
        rows = np.asarray(inside)[whole.champion.at]
        found.append(_improvement(metric, name, whole.take(rows), block[rows], weights, min_rows))
    return overall, tuple(_bounded(found, OF_SEGMENTS, repeated))


@dataclass(frozen=True, slots=True, eq=False)
class _Improvement:
    """One improvement without bounds; where it can be judged, deviations of the draws and what each block adds."""

    score: Score
    deviations: Floats | None = None
    added: Floats | None = None


def _improvement(
    metric: str, segment: str | None, pair: Pair, block: Ints, weights: Floats, min_rows: int
) -> _Improvement:
    score = Score(metric="improvement", method=metric, segment=segment, n=len(pair))
    try:
        _require(metric, pair, block, min_rows, whole=segment is None)
        of = Redrawn(weights, block)
        values = [redrawn(metric, answers, of) for answers in (pair.candidate, pair.champion)]
        value = better_by(metric, *(value_of(metric, answers) for answers in (pair.candidate, pair.champion)))
        deviations = better_by(metric, *values) - value
        if np.isnan(deviations[:DRAWS]).mean() > MOST_UNDEFINED:
            raise CannotJudge(f"{metric} is not defined on enough resamples of these rows")
    except CannotJudge as error:
        few = len(pair) < SMALLEST_CELL
        reason = f"fewer than {SMALLEST_CELL} rows" if few else str(error)
        return _Improvement(_insufficient(score, reason, None if few else len(pair)))
    deviations = np.nan_to_num(deviations)
    added = -deviations[DRAWS:] * (weights.shape[1] - 1)
    return _Improvement(replace(score, value=value), deviations[:DRAWS], added)


def _insufficient(score: Score, reason: str, rows: int | None) -> Score:
    return replace(score, status=ScoreStatus.INSUFFICIENT, value=None, n=rows, reason=reason)


def _require(metric: str, pair: Pair, block: Ints, min_rows: int, *, whole: bool) -> None:
    if len(pair) < min_rows:
        raise CannotJudge(f"{len(pair)} rows, expected at least {min_rows}")
    if len(pair) < SMALLEST_CELL:
        raise CannotJudge(f"{len(pair)} rows, expected at least {SMALLEST_CELL}")
    if whole:
        return
    sizes = np.unique(block, return_counts=True)[1]
    if sizes.sum() ** 2 / (sizes**2).sum() < FEWEST_BLOCKS:
        raise CannotJudge("its rows lie in too few stretches of time to say how sure the number is")
    if (resting := _resting(metric, pair)) < SMALLEST_CELL:
        raise CannotJudge(f"{metric} rests on {resting} rows here, expected at least {SMALLEST_CELL}")


def _resting(metric: str, pair: Pair) -> int:
    """Rows that have a say in the metric: of the positive class, of the rarer one, or all."""
    truth, one, other = pair.champion.truth, pair.champion.predicted, pair.candidate.predicted
    if pair.champion.task != "binary":
        return len(pair)
    positives = int((truth == 1).sum())
    rows = {
        "recall": positives,
        "specificity": len(pair) - positives,
        "precision": int(((one == 1) | (other == 1)).sum()),
        "f1": int(((truth == 1) | (one == 1) | (other == 1)).sum()),
        "balanced_accuracy": min(positives, len(pair) - positives),
        "roc_auc": min(positives, len(pair) - positives),
        "average_precision": positives,
    }
    return rows.get(metric, len(pair))


def _bounded(found: Sequence[_Improvement], alpha: float, repeated: bool) -> list[Score]:
    """Give the improvements that can be judged their bounds, at once."""
    drawn = [one for one in found if one.deviations is not None and one.deviations.any()]
    if not drawn:
        return [one.score if one.score.value is None else replace(one.score, low=one.score.value, high=one.score.value)
                for one in found]
    deviations = np.array([one.deviations for one in drawn])
    t = deviations / deviations.std(axis=1, ddof=1, keepdims=True)
    error = long_run_error(np.array([one.added for one in drawn]))
    errors = error.distance(alpha) / _normal(alpha)
    if repeated:
        errors *= [_more_looks(one.score.n or 0, len(drawn)) for one in drawn]
    distances = [np.quantile(side.max(axis=0), 1 - alpha) * errors for side in (t, -t)]
    places = {id(one): place for place, one in enumerate(drawn)}
    scores = []
    for one in found:
        place = places.get(id(one))
        if one.score.value is None:
            scores.append(one.score)
        elif place is None:                  # the two answer alike wherever it counts
            scores.append(replace(one.score, low=one.score.value, high=one.score.value))
        elif error.independent[place] < FEWEST_INDEPENDENT:
            scores.append(_insufficient(one.score, _TOO_ALIKE.format(error.independent[place]), one.score.n))
        else:
            down, up = (float(side[place]) for side in distances)
            scores.append(replace(one.score, low=one.score.value - down, high=one.score.value + up))
    return scores


_TOO_ALIKE = (f"neighbouring rows are so much alike that together they say as little as {{:.1f}} independent ones, "
              f"expected at least {FEWEST_INDEPENDENT}: judge a longer time")


def _normal(chance: float) -> float:
    """Return the normal number that is exceeded by this chance."""
    from scipy.special import ndtri

    return float(-ndtri(chance))


def _more_looks(rows: int, scores: int) -> float:
    """Return how much farther a bound is that holds at any number of looks for all scores together."""
    alpha = ALPHA / scores
    return always(rows, alpha) / _normal(alpha)


def always(rows: int, alpha: float) -> float:
    """Return how many standard errors the mean of so many rows is above its expectation at most, with probability
    1 − `alpha` at all numbers of rows together."""
    time = rows * 7 / TIGHTEST                        # the boundary is tightest at 7 or so
    return float(np.sqrt(2 * (1 + 1 / time) * np.log1p(np.sqrt(time + 1) / (2 * alpha))))
