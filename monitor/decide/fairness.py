"""Fairness between the groups of protected columns, from their rates, pooled over the last windows. Pure.

Of a column as a whole (segment "sex") the value is Fairlearn's, between groups: largest minus smallest rate, or
smallest over largest; of equalised odds the worse of both rates. Of one group (segment "sex=female") it is that
group's rate against the comparison group's. There `low` and `high` hold for all groups at once (max-t): the
differences share the comparison group, so Dunnett's (1955) correlation is theirs, and the level is 95 % over all
protected columns. At that level they join the score limits of both rates: Newcombe (1998), method 11, for the
difference, Donner and Zou (2012), equation 10, for the ratio.
"""

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from statistics import NormalDist

from monitor.config.sections import FairnessSection
from monitor.history import disjoint, is_broken
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.wording import number, several

MADE_OF = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("true_positive_rate",),
    "equalised_odds": ("true_positive_rate", "false_positive_rate"),
}
COMPARISON = "comparison"      # the method of the rates others are compared with
ALPHA = 0.05
_FEWEST = 10                   # nothing is told about fewer rows
_NORMAL = NormalDist()
_STEP, _FAR = 0.1, 6.0         # of the integral over what the groups share
_HALVINGS = 12


@dataclass(frozen=True, slots=True)
class Rate:
    """One group's rate over the pooled windows, and what it was on the reference."""

    hits: int
    rows: int
    reference: float | None = None

    @property
    def value(self) -> float:
        return self.hits / self.rows

    @property
    def variance(self) -> float:
        """Of the rate, with one hit and one miss more, so that it is never zero."""
        centre = (self.hits + 1) / (self.rows + 2)
        return centre * (1 - centre) / (self.rows + 2)

    def limits(self, z: float) -> tuple[float, float]:
        """Wilson's score limits with continuity correction (Newcombe 1998, method 4), z normal sd out."""
        n, p = self.rows, self.value
        below = z * math.sqrt(max(0.0, z * z - 2 - 1 / n + 4 * p * (n * (1 - p) + 1)))
        above = z * math.sqrt(max(0.0, z * z + 2 - 1 / n + 4 * p * (n * (1 - p) - 1)))
        low = (2 * self.hits + z * z - 1 - below) / (2 * (n + z * z))
        high = (2 * self.hits + z * z + 1 + above) / (2 * (n + z * z))
        return max(0.0, low) if self.hits else 0.0, min(1.0, high) if self.hits < n else 1.0


@dataclass(frozen=True, slots=True)
class Kind:
    """How two rates are compared: `of` their values, `bounds` from both and z; `worst` of several such numbers."""

    name: str
    of: Callable[[float, float], float | None]
    bounds: Callable[[Rate, Rate, float], tuple[float, float]]
    worst: Callable[[Sequence[float]], float]


def _difference(a: float, b: float) -> float:
    return abs(a - b)


def _ratio(a: float, b: float) -> float | None:
    return min(a, b) / max(a, b) if max(a, b) else None


def _difference_bounds(own: Rate, other: Rate, z: float) -> tuple[float, float]:
    """Of the size of the difference: zero is its low where the limits lie on both sides of it."""
    (low1, high1), (low0, high0) = own.limits(z), other.limits(z)
    apart = own.value - other.value
    low = apart - math.hypot(own.value - low1, high0 - other.value)
    high = apart + math.hypot(high1 - own.value, other.value - low0)
    return max(0.0, low, -high), max(high, -low)


def _ratio_bounds(own: Rate, other: Rate, z: float) -> tuple[float, float]:
    """Of the smaller over the larger: one is its high where the limits lie on both sides of it."""
    (low1, high1), (low0, high0) = own.limits(z), other.limits(z)
    both = own.value * other.value
    least, most = low1 * (2 * own.value - low1), high1 * (2 * own.value - high1)
    below, above = high0 * (2 * other.value - high0), low0 * (2 * other.value - low0)
    low = least / (both + math.sqrt(both**2 - least * below)) if least else 0.0
    high = math.inf if not above else (both + math.sqrt(both**2 - most * above)) / above
    if low > 1:
        return 1 / high, 1 / low
    return min(low, 1 / high), min(1.0, high)


KINDS = (
    Kind("difference", _difference, _difference_bounds, max),
    Kind("ratio", _ratio, _ratio_bounds, min),
)


