"""Requests and states held against the vendors' own clients; and SageMaker's against moto, which is not ours."""

import json
import subprocess
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

from monitor.records import DispatchState
from tests.real.servers import INSTALLED, moto
from tests.retrain.kinds import KINDS, Side
from tests.retrain.test_answers import opened

pytestmark = [pytest.mark.real, pytest.mark.usefixtures("places")]

JUDGE, PYTHON = Path(__file__).with_name("judge_contracts.py"), INSTALLED / "contracts/bin/python"


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
