"""A real MLflow server: its alias decides, its webhooks wake, its experiments show every window."""

import json
import random
import subprocess
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from monitor.config import Config
from monitor.config.sections import ModelSection
from monitor.promotion.mlflow import Mlflow, NoAlias
from monitor.promotion.registry import Registries
from monitor.promotion.versions import rollback
from monitor.records import MoveState
from monitor.store import Store
from tests.real.servers import MlflowApi, mlflow

pytestmark = pytest.mark.real

NOW = datetime(2026, 3, 2, 12, tzinfo=UTC)

CONFIG = """
[daemon]
listen = "127.0.0.1:{port}"
[models.m]
every = "1h"
predictions = "log.csv"
reference = "reference-{{version}}.csv"
version = "1"
window = {{ size = "1d", min_rows = 5 }}
quality.stale = "30d"
rehearsal.enabled = false
[models.m.registry]
kind = "mlflow"
url = "{url}"
name = "flights"
experiment = "driftd"
webhook_secret = {{ env = "MLFLOW_SECRET" }}
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[MlflowApi]:
    with mlflow(tmp_path_factory.mktemp("mlflow")) as started:
        yield MlflowApi(started.url)


def section(server: MlflowApi, name: str, **more: Any) -> ModelSection:
    return ModelSection.model_validate({
        "name": "m", "predictions": {"path": "x.csv"}, "reference": {"source": {"path": "ref.csv"}}, "version": "1",
        "registry": {"kind": "mlflow", "url": server.url, "name": name} | more,
    })


def registries(model: ModelSection, store: Store) -> Registries:
    return Registries(Config(models={"m": model}), store, lambda: NOW)


def write(path: Path, start: datetime, days: int) -> None:
    chance, hours = random.Random(3), range(24 * days)
    rows = [f"{start + timedelta(hours=hour):%Y-%m-%dT%H:%M:%SZ},{chance.random()},{chance.random()}" for hour in hours]
    path.write_text("\n".join(["timestamp,x,prediction", *rows]) + "\n")


def test_the_alias_decides_and_the_daemon_follows(server: MlflowApi, tmp_path: Path, monkeypatch: Any) -> None:
    """Moved, it brings the new version's reference by MLflow's own webhook; `rollback` moves it back; every window is
    a run with its metrics."""
    from tests.real.conftest import free_port, get, until

    port = free_port()
    server.model("flights", 2)
    server.ask("webhooks", {          # before the first event: MLflow keeps for a minute that nobody wants to know
        "name": "driftd", "url": f"http://127.0.0.1:{port}/v1/mlflow", "secret": "a secret between two",
        "events": [{"entity": "MODEL_VERSION_ALIAS", "action": "CREATED"}],
    })
    server.alias("flights", "1")
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    for name, start, days in (("reference-1", 60, 20), ("reference-2", 40, 20), ("log", 4, 4)):
        write(tmp_path / f"{name}.csv", today - timedelta(days=start), days)
    (tmp_path / "driftd.toml").write_text(CONFIG.format(port=port, url=server.url))
    monkeypatch.setenv("MLFLOW_SECRET", "a secret between two")
    command = [sys.executable, "-m", "monitor", "run", "-c", str(tmp_path / "driftd.toml")]
    log = tmp_path / "driftd.log"
    with log.open("wb") as output:
        daemon = subprocess.Popen(command, stdout=output, stderr=output)

    def reference() -> Any:
        told = json.loads(get(port, "/api/status") or '{"models": []}')["models"]
        return told and told[0]["reference"]

    def serves(version: str) -> Any:
        return until(lambda: (found := reference()) and found["model_version"] == version and found, 90, log.read_text)

    try:
        serves("1")
        until(lambda: server.runs("driftd") if "driftd" in str(server.ask(
            "experiments/search", {"max_results": 100})) else [], 90, log.read_text)
        server.alias("flights", "2")
        assert serves("2")["origin"].endswith("reference-2.csv")
        until(lambda: "MLflow says that an alias moved." in log.read_text(), 60, log.read_text)
        back = [sys.executable, "-m", "monitor", "rollback", "-c", str(tmp_path / "driftd.toml"), "--to", "1",
                "--by", "ann", "--reason", "worse"]
        done = subprocess.run(back, capture_output=True, text=True, check=True)
        assert "the alias will be moved from version 2 to 1" in done.stdout
        assert serves("1")["origin"].endswith("reference-1.csv")
        assert Mlflow(section(server, "flights").registry).version() == "1"
    finally:
        daemon.terminate()
        daemon.wait(30)
    runs = server.runs("driftd")
    tags = [{tag["key"]: tag["value"] for tag in run["data"]["tags"]} for run in runs]
    assert len({one["driftd.window"] for one in tags}) == len(runs) > 0
    assert {one["driftd.model"] for one in tags} == {"m"}
    assert all("drifted_share" in {metric["key"] for metric in run["data"]["metrics"]} for run in runs)


def test_missing_then_there_then_moved_twice(server: MlflowApi) -> None:
    """No model, no alias: nothing changes. Moved twice between two looks, the last one counts; and back is no move."""
    model = section(server, "twice")
    with Store.memory() as store:
        looking = registries(model, store)
        assert looking.look() == []
        assert "RESOURCE_DOES_NOT_EXIST" in store.aliases.seen("m").reason
        server.model("twice", 3)
        with pytest.raises(NoAlias):
            Mlflow(model.registry).version()
        assert looking.look() == []
        assert store.promotions.all("m") == []
        for version in ("2", "3"):
            server.alias("twice", version)
        assert looking.look() == ["m"]
        for version in ("1", "3"):
            server.alias("twice", version)
        assert looking.look() == []
        assert [one.version for one in store.promotions.all("m")] == ["3"]


def test_rollback_is_refused_where_somebody_was_faster(server: MlflowApi) -> None:
    """Compare-and-set: the alias moved elsewhere meanwhile stays there; a version that is not there is refused too."""
    server.model("faster", 3)
    server.alias("faster", "3")
    model = section(server, "faster")
    with Store.memory() as store:
        looking = registries(model, store)
        looking.look()
        rollback(store, model, "1", "ann", "worse", NOW)
        server.alias("faster", "2")
        assert looking.move() == []
        assert store.aliases.moves("m")[-1].state is MoveState.REFUSED
        assert Mlflow(model.registry).version() == "2"
        looking.look()
        rollback(store, model, "77", "ann", "a slip", NOW + timedelta(seconds=1))
        assert looking.move() == []
        assert "RESOURCE_DOES_NOT_EXIST" in store.aliases.moves("m")[-1].answer
        rollback(store, model, "1", "ann", "worse", NOW + timedelta(seconds=2))
        assert looking.move() == ["m"]
        assert Mlflow(model.registry).version() == "1"
