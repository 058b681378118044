"""The drift methods by name, with Evidently 0.7.23's numbers to 1e-9: what each is for, and how it is worked out."""

import math
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from monitor.config.column_roles import FeatureKind
from monitor.drift.binned_distances import hellinger, jensenshannon, kl_div, psi, psi_quantile, same_words, tally
from monitor.drift.contingency_tests import COUNTED
from monitor.drift.rank_tests import RANKED
from monitor.errors import CannotJudge
from monitor.tables.digest import CategoryDigest, Digest, NumberDigest


@dataclass(frozen=True, slots=True)
class Method:
    """The kinds of column a drift method is for, its usual threshold, and which side of it means drift."""

    kinds: tuple[FeatureKind, ...]
    threshold: float
    side: Literal["<", "<=", ">", ">="]

    def drifted(self, value: float, threshold: float) -> bool:
        """Say whether `value` is on the side of `threshold` that means drift."""
        if self.side in ("<", ">"):
            return value < threshold if self.side == "<" else value > threshold
        return value <= threshold if self.side == "<=" else value >= threshold


_BOTH: tuple[FeatureKind, ...] = ("numerical", "categorical")
_NUMERICAL: tuple[FeatureKind, ...] = ("numerical",)
_CATEGORICAL: tuple[FeatureKind, ...] = ("categorical",)
_TEXT: tuple[FeatureKind, ...] = ("text",)

METHODS: dict[str, Method] = {
    "psi": Method(_BOTH, 0.1, ">="),
    "psi_quantile": Method(_BOTH, 0.1, ">="),        # a rule of thumb
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
    "abs_text_content_drift": Method(_TEXT, 0.55, ">"),
    "perc_text_content_drift": Method(_TEXT, 0.95, ">"),     # of classifiers that guess: see `text`
}
BINNED: dict[str, Callable[[Digest, Digest], float]] = {
    "psi": psi,
    "psi_quantile": psi_quantile,
    "jensenshannon": jensenshannon,
    "kl_div": kl_div,
    "hellinger": hellinger,
}
OWN = (*BINNED, *RANKED, *COUNTED)       # the others are Evidently's own functions, called by name
OURS_ALONE = ("psi_quantile",)           # not in Evidently


def is_p_value(method: str) -> bool:
    """Whether small numbers of the method mean drift."""
    return METHODS[method].side in ("<", "<=")


def choose(kind: FeatureKind, rows: int, distinct: int) -> str:
    """Return the method Evidently uses for `rows` reference rows and `distinct` values in both together."""
    if rows > 1000:
        return "wasserstein" if kind == "numerical" and distinct > 5 else "jensenshannon"
    if kind == "numerical" and distinct > 5:
        return "ks"
    return "chisquare" if distinct > 2 else "z"


def work_out(name: str, reference: Digest, window: Digest) -> float:
    """Return a method's number for two columns of one kind, none of them empty.

    Raises CannotJudge, where the number is not finite too, and whatever the method itself raises.
    """
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")      # SciPy's remarks on p-values at the end of its tables
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
