"""The drift methods, with Evidently 0.7.23's numbers to 1e-9. Values and counts hold no missing rows.

Each numerical method takes (reference, window) as arrays, each categorical one as counts; none may be empty.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

import numpy as np

from monitor.measure.columns import Category, Counts, Floats, Numbers

Kind = Literal["numerical", "categorical"]
Values = Numbers | Counts
Shares = tuple[Floats, Floats]

DISTINCT = 20      # a reference with at most so many distinct numbers gets one bin for each
EPSILON = 1e-4     # stands for an empty bin's share, unless the smallest share is smaller still


@dataclass(frozen=True, slots=True)
class Method:
    """The kinds of column a drift method is for, its usual threshold, and which side of it means drift."""

    kinds: tuple[Kind, ...]
    threshold: float
    side: Literal["<", "<=", ">", ">="]

    def drifted(self, value: float, threshold: float) -> bool:
        """Say whether `value` is on the side of `threshold` that means drift."""
        if self.side in ("<", ">"):
            return value < threshold if self.side == "<" else value > threshold
        return value <= threshold if self.side == "<=" else value >= threshold


_BOTH: tuple[Kind, ...] = ("numerical", "categorical")
_NUMERICAL: tuple[Kind, ...] = ("numerical",)
_CATEGORICAL: tuple[Kind, ...] = ("categorical",)

METHODS: dict[str, Method] = {
    "psi": Method(_BOTH, 0.1, ">="),
    "jensenshannon": Method(_BOTH, 0.1, ">="),
    "wasserstein": Method(_NUMERICAL, 0.1, ">="),
    "ks": Method(_NUMERICAL, 0.05, "<="),
    "chisquare": Method(_CATEGORICAL, 0.05, "<"),
    "z": Method(_CATEGORICAL, 0.05, "<"),
    "kl_div": Method(_BOTH, 0.1, ">="),
    "hellinger": Method(_BOTH, 0.1, ">="),
    "ed": Method(_NUMERICAL, 0.1, ">"),
    "cramer_von_mises": Method(_NUMERICAL, 0.1, "<="),
    "anderson": Method(_NUMERICAL, 0.1, "<"),
    "es": Method(_NUMERICAL, 0.05, "<"),
    "mannw": Method(_NUMERICAL, 0.05, "<"),
    "t_test": Method(_NUMERICAL, 0.05, "<"),
    "empirical_mmd": Method(_NUMERICAL, 0.1, "<"),
    "g_test": Method(_CATEGORICAL, 0.1, "<"),
    "fisher_exact": Method(_CATEGORICAL, 0.1, "<"),
    "TVD": Method(_CATEGORICAL, 0.1, "<"),
}


def choose(kind: Kind, rows: int, distinct: int) -> str:
    """Return the method Evidently uses for `rows` reference rows and `distinct` values in both together."""
    if rows > 1000:
        return "wasserstein" if kind == "numerical" and distinct > 5 else "jensenshannon"
    if kind == "numerical" and distinct > 5:
        return "ks"
    return "chisquare" if distinct > 2 else "z"


def psi(reference: Values, window: Values) -> float:
    """Population stability index, Σ (r − c) ln(r / c) over bins; empty bins get a small share."""
    r, c = map(_filled, _shares(reference, window))
    return float(np.sum((r - c) * np.log(r / c)))


def jensenshannon(reference: Values, window: Values) -> float:
    """Jensen-Shannon distance, natural logarithm: the square root of the divergence, 0 to √ln 2."""
    r, c = _shares(reference, window)
    r, c = r / r.sum(), c / c.sum()
    middle = (r + c) / 2
    divergence = (_relative_entropy(r, middle) + _relative_entropy(c, middle)) / 2
    return float(np.sqrt(max(divergence, 0.0)))


def wasserstein(reference: Numbers, window: Numbers) -> float:
    """First Wasserstein distance in standard deviations (ddof 0, at least 0.001) of the reference."""
    r, c = (np.sort(side.astype(np.float64)) for side in (reference, window))
    both = np.sort(np.concatenate([r, c]), kind="stable")   # which merges sorted runs
    gaps = np.diff(both)
    r_below, c_below = (np.searchsorted(side, both[:-1], "right") / len(side) for side in (r, c))
    return float(np.sum(np.abs(r_below - c_below) * gaps)) / max(_spread(reference), 0.001)


def ks(reference: Numbers, window: Numbers) -> float:
    """Two-sided p-value of the Kolmogorov-Smirnov test; exact up to 10,000 rows, as SciPy's."""
    from scipy.stats import ks_2samp

    return float(ks_2samp(reference, window).pvalue)


