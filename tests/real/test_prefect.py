"""Requests to a real Prefect 3 server."""

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from urllib.request import Request, urlopen

import pytest

from monitor.config.pipeline_sections import PrefectPipeline
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer, Pipeline, open_pipeline
from tests.real.servers import Server, prefect, until

pytestmark = pytest.mark.real

FLOWS = """
from prefect import flow, serve

@flow
def retrain(driftd_id: str | None = None, driftd_evidence: str | None = None, fails: str = "no") -> None:
    if fails == "yes":
        raise ValueError("no fit")

@flow
def deaf() -> None:
    pass

if __name__ == "__main__":                   # each run reads this file again
    production = [one.to_deployment("production") for one in (retrain, deaf)]
    serve(*production, deaf.to_deployment("off", paused=True))
"""


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("prefect")
    (folder / "flows.py").write_text(FLOWS)
    with prefect(folder / "home", folder / "flows.py") as started:
        until(lambda: not any("no such" in text for text in place(started, "deaf/off").check()), 120, started.log)
        yield started


def place(server: Server, deployment: str, **more: object) -> Pipeline:
    section = {"kind": "prefect", "url": server.url, "deployment": deployment, "timeout": "60s", **more}
    return open_pipeline(PrefectPipeline.model_validate(section))


def request() -> Dispatch:
    made = Dispatch.new_id(os.urandom(20).hex(), 1)
    return Dispatch(
        id=made, episode_id="e", attempt=1, model="flights", pipeline="p", state=DispatchState.SENDING,
        body=json.dumps({"id": made, "data": {"model": "flights"}}), created_at=datetime.now(UTC),
    )


def followed(pipeline: Pipeline, dispatch: Dispatch, taken: Answer) -> Answer:
    """What the run comes to."""
    answers = [taken]

    def ended() -> bool:
        answers.append(pipeline.follow(replace(dispatch, state=answers[-1].state, handle=taken.handle)))
        return answers[-1].state not in (DispatchState.QUEUED, DispatchState.RUNNING)

    until(ended, 180)
    return answers[-1]


def submitted(pipeline: Pipeline, dispatch: Dispatch) -> Answer:
    """The answer; while the server's database is locked (503) the request is sent again, as the outbox does."""
    answers: list[Answer] = []

    def taken() -> bool:
        answers.append(pipeline.submit(dispatch))
        return answers[-1].state != DispatchState.AMBIGUOUS

    until(taken, 60)
    return answers[-1]


def test_a_request_becomes_one_run_and_its_end_is_read(server: Server) -> None:
    """Sent twice under one id there is one flow run, told our id, and it succeeds; by name or by id of a deployment."""
    pipeline, dispatch = place(server, "retrain/production"), request()
    assert pipeline.check() == []
    taken = submitted(pipeline, dispatch)
    assert taken.state == DispatchState.QUEUED
    with urlopen(f"{server.url}/deployments/name/retrain/production", timeout=60) as answer:
        id = json.load(answer)["id"]
    assert submitted(place(server, id), dispatch).handle == taken.handle
    assert followed(pipeline, dispatch, taken).state == DispatchState.SUCCEEDED
    wanted = json.dumps({"flow_runs": {"idempotency_key": {"any_": [dispatch.id]}}}).encode()
    with urlopen(Request(f"{server.url}/flow_runs/filter", wanted, {"Content-Type": "application/json"})) as answer:
        runs = json.load(answer)
    told = [(one["id"], one["parameters"]["driftd_id"]) for one in runs if one["name"] == dispatch.id]
    assert told == [(taken.handle, dispatch.id)]


def test_a_run_that_fails_is_failed(server: Server) -> None:
    """The end is read as Prefect says it."""
    pipeline, dispatch = place(server, "retrain/production", parameters={"fails": "yes"}), request()
    assert followed(pipeline, dispatch, submitted(pipeline, dispatch)).state == DispatchState.FAILED


def test_what_is_wrong_is_said_beforehand(server: Server) -> None:
    """Parameters the flow does not declare, a paused deployment, one that is not there."""
    (undeclared,) = place(server, "deaf/production").check()
    assert "does not declare driftd_id, driftd_evidence" in undeclared
    assert "is paused" in place(server, "deaf/off").check()[0]
    assert "no such deployment" in place(server, "retrain/gone").check()[0]
    assert place(server, "retrain/gone").submit(request()).state == DispatchState.PENDING
