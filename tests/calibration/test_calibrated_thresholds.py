"""Calibrated thresholds: the scores against plain SciPy and Evidently numbers, the rate against fresh windows."""

import math
from functools import partial
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from scipy import stats

from monitor.calibration.block_scores import scorer
from monitor.calibration.calibrated_thresholds import FEWEST, Blocks, NewValues, Null, expected, factor, largest
from monitor.config.values import Persistence
from monitor.decide.triggers import fires
from monitor.drift.methods import Limit, surprise_of_new, work_out
from monitor.tables.digest import NumberDigest, digest_of

BLOCKS, ROWS = 12, 60
RATE = 0.1


def blocks_of(size: int, count: int, beside: int = 0) -> Any:
    """Block numbers of consecutive rows; rows of no block at the end."""
    return np.concatenate([np.repeat(np.arange(count), size), np.full(beside, -1)])


def columns(seed: int = 0) -> dict[str, Any]:
    chance = np.random.default_rng(seed)
    rows = BLOCKS * ROWS + 17
    wave = np.sin(np.arange(rows) / 100)
    return {
        "waves": chance.normal(size=rows) + wave,
        "counts": np.round(chance.exponential(10, rows)),
        "few": chance.integers(0, 5, rows).astype(float),
        "whole": chance.integers(0, 900, rows),
    }


def block_scores(method: str, values: Any, block: Any, count: int, *, categorical: bool) -> Any:
    found = scorer(method, values, categorical=categorical, blocks=count)
    return None if found is None else found.of_blocks(block, count)


def by_hand(method: str, rest: Any, inside: Any) -> float:
    """What SciPy says of two samples."""
    if method == "wasserstein":
        return float(stats.wasserstein_distance(rest, inside) / max(rest.std(), 0.001))
    if method == "ks":
        gap = stats.ks_2samp(rest, inside).statistic
        return float(-stats.kstwo.logsf(gap, round(len(rest) * len(inside) / (len(rest) + len(inside)))))
    return float(-np.log(stats.mannwhitneyu(rest, inside, alternative="less").pvalue))


@pytest.mark.parametrize("name", columns())
@pytest.mark.parametrize("method", ["wasserstein", "ks", "mannw"])
def test_each_block_is_scored_against_the_rest(method: str, name: str) -> None:
    """Ranks found once for the whole reference give each block SciPy's number for block and rest."""
    values, block = columns()[name], blocks_of(ROWS, BLOCKS, 17)
    wanted = [by_hand(method, values[block != at], values[block == at]) for at in range(BLOCKS)]
    assert block_scores(method, values, block, BLOCKS, categorical=False) == pytest.approx(wanted, rel=1e-8)


