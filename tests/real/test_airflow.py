"""Requests to a real Airflow 3."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from monitor.config.pipelines import AirflowPipeline
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer, Pipeline, open_pipeline
from tests.real.servers import PASSWORD, USER, Server, airflow, until

pytestmark = pytest.mark.real

DAG = """
import os
from airflow.sdk import dag, task

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


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("airflow")
    dags = folder / "dags"
    dags.mkdir()
    for name, paused, fails in (("retrain", False, False), ("asleep", True, False), ("broken", False, True)):
        (dags / f"{name}.py").write_text(DAG.format(name=name, paused=paused, fails=fails))
    with airflow(folder / "home", dags, {"TOLD": str(folder / "told")}) as started:
        yield started


@pytest.fixture(autouse=True)
def secret(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRFLOW_PASSWORD", PASSWORD)


def place(server: Server, dag: str) -> Pipeline:
    section = {"kind": "airflow", "url": server.url, "dag": dag, "username": USER, "timeout": "60s"}
    return open_pipeline(AirflowPipeline.model_validate(section | {"password": {"env": "AIRFLOW_PASSWORD"}}))


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


def api(server: Server, path: str) -> Any:
    """What Airflow itself says, asked without driftd."""
    login = json.dumps({"username": USER, "password": PASSWORD}).encode()
    asked = Request(f"{server.url}/auth/token", login, {"Content-Type": "application/json"})
    with urlopen(asked, timeout=60) as answer:
        token = json.load(answer)["access_token"]
    with urlopen(Request(server.url + path, headers={"Authorization": f"Bearer {token}"}), timeout=60) as answer:
        return json.load(answer)


def test_a_request_becomes_one_run_and_its_end_is_read(server: Server, tmp_path: Path) -> None:
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
    runs = api(server, "/api/v2/dags/retrain/dagRuns")["dag_runs"]
    assert [one["dag_run_id"] for one in runs] == [dispatch.id]
    run, told, evidence = Path(server.environment["TOLD"]).read_text().strip().split(" ", 2)
    assert (run, told, json.loads(evidence)["model"]) == (dispatch.id, dispatch.id, "flights")


def test_a_run_that_fails_is_failed(server: Server) -> None:
    """The end is read as Airflow says it."""
    pipeline, dispatch = place(server, "broken"), request()
    ready(pipeline)
    assert followed(pipeline, dispatch, pipeline.submit(dispatch)).state == DispatchState.FAILED


def test_a_paused_dag_is_seen_and_gets_nothing(server: Server) -> None:
    """`validate --online` says so with the line to paste; nothing is sent until it is unpaused."""
    pipeline, dispatch = place(server, "asleep"), request()
    ready(pipeline)
    (problem,) = pipeline.check()
    assert problem.endswith("airflow dags unpause asleep")
    waiting = pipeline.submit(dispatch)
    assert (waiting.state, "is paused" in str(waiting.reason)) == (DispatchState.PENDING, True)
    assert api(server, "/api/v2/dags/asleep/dagRuns")["dag_runs"] == []


def test_a_token_that_lapsed_is_renewed(server: Server) -> None:
    """Airflow answers 403 to a token it does not know; driftd gets another one and asks again."""
    pipeline = place(server, "retrain")
    ready(pipeline)
    pipeline._credential._token = "lapsed"   # type: ignore[attr-defined]  # no way to make a real one lapse in time
    assert pipeline.check() == []


def test_what_is_wrong_is_said(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """A DAG that is not there; a password that is not right, which is not told."""
    assert "no such DAG" in place(server, "gone").check()[0]
    assert place(server, "gone").submit(request()).state == DispatchState.ABANDONED
    monkeypatch.setenv("AIRFLOW_PASSWORD", "wrong-one")
    answer = place(server, "retrain").submit(request())
    assert answer.state == DispatchState.PENDING
    assert "wrong-one" not in str(answer)
