"""Does regret pay? Streams replayed with the scores any retraining schedule would have had."""

import math
from dataclasses import replace

import numpy as np
import pytest

from benchmarks import closed_loop as loop
from benchmarks import product
from benchmarks.leave_one_out import PRICES, difference, judged, mean, of_schedules
from benchmarks.rows import Absent
from benchmarks.rules import (
    CONSTANTS,
    RULES,
    Tried,
    going_back,
    going_back_by_gains,
    never,
    paid,
    plain_regret,
    play,
    regret,
)
from benchmarks.streams import Stream
from benchmarks.synthetic import synthetic
from monitor.decide.gain_noise import noise_of, of_steps

SHIPPED = {"allowance": 0.75, "evidence": 3.0}      # the constants of monitor/decide/regret.py
BY_GAINS = {"allowance": 0.5, "evidence": 2.5}
SEEDED = ("step", "slow", "walk")


@pytest.fixture(scope="module")
def streams():
    return [synthetic(shape, "all") for shape in SEEDED]


@pytest.fixture(scope="module")
def ours(streams):
    return of_schedules(product.schedule, streams, (1.0, 3.0))


def test_the_rule_that_is_judged_is_the_one_that_decides(streams, ours):
    """The plug-in with the shipped constants moves when `decide` asks, on every stream and at every price."""
    assert all(play(regret, stream, price, SHIPPED) == moves for (stream, price), moves in ours.moves.items())


def test_regret_leads_a_calendar_with_as_many_retrains(streams, ours):
    """On no family does the calendar do better; and it nets most of what the best schedule does."""
    assert min(ours.leads.values()) > 0
    assert mean(ours.nets)[0] > 0.7


def test_regret_pays_on_real_streams():
    """Half a price lost each window is never let pass: on each shared stream at least a third of the best is netted."""
    try:
        streams = [Stream.read(name) for name in ("flights_nyc13_linear", "car_loan")]
    except Absent as reason:
        pytest.skip(str(reason))
    assert min(of_schedules(product.schedule, streams, (1.0, 3.0)).nets.values()) > 0.33


def test_without_change_in_time_every_retrain_is_worth_its_price():
    """With the order of time destroyed more data is all there is to gain; of ten retrains at most one gains less."""
    try:
        assert loop.losers() <= 0.1
    except Absent as reason:
        pytest.skip(str(reason))


def test_noise_hardly_ever_asks_for_a_retrain():
    """Pure noise of several sizes, with labels at once or a window late: at most 0.2 retrains in 52 windows."""
    found = [
        len(play(regret, Stream.noise(sigma, delay, seed), price, SHIPPED))
        for sigma in loop.SIGMAS for delay in loop.DELAYS for price in PRICES for seed in range(3)
    ]
    assert np.mean(found) <= 0.2


def test_noise_from_the_gains_bounds_moves_however_alike_models_are():
    """Neighbouring models 80 % alike, windows an AR(0.7): retrains and ways back together at most 0.3 in 52 windows."""
    found = [
        len(play(going_back_by_gains, Stream.noise(sigma, 1, seed, likeness=0.8, persistence=0.7), price, BY_GAINS))
        for sigma in loop.SIGMAS for price in (1.0, 3.0) for seed in range(300, 303)
    ]
    assert np.mean(found) <= 0.3


def test_where_a_break_heals_the_model_from_before_comes_back():
    """Going back nets more than retraining alone, and never for one good window: at least three speak for it.

    What `decide` asks for is what the plug-in, a second writing of the rule, does.
    """
    stream = synthetic("heals", "newest")
    moves = product.going_back(stream, 2.0)
    assert moves == play(going_back, stream, 2.0, SHIPPED)
    back = [(window, row) for window, row in moves if row != window + 1]
    assert back
    assert all(row in {0, *(row for _, row in moves[: moves.index((window, row))])} for window, row in back)
    came = [0, *(window + 1 for window, _ in moves)]
    assert all(window - max(c for c in came if c <= window) >= 2 for window, _ in back)
    assert paid(stream, moves, 2.0).sum() > paid(stream, play(regret, stream, 2.0, SHIPPED), 2.0).sum() + 2.0


