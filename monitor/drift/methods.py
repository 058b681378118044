"""Computes each drift method, equal to Evidently 0.7.23's to 1e-9; `config.drift_methods` describes the methods.

Also the records of calibrated thresholds, which `calibration` computes.
"""

import math
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from monitor.config.column_roles import FeatureKind
from monitor.config.drift_methods import is_p_value
from monitor.drift.count_tests import BINNED, COUNTED, same_words, tally
from monitor.drift.rank_tests import RANKED
from monitor.errors import CannotJudge
from monitor.tables.columns import Floats, Ints
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest

OWN = (*BINNED, *RANKED, *COUNTED)       # the others are Evidently's own functions, called by name
OURS_ALONE = ("psi_quantile",)           # not in Evidently
AS_SQUARES = ("psi", "psi_quantile", "kl_div")      # grow by chance with 1/n + 1/m; distances with its root
Rows = int | Ints
_LEAST = 1e-300          # smaller probabilities are this one


def choose(kind: FeatureKind, rows: int, distinct: int) -> str:
    """Return the method Evidently uses for `rows` reference rows and `distinct` values in both together."""
    if rows > 1000:
        return "wasserstein" if kind == "numerical" and distinct > 5 else "jensenshannon"
    if kind == "numerical" and distinct > 5:
        return "ks"
    return "chisquare" if distinct > 2 else "z"


def work_out(name: str, reference: Digest, window: Digest) -> float:
    """Return a method's value for two columns of one kind, neither of them empty.

    Raises CannotJudge, also if the value is not finite, and whatever the method raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")      # SciPy warns of p-values at the end of its tables
        value = _value(name, reference, window)
    if not math.isfinite(value):
        raise CannotJudge(f"{name} has no finite value here")
    return value


def _value(name: str, reference: Digest, window: Digest) -> float:
    if name in BINNED:
        return BINNED[name](reference, window)
    if name in COUNTED:
        return COUNTED[name](*same_words(tally(reference), tally(window)))
    if name in RANKED:
        assert isinstance(reference, NumberDigest)
        assert isinstance(window, NumberDigest)
        return RANKED[name](reference, window)
    from monitor.drift import evidently

    kind: FeatureKind = "numerical" if isinstance(reference, NumberDigest) else "categorical"
    return evidently.score(name, kind, _rows(reference), _rows(window))


def _rows(column: Digest) -> Any:
    assert isinstance(column, NumberDigest | CategoryDigest)
    return column.in_order


@dataclass(frozen=True, slots=True)
class Limit:
    """A column's calibrated threshold for windows of `rows` values beside a reference of `reference` values.

    `value` is higher for a larger distance: −log p for a p-value.
    """

    method: str
    value: float
    rows: int
    reference: int

    def at(self, rows: int) -> float:
        """Return the threshold for a window with `rows` values, in the method's own unit.

        A smaller window varies more, so its threshold grows as the method's value does without drift. For a larger
        window it stays the same, because it is not known how much of a block's distance is chance and how much is
        change over time. p-values take the number of rows into account themselves.
        """
        value = self.value * float(grows(self.method, self.reference, self.rows, rows))
        return math.exp(-value) if is_p_value(self.method) else value


@dataclass(frozen=True, slots=True)
class Novelty:
    """How many values of a window may be in categories that the reference never had.

    `chance` is that of one value: the share of the reference's values whose category occurs once (Good and Turing).
    """

    chance: float
    surprise: float          # −log p beyond which it is drift

    def beyond(self, new: int, rows: int) -> bool:
        """Tell whether so many new values among `rows` are drift."""
        return new > 0 and bool(surprise_of_new(self.chance, new, rows) > self.surprise)


def surprise_of_new(chance: float, new: Rows, rows: Rows) -> Floats:
    """Return −log of the probability of at least `new` values of a category never seen, among `rows`."""
    from scipy.special import bdtrc

    at_least = bdtrc(np.maximum(np.asarray(new) - 1, 0), np.maximum(rows, new), chance)
    surprise: Floats = np.where(np.asarray(new) > 0, -np.log(np.maximum(at_least, _LEAST)), 0.0)
    return surprise


@dataclass(frozen=True, slots=True, kw_only=True)
class Calibration:
    """The limits by column, and why other columns have none.

    Beside the limit of its distance a column has one of the distance between its shares of missing values
    (Jensen-Shannon), and a categorical one of new categories.
    """

    limits: Mapping[str, Limit] = field(default_factory=dict)
    lack: Mapping[str, str] = field(default_factory=dict)
    missing: Mapping[str, Limit] = field(default_factory=dict)
    new: Mapping[str, Novelty] = field(default_factory=dict)


UNCALIBRATED = Calibration()


def grows(method: str, reference: int, usual: int, rows: Rows) -> Floats:
    """Return how much more windows of `rows` values vary than one of `usual` values; at least 1."""
    ratio: Floats = np.maximum(1.0, spread(method, reference, rows) / spread(method, reference, usual))
    return ratio


def spread(method: str, reference: Rows, rows: Rows) -> Floats:
    """Return how a method's value without drift grows as both sides become smaller; 1 for a p-value."""
    both: Floats = 1 / np.asarray(reference) + 1 / np.asarray(rows)
    if is_p_value(method):
        return np.ones_like(both)
    return both if method in AS_SQUARES else np.sqrt(both)
