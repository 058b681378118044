"""How much better a candidate is on the same rows: numbers on draws of blocks, bounds, what cannot be judged."""

from dataclasses import replace

import numpy as np
import pytest
from scipy.signal import lfilter

from monitor.errors import CannotJudge
from monitor.gate.paired_difference import Pair, improvements, pair_of
from monitor.gate.resampled_metrics import Redrawn, redrawn
from monitor.metric_catalogue import METRICS, better_by
from monitor.performance.formulas import usable, value_of
from monitor.performance.labelled_rows import Answers
from monitor.records import Score, ScoreStatus

# A candidate's file has one probability at most, so the gate judges no metric of one probability per class.
CASES = [(metric, task) for metric, kind in METRICS.items() for task in kind.tasks
         if not (task == "multiclass" and kind.needs_probability)]


def given_answers(task: str, rows: int = 400, seed: int = 0, right: float = 0.8) -> Answers:
    """Labels and what a model says of them; a few probabilities are tied."""
    chance = np.random.default_rng(seed)
    labels = np.random.default_rng(99)
    if task == "regression":
        truth = labels.normal(3, 1, rows).round(1)
        return Answers("regression", (), truth, truth + chance.normal(0.1, 0.5, rows), np.arange(rows))
    classes = ("0", "1") if task == "binary" else ("a", "b", "c", "never")
    truth = labels.integers(0, min(len(classes), 3), rows)
    said = np.where(chance.random(rows) < right, truth, chance.integers(0, len(classes), rows))
    probability = np.clip(0.5 + (said - 0.5) * chance.random(rows), 0.01, 0.99).round(2) if task == "binary" else None
    return Answers(task, classes, truth, said, np.arange(rows), probability)


@pytest.mark.parametrize(("metric", "task"), CASES)
def test_the_metric_on_a_draw_is_the_metric_on_its_rows(metric: str, task: str) -> None:
    """From sums per block comes what the rows of the drawn blocks, put behind one another, give."""
    given = usable(metric, given_answers(task))
    blocks = 10
    block = np.arange(len(given)) * blocks // len(given)
    weights = np.random.default_rng(1).multinomial(blocks, np.full(blocks, 0.1), size=5).astype(float)
    wanted = []
    for drawn in weights:
        rows = np.concatenate([np.flatnonzero(block == one).repeat(int(times)) for one, times in enumerate(drawn)])
        wanted.append(value_of(metric, given.take(rows)))
    assert redrawn(metric, given, Redrawn(weights, block)) == pytest.approx(wanted, rel=1e-9)


@pytest.mark.parametrize("metric", ["accuracy", "bias", "rmse", "log_loss"])
def test_an_improvement_is_in_the_metrics_own_direction(metric: str) -> None:
    """Positive where the candidate is better, whichever way the metric goes, and inside its bounds."""
    task = METRICS[metric].tasks[0]
    pair = Pair(given_answers(task, seed=1, right=0.6), given_answers(task, seed=2, right=0.95))
    overall, _ = improvements(metric, pair, [], 100)
    wanted = better_by(metric, value_of(metric, pair.candidate), value_of(metric, pair.champion))
    assert overall.value == pytest.approx(wanted)
    assert overall.low is not None
    assert overall.high is not None
    assert overall.low < wanted < overall.high


def test_pairing_makes_the_bound_narrow() -> None:
    """Two models that err on nearly the same rows are told apart by the few on which they differ."""
    champion = given_answers("binary", 2000, seed=1, right=0.7)
    wrong = np.flatnonzero(champion.predicted != champion.truth)[::7][:40]
    said = champion.predicted.copy()
    said[wrong] = champion.truth[wrong]
    better = replace(champion, predicted=said)
    overall, _ = improvements("accuracy", Pair(champion, better), [], 100)
    assert overall.value == pytest.approx(0.02)
    assert overall.low is not None
    assert overall.low > 0.01            # of unpaired shares the difference alone has a standard error of 0.0145


