"""The noise of a window's gain, told from the gains themselves.

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
from itertools import pairwise
from statistics import median

from monitor.decide.regret import noise_of as noise_of_placebos

_MEDIAN = 0.6745    # of the size of a normal variable, in sd
_BELOW = 8.0        # times the mean square of gains below zero
_PRIOR = 0.6        # σ before anything was seen …
_WINDOWS = 10.0     # … and in how many windows it counts as seen


def noise_of(placebos: Sequence[float], services: Iterable[Sequence[float]]) -> float:
    """Return σ; `services` holds the gains over each model that served, oldest first."""
    services = list(services)
    gains = [gain for service in services for gain in service]
    steps = [later - earlier for service in services for earlier, later in pairwise(service)]
    below = math.fsum(min(gain, 0.0) ** 2 for gain in gains) / len(gains) if gains else 0.0
    seen = max(_mean_square(placebos), _mean_square(steps) / 2, _BELOW * below)
    blended = (_WINDOWS * _PRIOR**2 + len(steps) * seen) / (_WINDOWS + len(steps))
    return math.sqrt(max(seen, blended))


def of_steps(gains: Sequence[float]) -> float:
    """Return σ as the steps between neighbouring gains of one model tell it, unmoved by a few large ones.

    The median size of a step, for a normal distribution: it is 0.6745 √2 σ.
    """
    steps = [abs(later - earlier) for earlier, later in pairwise(gains)]
    return median(steps) / (_MEDIAN * math.sqrt(2)) if steps else 0.0


def _mean_square(values: Sequence[float]) -> float:
    """Winsorised; 0 while there are none."""
    return noise_of_placebos(values) ** 2
