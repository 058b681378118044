"""What rehearsals said of single windows, as scores hold it: gains, their noise, the gap in kind."""

import math
from collections.abc import Sequence

from monitor.history import is_broken, usable
from monitor.records import Score, Snapshot, SnapshotStatus

_KEPT = 0.8     # a tenth of each tail is winsorised: sizes above the 80 % quantile count as that


def gain(snapshot: Snapshot) -> float | None:
    """The gain a window adds; None where its labels are immature or its data broken."""
    if not snapshot.mature or snapshot.status is not SnapshotStatus.OK or is_broken(snapshot):
        return None
    return value_of(snapshot, "challenger_gain")


def value_of(snapshot: Snapshot, metric: str) -> float | None:
    """A score's value, where it says anything and is not provisional."""
    score = _said(snapshot, metric)
    return score.value if score else None


def newest(known: Sequence[Snapshot], metric: str) -> Score | None:
    """The newest such Score of these windows, which come oldest first."""
    return next((score for s in reversed(known) if (score := _said(s, metric))), None)


def _said(snapshot: Snapshot, metric: str) -> Score | None:
    found = (s for s in snapshot.scores if s.metric == metric and usable(s) and not s.provisional)
    return next((s for s in found if s.value is not None and math.isfinite(s.value)), None)


def noise_of(placebos: Sequence[float]) -> float:
    """Winsorised root mean square; 0 while there are none."""
    if not placebos:
        return 0.0
    sizes = sorted(map(abs, placebos))
    cap = sizes[math.ceil(_KEPT * len(sizes)) - 1]
    return math.sqrt(sum(min(size, cap) ** 2 for size in sizes) / len(sizes))


def kind_of(known: Sequence[Snapshot]) -> float:
    """What of every gain comes from the challenger being of another kind than the model: as much as is certain.

    A challenger that is worse on the reference may only have had fewer rows to learn from: nothing is added for it.
    """
    gap = newest(known, "challenger_gap")
    return 0.0 if gap is None or gap.low is None else max(gap.low, 0.0)
