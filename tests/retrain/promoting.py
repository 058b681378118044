"""What a daemon and a person do around a promotion, in a process that test_promotion_kill.py kills."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from monitor.check.checker import Checker
from monitor.check.requests import CONTENTS, Contents
from monitor.config import Config, Loaded
from monitor.config.sections import ModelSection
from monitor.promotion.registry import Registries
from monitor.promotion.versions import rollback
from monitor.records import DispatchState, Reference, Survey
from monitor.store import Store
from monitor.workers.task import Task
from tests.retrain import dying

NOW = datetime.fromisoformat("2026-03-02T12:00:00+00:00")


class NoData:
    """The Runner of a model whose log is empty: only its reference is looked at."""

    def run(self, task: Task[Any, Any], request: Any) -> Any:
        if task is CONTENTS:
            return Contents(changed=())
        version = request.model.version
        return Survey(
            reference_id="ref1" if version == "1" else Reference.new_id("rows", version), reference_rows=9,
            stretch=None, task=None, metric=None, first=None, newest=NOW, maturity=timedelta(0), tallies=(),
        )


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
    (request,) = store.requests.all()
    if request.state is not DispatchState.SUCCEEDED:
        made = replace(request, state=DispatchState.SUCCEEDED, accepted_at=NOW, ended_at=NOW, new_version="2")
        store.requests.record(made, was=request.state, at=NOW)
    daemon(section, store)


def alias_moves(section: ModelSection, store: Store) -> None:
    """The alias names version 2: it comes into service."""
    daemon(section, store)


def goes_back(section: ModelSection, store: Store) -> None:
    """A person rolls back to version 1, from 2 that is in service."""
    daemon(section, store)
    rollback(store, section, "1", "ann", "worse", NOW)
    daemon(section, store)


STORIES: dict[str, Callable[[ModelSection, Store], None]] = {
    "run": run_ends, "alias": alias_moves, "rollback": goes_back,
}


def told(case: dict[str, Any], store: Store) -> None:
    STORIES[case["story"]](model(case["url"], case["name"]), store)


if __name__ == "__main__":
    dying.main(told)