def test_rows_near_in_time_stay_together() -> None:
    """Where whole stretches go well or badly, the bound is as wide as the stretches are few."""
    champion = given_answers("binary", 4000)
    good = np.random.default_rng(5).random(40) < 0.55                     # stretches of 100 rows
    streaks = np.where(np.repeat(good, 100), champion.truth, 1 - champion.truth)
    half = replace(champion, predicted=np.where(np.arange(4000) % 2 == 0, champion.truth, 1 - champion.truth))
    wrong = np.random.default_rng(6).permutation(streaks == champion.truth) ^ 1
    mixed = replace(champion, predicted=wrong ^ champion.truth)
    widths = []
    for said in (replace(champion, predicted=streaks), mixed):
        overall, _ = improvements("accuracy", Pair(half, said), [], 100)
        assert overall.low is not None
        assert overall.value is not None
        widths.append(overall.value - overall.low)
    assert widths[0] > 4 * widths[1]


def test_bounds_of_many_segments_hold_for_all_at_once() -> None:
    """The same segment is known less surely beside nineteen others than alone."""
    pair = Pair(given_answers("binary", 6000, seed=1), given_answers("binary", 6000, seed=2))
    place = np.random.default_rng(3).integers(0, 20, 6000)
    segments = [(f"s={one}", place == one) for one in range(20)]
    _, alone = improvements("accuracy", pair, segments[:1], 100)
    _, together = improvements("accuracy", pair, segments, 100)
    assert alone[0].value == together[0].value
    widths = [score.high - score.value for score in (alone[0], together[0]) if score.high and score.value is not None]
    assert 1.4 < widths[1] / widths[0] < 2.1            # 2.8 normal standard errors in place of 1.64


def judged_alone(metric: str, inside: np.ndarray, rows: int = 2000) -> Score:
    pair = Pair(given_answers("binary", rows, seed=1), given_answers("binary", rows, seed=2))
    return improvements(metric, pair, [("s", inside)], 100)[1][0]


@pytest.mark.parametrize(
    ("metric", "keep", "reason"),
    [
        ("accuracy", lambda at, truth: at < 8, "fewer than 10 rows"),
        ("accuracy", lambda at, truth: at % 40 == 0, "50 rows, expected at least 100"),
        ("accuracy", lambda at, truth: at < 150, "its rows lie in too few stretches of time to say how sure the"),
        ("recall", lambda at, truth: (truth == 0) | (at < 10), "recall rests on"),
    ],
)
def test_what_a_segment_is_too_small_for_is_said(metric: str, keep: object, reason: str) -> None:
    """Too few rows, rows of one moment only, or too few that the metric looks at: insufficient, with the reason."""
    assert callable(keep)
    score = judged_alone(metric, keep(np.arange(2000), given_answers("binary", 2000).truth))
    assert score.status is ScoreStatus.INSUFFICIENT
    assert str(score.reason).startswith(reason)
    assert score.value is None


def test_only_rows_that_both_answer_are_compared() -> None:
    """A row that one of the two left out counts for neither."""
    whole = given_answers("binary", 10)
    pair = pair_of(whole.take(np.array([0, 1, 2, 5])), whole.take(np.array([1, 2, 3, 5])))
    assert pair.champion.at.tolist() == pair.candidate.at.tolist() == [1, 2, 5]


def test_a_metric_that_needs_probabilities_says_whose_are_missing() -> None:
    """Without the candidate's probabilities its ROC AUC cannot be had."""
    whole, classes = given_answers("binary"), given_answers("multiclass")
    with pytest.raises(CannotJudge, match="the candidate's predictions have none"):
        improvements("roc_auc", Pair(whole, replace(whole, probability=None)), [], 100)
    with pytest.raises(CannotJudge, match="the champion's predictions have none"):
        improvements("log_loss", Pair(classes, classes), [], 100)


def test_rows_on_which_the_metric_means_nothing_are_left_out() -> None:
    """mape has no percentage of a label of zero; such rows count for neither model."""
    champion, candidate = (given_answers("regression", seed=seed, right=right) for seed, right in ((1, 0.6), (2, 0.95)))
    truth = champion.truth.astype(float)
    truth[::7] = 0.0
    pair = Pair(replace(champion, truth=truth), replace(candidate, truth=truth))
    overall, _ = improvements("mape", pair, [], 100)
    kept = truth != 0
    wanted = [np.mean(np.abs(side.predicted[kept] - truth[kept]) / np.abs(truth[kept]))
              for side in (pair.champion, pair.candidate)]
    assert overall.value == pytest.approx(wanted[0] - wanted[1])
    assert overall.n == kept.sum()


