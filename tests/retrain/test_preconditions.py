"""What `validate --online` says before anything is asked for, with the lines to paste."""

from typing import Any
from urllib.parse import unquote, urlsplit

import pytest
from pydantic import TypeAdapter

from monitor.config.pipeline_sections import Pipeline as Section
from monitor.retrain.pipelines import Pipeline, open_pipeline
from monitor.retrain.pipelines.gitlab import declared_inputs

GITLAB_FILE = """\
spec:
  inputs:
    region:
      default: eu
---
retrain:
  script: !reference [.train, script]
"""


@pytest.fixture(autouse=True)
def token(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TOKEN", "t0ken")


def place(kind: str, url: str, **keys: Any) -> Pipeline:
    return open_pipeline(TypeAdapter(Section).validate_python({"kind": kind, "url": url, **keys}))


def gitlab(url: str, **inputs: str) -> Pipeline:
    return place("gitlab", url, project="acme/flights", token={"env": "TOKEN"}, inputs=inputs)


def answering(**bodies: Any) -> Any:
    """Answers by the last part of the path; 404 for others."""
    def reply(seen: Any) -> Any:
        assert seen.method == "GET"
        body = next((body for end, body in bodies.items() if unquote(urlsplit(seen.path).path).endswith(end)), None)
        return (404, {}, b"") if body is None else (200, {}, body)

    return reply


def test_inputs_that_gitlab_would_refuse_are_named(server: Any) -> None:
    """The lines to paste hold them; what is declared is no problem, nor is a file that is elsewhere."""
    server.reply = answering(main={"name": "main"}, raw=GITLAB_FILE.encode())
    assert gitlab(server.url, region="us").check() == []
    assert gitlab(server.url).check() == []
    (problem,) = gitlab(server.url, depth="full", region="us").check()
    assert "acme/flights main does not declare depth; add to the first lines of .gitlab-ci.yml" in problem
    assert "spec:\n  inputs:\n    depth:\n      type: string\n" in problem
    server.reply = answering(main={"name": "main"})
    assert gitlab(server.url, depth="full").check() == []


@pytest.mark.parametrize(("text", "names"), [
    (GITLAB_FILE, {"region"}), ("---\n" + GITLAB_FILE, {"region"}), ("", set()), ("spec: {}\n---\n", set()),
    ("- no table\n", set()), ("spec:\n  inputs: {a: , b: {type: array}}\n", {"a", "b"}),
])
def test_the_header_of_a_gitlab_file_is_read(text: str, names: set[str]) -> None:
    """Only the part before ---, so that GitLab's own tags behind it do not matter."""
    assert declared_inputs(text) == names


def test_a_missing_branch_is_said(server: Any) -> None:
    """GitLab answers 404 to it."""
    server.reply = answering()
    assert "there is no such branch" in gitlab(server.url).check()[0]


@pytest.mark.parametrize("version", [2, 3])
def test_a_paused_dag_is_said(server: Any, version: int) -> None:
    """With the command to unpause it, and nothing is sent to it."""
    server.reply = answering(retrain={"dag_id": "retrain", "is_paused": True})
    (problem,) = place("airflow", server.url, dag="retrain", version=version).check()
    assert problem.endswith("is paused, its runs would never start: airflow dags unpause retrain")


def test_a_paused_deployment_and_undeclared_parameters_are_said(server: Any) -> None:
    """Two sentences."""
    told = {"id": "d1", "paused": True, "parameter_openapi_schema": {"properties": {"driftd_id": {}}}}
    server.reply = answering(production=told)
    prefect = place("prefect", server.url, deployment="retrain/production", parameters={"depth": "9"})
    paused, undeclared = prefect.check()
    assert "is paused" in paused
    assert "does not declare driftd_evidence, depth; add them to the flow's parameters" in undeclared


def test_a_jenkins_job_is_looked_at(server: Any) -> None:
    """Jenkins drops parameters it does not know without a word; a disabled job builds nothing."""
    server.reply = answering(json={"buildable": False, "property": [{"parameterDefinitions": [{"name": "DRIFTD_ID"}]}]})
    jenkins = place("jenkins", server.url, job="retrain", username="ada", token={"env": "TOKEN"})
    disabled, undeclared = jenkins.check()
    assert "is disabled" in disabled
    assert "does not declare DRIFTD_EVIDENCE" in undeclared
