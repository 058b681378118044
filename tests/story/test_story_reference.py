"""What windows are compared with: a file, or the first stretch of the log; and what a new version changes."""

import pytest

from monitor.check.requests import OBSERVE
from monitor.errors import CannotJudge
from monitor.records import Reference


def test_nothing_is_judged_until_the_first_stretch_is_complete(world, made):
    """`first 5d` of the log: before that there is no reference; windows that begin behind it are judged."""
    world.write("log.parquet", made.rows(0.25, 12))
    world.model(reference={"first": "5d"})
    for day in (1, 5):
        with pytest.raises(CannotJudge, match="nothing is judged until 2024-01-06T06:00:00Z"):
            world.check(day)
    assert world.check(6) == []
    assert world.store.references.current("m").since == made.START + 5.25 * made.DAY
    assert world.days(world.check(8)) == [6, 7]
    assert world.said() == []


def test_a_new_version_begins_a_new_first_stretch(world, made):
    """The old stretch was answered by the old model: the next 5 days are the new one's reference."""
    world.write("log.parquet", made.rows(0, 20))
    world.model(reference={"first": "5d"}, version="1")
    world.check(8)
    first = world.store.references.current("m")
    world.change(version="2")
    for day in (8.5, 13):
        with pytest.raises(CannotJudge, match="2024-01-14T12:00:00Z"):
            world.check(day)
    assert world.days(world.check(16)) == [14, 15]
    second = world.store.references.current("m")
    assert (second.model_version, second.since) == ("2", made.START + 13.5 * made.DAY)
    assert second.id != first.id
    assert {one.reference_id for one in world.snapshots()[-2:]} == {second.id}
    assert [one.id for one in world.store.references.all("m")] == [first.id, second.id]


def test_a_changed_version_installs_a_new_reference_and_supersedes_the_need(world, made):
    """The need was the old model's; what was not sent of it is withdrawn, and only new windows are judged."""
    world.write("log.parquet", made.rows(0, 10))
    world.with_retrain(made.MANY | {"action": "retrain"}, version="1")
    assert world.check(2)[-1].action == "retrain"
    world.change(version="2")
    world.check(2.5)
    assert [one.state for one in world.store.episodes.all("m")] == ["superseded"]
    assert [one.state for one in world.store.requests.all("m")] == ["withdrawn"]
    reference = world.store.references.current("m")
    assert (reference.model_version, reference.since) == ("2", made.START + 2.5 * made.DAY)
    assert world.days(world.check(4)) == [3]


def test_a_rewritten_reference_file_is_a_new_reference(world, made):
    """Its content is its identity: touched it is the same, rewritten it is another."""
    world.write("log.parquet", made.rows(0, 10))
    world.model()
    world.check(1)
    world.write("reference.parquet", made.rows(-20, 20))
    world.check(2)
    assert len(world.store.references.all("m")) == 1
    world.write("reference.parquet", made.rows(-20, 20, seed=5))
    world.check(3.5)
    assert len(world.store.references.all("m")) == 2


class Meanwhile:
    """A Runner during whose measuring somebody promotes another model."""

    def __init__(self, world, made):
        self._world, self._runner = world, made.Here()

    def run(self, task, request):
        found = self._runner.run(task, request)
        if task is OBSERVE:
            now = self._world.store.references.current("m")
            new = Reference(model="m", id="new", model_version="2", origin="new", since=now.since)
            assert self._world.store.references.install(new, now.id, now.since)
        return found


def test_a_reference_replaced_during_a_check_voids_the_verdict_and_keeps_the_snapshot(world, made):
    """What was judged against the old model asks for nothing and tells nobody; the numbers stay on record."""
    world.write("log.parquet", made.rows(0, 1))
    world.with_retrain(made.MANY | {"action": "retrain"})
    world.runner = Meanwhile(world, made)
    assert world.check(1) == []
    assert [one.rows for one in world.snapshots()] == [24]
    assert world.store.verdicts.all("m") == []
    assert world.store.requests.all("m") == []
    assert world.said() == []


def test_a_persons_request_needs_a_pipeline_and_a_first_check(world, made):
    """It goes out under its own episode on the newest window, and is refused where there is nothing to ask."""
    from monitor.errors import UsageError

    world.write("log.parquet", made.rows(0, 3))
    world.model()
    with pytest.raises(UsageError, match=r"has no \[models.m.retrain\]"):
        world.checker(3).request("m", "ann", "new prices")
    world.with_retrain()
    with pytest.raises(UsageError, match="run driftd check --model m first"):
        world.checker(3).request("m", "ann", "new prices")
    world.check(3)
    sent = world.checker(3.1).request("m", "ann", "new prices")
    episode = world.store.episodes.standing("m")
    assert (episode.trigger, episode.state, sent.episode_id) == ("person", "requested", episode.id)
    assert episode.window == world.snapshots()[-1].window
    assert "new prices" in sent.body
    with pytest.raises(UsageError, match="under way"):
        world.checker(3.2).request("m", "ann", "once more")
