"""Requests to a real Airflow 3, and to a real Airflow 2."""

import base64
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from monitor.config.pipeline_sections import AirflowPipeline
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer, Pipeline, open_pipeline
from tests.real.servers import PASSWORD, USER, Server, airflow, airflow2, until

pytestmark = pytest.mark.real

DAG = """
import os
from {sdk} import dag, task

@dag(schedule=None, is_paused_upon_creation={paused})
def {name}():
    @task
    def fit(dag_run=None):
        if {fails}:
            raise ValueError("no fit")
        with open(os.environ["TOLD"], "a") as file:
            print(dag_run.run_id, dag_run.conf["driftd_id"], dag_run.conf["driftd_evidence"], file=file)
    fit()

{name}()
"""


VERSIONS: Any = {3: (airflow, "airflow.sdk"), 2: (airflow2, "airflow.decorators")}


@dataclass(frozen=True)
class Airflow:
    """One that runs, and what its version is."""

    version: int
    server: Server

    @property
    def told(self) -> str:
        """What the tasks wrote down."""
        return Path(self.server.environment["TOLD"]).read_text()

    def runs(self, dag: str) -> list[str]:
        """The runs there are, asked without driftd."""
        who = {"username": USER, "password": PASSWORD}
        if self.version == 2:
            login = base64.b64encode(":".join(who.values()).encode()).decode()
            headers = {"Authorization": f"Basic {login}"}
        else:
            place, body = f"{self.server.url}/auth/token", json.dumps(who).encode()
            with urlopen(Request(place, body, {"Content-Type": "application/json"}), timeout=60) as answer:
                headers = {"Authorization": f"Bearer {json.load(answer)['access_token']}"}
        place = f"{self.server.url}/api/v{self.version - 1}/dags/{dag}/dagRuns"
        with urlopen(Request(place, headers=headers), timeout=60) as answer:
            return [one["dag_run_id"] for one in json.load(answer)["dag_runs"]]


@pytest.fixture(scope="module", params=VERSIONS)
def server(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Airflow]:
    start, sdk = VERSIONS[request.param]
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    dags.mkdir()
    for name, paused, fails in (("retrain", False, False), ("asleep", True, False), ("broken", False, True)):
        (dags / f"{name}.py").write_text(DAG.format(name=name, paused=paused, fails=fails, sdk=sdk))
    with start(folder / "home", dags, {"TOLD": str(folder / "told")}) as started:
        yield Airflow(request.param, started)


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)


def place(server: Airflow, dag: str) -> Pipeline:
    section = {"kind": "airflow", "url": server.server.url, "dag": dag, "username": USER, "timeout": "60s"}
    section |= {"password": {"env": "AIRFLOW_PASSWORD"}, "version": server.version}
    return open_pipeline(AirflowPipeline.model_validate(section))


def request() -> Dispatch:
    made = Dispatch.new_id(os.urandom(20).hex(), 1)
    body = json.dumps({"id": made, "subject": "flights", "data": {"model": "flights", "reasons": ["it pays"]}})
    return Dispatch(
        id=made, episode_id="e", attempt=1, model="flights", pipeline="p", state=DispatchState.SENDING, body=body,
        created_at=datetime.now(UTC),
    )


def followed(pipeline: Pipeline, dispatch: Dispatch, taken: Answer) -> Answer:
    """What the run comes to."""
    answers = [taken]

    def ended() -> bool:
        answers.append(pipeline.follow(replace(dispatch, state=answers[-1].state, handle=taken.handle)))
        return answers[-1].state not in (DispatchState.QUEUED, DispatchState.RUNNING)

    until(ended, 240)
    return answers[-1]


def ready(pipeline: Pipeline) -> None:
    """Wait until Airflow has read the DAG's file."""
    until(lambda: not any("no such DAG" in text for text in pipeline.check()), 120)


def test_a_request_becomes_one_run_and_its_end_is_read(server: Airflow, tmp_path: Path) -> None:
    """Sent twice under one id there is one run, which is told our id and the evidence, and succeeds."""
    pipeline, dispatch = place(server, "retrain"), request()
    ready(pipeline)
    assert pipeline.check() == []
    taken = pipeline.submit(dispatch)
    assert (taken.state, taken.handle) == (DispatchState.QUEUED, dispatch.id)
    again = pipeline.submit(dispatch)
    assert again.handle == dispatch.id
    assert again.state in (DispatchState.QUEUED, DispatchState.RUNNING, DispatchState.SUCCEEDED)
    assert followed(pipeline, dispatch, taken).state == DispatchState.SUCCEEDED
    assert server.runs("retrain") == [dispatch.id]
    run, told, evidence = server.told.strip().split(" ", 2)
    assert (run, told, json.loads(evidence)["model"]) == (dispatch.id, dispatch.id, "flights")


def test_a_run_that_fails_is_failed(server: Airflow) -> None:
    """The end is read as Airflow says it."""
    pipeline, dispatch = place(server, "broken"), request()
    ready(pipeline)
    assert followed(pipeline, dispatch, pipeline.submit(dispatch)).state == DispatchState.FAILED


def test_a_paused_dag_is_seen_and_gets_nothing(server: Airflow) -> None:
    """`validate --online` says so with the line to paste; nothing is sent until it is unpaused."""
    pipeline, dispatch = place(server, "asleep"), request()
    ready(pipeline)
    (problem,) = pipeline.check()
    assert problem.endswith("airflow dags unpause asleep")
    waiting = pipeline.submit(dispatch)
    assert (waiting.state, "is paused" in str(waiting.reason)) == (DispatchState.PENDING, True)
    assert server.runs("asleep") == []


@pytest.mark.parametrize("server", [3], indirect=True)      # 2 knows no tokens: the password goes with each request
def test_a_token_that_lapsed_is_renewed(server: Airflow) -> None:
    """Airflow 3 answers 403 to a token it does not know; driftd gets another one and asks again."""
    pipeline = place(server, "retrain")
    ready(pipeline)
    pipeline._credential._token = "lapsed"   # type: ignore[attr-defined]  # no way to make a real one lapse in time
    assert pipeline.check() == []


def test_what_is_wrong_is_said(server: Airflow, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DAG that is not there, and a wrong password, which is not shown: both requests wait for their next try."""
    assert "no such DAG" in place(server, "gone").check()[0]
    assert place(server, "gone").submit(request()).state == DispatchState.PENDING
    monkeypatch.setenv("AIRFLOW_PASSWORD", "wrong-one")
    answer = place(server, "retrain").submit(request())
    assert answer.state == DispatchState.PENDING
    assert "wrong-one" not in str(answer)
