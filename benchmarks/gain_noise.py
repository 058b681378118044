"""The noise of a window's gain, told from the gains themselves, and the sum of gains that noise alone hardly reaches.

Three things show it, each a variance σ²; the largest counts, since each misses something:

- the placebo, the mean square gain of a window's challenger over that of the window before: it is small where
  neighbouring challengers are alike;
- half the mean square of the difference between neighbouring gains over one model (von Neumann 1941): it is small where
  the errors of neighbouring windows are alike;
- eight times the mean square of what gains lie below zero. A fresh challenger is seldom really worse than an older
  model, so such gains are chance, and as much chance lies above zero: twice the mean square is the variance. Four times
  the variance is taken, because errors that last from window to window make a sum vary more.

Placebos and differences are winsorised. Until there are many of them a prior counts beside: 0.6 sd of the metric over
reference windows, as if seen in ten windows; it never makes the noise smaller. All values are in that sd.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise

_KEPT = 0.8     # a tenth of each tail is winsorised: sizes above the 80 % quantile count as that


@dataclass(frozen=True, slots=True)
class Constants:
    """What the rule rests on; chosen in the closed loop, see docs/decisions.md."""

    allowance: float = 0.5      # of σ, taken off every gain
    evidence: float = 2.5       # times σ √Σw, which a sum must reach to be sure
    below: float = 8.0          # times the mean square of gains below zero
    prior: float = 0.6          # σ before anything was seen …
    windows: float = 10.0       # … and in how many windows it counts as seen


CHOSEN = Constants()


def noise_of(placebos: Sequence[float], services: Iterable[Sequence[float]], by: Constants = CHOSEN) -> float:
    """Return σ; `services` holds the gains over each model that served, oldest first."""
    services = list(services)
    gains = [gain for service in services for gain in service]
    steps = [later - earlier for service in services for earlier, later in pairwise(service)]
    below = math.fsum(min(gain, 0.0) ** 2 for gain in gains) / len(gains) if gains else 0.0
    seen = max(_mean_square(placebos), _mean_square(steps) / 2, by.below * below)
    blended = (by.windows * by.prior**2 + len(steps) * seen) / (by.windows + len(steps))
    return math.sqrt(max(seen, blended))


def _mean_square(values: Sequence[float]) -> float:
    """Winsorised; 0 while there are none."""
    if not values:
        return 0.0
    sizes = sorted(map(abs, values))
    cap = sizes[math.ceil(_KEPT * len(sizes)) - 1]
    return math.fsum(min(size, cap) ** 2 for size in sizes) / len(sizes)