def chisquare(reference: Counts, window: Counts) -> float:
    """p-value of Pearson's test of the window's counts against the reference's scaled to its size."""
    from scipy.special import chdtrc

    keys = list(reference.keys() | window.keys())
    expected = _tally(reference, keys) * (sum(window.values()) / sum(reference.values()))
    observed = _tally(window, keys)
    if len(keys) == 1:
        return 1.0                       # one category everywhere: nothing could differ
    if np.any(expected == 0):
        return 0.0                       # a category the reference never had
    return float(chdtrc(len(keys) - 1, np.sum((observed - expected) ** 2 / expected)))


def z(reference: Counts, window: Counts) -> float:
    """Two-sided p-value for equal shares of "not the first category", first in sorted order."""
    from scipy.special import ndtr

    keys = ordered(reference.keys() | window.keys())
    if len(keys) == 1:
        return 1.0
    n1, n2 = sum(reference.values()), sum(window.values())
    p1, p2 = (n1 - reference.get(keys[0], 0)) / n1, (n2 - window.get(keys[0], 0)) / n2
    pooled = (p1 * n1 + p2 * n2) / (n1 + n2)
    score = (p1 - p2) / np.sqrt(pooled * (1 - pooled) * (1.0 / n1 + 1.0 / n2))
    return float(2 * (1 - ndtr(np.abs(score))))


OWN: dict[str, Callable[..., float]] = {
    "psi": psi,
    "jensenshannon": jensenshannon,
    "wasserstein": wasserstein,
    "ks": ks,
    "chisquare": chisquare,
    "z": z,
}


def ordered(keys: set[Category]) -> list[Category]:
    """Sort categories: numbers first by size, then text."""
    return sorted(keys, key=lambda key: (isinstance(key, str), key))


def tallied(values: Numbers) -> Counts:
    """Return numbers as counts, for a categorical method on a column with few distinct numbers."""
    found, times = np.unique(values, return_counts=True)
    return dict(zip(found.tolist(), times.tolist(), strict=True))


def _shares(reference: Values, window: Values) -> Shares:
    """Shares per bin: one a category or distinct number, else Sturges' equal widths over both together."""
    if isinstance(reference, np.ndarray) and isinstance(window, np.ndarray):
        if len(np.unique(reference)) > DISTINCT:
            edges = np.histogram_bin_edges(np.concatenate([reference, window]), "sturges")
            return _histogram(reference, edges), _histogram(window, edges)
        reference, window = tallied(reference), tallied(window)
    assert isinstance(reference, dict)
    assert isinstance(window, dict)
    keys = ordered(reference.keys() | window.keys())
    return _tally(reference, keys) / sum(reference.values()), _tally(window, keys) / sum(window.values())


def _histogram(values: Numbers, edges: Numbers) -> Floats:
    shares: Floats = np.histogram(values, edges)[0] / len(values)
    return shares


def _tally(found: Counts, keys: list[Category]) -> Floats:
    return np.array([found.get(key, 0) for key in keys], dtype=np.float64)


def _filled(shares: Floats) -> Floats:
    smallest = shares[shares > 0].min()
    return np.where(shares == 0, smallest / 1e6 if smallest <= EPSILON else EPSILON, shares)


def _relative_entropy(p: Floats, q: Floats) -> float:
    held = p > 0
    return float(np.sum(p[held] * np.log(p[held] / q[held])))


def _spread(values: Numbers) -> float:
    """Standard deviation as pandas has it: the variance in double precision, rounded to the column's type."""
    variance = np.sum((values.astype(np.float64) - np.mean(values, dtype=np.float64)) ** 2) / len(values)
    kind = values.dtype if values.dtype.kind == "f" else np.dtype(np.float64)
    return float(np.sqrt(variance.astype(kind)))
