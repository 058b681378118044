"""The daemon with stand-ins for checks, requests and messages; everything else is real. Run with a config file."""

import json
import os
import sys
import time
from datetime import timedelta
from pathlib import Path
from typing import Any

from monitor.daemon import service
from monitor.errors import CannotJudge, ConfigError, DriftdError
from monitor.records import Action, Firing, Reference, Snapshot, SnapshotStatus, Verdict, Window
from monitor.workers.task import Task


def trial(name):
    """Anything that is JSON in, anything out."""
    return Task(f"monitor.trial_tasks:{name}", Any, Any)


class StandingIn:
    """Checks by writing one window that fires; a model's name says what else happens."""

    def __init__(self, loaded, store, workers, clock):
        self.loaded, self.store, self.workers, self.clock = loaded, store, workers, clock
        self.calls = loaded.path.parent / "calls"

    def note(self, what):
        with self.calls.open("a") as file:
            file.write(f"{what}\n")

    def check(self, name):
        self.note(f"check {name}")
        folder = self.loaded.path.parent
        if name == "hangs":
            self.workers.run(trial("spin"), str(folder / "spinning"))
        if name == "stands-still":
            self.workers.run(trial("stop"), str(folder / "standing"))
        if name.startswith("works"):
            self.workers.run(trial("echo"), name)
        if name.startswith("meets"):
            self.meet(name, folder)
        if name == "sourceless":
            raise CannotJudge("log.csv is not there.")
        if name == "faulty":
            raise DriftdError("a fault of ours.")
        if name == "buggy":
            raise ZeroDivisionError("oops")
        return [self.fire(name)]

    def meet(self, name, folder):
        """Ends once the models of a round are all being checked."""
        number = self.calls.read_text().splitlines().count(f"check {name}")
        (folder / f"{name} {number}").touch()
        others = [one for one in self.loaded.config.models if one.startswith("meets")]
        deadline = time.monotonic() + 60
        while not all((folder / f"{one} {number}").exists() for one in others) and time.monotonic() < deadline:
            time.sleep(0.01)

    def fire(self, name):
        now = self.clock()
        window = Window(model=name, start=now - timedelta(days=7), end=now, spec="s")
        snapshot = Snapshot(
            window=window, revision=0, taken_at=now, reference_id="r", model_version=None, config_hash="c",
            code_version="0", rows=10, labelled=0, late=0, sampled=1.0, mature=False,
            status=SnapshotStatus.OK, reason=None, scores=(),
        )
        reference = Reference(model=name, id="r", model_version=None, origin="x", since=window.start)
        self.store.references.install(reference, None, now)
        verdict = Verdict(
            window=window, revision=0, at=now, action=Action.ALERT, fired=("drift",), guards=(), reasons=()
        )
        firing = Firing(model=name, trigger="drift", firing=True, since=window.end, reason="test")
        self.store.checks.commit(snapshot, expected_reference="r", verdict=verdict, firing=[firing])
        return verdict

    def recover(self):
        self.note("recover")

    def send_due(self):
        return 0

    def follow(self):
        return 0

    def move(self):
        return []

    def look(self):
        return []

    def track(self):
        return 0


def build(loaded, store, workers, clock):
    if "unbuildable" in loaded.config.models:
        raise ConfigError(["a pipeline cannot be built."])
    stand_in = StandingIn(loaded, store, workers, clock)
    return service.Parts(checker=stand_in, outbox=stand_in, notifier=stand_in, registries=stand_in)


if __name__ == "__main__":
    service.build = build
    service._PATIENCE = timedelta(seconds=float(os.environ.get("PATIENCE", "7")))
    service._AGAIN = float(os.environ.get("AGAIN", "30"))
    try:
        sys.exit(service.run(Path(sys.argv[1])))
    except DriftdError as error:
        print(json.dumps([type(error).__name__, str(error)]))
        sys.exit(error.exit_code)
