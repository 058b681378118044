"""What promotions brought of the gain that was predicted: the share of a challenger's gain that a retrain realises.

Before a promotion the mean gain p of the newest k windows says what a new model would gain; in the first window after
it a fresh challenger, which knows hardly more than the model that came, still gains q over that. So r = p − q was
realised: later windows would show how the new model ages, not what it brought. With noise σ of one window's gain r has
the variance v = σ² (1/k + 1). A normal regression of r on p through zero, with the prior
share 1 ± ½ (what is rehearsed is what comes), gives (1/τ² + Σ p r / v) / (1/τ² + Σ p² / v), τ = ½.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import groupby, islice, pairwise
from statistics import fmean

from monitor.decide.challenger_gains import gain, kind_of
from monitor.history import History, disjoint
from monitor.records import Score, Snapshot
from monitor.wording import several

LAST = 6          # windows before a promotion that say what is predicted
PRIOR = 0.5       # sd of the share, before anything was seen
LEAST = 0.25      # one pipeline that once brought nothing must not silence regret for good


@dataclass(frozen=True, slots=True)
class Realised:
    """The share that counts, and how many promotions it rests on."""

    share: float = 1.0
    promotions: int = 0

    @property
    def words(self) -> str:
        return f"gains count {self.share:.0%}: so much of them {several(self.promotions, 'earlier promotion')} brought"


ALL = Realised()


def realised(history: History, known: Sequence[Snapshot], noise: float) -> Realised:
    """Compare what was predicted with what came, over the promotions whose windows are still remembered.

    `noise`: of one window's gain, in the metric; 0 while nobody knows, and then every gain counts whole.
    """
    if not noise:
        return ALL
    pairs = list(_promotions((*history.before, *known)))
    drawn = sum(p * (p - q) / (noise**2 * (1 / k + 1)) for p, k, q in pairs)
    sure = sum(p * p / (noise**2 * (1 / k + 1)) for p, k, _ in pairs)
    share = (1 / PRIOR**2 + drawn) / (1 / PRIOR**2 + sure)
    return Realised(min(1.0, max(LEAST, share)), len(pairs))


def score(found: Realised) -> Score | None:
    """The Score `gain_realised`; None before a promotion could be looked back on."""
    if not found.promotions:
        return None
    return Score(metric="gain_realised", value=found.share, n=found.promotions, reference=1.0, reason=found.words)


def _promotions(snapshots: Sequence[Snapshot]) -> Iterator[tuple[float, int, float]]:
    """Per promotion what was predicted, by how many windows, and what was left; snapshots come oldest first."""
    services = [list(group) for _, group in groupby(snapshots, key=lambda one: one.reference_id)]
    for old, new in pairwise(services):
        if old[-1].model_version is not None and old[-1].model_version == new[0].model_version:
            continue       # another reference for the same model
        before, after = list(islice(_gains(old, reverse=True), LAST)), next(_gains(new), None)
        if before and after is not None and fmean(before) > 0:
            yield fmean(before), len(before), after


def _gains(snapshots: Sequence[Snapshot], *, reverse: bool = False) -> Iterator[float]:
    """The gain beyond that of the challenger's kind, of disjoint windows."""
    kind = kind_of(snapshots)
    judged = [one for one in snapshots if gain(one) is not None]
    for one in disjoint(reversed(judged) if reverse else judged):
        found = gain(one)
        assert found is not None
        yield found - kind
