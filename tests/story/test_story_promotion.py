"""A run that says which version it put into service, and what is compared from then on."""

import json
import sys
import time
from datetime import timedelta
from pathlib import Path

import pytest

from monitor.config.model import CommandPipeline
from monitor.records import DispatchState
from monitor.retrain import Outbox
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
    while not world.store.dispatches(states=[DispatchState.SUCCEEDED]) and time.monotonic() < deadline:
        moment += timedelta(seconds=15)
        outbox.follow()


@pytest.fixture
def asked(world, made):
    """A model in service as version 1, for which a retrain was asked on day 2."""
    world.write("log.parquet", made.rows(0, 5))
    world.with_retrain(made.MANY | {"action": "retrain"}, version="1")
    world.check(2)
    assert [one.state for one in world.store.dispatches()] == [DispatchState.PENDING]
    return world


def test_the_version_a_run_names_is_watched_against_its_reference(asked, made, tmp_path):
    """From the next look on the new version is in service, compared with the rows the run gave."""
    new = asked.write("new.parquet", made.rows(-10, 10, shift=3))
    run_to_its_end(asked, made, tmp_path, {"model_version": "2", "reference": str(new)}, 2)
    asked.check(2.01)
    reference = asked.store.reference("m")
    assert (reference.model_version, reference.origin) == ("2", str(new))
    asked.check(4.1)
    assert {one.model_version for one in asked.snapshots() if one.window.start >= reference.since} == {"2"}


def test_a_version_set_by_hand_afterwards_wins(asked, made, tmp_path):
    """Once the configuration names another version than the run was asked for, the configuration knows better."""
    run_to_its_end(asked, made, tmp_path, {"model_version": "2"}, 2)
    asked.check(2.01)
    assert asked.store.reference("m").model_version == "2"
    asked.change(version="7")
    asked.check(2.02)
    assert asked.store.reference("m").model_version == "7"
