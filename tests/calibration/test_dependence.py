"""Neighbouring blocks that are alike: how much too small their scores are, against processes with known figures."""

import numpy as np
import pytest
from scipy.signal import lfilter

from monitor.calibration.dependence import autocorrelations, independent, inflations

ROWS = 20


def blocks(phi: float, count: int, seed: int, *, words: bool = False) -> np.ndarray:
    """Values whose block means are an AR(1), or categories whose shares are."""
    chance = np.random.default_rng(seed)
    moves = np.empty(count)
    at = chance.normal()
    for block in range(count):
        moves[block], at = at, phi * at + np.sqrt(1 - phi**2) * chance.normal()
    values = np.repeat(moves, ROWS) + 0.5 * chance.normal(size=count * ROWS)
    return np.digitize(values, [-0.7, 0.7]) if words else values


def inflated(columns: list[np.ndarray], count: int, *, words: bool = False) -> dict[str, float]:
    block, sizes = np.repeat(np.arange(count), ROWS), np.full(count, ROWS)
    return inflations({
        str(at): autocorrelations(values, block, sizes, categorical=words) for at, values in enumerate(columns)
    }, count)


@pytest.mark.parametrize("words", [False, True])
@pytest.mark.parametrize("seed", range(5))
def test_autocorrelations_are_those_of_the_definition(words: bool, seed: int) -> None:
    """Blocks as points, of their categories' shares by chi-square's distance or of mean and deviation; one by one."""
    chance = np.random.default_rng(seed)
    sizes = chance.integers(5, 30, 9)
    block = np.repeat(np.arange(9), sizes)
    values = chance.integers(0, 4, len(block)) ** 2 if words else chance.normal(size=len(block)).round(2)
    low, middle, high = np.quantile(values, [0.01, 0.5, 0.99])
    points = []
    for number in range(9):
        own = values[block == number]
        moved = np.clip(own, low, high) - middle
        points.append([np.mean(own == kind) / np.sqrt(np.mean(values == kind)) for kind in np.unique(values)] if words
                      else [np.mean(moved), np.mean(np.abs(moved))])
    apart = np.array(points) - np.mean(points, axis=0)
    variance = np.mean([point @ point for point in apart])
    found = [np.mean([apart[at] @ apart[at + lag] for at in range(9 - lag)]) / variance for lag in range(1, 5)]
    known = autocorrelations(values, block, sizes, categorical=words)
    assert known == pytest.approx(found, rel=1e-12, abs=1e-12)


@pytest.mark.parametrize("words", [False, True])
def test_ten_columns_show_how_alike_neighbours_are(words: bool) -> None:
    """With lag-1 correlation 0.7 in 60 blocks the mean has about 5.3/60 of the variance: 1.19 against 1.03 alone."""
    found = inflated([blocks(0.7, 60, seed, words=words) for seed in range(10)], 60, words=words)
    assert 1.07 < min(found.values()) < 1.25
    still = inflated([blocks(0, 60, seed, words=words) for seed in range(10)], 60, words=words).values()
    assert 1.0 <= min(still) < 1.02
    assert np.median(list(still)) < 1.05


def test_one_column_that_wanders_is_seen_among_others() -> None:
    """What columns have on average is the least; one whose neighbours are more alike has more."""
    found = inflated([blocks(0.95, 60, 3), *(blocks(0, 60, seed) for seed in range(10))], 60)
    assert found["0"] > 1.2
    assert np.median(list(found.values())) < 1.05


@pytest.mark.parametrize("values", [np.zeros(60), np.array([], float)])
def test_a_column_that_does_not_move_is_left_as_it_is(values: np.ndarray) -> None:
    block = np.repeat(np.arange(6), len(values) // 6)
    assert autocorrelations(values, block, np.bincount(block, minlength=6), categorical=False) is None
    assert inflations({"x": None}, 6) == {"x": 1.0}


@pytest.mark.parametrize(("phi", "share"), [(0.0, 1.0), (0.5, 1 / 3), (0.8, 1 / 9)])
def test_values_count_as_fewer_where_neighbours_are_alike(phi: float, share: float) -> None:
    """Of an AR(1) about (1 − φ) / (1 + φ) are independent; the sign and shape of the values do not matter."""
    found = []
    for seed in range(30):
        chance = np.random.default_rng(seed)
        values = lfilter([1], [1, -phi], chance.normal(size=400))
        assert independent(values) == independent(np.exp(values)) == pytest.approx(independent(-values))
        found.append(independent(values) / len(values))
    assert np.mean(found) == pytest.approx(share, rel=0.2)
