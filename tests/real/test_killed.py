"""kill -9 of the daemon again and again, and what arrives at a real receiver meanwhile."""

import random
import signal
import threading
from itertools import pairwise
from typing import Any

import pytest

from monitor.records import EpisodeState

pytestmark = pytest.mark.real

NEEDS, KILLS = 3, 12


def test_killed_at_random_one_id_arrives_for_each_need(place: Any) -> None:
    """However often and whenever the daemon is killed: each need is asked for under one id, and none is lost."""
    chance = random.Random(4)
    for need in range(NEEDS):
        place.service.good = False
        for _ in range(KILLS // NEEDS):
            _live_and_die(place, chance)
        place.start()
        place.until(lambda need=need: need < len(place.delivered()))
        place.service.good = True
        place.until(lambda: not place.need_stands())
        place.driftd("resolve", place.delivered()[-1], "succeeded", "--by", "ann", "--reason", "the run went well")
        assert place.end(signal.SIGKILL) == -signal.SIGKILL
    place.start()
    place.until(lambda: place.get("/readyz"))
    assert place.end(signal.SIGTERM) == 0
    _compare(place)


def _live_and_die(place: Any, chance: random.Random) -> None:
    """Run the daemon and kill it at a random moment: any, or while a request is on its way."""
    place.hook.begun.clear()
    place.start()
    place.hook.begun.wait(chance.uniform(0.5, 9))
    threading.Event().wait(chance.uniform(0, 0.4))
    assert place.end(signal.SIGKILL) == -signal.SIGKILL, place.log()


def _compare(place: Any) -> None:
    """The receiver's ids are the store's, one for each need; a repeat says the same; every window was checked."""
    with place.store() as store:
        asked, episodes = store.requests.all(), store.episodes.all("trees")
        starts = sorted({one.window.start for one in store.snapshots.newest_revisions("trees", metrics=())})
    assert place.hook.refused == []
    assert {one.id for one in asked} == place.hook.ids()
    assert len({one.episode_id for one in asked}) == len(asked) == NEEDS
    assert {one.id for one in episodes} == {one.episode_id for one in asked}
    assert {one.state for one in episodes} == {EpisodeState.CLEARED}
    for id, event in place.hook.events:
        assert all(event.data == other.data for name, other in place.hook.events if name == id)
    assert {later - sooner for sooner, later in pairwise(starts)} == {place.window}
