"""How much better a candidate is than the champion on the same rows, and how sure that is.

Rows in the order of time are cut into disjoint blocks of consecutive rows, which are drawn with replacement
(Carlstein 1986), the same blocks for both models, for all rows and for every segment: what the two have in common
cancels, and rows near in time stay together. Bounds reflect the draws' deviations (basic bootstrap). Those of segments
hold for all of them at once: the quantile is that of the largest deviation over its standard error (max-t, Romano
and Wolf 2005), stretched by as much as Student's t is wider than the normal for so many blocks.

Where neighbouring blocks still resemble each other, they say less than so many. The correlation r of what one block and
the next contribute (their jackknife values), corrected for the bias −(1 + 4 r) / n (Marriott and Pope 1954), leaves
n (1 − r) / (1 + r) blocks' worth, as for an AR(1) (Bayley and Hammersley 1946).

Such bounds hold for one look. Always-valid ones hold for any number of looks as rows arrive: after n rows they are
√(2 (1 + ρ/n) ln(1 + √(1 + n/ρ) / 2α)) standard errors away, the one-sided normal mixture boundary of Howard, Ramdas,
McAuliffe and Sekhon (2021), with ρ for about the fewest rows that are judged; segments share α. Early looks see few
rows, of which r is badly known: where it is beyond two standard errors, its upper 95 % bound counts, and a part of that
margin where r is smaller, in proportion to r; less than ten blocks' worth is not judged yet.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from monitor.errors import CannotJudge
from monitor.gate.resampled_metrics import Redrawn, redrawn
from monitor.metric_catalogue import METRICS, better_by
from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import Answers
from monitor.records import Score, ScoreStatus
from monitor.tables.columns import Floats, Ints, Numbers
from monitor.tables.groups import SMALLEST_CELL

ALPHA = 0.05
OF_SEGMENTS = 0.04       # the level asked of a bootstrap that is to keep 0.05 over all segments (benchmarks gate)
BLOCKS = 100
DRAWS = 2000
FEWEST_BLOCKS = 10       # that a segment's rows are spread over
MOST_UNDEFINED = 0.1     # of the draws
MOST_ALIKE = 0.97        # correlation of neighbouring blocks
_ONE_SIDED = 1.645       # standard errors to an upper 95 % bound
_BEYOND_NOISE = 2.0      # standard errors of a correlation


@dataclass(frozen=True, slots=True, eq=False)
class Pair:
    """What champion and candidate say of the same labelled rows, oldest first."""

    champion: Answers
    candidate: Answers

    def __len__(self) -> int:
        return len(self.champion)

    def take(self, rows: Numbers) -> "Pair":
        return Pair(self.champion.take(rows), self.candidate.take(rows))


@dataclass(frozen=True, slots=True, eq=False)
class _Drawn:
    """An improvement's deviations over the draws, how many independent blocks stand behind it, and by how much its
    standard error is larger than the draws say."""

    deviations: Floats
    blocks: float
    stretch: float


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
    metric: str, pair: Pair, segments: Sequence[tuple[str, Numbers]], min_rows: int, *, always_valid: bool = False
) -> tuple[Score, tuple[Score, ...]]:
    """Score how much better the candidate is: on all rows, and on those of each segment (name, mask of the table's
    rows). `low` and `high` are one-sided 95 % bounds, of segments for all at once; `always_valid`: at every look.

    Fewer than `min_rows` rows are insufficient; of a segment also rows in fewer than ten blocks, or where the metric
    rests on fewer than ten rows. Raises CannotJudge where the metric is not defined on all rows.
    """
    whole = rested_on(metric, pair)
    count = min(BLOCKS, len(whole))
    block = np.arange(len(whole)) * count // max(1, len(whole))
    weights = _draws(count)
    drawn: list[_Drawn] = []
    first_look = min_rows if always_valid else None
    rules = _Rules(metric, weights, min_rows, always_valid)
    found = [_improvement(rules, None, whole, block, drawn)]
    overall = _bounded(found, drawn, ALPHA, first_look)[0]
    found, drawn = [], []
    for name, inside in segments:
        rows = np.asarray(inside)[whole.champion.at]
        found.append(_improvement(rules, name, whole.take(rows), block[rows], drawn))
    return overall, tuple(_bounded(found, drawn, OF_SEGMENTS, first_look))


@lru_cache(maxsize=2)
def _draws(count: int) -> Floats:
    """How often each draw has each of so many blocks, the same for all that are judged; then each block left out once.
    """
    drawn = np.random.default_rng(0).multinomial(count, np.full(count, 1 / count), size=DRAWS)
    return np.vstack([drawn, 1 - np.eye(count)])


@dataclass(frozen=True, slots=True, eq=False)
class _Rules:
    metric: str
    weights: Floats
    min_rows: int
    always_valid: bool


def _improvement(
    rules: _Rules, segment: str | None, pair: Pair, block: Ints, drawn: list[_Drawn]
) -> Score:
    """One improvement without bounds; what was drawn of it is appended where it can be judged."""
    metric = rules.metric
    score = Score(metric="improvement", method=metric, segment=segment, n=len(pair))
    try:
        _require(metric, pair, block, rules.min_rows, whole=segment is None)
        of = Redrawn(rules.weights, block)
        values = [redrawn(metric, answers, of) for answers in (pair.candidate, pair.champion)]
        value = better_by(metric, *(value_of(metric, answers) for answers in (pair.candidate, pair.champion)))
        redone, without = np.split(better_by(metric, *values), [DRAWS])
        if np.isnan(redone).mean() > MOST_UNDEFINED:
            raise CannotJudge(f"{metric} is not defined on enough resamples of these rows")
        blocks, stretch = _worth(np.nan_to_num(value - without), early=rules.always_valid)
        if rules.always_valid and blocks < FEWEST_BLOCKS:
            raise CannotJudge(f"{len(pair)} rows that resemble their neighbours are worth {blocks:.0f} independent "
                              f"stretches, expected at least {FEWEST_BLOCKS}")
    except CannotJudge as error:
        few = len(pair) < SMALLEST_CELL
        reason = f"fewer than {SMALLEST_CELL} rows" if few else str(error)
        return replace(score, status=ScoreStatus.INSUFFICIENT, n=None if few else len(pair), reason=reason)
    drawn.append(_Drawn(np.nan_to_num(redone - value), blocks, stretch))
    return replace(score, value=value)


def _worth(contributed: Floats, *, early: bool) -> tuple[float, float]:
    """Of how many independent blocks these are worth, and how much larger the standard error is than theirs; `early`:
    they may be so few that their correlation is badly known."""
    count, around = len(contributed), contributed - contributed.mean()
    total = float(around @ around)
    if not total:
        return count, 1.0
    found = float(around[1:] @ around[:-1]) / total
    r = found + (1 + 4 * found) / count
    if early:       # by degrees: a bound must not jump where one row more moves r across a limit
        error = np.sqrt(max(1 - r * r, 0.0) / count)                 # Bartlett's, of an AR(1)
        r += _ONE_SIDED * error * min(max(r, 0.0) * np.sqrt(count) / _BEYOND_NOISE, 1.0)
    r = min(max(r, 0.0), MOST_ALIKE)
    worth = count * (1 - r) / (1 + r)
    widened = 1 + 2 * r / (1 - r) / count      # the spread of alike blocks around their own mean is too small
    return worth, float(np.sqrt(count / worth * widened))


def _require(metric: str, pair: Pair, block: Ints, min_rows: int, *, whole: bool) -> None:
    if len(pair) < min_rows:
        raise CannotJudge(f"{len(pair)} rows, expected at least {min_rows}")
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


def _bounded(
    scores: Sequence[Score], drawn: Sequence[_Drawn], alpha: float, first_look: int | None
) -> list[Score]:
    """Give the scores that have a value their bounds, at once; `drawn`: of each of these.

    `first_look`: the rows of the first look, where bounds hold at every look.
    """
    if not drawn:
        return list(scores)
    errors = np.array([np.std(one.deviations, ddof=1) for one in drawn])
    varying = errors > 0
    t = np.array([one.deviations for one in drawn])[varying] / errors[varying, None]
    once = [float(np.quantile(side.max(axis=0), 1 - alpha)) if len(t) else 0.0 for side in (t, -t)]
    places = iter(zip(drawn, errors, strict=True))
    found = []
    for score in scores:
        if score.value is not None:
            one, error = next(places)
            away = once if first_look is None else [at_every_look(score.n or 1, first_look, alpha / len(drawn))] * 2
            down, up = (_stretched(quantile, one.blocks) * one.stretch * error for quantile in away)
            score = replace(score, low=score.value - down, high=score.value + up)
        found.append(score)
    return found


def at_every_look(rows: float, first_look: int, alpha: float) -> float:
    """How many standard errors a bound is away after so many rows that holds then and at every other look."""
    odds = np.log(1 / (2 * alpha))
    rho = first_look / (2 * odds + np.log(1 + 2 * odds))
    return float(np.sqrt(2 * (1 + rho / rows) * np.log1p(np.sqrt(1 + rows / rho) / (2 * alpha))))


def _stretched(quantile: float, blocks: float) -> float:
    """The quantile of Student's t that is as rare as this one of the normal, for so many blocks."""
    from scipy import stats

    freedom = max(blocks - 1, 1.0)
    return float(stats.t.isf(stats.norm.sf(quantile), freedom) * np.sqrt((freedom + 1) / freedom))