@pytest.mark.parametrize("method", ["wasserstein", "ks"])
@pytest.mark.parametrize("at_once", [1, ROWS, 3 * ROWS + 1])
def test_blocks_ranked_a_few_at_a_time_have_the_same_scores(
    method: str, at_once: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """How many blocks are in memory together changes no score by a bit."""
    values, block = columns()["counts"], blocks_of(ROWS, BLOCKS, 17)
    together = block_scores(method, values, block, BLOCKS, categorical=False)
    monkeypatch.setattr("monitor.calibration.block_scores.AT_ONCE", at_once)
    assert block_scores(method, values, block, BLOCKS, categorical=False).tolist() == together.tolist()


@pytest.mark.parametrize("name", columns())
@pytest.mark.parametrize("method", ["psi", "jensenshannon", "kl_div", "hellinger"])
def test_binned_blocks_have_the_methods_own_numbers(method: str, name: str) -> None:
    """Bins laid once over block and rest together are those the method itself lays over the two."""
    values, block = columns()[name], blocks_of(ROWS, BLOCKS, 17)
    found = block_scores(method, values, block, BLOCKS, categorical=False)
    wanted = []
    for at in range(BLOCKS):
        sides = (values[block != at], values[block == at])
        wanted.append(work_out(method, *(NumberDigest([pa.array(side)], len(side)) for side in sides)))
    assert found == pytest.approx(wanted, rel=1e-9, abs=1e-7)


@pytest.mark.parametrize("method", ["psi", "jensenshannon", "chisquare", "z"])
@pytest.mark.parametrize("words", [2, 9])
def test_blocks_of_categories_have_the_methods_own_numbers(method: str, words: int) -> None:
    """Counts of all blocks at once give what the method says of block and rest as categories."""
    codes, block = np.random.default_rng(1).integers(0, words, BLOCKS * ROWS), blocks_of(ROWS, BLOCKS)
    found = block_scores(method, codes, block, BLOCKS, categorical=True)
    assert found is not None
    for at in range(BLOCKS):
        sides = [pa.array(codes[mask]) for mask in (block != at, block == at)]
        value = work_out(method, *(digest_of([side], len(side), "categorical") for side in sides))
        score = -math.log(value) if method in ("chisquare", "z") else value
        assert found[at] == pytest.approx(score, rel=1e-9)


def test_a_block_without_values_has_no_score() -> None:
    """Nothing is said of a block every value of which is missing."""
    values, block = np.arange(100.0), np.repeat([0, 2], 50)
    for method in ("psi", "wasserstein", "ks", "t_test"):
        found = block_scores(method, values, block, 3, categorical=False)
        assert found is not None
        assert list(np.isnan(found)) == [False, True, False]


def test_a_method_that_takes_too_long_is_not_asked() -> None:
    """Methods without a path of their own are asked about a hundred blocks at most, the slow ones never."""
    values = np.arange(1000.0)
    assert block_scores("mannw", values, blocks_of(5, 200), 200, categorical=False) is None
    assert block_scores("empirical_mmd", values, blocks_of(100, 10), 10, categorical=False) is None


def column(reference: Any, size: int, method: str = "wasserstein") -> Blocks:
    count = len(reference) // size
    block = blocks_of(size, count)
    scored = scorer(method, reference, categorical=False, blocks=count)
    assert scored is not None
    chance = Null.of(method, scored.by_chance(size))
    return Blocks.beside_the_rest(
        method, scored.of_blocks(block, count), np.full(count, size), len(reference), chance
    )


@pytest.mark.parametrize(
    ("method", "size", "count"), [("wasserstein", 50, 100), ("psi", 200, 40), ("wasserstein", 200, 12)]
)
def test_fresh_windows_keep_the_rate(method: str, size: int, count: int) -> None:
    """Of windows drawn like the reference no more than the stated share alarms, over all columns together."""
    chance = np.random.default_rng(3)
    alarms = []
    for _ in range(30):
        references = [chance.normal(size=size * count), chance.lognormal(size=size * count)]
        blocks = [column(reference, size, method) for reference in references]
        level = factor(largest(blocks), RATE, partial(fires, Persistence(1, 1)))
        assert level is not None
        for _ in range(10):
            window = [chance.normal(size=size), chance.lognormal(size=size)]
            sides = [
                [NumberDigest([pa.array(side)], len(side)) for side in pair]
                for pair in zip(references, window, strict=True)
            ]
            values = [work_out(method, *pair) for pair in sides]
            limits = [one.limit(level).at(size) for one in blocks]
            alarms.append(any(value >= limit for value, limit in zip(values, limits, strict=True)))
    assert len(alarms) == 300
    assert np.mean(alarms) <= RATE + 2 * math.sqrt(RATE * (1 - RATE) / 300)


def test_waves_do_not_alarm_where_single_rows_say_they_should() -> None:
    """A reference whose parts differ from each other gets thresholds beyond how far they lie apart."""
    rows = 100 * 40
    calm = np.random.default_rng(5).normal(size=rows)
    waves = calm + 3 * np.sin(np.arange(rows) / 150)
    limits = [column(values, 100).limit(1.0).value for values in (calm, waves)]
    assert limits[1] > 3 * limits[0]


def test_too_few_blocks_hold_no_rate() -> None:
    """Below 1/rate blocks not even the farthest one is far enough."""
    numbers = np.arange(1.0, 9.0)
    assert factor(numbers, 1 / 10, partial(fires, Persistence(1, 1))) is None
    assert factor(np.arange(1.0, 10.0), 1 / 10, partial(fires, Persistence(1, 1))) == pytest.approx(9)


def test_alarms_to_be_expected_are_counted_to_the_safe_side() -> None:
    """Of B blocks the next window is beyond the farthest once in B + 1 times."""
    assert expected(0, 12, 12) == pytest.approx(1 / 13)
    assert expected(4, 99, 99) == pytest.approx(0.07)
    assert expected(8, 99, 49.5) == pytest.approx(7 / 50.5)       # in rows: half as many, of half as many
    assert expected(0, 12, 6) == pytest.approx(1 / 13)            # the largest is the largest of all


def test_persistence_lowers_the_threshold() -> None:
    """Two of three windows are beyond a lower level no more often than one is beyond a higher one."""
    numbers = np.random.default_rng(0).exponential(size=200)
    alone, together = (
        factor(numbers, 0.05, partial(fires, windows))
        for windows in (Persistence(1, 1), Persistence(2, 3))
    )
    assert alone is not None
    assert together is not None
    assert together < alone


def test_a_smaller_window_gets_a_higher_threshold_as_its_method_scatters() -> None:
    """psi grows with 1/n + 1/m, a distance with its root, a p-value not at all; a larger window keeps its own."""
    for method, grown in (("psi", (1 / 1000 + 1 / 50) / (1 / 1000 + 1 / 200)),
                          ("wasserstein", math.sqrt((1 / 1000 + 1 / 50) / (1 / 1000 + 1 / 200)))):
        limit = Limit(method, 0.3, 200, 1000)
        assert limit.at(200) == pytest.approx(0.3)
        assert limit.at(50) == pytest.approx(0.3 * grown)
        assert limit.at(900) == pytest.approx(0.3)
    assert Limit("ks", 5.0, 200, 1000).at(50) == pytest.approx(math.exp(-5))


def test_a_rare_event_does_not_silence_the_other_columns() -> None:
    """One odd block of one column raises that column's threshold, not that of the others out of reach."""
    chance = np.random.default_rng(2)
    calm, holiday = chance.normal(size=60 * 40), np.zeros(60 * 40)
    holiday[600:660] = holiday[1200:1260] = 1
    usual, rare = column(calm, 60), column(holiday, 60)
    level = float(np.max(largest([usual, rare])))
    assert usual.limit(level).value < 1.5 * np.max(usual.scores)
    assert rare.limit(level).value >= np.max(rare.scores)


def test_a_column_that_never_moves_keeps_the_usual_threshold() -> None:
    """A constant reference says nothing about distances: Evidently's threshold is its measure."""
    still = column(np.ones(60 * FEWEST), 60)
    assert still.lack is None
    assert not np.any(still.surprises)
    assert 0.1 <= still.limit(3.0).value <= 0.3


@pytest.mark.parametrize(("method", "draw"), [
    ("wasserstein", lambda chance, size: chance.normal(size=size)),
    ("wasserstein", lambda chance, size: chance.lognormal(0, 0.8, size)),
    ("psi", lambda chance, size: chance.normal(size=size)),
    ("jensenshannon", lambda chance, size: chance.choice(2, size, p=[0.3, 0.7])),
    ("jensenshannon", lambda chance, size: chance.choice(8, size)),
    ("ks", lambda chance, size: chance.normal(size=size)),
])
def test_a_surprise_is_as_rare_as_it_says_in_every_column(method: str, draw: Any) -> None:
    """Random windows have p < 1 % about as often, whatever the shape of the column and of the method's scores."""
    chance = np.random.default_rng(1)
    values = draw(chance, ROWS * 200)
    scored = scorer(method, values, categorical=method == "jensenshannon", blocks=ROWS)
    assert scored is not None
    null = Null.of(method, scored.by_chance(200))
    orders = [scored.of_blocks(chance.permutation(blocks_of(200, ROWS)), ROWS) for _ in range(25)]
    squares = np.concatenate(orders) ** (2 if method in ("wasserstein", "jensenshannon") else 1)
    assert 0.003 < np.mean(null.surprise(squares / null.mean) > -math.log(0.01)) < 0.03


def test_surprises_and_squares_are_inverse() -> None:
    """Also far beyond what is tabulated, and where windows move by themselves."""
    null = Null.of("psi", np.random.default_rng(0).exponential(size=500)).moved(9.0, 0.5)
    for surprise in (0.5, 3.0, 9.9, 40.0, 500.0):
        assert null.surprise(np.array([null.square(surprise)]))[0] == pytest.approx(surprise)


def test_new_values_are_as_surprising_as_the_binomial_tail() -> None:
    """Against SciPy; none is no surprise, and a category where none can be is a very large one."""
    found = surprise_of_new(0.01, np.array([0, 1, 5]), np.array([200, 200, 200]))
    assert found == pytest.approx([0, *-stats.binom.logsf([0, 4], 200, 0.01)])
    assert surprise_of_new(0.0, 1, 200) > 100


def test_new_categories_of_a_block_are_those_the_rest_never_had() -> None:
    """Of 20 blocks one has three values of its own category, one a single one, which is what chance is taken from."""
    codes, block = np.zeros(2000, np.int64), blocks_of(100, 20)
    codes[505], codes[700:703] = 1, 2
    new = NewValues.of(codes, block, 20)
    assert [int(new.counts[at]) for at in (5, 7)] == [1, 3]
    assert new.counts.sum() == 4
    assert new.chance == pytest.approx(1 / 2000)
    assert not new.limit(2.0).beyond(0, 100)
    assert new.limit(2.0).beyond(3, 100)


def test_bursts_of_new_categories_count_as_what_happens_once() -> None:
    """A product that came with fifty rows is the rarest of 20 blocks, and silences no other column."""
    codes, block = np.zeros(2000, np.int64), blocks_of(100, 20)
    codes[700:750] = 1
    new = NewValues.of(codes, block, 20)
    assert new.surprises.max() == pytest.approx(math.log(21))
    assert not new.limit(5.0).beyond(50, 100)


def test_p_values_of_nought_calibrate_nothing() -> None:
    """Where a part of the reference has p = 0 there is no number beyond it."""
    found = Blocks(method="chisquare", scores=np.array([1.0] * 11 + [np.inf]), sizes=np.full(12, 50), total=600,
                   chance=Null.of("chisquare", None))
    assert "p = 0" in str(found.lack)
