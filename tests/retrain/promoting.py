"""What a daemon and a person do around a promotion, in a process that test_promotion_kill.py kills.

Given what to sweep as JSON; each story runs in a fork of its own, over a copy of the state, and dies at a boundary:
before or after the n-th commit, or before or after the n-th exchange with the registry.
"""

import json
import os
import shutil
import signal
import sys
import traceback
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import count
from pathlib import Path
from typing import Any

import monitor.mlflow
from monitor.check import Checker
from monitor.config import Config, Loaded
from monitor.config.model import ModelSection
from monitor.records import DispatchState, Reference, Survey, to_json
from monitor.retrain import Registries, rollback
from monitor.store import Store
from monitor.store.database import Database

NOW = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


class NoData:
    """The Runner of a model whose log is empty: only its reference is looked at."""

    def run(self, task: str, payload: Any) -> Any:
        if task != "monitor.observe:survey":
            return []
        version = payload["model"]["version"]
        return to_json(Survey(
            reference_id="ref1" if version == "1" else Reference.new_id("rows", version), reference_rows=9,
            stretch=None, task=None, metric=None, first=None, newest=NOW, maturity=timedelta(0), tallies=(),
        ))


def model(url: str, name: str, **approval: str) -> ModelSection:
    return ModelSection.model_validate({
        "name": "m", "version": "1", "predictions": {"path": "x.csv"}, "reference": {"source": {"path": "ref.csv"}},
        "retrain": {"pipeline": "p", "approval": approval}, "triggers": [],
        "registry": {"kind": "mlflow", "url": url, "name": name} if url else None,
    })


def daemon(section: ModelSection, store: Store, later: timedelta = timedelta(0)) -> None:
    """One turn of everything that concerns versions."""
    config = Config(models={"m": section})
    loaded = Loaded(path=Path("driftd.toml"), config=config, hash="c", text="", files=(), origins={}, warnings=())
    registries = Registries(config, store, lambda: NOW + later)
    registries.move()
    registries.look()
    Checker(loaded, store, NoData(), lambda: NOW + later).check("m")


def run_ends(section: ModelSection, store: Store) -> None:
    """The run has made version 2: it comes into service (no registry)."""
    (request,) = store.dispatches()
    if request.state is not DispatchState.SUCCEEDED:
        made = replace(request, state=DispatchState.SUCCEEDED, accepted_at=NOW, ended_at=NOW, new_version="2")
        store.record(made, was=request.state, at=NOW)
    daemon(section, store)


def alias_moves(section: ModelSection, store: Store) -> None:
    """The alias names version 2: it comes into service."""
    daemon(section, store)


def goes_back(section: ModelSection, store: Store) -> None:
    """A person rolls back to version 1, from 2 that is in service."""
    daemon(section, store)
    rollback(store, section, "1", "ann", "worse", NOW)
    daemon(section, store)


STORIES = {"run": run_ends, "alias": alias_moves, "rollback": goes_back}


def deadly(what: str, number: int, before: bool) -> None:
    """Let this process die at a boundary."""
    seen = {"commit": 0, "exchange": 0}

    def around(name: str, do: Any) -> Any:
        seen[name] += 1
        here = name == what and seen[name] == number
        if here and before:
            os.kill(os.getpid(), signal.SIGKILL)
        result = do()
        if here:
            os.kill(os.getpid(), signal.SIGKILL)
        return result

    run, send = Database.run, monitor.mlflow.send

    def run_or_die(self: Database, sql: str, *values: Any) -> int:
        done = lambda: run(self, sql, *values)  # noqa: E731 - one line, used at once
        return around("commit", done) if sql == "COMMIT" else done()

    Database.run = run_or_die                                  # type: ignore[method-assign]  # in this process only
    monitor.mlflow.send = lambda *a, **k: around("exchange", lambda: send(*a, **k))


def play(case: dict[str, Any]) -> int:
    """Fork, run the story until the boundary; how the child ended: 9 where it was killed, 0 where it came through."""
    shutil.copytree(case["from"], case["state"])
    child = os.fork()
    if child == 0:
        try:
            with Store.open(Path(case["state"])) as store:
                deadly(case["what"], case["number"], case["before"])
                STORIES[case["story"]](model(case["url"], case["name"]), store)
                os._exit(0)
        except BaseException:  # noqa: BLE001 - a fork must not go on where its parent does
            traceback.print_exc()
            os._exit(1)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


def sweep(case: dict[str, Any]) -> list[dict[str, Any]]:
    """Die at the first boundary of a kind, at the second, …, so often each, until the story comes through."""
    died = []
    for number in count(1):
        for time in range(case["times"]):
            place = f"{case['what']}-{case['before']}-{number}-{time}"
            here = case | {"number": number, "name": place, "state": f"{case['folder']}/{place}"}
            if (code := play(here)) != -signal.SIGKILL:
                assert code == 0, here
                return died
            died.append(here)
    return died


if __name__ == "__main__":
    print(json.dumps([one for case in json.load(sys.stdin) for one in sweep(case)]))