def fairness_scores(
    section: FairnessSection, min_rows: int, windows: Sequence[Sequence[Score]], *, mature: bool = True
) -> tuple[Score, ...]:
    """Every fairness metric of every protected column, from the rates among the scores of disjoint windows.

    `windows`: newest first, those whose data are whole; the newest `section.windows` that tell a rate are pooled.
    `mature`: the labels of the newest are all there; else nothing is said of the rates that rest on labels.
    A group needs `min_rows` rows in them together.
    """
    alpha = ALPHA / len(section.columns)
    found: list[Score] = []
    for column in section.columns:
        pools = {
            rate: _pool(windows if mature or rate == "selection_rate" else (), section.windows, column, rate)
            for rate in sum(MADE_OF.values(), ())
        }
        for name, rates in MADE_OF.items():
            found += _of_column(min_rows, alpha, name, column, {rate: pools[rate] for rate in rates})
    return tuple(found)


def whole_windows(known: Sequence[Snapshot], snapshot: Snapshot) -> list[Sequence[Score]]:
    """The scores of the disjoint windows up to the one at hand, newest first, without those whose data are broken."""
    end = snapshot.window.end
    upto = [earlier for earlier in known if earlier.window.end <= end and _is_whole(earlier)]
    return [earlier.scores for earlier in disjoint(reversed(upto))]


@dataclass(frozen=True, slots=True)
class Pool:
    """The rates of all groups of a column; `comparison`: the segment others are compared with."""

    groups: Mapping[str, Rate]
    comparison: str | None
    windows: int


def _pool(windows: Sequence[Sequence[Score]], most: int, column: str, metric: str) -> Pool:
    """Sum the rows and hits of the newest windows that tell this rate for good."""
    told = (_rates(scores, column, metric) for scores in windows)
    last = list(islice((rates for rates in told if rates), most))
    groups: dict[str, Rate] = {}
    for rates in last:
        for segment, score in rates.items():
            before = groups.setdefault(segment, Rate(0, 0, score.reference))
            rows = score.n if score.value is not None and score.n else 0
            hits = round((score.value or 0.0) * rows)
            groups[segment] = replace(before, hits=before.hits + hits, rows=before.rows + rows)
    named = (segment for rates in last for segment, score in rates.items() if score.method == COMPARISON)
    return Pool(groups, next(named, None), len(last))


def _is_whole(snapshot: Snapshot) -> bool:
    failed = (SnapshotStatus.SOURCE_FAILED, SnapshotStatus.SCHEMA_CHANGED)
    return snapshot.status not in failed and not is_broken(snapshot)


def _rates(scores: Sequence[Score], column: str, metric: str) -> dict[str, Score]:
    """The scores of a column's groups that are not provisional, by segment."""
    own = (s for s in scores if s.metric == metric and not s.provisional)
    return {s.segment: s for s in own if s.segment is not None and s.segment.startswith(f"{column}=")}


def _of_column(
    min_rows: int, alpha: float, name: str, column: str, pools: Mapping[str, Pool]
) -> Iterator[Score]:
    first = next(iter(pools.values()))
    lack = _lack(pools)
    for kind in KINDS:
        empty = Score(metric=f"{name}_{kind.name}", segment=column, status=ScoreStatus.INSUFFICIENT)
        if lack:
            yield replace(empty, reason=lack)
            continue
        judged = [
            s for s in first.groups if all(s in p.groups and p.groups[s].rows >= min_rows for p in pools.values())
        ]
        yield _between(empty, kind, pools, judged)
        yield from _against(min_rows, alpha, empty, kind, pools, judged)


def _lack(pools: Mapping[str, Pool]) -> str | None:
    """Why nothing can be said of a column."""
    for rate, pool in pools.items():
        if not pool.windows:
            late = "" if rate == "selection_rate" else ", or the labels of this one are still maturing"
            return f"no window tells a {rate} of its groups{late}"
        if pool.comparison is None:
            return "there is no group to compare with"
    return None


def _between(empty: Score, kind: Kind, pools: Mapping[str, Pool], judged: Sequence[str]) -> Score:
    """Fairlearn's number: the rates farthest apart of all groups that have enough rows."""
    if len(judged) < 2:
        return replace(empty, reason="fewer than two groups have enough rows")
    values = [_apart(kind, [pool.groups[s].value for s in judged]) for pool in pools.values()]
    before = [_apart(kind, [pool.groups[s].reference for s in judged]) for pool in pools.values()]
    if None in values:
        return replace(empty, reason="no group has any positive answer")
    windows = max(pool.windows for pool in pools.values())
    return replace(
        empty,
        value=kind.worst([v for v in values if v is not None]),
        reference=None if None in before else kind.worst([v for v in before if v is not None]),
        n=sum(pool.groups[s].rows for pool in pools.values() for s in judged),
        status=ScoreStatus.OK,
        reason=f"between {len(judged)} groups, {several(windows, 'window')} together",
    )


def _apart(kind: Kind, values: Sequence[float | None]) -> float | None:
    there = [value for value in values if value is not None]
    return kind.of(max(there), min(there)) if len(there) == len(values) else None


