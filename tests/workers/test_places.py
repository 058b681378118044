"""Whose turn it is, by hand."""

from hypothesis import given
from hypothesis import strategies as st

from monitor.workers.places import Places, Standing


def begin(places, *turns):
    for turn in turns:
        assert places.is_next(turn)
        places.begin(turn)


def queued(places, *models):
    return [places.enter(model, float(moment)) for moment, model in enumerate(models)]


def test_tasks_begin_in_the_order_they_came_up_to_the_size():
    """Of three tasks for two places the first two begin; the third does when one has ended."""
    places = Places(2)
    one, two, three = queued(places, "a", "b", "c")
    assert not places.is_next(two)
    begin(places, one, two)
    assert not places.is_next(three)
    places.leave(one)
    assert places.is_next(three)


def test_failing_models_share_one_place():
    """Two models that failed never run at once, and a place is left for one that did not."""
    places = Places(2)
    for model in ("bad", "worse", "worse"):
        places.note(model, Standing.FAILING)
    bad, worse, good, other = queued(places, "bad", "worse", "good", "other")
    begin(places, bad)
    assert not places.is_next(worse)
    begin(places, good)
    assert not places.is_next(other)
    places.leave(bad)
    begin(places, worse)
    assert places.running == [good, worse]


def test_of_a_single_place_a_failing_model_takes_nothing():
    """With one place a failing model has one beside it."""
    places = Places(1)
    places.note("bad", Standing.FAILING)
    bad, good = queued(places, "bad", "good")
    begin(places, bad, good)


def test_a_silent_task_is_set_aside_and_a_second_one_must_wait():
    """A task that is silent gives up its place; one may go on beside the others, the next is begun again later."""
    places = Places(2)
    one, two, good = queued(places, "a", "b", "good")
    begin(places, one, two)
    assert places.set_aside(one)
    assert not places.set_aside(two)
    places.leave(two)
    again = places.enter("b", 9.0)
    assert again.standing is Standing.HUNG
    begin(places, good)
    assert not places.is_next(again)
    places.leave(one)
    begin(places, again)


def test_a_model_that_went_well_is_good_again():
    """One success makes up for all failures before it."""
    places = Places(2)
    places.note("a", Standing.HUNG)
    places.note("a", Standing.GOOD)
    assert places.enter("a", 0.0).standing is Standing.GOOD


@given(st.integers(1, 4), st.lists(st.tuples(st.integers(0, 9), st.sampled_from(list(Standing)), st.booleans())))
def test_whatever_happens_a_good_model_finds_a_place_that_no_bad_one_can_take(size, events):
    """Of any history: failing and hung tasks run at most one each, and a good task waits for good ones only."""
    places = Places(size)
    for moment, (model, standing, end) in enumerate(events):
        places.note(str(model), standing)
        places.enter(str(model), float(moment))
        while (turn := next((turn for turn in places.waiting if places.is_next(turn)), None)):
            places.begin(turn)
        if end and places.running:
            places.leave(places.running[0])
        by = [sum(turn.standing is one for turn in places.running) for one in Standing]
        assert by[1] <= 1
        assert by[2] <= 1
        waits = any(turn.standing is Standing.GOOD for turn in places.waiting)
        assert not waits or end or by[0] >= max(1, size - 1)
