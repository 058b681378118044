"""The drift methods: the meaning of each, its columns, its usual threshold, and the side of it that means drift.

Thresholds and sides are those of Evidently 0.7.23. `drift/methods.py` computes them.
"""

from dataclasses import dataclass
from typing import Literal

from monitor.config.column_roles import FeatureKind


@dataclass(frozen=True, slots=True)
class Method:
    """One drift method: a value that compares to the threshold as `side` says means drift."""

    meaning: str
    kinds: tuple[FeatureKind, ...]
    threshold: float
    side: Literal["<", "<=", ">", ">="]

    def drifted(self, value: float, threshold: float) -> bool:
        """Return whether `value` is on the side of `threshold` that means drift."""
        if self.side in ("<", ">"):
            return value < threshold if self.side == "<" else value > threshold
        return value <= threshold if self.side == "<=" else value >= threshold


_BOTH: tuple[FeatureKind, ...] = ("numerical", "categorical")
_NUMERICAL: tuple[FeatureKind, ...] = ("numerical",)
_CATEGORICAL: tuple[FeatureKind, ...] = ("categorical",)
_TEXT: tuple[FeatureKind, ...] = ("text",)

METHODS: dict[str, Method] = {
    "psi": Method("Population stability index, bins of equal width", _BOTH, 0.1, ">="),
    "psi_quantile": Method("The same, bins of equal shares of the reference; not Evidently's", _BOTH, 0.1, ">="),
    "jensenshannon": Method("Jensen–Shannon distance", _BOTH, 0.1, ">="),
    "wasserstein": Method("Wasserstein distance in reference standard deviations", _NUMERICAL, 0.1, ">="),
    "ks": Method("Kolmogorov–Smirnov test", _NUMERICAL, 0.05, "<="),
    "chisquare": Method("Chi-square test", _CATEGORICAL, 0.05, "<"),
    "z": Method("Z-test of two proportions", _CATEGORICAL, 0.05, "<"),
    "kl_div": Method("Kullback–Leibler divergence", _BOTH, 0.1, ">="),
    "hellinger": Method("Hellinger distance", _BOTH, 0.1, ">="),
    "ed": Method("Energy distance", _NUMERICAL, 0.1, ">"),
    "cramer_von_mises": Method("Cramér–von Mises test", _NUMERICAL, 0.1, "<="),
    "anderson": Method("Anderson–Darling test", _NUMERICAL, 0.1, "<"),
    "es": Method("Epps–Singleton test", _NUMERICAL, 0.05, "<"),
    "mannw": Method("Mann–Whitney test", _NUMERICAL, 0.05, "<"),
    "t_test": Method("t-test", _NUMERICAL, 0.05, "<"),
    "empirical_mmd": Method("Permutation test of the maximum mean discrepancy", _NUMERICAL, 0.1, "<"),
    "g_test": Method("G-test", _CATEGORICAL, 0.1, "<"),
    "fisher_exact": Method("Fisher's exact test, of two values", _CATEGORICAL, 0.1, "<"),
    "TVD": Method("Permutation test of the total variation distance", _CATEGORICAL, 0.1, "<"),
    "abs_text_content_drift": Method("ROC AUC of a classifier between the texts", _TEXT, 0.55, ">"),
    "perc_text_content_drift": Method("The same; the threshold is a percentile of guessing's", _TEXT, 0.95, ">"),
}


def is_p_value(method: str) -> bool:
    """Return whether the method yields a p-value, so that small numbers mean drift."""
    return METHODS[method].side in ("<", "<=")
