"""The false alarms of a year are told from windows in which nothing changes."""

import random
from statistics import fmean

import pytest

from monitor.calibration.block_bootstrap import by_chance, drawn_years, together
from monitor.config.values import Persistence
from monitor.decide.triggers import Ballot, fires

WEEKS = 52


def stream(rng, count, often, stays):
    """Votes that hang together: each is the one before with the chance `stays`, else yes with the chance `often`."""
    votes = [rng.random() < often]
    while len(votes) < count:
        votes.append(votes[-1] if rng.random() < stays else rng.random() < often)
    return votes


def begun(windows, votes):
    """How often a trigger begins to fire, counted anew."""
    m, n = windows
    fired = [sum(votes[max(0, at - n + 1) : at + 1]) >= m for at in range(len(votes))]
    return sum(now and not before for before, now in zip([False, *fired], fired, strict=False))


def drift(name="drift", **given):
    return {"name": name, "metric": "drifted_share", "drifted": True} | given


@pytest.mark.parametrize(("windows", "often", "stays"), [((1, 1), 0.05, 0.0), ((1, 1), 0.2, 0.5), ((2, 3), 0.2, 0.0)])
def test_the_rate_is_that_of_the_stream(made, windows, often, stays):
    """Over many references of two years: the true rate and one firing more; few years bring more than is said."""
    rng, model = random.Random(1), made.model(drift(windows="{} of {}".format(*windows)))
    true = fmean(begun(windows, stream(rng, WEEKS, often, stays)) for _ in range(2000))
    said, kept = [], []
    for _ in range(60):
        votes = stream(rng, 2 * WEEKS, often, stays)
        years, _ = drawn_years(model.triggers, {"drift": Ballot(votes, votes)}, WEEKS, windows[1])["drift"]
        said.append(years.a_year)
        kept += [begun(windows, stream(rng, WEEKS, often, stays)) <= years.at_most for _ in range(20)]
    more = WEEKS / (2 * WEEKS + 1)
    assert 0.9 * true < fmean(said) < 1.25 * true + more       # votes that stay are cut at the ends of blocks
    assert fmean(kept) > 0.95


def test_what_was_never_seen_may_come(made):
    """Twelve quiet weeks say at most one in thirteen; so do a hundred years drawn from them."""
    quiet = Ballot([False] * 12, [False] * 12)
    years, fired = drawn_years(made.model(drift()).triggers, {"drift": quiet}, WEEKS, 1)["drift"]
    assert not any(fired)
    assert years.a_year == pytest.approx(WEEKS / 13)
    assert years.at_most == pytest.approx(13, abs=2)      # geometric: 0.8 ** 14 is below 0.05
    assert years.expected("drift", fired).words.startswith("about 4 a year; at most ")


def test_while_it_fires_other_votes_count(made):
    """Until the clearing level is reached it is one episode and not three."""
    votes, clearing = [True, False, True, False, True, False], [True, True, True, True, True, False]
    assert fires(Persistence(1, 1), votes, clearing) == clearing
    model = made.model(drift())
    assert drawn_years(model.triggers, {"drift": Ballot(votes, clearing)}, 6, 6)["drift"][0].a_year < 2.5


def test_composed_triggers_are_told_from_their_members(made):
    """Both, either, and one that is held while another fires; one that rests on what cannot be told is left out."""
    model = made.model(
        drift("a"), drift("b"), drift("c", unless=["a"]),
        {"name": "both", "all": ["a", "b"]}, {"name": "either", "any": ["a", "b"]},
        {"name": "unknown", "all": ["a", "pays"]},
        {"name": "pays", "metric": "regret", "above": 2.0, "action": "retrain"},
    )
    a, b = [True, True, False, False], [False, True, True, False]
    found = drawn_years(model.triggers, {"a": Ballot(a, a), "b": Ballot(b, b), "c": Ballot(b, b)}, 4, 4)
    assert {name: fired for name, (_, fired) in found.items()} == {
        "a": a, "b": b, "c": [False, False, True, False],
        "both": [False, True, False, False], "either": [True, True, True, False],
    }


def test_together_they_come_in_the_same_years(made):
    """What is seen adds up; what was never seen is feared once."""
    votes = [at % 10 == 0 for at in range(100)]
    triggers = made.model(drift("a"), drift("b")).triggers
    found = drawn_years(triggers, dict.fromkeys("ab", Ballot(votes, votes)), WEEKS, 1)
    one, whole = found["a"][0], together([found["a"][0], found["b"][0]])
    assert whole.a_year == pytest.approx(2 * (one.a_year - one.unseen) + one.unseen)
    assert whole.at_most > 1.5 * one.at_most - 2


def test_noise_alone_comes_by_chance():
    """Of 0.2 a year on average hardly any year has two, and one in a hundred has more than that."""
    assert by_chance(0.2).a_year == pytest.approx(0.2, abs=0.06)
    assert by_chance(0.2).at_most == 1
