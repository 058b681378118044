"""A run that says which version it put into service, and what is compared from then on."""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config.pipeline_sections import CommandPipeline
from monitor.config.sections import ReferenceSection, RetrainSection, SourceSection
from monitor.decide.recovery import NO_RECOVERY
from monitor.errors import UsageError
from monitor.promotion.versions import approve_promotion, reject_promotion
from monitor.records import DispatchState
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import open_pipeline

SAYS = "import json, os; open(os.environ['DRIFTD_RESULT'], 'w').write({said!r})"


def run_to_its_end(world, made, folder: Path, said: dict[str, str], day: float) -> None:
    """Send what is due to a real command that says `said`, and follow it until it has ended."""
    section = CommandPipeline(kind="command", command=(sys.executable, "-c", SAYS.format(said=json.dumps(said))))
    pipelines = {"p": open_pipeline(section, folder)}
    deadline = time.monotonic() + 60
    moment = made.START + day * made.DAY
    outbox = Outbox(world.store, pipelines, lambda: moment)
    outbox.send_due()
    while not world.store.requests.all(states=[DispatchState.SUCCEEDED]) and time.monotonic() < deadline:
        moment += timedelta(seconds=15)
        outbox.follow()


@pytest.fixture
def asked(world, made):
    """A model in service as version 1, for which a retrain was asked on day 2."""
    world.write("log.parquet", made.rows(0, 5))
    world.with_retrain(made.MANY | {"action": "retrain"}, version="1")
    world.check(2)
    assert [one.state for one in world.store.requests.all()] == [DispatchState.PENDING]
    return world


def test_the_version_a_run_names_is_watched_against_its_reference(asked, made, tmp_path):
    """From the next look on the new version is in service, compared with the rows the run gave."""
    new = asked.write("new.parquet", made.rows(-10, 10, shift=3))
    run_to_its_end(asked, made, tmp_path, {"model_version": "2", "reference": str(new)}, 2)
    asked.check(2.01)
    reference = asked.store.references.current("m")
    assert (reference.model_version, reference.origin) == ("2", str(new))
    asked.check(4.1)
    assert {one.model_version for one in asked.snapshots() if one.window.start >= reference.since} == {"2"}


def test_a_version_set_by_hand_afterwards_wins(asked, made, tmp_path):
    """Once the configuration names another version than the run was asked for, the configuration knows better."""
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    asked.check(2.01)
    assert asked.store.references.current("m").model_version == "2"
    asked.change(version="7")
    asked.check(2.02)
    assert asked.store.references.current("m").model_version == "7"


BY_PERSON = {"pipeline": "p", "cooldown": "0s", "budget": "9 per 1d", "min_labels": 0,
             "approval": {"promotion": "person"}}


def test_a_new_version_waits_for_a_person(asked, made, tmp_path):
    """Until the yes windows go on being compared with the old reference; who asked for it cannot say it."""
    asked.change(retrain=RetrainSection.model_validate(BY_PERSON))
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    asked.check(2.01)
    asked.check(3.1)
    assert asked.store.references.current("m").model_version == "1"
    assert asked.said().count("promotion") == 1
    approve_promotion(asked.store, asked.section, "ann", "looks right", made.START + 3.2 * made.DAY)
    asked.check(3.3)
    assert asked.store.references.current("m").model_version == "2"
    taken = asked.store.promotions.all("m")[-1]
    assert (taken.state, taken.decided_by, taken.reason, taken.replaces) == ("taken", "ann", "looks right", "1")
    with pytest.raises(UsageError, match="no version awaits approval"):
        approve_promotion(asked.store, asked.section, "ann", "again", made.START + 3.4 * made.DAY)


def test_a_rejected_version_never_comes_into_service(asked, made, tmp_path):
    """The same run is not asked about again."""
    asked.change(retrain=RetrainSection.model_validate(BY_PERSON))
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    asked.check(2.01)
    reject_promotion(asked.store, asked.section, "ann", "worse on Sundays", made.START + 3 * made.DAY)
    asked.check(3.1)
    asked.check(4.1)
    assert asked.store.references.current("m").model_version == "1"
    assert asked.said().count("promotion") == 1


def test_who_asked_for_the_retrain_cannot_approve_what_came_of_it(world, made, tmp_path):
    """A person's own request needs another person at its end, too."""
    world.write("log.parquet", made.rows(0, 5))
    world.model(version="1", retrain=BY_PERSON)
    world.check(2)
    moment = made.START + 2 * made.DAY
    with world.store.transaction():
        written = world.checker(2).request("m", "bob", "new prices")
        world.store.audit.note(moment, "bob", "retrain", written.id, "new prices")
    run_to_its_end(world, made, tmp_path, {"model_version": "2"}, 2)
    world.check(2.01)
    with pytest.raises(UsageError, match="bob asked for this retrain"):
        approve_promotion(world.store, world.section, "bob", "mine", moment)
    approve_promotion(world.store, world.section, "ann", "yes", moment)
    world.check(2.02)
    assert world.store.references.current("m").model_version == "2"


