"""Row 1: kill −9 at random moments of catch-up, promotion, rollback and a client's appends."""

import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from monitor.config import SourceSection
from monitor.sources import open_source
from monitor.store import Store
from tests.retrain import conftest as makers
from tests.retrain import dying, test_promotion_kill
from tests.torture.killed_catching_up import DAYS

SERVICE = """
import itertools, os, sys
from monitor.client import PredictionLog
log = PredictionLog(sys.argv[1], rotate_bytes=5000)
for turn in itertools.count():
    ids = [log.log({"x": turn}, 1, id=f"{sys.argv[2]}-{turn}-{row}") for row in range(20)]
    for name in ids:
        log.label(name, 0)
    if log.flush():
        os.write(1, (" ".join(ids) + "\\n").encode())
"""
ROOT = Path(__file__).resolve().parents[2]


def seen(state: Path) -> dict[str, object]:
    """All that a state came to, in its order: rows of its tables, windows, requests, what people are told."""
    with Store.open(state) as store:
        assert store.audit.verify().problem is None
        count = {table: store._db.all(f"SELECT COUNT(*) AS n FROM {table}")[0]["n"]
                 for table in ("windows", "snapshots", "scores", "verdicts")}
        return count | {
            "measured": [(one.window, one.revision, one.status, one.rows, one.labelled, one.reason)
                         for one in store.snapshots.newest_revisions("m")],
            "requests": [(one.id, one.body, one.state) for one in store.requests.all()],
            "told": [(one.kind, one.title, one.body) for one in store.messages.all("m")],
        }


@pytest.mark.torture(1)
def test_killed_while_it_catches_up_it_ends_as_if_nothing_had_been(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """Each missed window is measured once, and the need that stands in the end is asked for once."""
    kills = effort(3, 250)
    done = subprocess.run(
        [sys.executable, "-m", "tests.torture.killed_catching_up", tmp_path, str(kills), str(seed)], check=False,
        cwd=ROOT, capture_output=True, text=True, timeout=7200,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    whole, states = seen(tmp_path / "whole"), sorted(tmp_path.glob("state-*"))
    assert (whole["windows"], len(whole["requests"])) == (DAYS, 1)
    for state in states:
        assert seen(state) == whole, state
    figure(f"{kills} kills at random moments of {len(states)} catch-ups: every window once, one request each, "
           "all as without a kill")


@pytest.mark.torture(1)
def test_killed_at_random_moments_a_version_comes_or_goes_once(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """A rollback, and a promotion by the alias or by a run: each comes once, the alias moves once."""
    stories, kills = ("rollback", "alias", "run")[: effort(1, 3)], effort(5, 250)
    with Store.open(tmp_path / "begun") as store:
        makers.request_in(store)
    for story in stories:
        case = {"from": str(tmp_path / "begun"), "folder": str(tmp_path / story)}

        def killed(told: str, url: str, times: int, case: dying.Case = case) -> list[dying.Case]:
            return dying.killed_at_moments("tests.retrain.promoting", case | {"story": told, "url": url}, times, seed)

        with makers.serving() as server:
            if story == "rollback":
                test_promotion_kill.test_a_rollback_happens_once(server, killed, kills)
            else:
                test_promotion_kill.test_a_promotion_comes_once(server, killed, story, kills)
    figure(f"{kills} kills each at random moments of: {', '.join(stories)}; 0 lost, 0 twice")


@pytest.mark.torture(1)
def test_killed_services_keep_each_row_they_were_told_of(
    effort: Callable[[int, int], int], seed: int, figure: Callable[[str], None], tmp_path: Path
) -> None:
    """What the client said was written is read once, predictions and labels; what was half written is not read."""
    kills, chance, acknowledged = effort(5, 250), random.Random(seed), []
    for number in range(kills):
        command = [sys.executable, "-c", SERVICE, tmp_path, str(number)]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as service:
            acknowledged.append(service.stdout.readline())
            time.sleep(chance.uniform(0, 0.05))
            service.kill()
            acknowledged += service.stdout
    acknowledged = [name for line in acknowledged for name in line.split()]
    for kind, column in (("predictions", "x"), ("labels", "label")):
        source = open_source(SourceSection(path=str(tmp_path / kind)), ZoneInfo("UTC"))
        count = Counter(source.read(["prediction_id", column])["prediction_id"].to_pylist())
        assert set(count.values()) == {1}
        assert not set(acknowledged) - count.keys()
    files = len(os.listdir(tmp_path / "predictions"))
    figure(f"{kills} kills of a service that appends: {len(acknowledged)} rows acknowledged, 0 lost, 0 doubled, "
           f"in {files} files")
