"""Pipelines to copy, on what they are for: the whole loop on Airflow and MLflow, and Kubeflow's own local runner."""

import base64
import json
import os
import random
import secrets
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pandas as pd
import pytest
import skops.io
import yaml
from sklearn.ensemble import HistGradientBoostingRegressor

from monitor.client import PredictionLog
from monitor.config.sections import ModelSection
from monitor.promotion.mlflow import Mlflow
from tests.deploy.test_pipelines import PIPELINES, in_service, place
from tests.real.conftest import get
from tests.real.servers import INSTALLED, PASSWORD, USER, MlflowApi, Server, airflow, free_port, mlflow, until

pytestmark = pytest.mark.real

PYTHON = INSTALLED / "pipeline/bin/python"
CONFIG = """
[daemon]
listen = "127.0.0.1:{port}"
callback_secret = {{ env = "CALLBACK_SECRET" }}

[models.rides]
mode = "act"
every = "1s"
version = "1"
window = {{ size = "10s", lateness = "1s", min_rows = 50 }}
predictions = "log/predictions"
labels = "log/labels"
reference = "versions/{{version}}/reference.parquet"
quality.stale = "1h"
rehearsal.enabled = false
registry = {{ kind = "mlflow", url = "{mlflow}", name = "rides" }}

[[models.rides.triggers]]
name = "worse"
metric = "rmse"
above = 2.0
windows = "2 of 2"
action = "retrain"

[models.rides.retrain]
pipeline = "airflow"
min_labels = 1
cooldown = "1h"

[pipelines.airflow]
kind = "airflow"
url = "{airflow}"
dag = "retrain"
username = "{user}"
password = {{ env = "AIRFLOW_PASSWORD" }}
timeout = "60s"
"""


@pytest.fixture
def python() -> Path:
    """The Python that has what a pipeline needs, and not what driftd's tests have besides."""
    if not PYTHON.exists():
        pytest.skip("the pipelines' Python is not installed: tests/real/install")
    return PYTHON


class World:
    """Rides by temperature, until a new season begins: then what the first model learned no longer holds."""

    def __init__(self) -> None:
        self.changed = False
        self._chance = random.Random(5)

    def row(self) -> tuple[dict[str, float], float]:
        temperature, season = self._chance.uniform(0, 1), float(self.changed)
        rides = 10 - 8 * temperature if self.changed else 10 * temperature
        return {"temperature": temperature, "season": season}, rides + self._chance.gauss(0, 0.3)


class Service:
    """Answers thirty times a second with the version MLflow's alias names, and soon learns the truth."""

    def __init__(self, folder: Path, registry: Mlflow, world: World) -> None:
        self._folder, self._registry, self._world = folder, registry, world
        self._stop = threading.Event()
        self._log = PredictionLog(folder / "log", rotate_seconds=5)
        self._thread = threading.Thread(target=self._run)
        self._thread.start()

    def close(self) -> None:
        self._stop.set()
        self._thread.join()
        self._log.close()
        assert self._log.dropped == 0

    def _run(self) -> None:
        version, model, asked = "", None, 0.0
        while not self._stop.wait(1 / 30):
            if time.monotonic() > asked + 2:
                asked, named = time.monotonic(), self._registry.version()
                if named != version:
                    version, model = named, _model(self._folder / "versions" / named / "model.skops")
            features, rides = self._world.row()
            answer = float(model.predict(pd.DataFrame([features]))[0])
            self._log.label(self._log.log(features, answer, model_version=version), rides)


def _model(path: Path) -> Any:
    """The model of a file, of the kinds that this test's own pipeline writes."""
    return skops.io.load(path, trusted=skops.io.get_untrusted_types(file=path))


def first_version(folder: Path, world: World) -> None:
    """The model in service at the beginning, and the rows it is compared with."""
    rows = [world.row() for _ in range(4000)]
    frame = pd.DataFrame([features for features, _ in rows]).assign(label=[label for _, label in rows])
    features = frame[["temperature", "season"]]
    model = HistGradientBoostingRegressor(random_state=0).fit(features[:2000], frame["label"][:2000])
    folder.mkdir(parents=True)
    skops.io.dump(model, folder / "model.skops")
    began = datetime.now(UTC) - timedelta(minutes=20)
    frame = frame.assign(prediction=model.predict(features), prediction_id=[f"r{place}" for place in range(len(frame))],
                         timestamp=[began + timedelta(seconds=0.2 * place) for place in range(len(frame))])
    frame[2000:].to_parquet(folder / "reference.parquet")


