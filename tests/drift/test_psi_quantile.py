"""psi_quantile: the textbook's number, and the case in which the usual psi sees nothing."""

import numpy as np
import pyarrow as pa
import pytest

from monitor.drift.column_scores import column_drift
from monitor.errors import CannotJudge

CHANCE = np.random.default_rng(11)
REFERENCE = CHANCE.normal(100, 10, 5000)


def of(method: str, window: object, reference: object = REFERENCE) -> float:
    return column_drift(pa.chunked_array([reference]), pa.chunked_array([window]), "numerical", method)[1]


def test_it_is_the_textbook_sum_over_deciles() -> None:
    """Ten bins of equal shares of the reference with open ends, Σ (w − r) ln(w / r)."""
    window = CHANCE.normal(103, 12, 800)
    edges = np.concatenate([[-np.inf], np.percentile(REFERENCE, np.arange(10, 100, 10)), [np.inf]])
    r, w = (np.histogram(side, edges)[0] / len(side) for side in (REFERENCE, window))
    assert of("psi_quantile", window) == pytest.approx(float(np.sum((w - r) * np.log(w / r))), rel=1e-9)


def test_one_absurd_value_hides_real_drift_from_psi_alone() -> None:
    """Bins laid over reference and window together put all but the absurd value into one; the deciles do not move."""
    moved = CHANCE.normal(115, 10, 800)
    absurd = np.append(moved, 1e9)
    assert of("psi", moved) > 1
    assert of("psi", absurd) < 0.1
    assert of("psi_quantile", absurd) == pytest.approx(of("psi_quantile", moved), rel=0.05)
    assert of("psi_quantile", absurd) > 1


def test_an_absurd_value_by_itself_is_no_drift() -> None:
    """Without real drift it stays one value in the last bin."""
    assert of("psi_quantile", np.append(CHANCE.normal(100, 10, 800), 1e9)) < 0.1


def test_few_distinct_numbers_have_a_bin_each() -> None:
    """A value the reference never had is seen between those it had, and beyond them."""
    reference = np.repeat([1.0, 2.0, 4.0], 100)
    assert of("psi_quantile", reference, reference) == pytest.approx(0)
    for new in (0.0, 3.0, 9.0):
        assert of("psi_quantile", np.append(np.repeat([1.0, 2.0, 4.0], 20), np.full(20, new)), reference) > 1


def test_words_and_constants_are_compared_too() -> None:
    """psi_quantile of categories is psi; one category everywhere is no difference; Fisher's test takes two."""
    sides = [pa.chunked_array([CHANCE.choice(["a", "b", "c"], rows, p=share).tolist()])
             for rows, share in ((400, [0.2, 0.3, 0.5]), (300, [0.4, 0.3, 0.3]))]
    assert column_drift(*sides, "categorical", "psi_quantile")[1] == column_drift(*sides, "categorical", "psi")[1]
    same = pa.chunked_array([["a"] * 300])
    assert column_drift(same, same, "categorical", "chisquare")[1] == 1.0
    with pytest.raises(CannotJudge, match="fisher_exact is for two categories, there are 3"):
        column_drift(sides[0].slice(0, 300), sides[1], "categorical", "fisher_exact")