def test_an_approval_of_a_version_that_was_overtaken_is_refused(asked, made, tmp_path):
    """Compare-and-set: the version it was to replace is not in service any more."""
    asked.change(retrain=RetrainSection.model_validate(BY_PERSON))
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    asked.check(2.01)
    asked.change(version="7")
    with pytest.raises(UsageError, match="was to replace 1, but 7 is in service"):
        approve_promotion(asked.store, asked.section, "ann", "yes", made.START + 3 * made.DAY)


def test_a_path_with_the_version_follows_a_run(asked, made, tmp_path):
    """Where the run names no reference, the configured path is filled with the version that came."""
    template = str(tmp_path / "ref-{version}.parquet")
    first, second = (asked.write(f"ref-{n}.parquet", made.rows(-20, 20, shift=n)) for n in (1, 2))
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    asked.change(reference=ReferenceSection(source=SourceSection(path=str(first)), template=template))
    asked.check(2.01)
    assert asked.store.references.current("m").origin == str(second)


def test_back_and_forth_in_the_file(asked, made, tmp_path):
    """A version written into the file counts each time it is written, also the one before."""
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    for day, version, served in ((2.01, "1", "2"), (2.02, "7", "7"), (2.03, "1", "1"), (2.04, "1", "1")):
        asked.change(version=version)
        asked.check(day)
        assert asked.store.references.current("m").model_version == served
    assert [one.version for one in asked.store.promotions.all("m")] == ["2", "7", "1"]


@pytest.fixture
def improving(world, made):
    """Version 1, whose predictions go wrong on day 2; a trigger on its error asks."""
    def predictions(first, days, off):
        table = made.rows(first, days, label_after=made.HOUR)
        return table.set_column(table.column_names.index("prediction"), "prediction",
                                [[value + off for value in table["prediction"].to_pylist()]])

    world.predictions = predictions
    world.write("reference.parquet", predictions(-20, 20, 0))
    world.write("log.parquet", predictions(0, 2, 0), predictions(2, 1, 9))
    world.with_retrain({"name": "wrong", "metric": "mae", "above": 4, "action": "retrain"}, version="1", metric="mae",
                       task="regression")
    world.check(3.2)
    assert [one.state for one in world.store.requests.all()] == [DispatchState.PENDING]
    return world


def promoted(world, made, folder, off):
    """The run ends with version 2, which from day 4 on is wrong by `off`."""
    run_to_its_end(world, made, folder, {"model_version": "2"}, 3.2)
    world.check(3.3)
    log = [world.predictions(*part) for part in ((0, 2, 0), (2, 2, 9), (4, 6, off))]
    world.write("log.parquet", *log)
    return world.store.promotions.all("m")[-1]


def test_recovery_is_measured(improving, made, tmp_path):
    """With the first mature window whose error is small again the version has answered its need; people hear of it."""
    awaited = promoted(improving, made, tmp_path, 0)
    assert (awaited.need, awaited.recovery) == ("wrong", "awaited")
    improving.check(5.2)
    found = improving.store.promotions.all("m")[-1]
    assert (found.recovery, found.recovery_at) == ("recovered", made.START + 5 * made.DAY)
    assert "mae is" in found.recovery_reason
    improving.check(8.2)
    assert improving.said().count("recovered") == 1


def test_a_version_that_does_not_help_alerts(improving, made, tmp_path):
    """After three mature windows that are as bad `no-recovery` fires, once; it clears when a window is good again."""
    promoted(improving, made, tmp_path, 9)
    improving.check(6.2)
    assert NO_RECOVERY not in {one.trigger for one in improving.store.firings.all("m") if one.firing}
    improving.check(7.2)
    firing = {one.trigger: one for one in improving.store.firings.all("m") if one.firing}
    assert "version 2 has not helped wrong: mae is" in firing[NO_RECOVERY].reason
    assert improving.store.promotions.all("m")[-1].recovery == "missing"
    assert NO_RECOVERY in improving.store.verdicts.all("m")[-1].fired
    log = [improving.predictions(*part) for part in ((0, 2, 0), (2, 5, 9), (7, 3, 0))]
    improving.write("log.parquet", *log)
    improving.check(8.2)
    assert NO_RECOVERY not in {one.trigger for one in improving.store.firings.all("m") if one.firing}
    assert improving.store.promotions.all("m")[-1].recovery == "recovered"