@contextmanager
def daemon(folder: Path, environment: Mapping[str, str]) -> Iterator[None]:
    with (folder / "driftd.log").open("ab") as log:
        command = [sys.executable, "-m", "monitor", "run", "-c", str(folder / "driftd.toml")]
        process = subprocess.Popen(command, stdout=log, stderr=log, env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


def environment_of(folder: Path, python: Path, registry: Server, port: int) -> dict[str, str]:
    """What the service's machine and Airflow's workers know."""
    return {
        "RETRAIN_PYTHON": str(python), "RETRAIN_SCRIPT": str(PIPELINES / "retrain.py"),
        "RETRAIN_RUNS": str(folder / "runs"), "VERSIONS": str(folder / "versions"),
        "DRIFTD_MODEL": "rides", "DRIFTD_CONFIG": str(folder / "driftd.toml"), "DRIFTD_URL": f"http://127.0.0.1:{port}",
        "CALLBACK_SECRET": "whsec_" + base64.b64encode(secrets.token_bytes(32)).decode(),
        "MLFLOW_TRACKING_URI": registry.url, "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "true",
        "AIRFLOW_PASSWORD": PASSWORD, "GIT_PYTHON_REFRESH": "quiet",
    }


def test_the_loop_is_closed_on_airflow_and_mlflow(python: Path, tmp_path: Path) -> None:
    """The error rises; one run is asked for; its candidate passes the gate and becomes version 2 in MLflow; the alias
    names it, driftd compares with its reference, and the need has gone."""
    world, port = World(), free_port()
    first_version(tmp_path / "versions/1", world)
    with mlflow(tmp_path / "mlflow") as registry:
        environment = environment_of(tmp_path, python, registry, port)
        with airflow(tmp_path / "airflow", PIPELINES / "airflow", environment) as server:
            (tmp_path / "driftd.toml").write_text(
                CONFIG.format(port=port, mlflow=registry.url, airflow=server.url, user=USER)
            )
            loop(tmp_path, world, registry, port, os.environ | environment)
    made = tmp_path / "versions/2"
    assert "rmse" in (made / "gate.md").read_text()
    assert pd.read_parquet(made / "reference.parquet")["timestamp"].min().isoformat() >= json.loads(
        (made / "facts.json").read_text())["trained_to"]
    assert "CALLBACK_SECRET" not in (tmp_path / "driftd.log").read_text()


def test_a_candidate_serves_in_shadow_on_airflow_and_mlflow(python: Path, tmp_path: Path) -> None:
    """The error rises; the new version gets the alias of a candidate; a second DAG writes what it says of live rows,
    and once it is shown to be better driftd moves the alias of the version in service to it."""
    world, port = World(), free_port()
    first_version(tmp_path / "versions/1", world)
    with mlflow(tmp_path / "mlflow") as registry:
        environment = environment_of(tmp_path, python, registry, port) | {"SHADOW": str(tmp_path / "shadow")}
        with airflow(tmp_path / "airflow", PIPELINES / "airflow", environment) as server:
            text = CONFIG.format(port=port, mlflow=registry.url, airflow=server.url, user=USER)
            shadow = 'path = "shadow/{version}/*.parquet"\nalias = "challenger"\n'
            (tmp_path / "driftd.toml").write_text(f"{text}\n[models.rides.promotion.shadow]\n{shadow}")
            in_shadow(tmp_path, world, registry, server, port, os.environ | environment)


def in_shadow(
    folder: Path, world: World, registry: Server, server: Server, port: int, environment: Mapping[str, str]
) -> None:
    api, client = MlflowApi(registry.url), Mlflow(_section(registry).registry)
    api.model("rides", 1)
    api.alias("rides", "1")
    service = Service(folder, client, world)

    def now(asked: Callable[[Any], object]) -> Callable[[], object]:
        return lambda: [one for one in json.loads(get(port, "/api/status") or '{"models": []}')["models"] if asked(one)]

    try:
        with daemon(folder, environment):
            until(now(lambda one: one["verdict"] and one["verdict"]["action"] == "hold"), 90, folder / "driftd.log")
            world.changed = True
            until(now(lambda one: one["shadow"] and one["shadow"]["version"] == "2"), 500, folder / "driftd.log")
            assert client.version() == "1"
            start(server, "shadow")
            until(lambda: (folder / "shadow/2/predictions.parquet").exists(), 240, folder / "driftd.log")
            until(lambda: client.version() == "2", 120, folder / "driftd.log")
            until(now(lambda one: one["reference"]["model_version"] == "2"), 60, folder / "driftd.log")
            [told] = json.loads(get(port, "/api/status") or "")["models"]
    finally:
        service.close()
    assert (told["shadow"]["state"], told["shadow"]["champion"]) == ("promoted", "1")
    assert (folder / "versions/2/gate.md").exists()


def start(server: Server, dag: str) -> None:
    """Unpause a DAG and start a run of it, as a person does."""
    def ask(path: str, method: str, told: Any, **headers: str) -> Any:
        headers |= {"Content-Type": "application/json"}
        request = Request(f"{server.url}{path}", json.dumps(told).encode(), headers, method=method)
        with urlopen(request, timeout=60) as answer:
            return json.load(answer)

    token = ask("/auth/token", "POST", {"username": USER, "password": PASSWORD})["access_token"]
    ask(f"/api/v2/dags/{dag}", "PATCH", {"is_paused": False}, Authorization=f"Bearer {token}")
    ask(f"/api/v2/dags/{dag}/dagRuns", "POST", {"logical_date": None}, Authorization=f"Bearer {token}")


def loop(folder: Path, world: World, registry: Server, port: int, environment: Mapping[str, str]) -> None:
    api, client = MlflowApi(registry.url), Mlflow(_section(registry).registry)
    api.model("rides", 1)
    api.alias("rides", "1")
    service = Service(folder, client, world)

    def see(condition: Callable[[Any], object], seconds: float) -> Any:
        """What the daemon says of the model, once it is so."""
        found: list[Any] = []

        def holds() -> bool:
            found[:] = json.loads(get(port, "/api/status") or '{"models": []}')["models"]
            return bool(found and condition(found[0]))

        until(holds, seconds, folder / "driftd.log")
        return found[0]

    try:
        with daemon(folder, environment):
            see(lambda now: now["verdict"] and now["verdict"]["action"] == "hold", 90)
            world.changed = True
            asked = see(lambda now: now["dispatches"], 120)
            ended = see(lambda now: now["dispatches"][0]["ended_at"], 400)
            assert ended["dispatches"][0]["state"] == "succeeded"
            serving = see(lambda now: now["reference"]["model_version"] == "2", 120)
            after = see(lambda now: now["promotion"] and now["promotion"]["recovery"] not in (None, "awaited"), 240)
    finally:
        service.close()
    assert asked["reference"]["model_version"] == "1"
    assert client.version() == "2"
    assert serving["reference"]["origin"] == str(folder / "versions/2/reference.parquet")
    assert (after["promotion"]["origin"], after["promotion"]["recovery"]) == ("registry", "recovered")
    run = api.ask("model-versions/get?name=rides&version=2")["model_version"]["run_id"]
    inputs = api.ask(f"runs/get?run_id={run}")["run"]["inputs"]["dataset_inputs"]
    assert [one["dataset"]["name"] for one in inputs] == ["rides"]


def _section(registry: Server) -> ModelSection:
    return ModelSection.model_validate({
        "name": "rides", "predictions": {"path": "x.csv"}, "reference": {"source": {"path": "ref.csv"}}, "version": "1",
        "registry": {"kind": "mlflow", "url": registry.url, "name": "rides"},
    })


LOCAL = """
from kfp import local
from retrain_pipeline import retrain
local.init(local.SubprocessRunner(use_venv=False), pipeline_root="root")
retrain(driftd_id="driftd-1-1", model="bikes")
"""


@pytest.mark.parametrize(("more", "version"), [({}, "2"), ({"GATE": "--margin 1000"}, "1")])
def test_the_kubeflow_pipeline_runs(python: Path, tmp_path: Path, more: dict[str, str], version: str) -> None:
    """Its own local runner makes version 2 of it; a candidate that the gate refuses ends it before it is released."""
    place(tmp_path)
    assert in_service(tmp_path)[0] == "1"
    environment = os.environ | more | {
        "PATH": f"{python.parent}:{os.environ['PATH']}", "PYTHONPATH": f"{PIPELINES}:{PIPELINES / 'kubeflow'}",
        "DRIFTD_CONFIG": str(tmp_path / "driftd.toml"), "VERSIONS": str(tmp_path / "versions"),
    }
    done = subprocess.run([python, "-c", LOCAL], cwd=tmp_path, env=environment, check=False, capture_output=True,
                          text=True, timeout=300)
    assert (done.returncode == 0) == (version == "2"), done.stdout + done.stderr
    assert max(folder.name for folder in (tmp_path / "versions").iterdir()) == version


def test_the_kubeflow_pipeline_is_compiled(python: Path, tmp_path: Path) -> None:
    """What it makes declares the two inputs that driftd sends."""
    target = tmp_path / "retrain.yaml"
    subprocess.run([python, PIPELINES / "kubeflow/retrain_pipeline.py", target], check=True, timeout=120)
    inputs = yaml.safe_load(target.read_text())["root"]["inputDefinitions"]["parameters"]
    assert {"driftd_id", "driftd_evidence"} <= set(inputs)
