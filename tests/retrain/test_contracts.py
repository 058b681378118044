"""Requests and states held against the vendors' own clients; and SageMaker's against moto, which is not ours."""

import json
import subprocess
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest

from monitor.records import DispatchState
from tests.real.servers import INSTALLED, moto
from tests.retrain.kinds import KINDS, Side
from tests.retrain.test_answers import opened

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("places")]

JUDGE, CLIENT = (Path(__file__).with_name(f"judge_{what}.py") for what in ("contracts", "requests"))
PYTHON = INSTALLED / "contracts/bin/python"


def known_states(name: str) -> list[str]:
    """Every word for a run's state that driftd knows of this kind."""
    module = import_module(f"monitor.retrain.pipelines.{name}")
    if name == "databricks":
        return [*module.CYCLES, *(f"TERMINATED {word}" for word in module.RESULTS)]
    return list(getattr(module, "STATES", ()))


@pytest.mark.parametrize("name", ["kubeflow", "kubernetes", "argo", "databricks", "vertex", "azureml"])
def test_the_vendors_client_knows_what_is_sent(server, dispatch, monkeypatch, name) -> None:
    """Every key of the request is in its model, and every word for a state is known to both."""
    if not PYTHON.exists():
        pytest.skip("the vendors' clients are not installed: tests/real/install")
    server.reply = Side(name)
    opened(name, server.url, monkeypatch).submit(dispatch)
    started = next(seen for seen in server.seen if KINDS[name].is_start(seen))
    asked = json.dumps({"kind": name, "body": started.json(), "states": known_states(name)})
    done = subprocess.run([PYTHON, JUDGE], input=asked, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout) == []


APART = {                                    # known from elsewhere than the client
    "startup_failure",                       # GitHub: of the run itself, not among those to list runs by
    "canceling",                             # GitLab: newer than the client's list
}


@pytest.mark.parametrize("name", ["github", "github event", "gitlab", "jenkins"])
def test_the_client_asks_for_the_same(server, dispatch, monkeypatch, name) -> None:
    """Each of our requests the client makes too: the same method and place, the same body, parameters that it knows."""
    if not PYTHON.exists():
        pytest.skip("the clients are not installed: tests/real/install")
    side, answers = Side(name), {}

    def remembered(seen: Any) -> Any:
        answers[seen.method, urlsplit(seen.path).path] = answer = side(seen)
        return answer

    server.reply = remembered
    pipeline = opened(name, server.url, monkeypatch)
    assert pipeline.check() == []
    taken = pipeline.submit(dispatch)
    sent = replace(dispatch, state=taken.state, handle=taken.handle)
    pipeline.find(sent)
    pipeline.follow(sent)
    side.word = next(iter(KINDS[name].words), "")
    found = pipeline.find(sent)
    pipeline.follow(replace(sent, handle=found.handle) if found else sent)
    ours = [plain(seen) for seen in server.seen]
    server.seen.clear()
    server.reply = lambda seen: answers.get((seen.method, urlsplit(seen.path).path), (404, {}, {}))
    asked = {"kind": name, "url": server.url, "requests": ours, "states": known_words(name)}
    done = subprocess.run([PYTHON, CLIENT], input=json.dumps(asked), capture_output=True, text=True, check=False,
                          timeout=120)
    assert done.returncode == 0, done.stderr
    assert [said for said in json.loads(done.stdout) if said.split(":")[0] not in APART] == []
    theirs = [plain(seen) for seen in server.seen]
    for one in ours:
        alike = [other for other in theirs if (other["method"], other["path"]) == (one["method"], one["path"])]
        assert one["body"] in [other["body"] for other in alike], (one, theirs)
    assert {seen.headers.get("x-github-api-version") for seen in server.seen} <= {None, "2026-03-10", "2022-11-28"}


def plain(seen: Any) -> dict[str, Any]:
    """A request without what every client does its own way: where the parameters of a form stand."""
    place = urlsplit(seen.path)
    query = dict(parse_qsl(place.query))
    form = seen.headers.get("content-type", "").startswith("application/x-www-form")
    body = dict(parse_qsl(seen.body.decode())) if form else json.loads(seen.body) if seen.body else None
    if seen.method == "POST" and not body:
        query, body = {}, query
    return {"method": seen.method, "path": place.path, "query": query, "body": body}


def known_words(name: str) -> list[str]:
    """Every word for how a run is or ended that driftd knows of this kind."""
    module = import_module(f"monitor.retrain.pipelines.{name.split()[0]}")
    return [word for table in ("STATES", "STATUSES", "CONCLUSIONS", "RESULTS") for word in getattr(module, table, ())]


def test_sagemaker_as_moto_plays_it(dispatch: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A pipeline that is there is started once, followed to its end; one that is not is said."""
    with moto(tmp_path) as service:
        client = aws(service.url)
        pipeline = opened("sagemaker", service.url, monkeypatch)
        assert "does it exist" in pipeline.check()[0]
        client("CreatePipeline", {
            "PipelineName": "retrain", "PipelineDefinition": json.dumps({"Version": "2020-12-01", "Steps": []}),
            "RoleArn": "arn:aws:iam::123456789012:role/driftd", "ClientRequestToken": "t" * 32,
        })
        assert pipeline.check() == []
        taken = pipeline.submit(dispatch)
        assert taken.state == DispatchState.RUNNING, taken.reason
        (run,) = client("ListPipelineExecutions", {"PipelineName": "retrain"})["PipelineExecutionSummaries"]
        assert (run["PipelineExecutionArn"], run["PipelineExecutionDisplayName"]) == (taken.handle, dispatch.id)


def aws(url: str) -> Any:
    """AWS's own client."""
    from botocore.session import Session

    client = Session().create_client("sagemaker", region_name="eu-west-1", endpoint_url=url)
    return client._make_api_call    # the operations by their names