def test_the_noise_is_that_of_what_shows_it_most():
    """Placebos, steps from gain to gain, gains below zero; few of them leave the prior standing."""
    assert noise_of([], []) == pytest.approx(0.6)
    assert noise_of([2.0] * 9, [[0.0]]) == pytest.approx(2.0)
    assert noise_of([], [[3.0, -1.0] * 30]) == pytest.approx(math.sqrt(8.0))     # steps of 4: 16 / 2
    assert noise_of([], [[5.0, 5.0], [-1.0, -1.0]]) == pytest.approx(2.0)        # 8 · ½: no step between two models
    assert noise_of([], [[5.0] * 91]) == pytest.approx(math.sqrt(10 * 0.36 / 100))
    assert of_steps([0.0, 0.0, 9.0, 9.0, 9.0, 9.0]) == 0.0       # one step is no noise
    assert of_steps(list(np.random.default_rng(0).normal(0.0, 3.0, 9999))) == pytest.approx(3.0, rel=0.03)


def test_a_family_has_no_say_in_its_setting(streams):
    """Whatever happens on a stream, its own setting is the one that is best on the others."""
    tried = Tried(regret, CONSTANTS[::3])
    before = judged(tried, streams, (1.0, 3.0)).settings
    other = replace(streams[-1], score=streams[-1].score[:, ::-1] * 5)
    after = judged(tried, [*streams[:-1], other], (1.0, 3.0)).settings
    assert after["walk"] == before["walk"]
    assert set(before) == set(SEEDED)


def test_a_rule_sees_what_is_known_and_no_more():
    """No window whose labels are to come, no model that is not fitted yet; a model there is not is refused."""
    stream = Stream.noise(0.5, delay=2, seed=1, windows=9)

    def look(past, setting):
        assert past.score.shape == (past.now + 1, max(0, past.now - 1))

    assert play(look, stream, 1.0, {}) == ()
    with pytest.raises(ValueError, match="there is no model 5 after window 0, expected 0 to 1"):
        play(lambda past, setting: 5, stream, 1.0, {})


def test_going_back_costs_less_than_a_retrain_and_brings_the_earlier_scores():
    """A move to the newest model pays the price, one to an earlier model a quarter of it."""
    stream = Stream.noise(1.0, delay=0, seed=2, windows=6)
    gained = paid(stream, ((1, 2), (3, 0)), price=2.0)
    assert gained.tolist() == pytest.approx(
        [0, -2, *(stream.score[2, 2:4] - stream.score[0, 2:4] - [0, 0.5]), 0, 0]
    )


def test_rules_are_compared_on_the_streams_both_were_played_on(streams, ours):
    """Nothing nets more than never by more than its own net; the standard error is over families."""
    less, error = difference(ours, judged(Tried(never), streams[:2], (1.0, 3.0)))
    mine = ours.on(streams[:2])
    assert (less, error) == pytest.approx(mean(mine.nets))
    assert RULES["plain regret"].rule is plain_regret


def test_the_best_schedules_are_those_a_search_finds():
    """On a small stream the best schedule at a price, and with so many retrains, are those of trying all."""
    stream = Stream.noise(1.0, delay=0, seed=3, windows=7)
    every = [[window for window in range(6) if mask >> window & 1] for mask in range(2**6)]
    for price in (0.5, 1.0):
        best = max(stream.paid(one, price).sum() for one in every)
        assert stream.paid(stream.best(price), price).sum() == pytest.approx(best)
    for retrains in range(4):
        most = max(stream.paid(one).sum() for one in every if len(one) == retrains)
        assert stream.most(retrains) == pytest.approx(most)