def alike(phi: float, rows: int, seed: int, better: float = 0.0) -> Pair:
    """A pair whose difference of losses is an AR(1) of the variance 1."""
    shocks = np.random.default_rng(seed).normal(0, np.sqrt(1 - phi**2), rows)
    shocks[0] /= np.sqrt(1 - phi**2)
    return differing(lfilter([1], [1, -phi], shocks) + better)


def differing(difference: np.ndarray) -> Pair:
    """A pair with this difference of losses."""
    at, truth = np.arange(len(difference)), np.zeros(len(difference))
    return Pair(*(Answers("regression", (), truth, 5 + side * difference / 2, at) for side in (1, -1)))


@pytest.mark.parametrize("phi", [0.9, 0.995])
def test_an_equal_candidate_is_seldom_shown_better_where_neighbours_are_alike(phi: float) -> None:
    """At 5 % stated: of 40 such at most 6, which three in a hundred series of trials exceed."""
    shown = sum((improvements("mae", alike(phi, 2000, seed), [], 100)[0].low or 0) > 0 for seed in range(40))
    assert shown <= 6


@pytest.mark.parametrize("phi", [0.0, 0.95])
def test_bounds_are_as_wide_as_alike_neighbours_make_them(phi: float) -> None:
    """The mean of an AR(1) has the variance (1 + φ) / (1 − φ) / n; bounds are hardly wider than that asks for."""
    widths = []
    for seed in range(10):
        overall, _ = improvements("mae", alike(phi, 10_000, seed), [], 100)
        assert overall.value is not None
        assert overall.low is not None
        widths.append(overall.value - overall.low)
    exact = 1.645 * ((1 + phi) / (1 - phi) / 10_000) ** 0.5
    assert exact * 0.95 < np.mean(widths) < exact * 1.25


@pytest.mark.parametrize("seed", [14, 31])
def test_always_valid_bounds_hold_at_every_look(seed: int) -> None:
    """Equal candidates that one of five looks shows to be better by bounds for one look; and one that is better."""
    def shown(pair: Pair, *, always_valid: bool) -> bool:
        looks = (pair.take(np.arange(rows)) for rows in range(200, 1001, 200))
        return any((improvements("mae", one, [], 100, always_valid=always_valid)[0].low or 0) > 0 for one in looks)

    equal = alike(0.5, 1000, seed)
    assert [shown(equal, always_valid=valid) for valid in (False, True)] == [True, False]
    assert shown(alike(0.5, 1000, seed, better=0.4), always_valid=True)


@pytest.mark.parametrize("seed", range(3))
def test_always_valid_bounds_change_by_degrees(seed: int) -> None:
    """As neighbours become alike little by little, from not at all to very, no bound jumps on the way."""
    shocks = np.random.default_rng(seed).normal(size=100)
    widths = []
    for phi in np.linspace(0, 0.6, 61):
        overall, _ = improvements("mae", differing(lfilter([1], [1, -phi], shocks)), [], 50, always_valid=True)
        assert overall.value is not None
        assert overall.low is not None
        widths.append(overall.value - overall.low)
    steps = np.array(widths[1:]) / widths[:-1]
    assert widths[-1] > 2 * widths[0]
    assert np.abs(steps - 1).max() < 0.06


def test_always_valid_bounds_of_segments_are_wider() -> None:
    """Segments share the error; each has the same value as for one look, and a bound further away."""
    pair, rows = alike(0.0, 4000, 1), np.arange(4000)
    masks = [(f"s={one}", rows % 4 == one) for one in range(4)]
    for name, mask in masks:
        found = [improvements("mae", pair, masks, 100, always_valid=valid)[1] for valid in (False, True)]
        once, always = (next(score for score in scores if score.segment == name) for scores in found)
        assert always.low is not None
        assert once.low is not None
        assert always.value == once.value == pytest.approx(
            np.mean(pair.champion.predicted[mask] - pair.candidate.predicted[mask]))
        assert always.low < once.low
