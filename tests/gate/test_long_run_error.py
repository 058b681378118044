"""How sure a mean is if neighbouring values are alike: rates kept on series, Student's t where they are not."""

from typing import Any

import numpy as np
import pytest
from scipy import signal, stats

from monitor.gate.long_run_error import long_run_error
from monitor.gate.paired_difference import ASKED, FEWEST_INDEPENDENT, always

SERIES, BLOCKS = 150, 100


def autoregressions(phi: float, rows: int, seed: int = 0) -> Any:
    """Means of the blocks of AR(1) series with expectation 0, (series, blocks)."""
    noise = np.random.default_rng(seed).normal(size=(SERIES, rows))
    noise[:, 0] /= np.sqrt(1 - phi**2)
    return signal.lfilter([1], [1, -phi], noise).reshape(SERIES, BLOCKS, -1).mean(axis=2)


def each_alone(series: Any, chance: float) -> tuple[Any, Any]:
    """Of each series by itself, the distance and how many independent values it is worth."""
    found = [long_run_error(one[None]) for one in series]
    distances = np.array([one.distance(chance)[0] for one in found])
    return distances, np.array([one.independent[0] for one in found])


@pytest.mark.parametrize(("phi", "rows"), [(0.0, 2000), (0.98, 5000), (0.995, 10_000)])
def test_an_equal_candidate_is_rarely_shown_better(phi: float, rows: int) -> None:
    """However alike neighbours are, the mean is beyond its bound in about one case of twenty; taken for independent,
    in up to a third."""
    series = autoregressions(phi, rows)
    distances, worth = each_alone(series, ASKED)
    shown = (series.mean(axis=1) > distances) & (worth >= FEWEST_INDEPENDENT)
    assert shown.mean() <= stats.binom.ppf(0.99, SERIES, 0.06) / SERIES


def test_independent_rows_lose_little() -> None:
    """Where rows are independent the bound is that of Student's t test, a few percent wider."""
    series = autoregressions(0.0, 2000)
    usual = stats.t.isf(0.05, BLOCKS - 1) * stats.sem(series, axis=1)
    ratio = each_alone(series, 0.05)[0] / usual
    assert 1.0 < np.median(ratio) < 1.06
    assert np.quantile(ratio, 0.9) < 1.25


def test_how_much_dependent_rows_are_worth() -> None:
    """n rows of an AR(1) are worth n (1 − φ) / (1 + φ) independent ones; rows that wander without end, next to none."""
    worth = each_alone(autoregressions(0.98, 5000)[:60], 0.05)[1]
    assert np.median(worth) == pytest.approx(5000 * 0.02 / 1.98, rel=0.5)
    walks = np.cumsum(np.random.default_rng(0).normal(size=(30, BLOCKS)), axis=1)
    assert np.quantile(each_alone(walks, 0.05)[1], 0.95) < FEWEST_INDEPENDENT


def test_series_learn_from_one_another() -> None:
    """Beside nineteen series of independent values, another loses less; one whose values are alike is still seen."""
    series = autoregressions(0.0, 2000)[:20]
    alone, together = each_alone(series, 0.05)[0], long_run_error(series).distance(0.05)
    assert together.mean() < alone.mean()
    series[3] = autoregressions(0.995, 10_000)[3] * 5
    found = long_run_error(series)
    usual = stats.t.isf(0.05, BLOCKS - 1) * stats.sem(series, axis=1)
    ratio = found.distance(0.05) / usual
    assert ratio[3] > 2
    assert np.median(np.delete(ratio, 3)) < 1.1


@pytest.mark.parametrize("alpha", [0.05, 0.0025])
def test_bounds_for_any_number_of_looks(alpha: float) -> None:
    """Sums of independent rows cross the boundary at any of many looks about as rarely as stated, or rarer."""
    looks = np.unique(np.geomspace(100, 100_000, 60).astype(int))
    steps = np.random.default_rng(1).normal(size=(3000, len(looks))) * np.sqrt(np.diff(looks, prepend=0))
    z = np.cumsum(steps, axis=1) / np.sqrt(looks)
    crossed = (z > [always(rows, alpha) for rows in looks.tolist()]).any(axis=1).mean()
    assert alpha / 4 < crossed <= alpha