def _against(
    min_rows: int, alpha: float, empty: Score, kind: Kind, pools: Mapping[str, Pool], judged: Sequence[str]
) -> Iterator[Score]:
    """Each group against the comparison group, with bounds that hold at level `alpha` for all of them at once."""
    alpha = 1 - (1 - alpha) ** (1 / len(pools))     # the rates share no row
    comparison = next(iter(pools.values())).comparison
    others = [segment for segment in judged if segment != comparison]
    bounds = [_bounds(kind, pool, others, alpha) if comparison in judged else {} for pool in pools.values()]
    for segment in next(iter(pools.values())).groups:
        if segment == comparison:
            continue
        score = replace(empty, segment=segment)
        why = _too_few(min_rows, pools, segment, judged) or _too_few(min_rows, pools, comparison or "", judged)
        if why:
            yield replace(score, reason=why)
            continue
        yield _compared(score, kind, pools, comparison or "", [found[segment] for found in bounds])


def _too_few(min_rows: int, pools: Mapping[str, Pool], segment: str, judged: Sequence[str]) -> str | None:
    if segment in judged:
        return None
    rows = min(pool.groups[segment].rows if segment in pool.groups else 0 for pool in pools.values())
    if rows < _FEWEST:
        return f"{segment}: fewer than {_FEWEST} rows"
    windows = several(max(pool.windows for pool in pools.values()), "window")
    return f"{segment}: {rows} rows in {windows}, expected at least {min_rows}"


def _compared(
    score: Score, kind: Kind, pools: Mapping[str, Pool], comparison: str, bounds: Sequence[tuple[float, float]]
) -> Score:
    assert score.segment is not None
    pairs = [(pool.groups[score.segment], pool.groups[comparison]) for pool in pools.values()]
    values = [kind.of(own.value, other.value) for own, other in pairs]
    before = [_apart(kind, [own.reference, other.reference]) for own, other in pairs]
    if None in values:
        return replace(score, reason="neither group has any positive answer")
    value = kind.worst([v for v in values if v is not None])
    ends = [kind.worst([bound[end] for bound in bounds]) for end in (0, 1)]
    said = [f"{rate} {number(own.value)}, of {comparison} {number(other.value)}"
            for rate, (own, other) in zip(pools, pairs, strict=True)]
    return replace(
        score,
        value=value,
        reference=None if None in before else kind.worst([v for v in before if v is not None]),
        low=min(value, *ends),
        high=max(value, *ends),
        n=sum(own.rows for own, _ in pairs),
        status=ScoreStatus.OK,
        reason=f"{'; '.join(said)}; {several(max(p.windows for p in pools.values()), 'window')} together",
    )


def _bounds(kind: Kind, pool: Pool, others: Sequence[str], alpha: float) -> dict[str, tuple[float, float]]:
    """Low and high of each group's distance from the comparison group, simultaneous over the groups."""
    assert pool.comparison is not None
    shared = pool.groups[pool.comparison]
    z = critical([math.sqrt(shared.variance / (shared.variance + pool.groups[s].variance)) for s in others], alpha)
    return {segment: kind.bounds(pool.groups[segment], shared, z) for segment in others}


def critical(loadings: Sequence[float], alpha: float) -> float:
    """Return c with P(max |Zᵢ| ≤ c) = 1 − α, for normal Zᵢ of correlation λᵢλⱼ (0 < λ < 1), from above within 0.001.

    Zᵢ = λᵢU + √(1 − λᵢ²)Eᵢ with U and Eᵢ independent, so that the probability is one integral over U (Dunnett 1955).
    """
    if not loadings:
        return math.inf
    low, high = (_NORMAL.inv_cdf(1 - alpha / (2 * k)) for k in (1, len(loadings)))
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        low, high = (low, middle) if _inside(middle, loadings) >= 1 - alpha else (middle, high)
    return high


def _inside(c: float, loadings: Sequence[float]) -> float:
    """P(max |Zᵢ| ≤ c) by the trapezium rule over U ≥ 0: the integrand is even."""
    total = 0.0
    for step in range(round(_FAR / _STEP) + 1):
        u = step * _STEP
        weight = _NORMAL.pdf(u) * (0.5 if step == 0 else 1.0)
        total += weight * math.prod(_given(c, u, loading) for loading in loadings)
    return 2 * _STEP * total


def _given(c: float, u: float, loading: float) -> float:
    """P(|Z| ≤ c) where U = u."""
    spread = math.sqrt(2 * (1 - loading**2))
    return (math.erf((c - loading * u) / spread) + math.erf((c + loading * u) / spread)) / 2
