"""A season that returns: the version that served before is asked back, comes, and is followed to its recovery."""

import json
import sys
import time
from datetime import timedelta

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from monitor.config.pipeline_sections import CommandPipeline
from monitor.config.sections import BUILT_IN_TRIGGERS, going_back
from monitor.records import DispatchState, Recovery
from monitor.retrain.outbox import Outbox
from monitor.retrain.pipelines import open_pipeline

# Does what it is told in the evidence: puts the version asked for back.
SAYS = """import json, os
data = json.load(open(os.environ["DRIFTD_EVIDENCE"]))["data"]
assert data["action"] == "rollback"
json.dump({"model_version": data["version"]}, open(os.environ["DRIFTD_RESULT"], "w"))"""


def season(made, first: int, days: int, *, winter: bool) -> pa.Table:
    """Rows whose label is x in summer and −x in winter, as the summer's version 1 would predict them."""
    table = made.rows(first, days, label_after=made.HOUR, per_day=48)
    x = table["x"].to_numpy()
    noise = np.random.default_rng(first + 99).normal(0, 0.5, len(x))
    table = table.set_column(table.schema.get_field_index("label"), "label", pa.array((-x if winter else x) + noise))
    return table.set_column(table.schema.get_field_index("prediction"), "prediction", pa.array(x))


def by_version_2(table: pa.Table) -> pa.Table:
    """The same rows as the winter's version predicts them."""
    at = table.schema.get_field_index("prediction")
    return table.set_column(at, "prediction", pa.array(-table["x"].to_numpy()))


@pytest.fixture
def returned(world, made):
    """Version 2 served the winter of days 1 and 2; from day 3 on it is summer again, for which version 1 was made."""
    world.write("reference.parquet", season(made, -20, 20, winter=False))
    summer = season(made, 3, 12, winter=False)
    log = [season(made, 0, 1, winter=False), by_version_2(season(made, 1, 2, winter=True)), by_version_2(summer)]
    world.write("log.parquet", *log)
    (world.folder / "of").mkdir()
    pq.write_table(pa.concat_tables([summer, season(made, 1, 2, winter=True)]), world.folder / "of/1.parquet")
    pq.write_table(by_version_2(summer), world.folder / "of/2.parquet")
    world.with_retrain(
        version="1", metric="rmse", window=made.DAILY | {"lateness": "1h"},
        versions={"predictions": {"path": f"{world.folder}/of/{{version}}.parquet"}},
    )
    world.change(triggers=(going_back(()), *BUILT_IN_TRIGGERS))
    world.check(1.1)
    world.change(version="2")
    world.check(1.11)
    return world


def until_asked(world) -> int:
    for day in range(2, 12):
        world.check(day + 0.1)
        if world.store.requests.all():
            return day
    raise AssertionError("nothing was asked for")


def test_the_version_that_served_before_is_asked_back_and_recovers(returned, made, tmp_path):
    """Three windows of summer speak for version 1; the pipeline brings it back, and the need has gone."""
    assert until_asked(returned) == 6            # windows of the days 3, 4 and 5
    request = returned.store.requests.all()[0]
    event = json.loads(request.body)
    assert event["type"] == "io.driftd.rollback.requested"
    assert (event["data"]["action"], event["data"]["version"]) == ("rollback", "1")
    verdict = returned.store.verdicts.newest_on(returned.snapshots()[-1].window)
    assert verdict.action == "rollback"
    assert verdict.reasons[-1].startswith("p is asked to go back to version 1 because of going-back-pays")
    told = next(one for one in returned.store.messages.all("m") if one.kind == "requested")
    assert told.title == "m: going back to version 1 is requested"
    assert "version 1, which served before, does better than version 2 in service by about" in told.body

    section = CommandPipeline(kind="command", command=(sys.executable, "-c", SAYS))
    moment, deadline = made.START + 6.2 * made.DAY, time.monotonic() + 60
    outbox = Outbox(returned.store, {"p": open_pipeline(section, tmp_path)}, lambda: moment)
    outbox.send_due()
    while not returned.store.requests.all(states=[DispatchState.SUCCEEDED]) and time.monotonic() < deadline:
        moment += timedelta(seconds=15)
        outbox.follow()
    returned.check(6.3)
    assert returned.store.references.current("m").model_version == "1"
    world_log = pq.read_table(returned.folder / "log.parquet")
    back = season(made, 3, 12, winter=False)
    before = world_log.slice(0, 3 * 48)
    returned.write("log.parquet", before, world_log.slice(3 * 48, 4 * 48), back.slice(4 * 48))
    returned.check(8.1)
    promotion = returned.store.promotions.all("m")[-1]
    assert (promotion.version, promotion.need, promotion.recovery) == ("1", "going-back-pays", Recovery.RECOVERED)
    assert "version 2, which made way, would do no better than noise explains" in promotion.recovery_reason
    assert not returned.store.requests.all(states=[DispatchState.PENDING])


def test_one_good_window_is_never_enough(returned, made):
    """A single day of summer in the winter, however good version 1 is on it, changes nothing."""
    winter = season(made, 1, 11, winter=True)
    one_day = season(made, 5, 1, winter=False)
    log = pa.concat_tables([season(made, 0, 1, winter=False), by_version_2(winter.slice(0, 4 * 48)),
                            by_version_2(one_day), by_version_2(winter.slice(5 * 48))])
    returned.write("log.parquet", log)
    x = log["x"].to_numpy()
    pq.write_table(log.set_column(log.schema.get_field_index("prediction"), "prediction", pa.array(x)),
                   returned.folder / "of/1.parquet")
    for day in range(2, 11):
        returned.check(day + 0.1)
    assert not returned.store.requests.all()
    assert not any(one.firing for one in returned.store.firings.all("m") if one.trigger == "going-back-pays")
