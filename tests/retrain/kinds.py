"""Every kind of pipeline that is asked over HTTP: its configuration, and how the other side answers when all is well.

`good` answers every request that a kind makes; `is_start` says which of them asks for a run. `words` are the other
side's for the state of a run, each with the state it means here.
"""

import json
import re
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

TOKEN = {"env": "TOKEN"}
WORKFLOW = """\
run-name: retrain ${{ inputs.driftd_id }}
on:
  workflow_dispatch:
    inputs:
      driftd_id:
        type: string
      driftd_evidence:
        type: string
"""


@dataclass
class Side:
    """The other side: the runs it has, by our id."""

    kind: str
    word: str = ""                           # the state of every run
    runs: dict[str, dict[str, Any]] = field(default_factory=dict)
    starts: int = 0                          # requests for a run that were taken
    hidden: bool = False                     # listings lag

    def __call__(self, seen: Any) -> Any:
        return KINDS[self.kind].good(self, seen)


@dataclass(frozen=True)
class Kind:
    section: dict[str, Any]                  # without its address
    good: Callable[[Side, Any], Any]
    is_start: Callable[[Any], bool]
    key: str
    accepted: str                            # the state after a request was taken
    words: dict[str, str]
    address: str = "url"
    suffix: str = ""                         # of the address
    secret_headers: tuple[str, ...] = ("authorization",)
    told: Callable[[Any], dict[str, str]] = lambda seen: {}      # what the run is told


def posts(pattern: str, method: str = "POST") -> Callable[[Any], bool]:
    return lambda seen: seen.method == method and re.fullmatch(pattern, urlsplit(seen.path).path) is not None


def missing() -> Any:
    return 404, {}, {"message": "not found"}


def airflow(side: Side, seen: Any) -> Any:
    path = urlsplit(seen.path).path
    if path == "/auth/token":
        assert seen.json() == {"username": "ada", "password": "t0ken"}
        return 201, {}, {"access_token": "fresh"}
    assert seen.headers["authorization"] == "Bearer fresh"
    if path == "/api/v2/dags/retrain":
        return 200, {}, {"dag_id": "retrain", "is_paused": False}
    if seen.method == "POST" and path == "/api/v2/dags/retrain/dagRuns":
        asked = seen.json()
        assert asked["logical_date"] is None
        if asked["dag_run_id"] in side.runs:
            return 409, {}, {"detail": "DAGRun with this id already exists"}
        side.starts += 1
        side.runs[asked["dag_run_id"]] = {"dag_run_id": asked["dag_run_id"]}
        return 200, {}, side.runs[asked["dag_run_id"]] | {"state": side.word or "queued"}
    run = side.runs.get(unquote(path.rsplit("/", 1)[-1]))
    return missing() if run is None else (200, {}, run | {"state": side.word or "queued"})


def airflow2(side: Side, seen: Any) -> Any:
    path = urlsplit(seen.path).path
    assert seen.headers["authorization"] == "Basic YWRhOnQwa2Vu"
    if path == "/api/v1/dags/retrain":
        return 200, {}, {"dag_id": "retrain", "is_paused": False}
    if seen.method == "POST":
        asked = seen.json()
        assert "logical_date" not in asked
        if asked["dag_run_id"] in side.runs:
            return 409, {}, {"detail": "already exists"}
        side.starts += 1
        side.runs[asked["dag_run_id"]] = {"dag_run_id": asked["dag_run_id"]}
        return 200, {}, side.runs[asked["dag_run_id"]] | {"state": side.word or "queued"}
    run = side.runs.get(unquote(path.rsplit("/", 1)[-1]))
    return missing() if run is None else (200, {}, run | {"state": side.word or "queued"})


def prefect(side: Side, seen: Any) -> Any:
    path = urlsplit(seen.path).path
    schema = {"properties": {"driftd_id": {}, "driftd_evidence": {}}}
    if path == "/api/deployments/name/retrain/production":
        return 200, {}, {"id": "d1", "paused": False, "parameter_openapi_schema": schema}
    if path == "/api/deployments/d1/create_flow_run":
        asked = seen.json()
        known = asked["idempotency_key"] in side.runs
        side.starts += not known
        run = side.runs.setdefault(asked["idempotency_key"], {"id": f"r{len(side.runs)}"})
        return (200 if known else 201), {}, run | {"state_type": side.word or "SCHEDULED"}
    run = next((one for one in side.runs.values() if path == f"/api/flow_runs/{one['id']}"), None)
    return missing() if run is None else (200, {}, run | {"state_type": side.word or "SCHEDULED"})


def gitlab(side: Side, seen: Any) -> Any:
    assert seen.headers["private-token"] == "t0ken"
    place = urlsplit(seen.path)
    path, base = place.path, "/api/v4/projects/acme%2Fflights"
    if path == f"{base}/pipeline":
        asked = seen.json()
        id = next(one["value"] for one in asked["variables"] if one["key"] == "DRIFTD_ID")
        side.starts += 1
        side.runs[id] = {"id": len(side.runs) + 1, "variables": asked["variables"]}
        return 201, {}, {"id": side.runs[id]["id"], "status": side.word or "created", "web_url": "https://gl/1"}
    if path == f"{base}/repository/branches/main":
        return 200, {}, {"name": "main"}
    if path == f"{base}/pipelines":
        assert parse_qs(place.query)["source"] == ["api"]
        shown = [] if side.hidden else side.runs.values()
        return 200, {}, [{"id": one["id"], "status": side.word or "created"} for one in shown]
    if found := re.fullmatch(f"{re.escape(base)}/pipelines/(\\d+)(/variables)?", path):
        run = next((one for one in side.runs.values() if one["id"] == int(found[1])), None)
        if run is None:
            return missing()
        return 200, {}, run["variables"] if found[2] else {"id": run["id"], "status": side.word or "created"}
    return missing()


def jenkins(side: Side, seen: Any) -> Any:
    """The queue item becomes a build at once when a word for the state is set."""
    assert seen.headers["authorization"] == "Basic YWRhOnQwa2Vu"
    path = urlsplit(seen.path).path
    if path == "/job/ml/job/retrain/buildWithParameters":
        asked = {name: values[0] for name, values in parse_qs(seen.body.decode()).items()}
        side.starts += 1
        number = len(side.runs) + 1
        actions = [{}, {"parameters": [{"name": n, "value": v} for n, v in asked.items()]}]
        side.runs[asked["DRIFTD_ID"]] = {"number": number, "actions": actions}
        return 201, {"Location": f"http://jenkins/queue/item/{number}/"}, b""
    if found := re.fullmatch(r"/queue/item/(\d+)/api/json", path):
        if int(found[1]) > len(side.runs):
            return missing()
        run = {"executable": {"url": f"http://jenkins/job/ml/job/retrain/{found[1]}/"}} if side.word else {}
        return 200, {}, {"id": int(found[1]), "cancelled": False, **run}
    if path == "/queue/api/json":
        shown = [] if side.word or side.hidden else side.runs.values()
        return 200, {}, {"items": [{"id": one["number"], "actions": one["actions"]} for one in shown]}
    if path == "/job/ml/job/retrain/api/json":
        if "parameterDefinitions" in unquote(seen.path):
            names = [{"name": "DRIFTD_ID"}, {"name": "DRIFTD_EVIDENCE"}]
            return 200, {}, {"buildable": True, "property": [{}, {"parameterDefinitions": names}]}
        shown = side.runs.values() if side.word and not side.hidden else []
        return 200, {}, {"builds": [build(one, side.word) for one in shown]}
    if found := re.fullmatch(r"/job/ml/job/retrain/(\d+)/api/json", path):
        run = next((one for one in side.runs.values() if one["number"] == int(found[1])), None)
        return missing() if run is None else (200, {}, build(run, side.word))
    return missing()


def build(run: dict[str, Any], word: str) -> dict[str, Any]:
    ended = word != "building"
    url = f"http://jenkins/job/ml/job/retrain/{run['number']}/"
    return run | {"url": url, "building": not ended, "result": word if ended else None}


def github_event(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    path = urlsplit(seen.path).path
    if path == "/repos/acme/flights/dispatches":
        asked = seen.json()
        assert asked["event_type"] == "retrain"
        side.starts += 1
        side.runs[asked["client_payload"]["driftd_id"]] = {}
        return 204, {}, b""
    return (200, {}, {"full_name": "acme/flights"}) if path == "/repos/acme/flights" else missing()


def github(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    path, base = urlsplit(seen.path).path, "/repos/acme/flights"
    if path == f"{base}/contents/.github/workflows/retrain.yml":
        return 200, {}, WORKFLOW.encode()
    if path == f"{base}/actions/workflows/retrain.yml/dispatches":
        id = seen.json()["inputs"]["driftd_id"]
        side.starts += 1
        side.runs[id] = {"id": len(side.runs) + 1, "display_title": f"retrain {id}"}
        return 200, {}, {"workflow_run_id": side.runs[id]["id"]}
    status, _, conclusion = (side.word or "queued").partition(" ")
    shown = [one | {"status": status, "conclusion": conclusion or None} for one in side.runs.values()]
    if path == f"{base}/actions/workflows/retrain.yml/runs":
        return 200, {}, {"workflow_runs": [] if side.hidden else shown}
    run = next((one for one in shown if path == f"{base}/actions/runs/{one['id']}"), None)
    return missing() if run is None else (200, {}, run)


def webhook(side: Side, seen: Any) -> Any:
    if seen.method == "POST":
        known = seen.headers["webhook-id"] in side.runs
        side.starts += not known
        side.runs[seen.headers["webhook-id"]] = {}
    return 202, {}, b""


def kubeflow(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    place = urlsplit(seen.path)
    base = "/pipeline/apis/v2beta1"
    if place.path == f"{base}/runs" and seen.method == "POST":
        asked = seen.json()
        assert asked["pipeline_version_reference"] == {"pipeline_id": "p1"}
        side.starts += 1
        side.runs[asked["display_name"]] = {"run_id": f"r{len(side.runs)}", "display_name": asked["display_name"]}
        return 200, {}, side.runs[asked["display_name"]] | {"state": side.word or "PENDING"}
    if place.path == f"{base}/runs":
        (wanted,) = json.loads(parse_qs(place.query)["filter"][0])["predicates"]
        assert (wanted["operation"], wanted["key"]) == ("EQUALS", "display_name")
        run = None if side.hidden else side.runs.get(wanted["string_value"])
        return 200, {}, {} if run is None else {"runs": [run | {"state": side.word or "PENDING"}]}
    if place.path == f"{base}/pipelines/p1":
        return 200, {}, {"pipeline_id": "p1"}
    run = next((one for one in side.runs.values() if place.path == f"{base}/runs/{one['run_id']}"), None)
    return missing() if run is None else (200, {}, run | {"state": side.word or "PENDING"})


def argo(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    path = urlsplit(seen.path).path
    if path == "/api/v1/workflow-templates/ml/retrain":
        names = [{"name": "driftd_id"}, {"name": "driftd_evidence"}]
        return 200, {}, {"spec": {"arguments": {"parameters": names}}}
    if path == "/api/v1/workflows/ml/submit":
        asked = seen.json()
        name = asked["submitOptions"]["name"]
        if name in side.runs:
            return 409, {}, {"code": 6, "message": f'workflows.argoproj.io "{name}" already exists'}
        side.starts += 1
        side.runs[name] = {"metadata": {"name": name}}
        return 200, {}, side.runs[name]
    run = side.runs.get(unquote(path.rsplit("/", 1)[-1]))
    return missing() if run is None else (200, {}, run | ({"status": {"phase": side.word}} if side.word else {}))


JOB = {"kind": "Job", "metadata": {"generateName": "x-"}, "spec": {"template": {"spec": {"containers": [
    {"name": "train", "image": "acme/train", "env": [{"name": "REGION", "value": "eu"}]}]}}}}


def kubernetes(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    place, base = urlsplit(seen.path), "/apis/batch/v1/namespaces/ml/jobs"
    if place.path == base:
        made = seen.json()
        name = made["metadata"]["name"]
        assert made["metadata"]["namespace"] == "ml"
        assert "generateName" not in made["metadata"]
        if parse_qs(place.query).get("dryRun") == ["All"]:
            return 201, {}, made
        if name in side.runs:
            return 409, {}, {"reason": "AlreadyExists", "message": f'jobs.batch "{name}" already exists'}
        side.starts += 1
        side.runs[name] = made
        return 201, {}, made
    run = side.runs.get(place.path.rsplit("/", 1)[-1])
    if run is None:
        return missing()
    condition = [{"type": side.word, "status": "True", "reason": "why"}] if side.word in ("Complete", "Failed") else []
    active = {"active": 1, "ready": 1} if side.word == "ready" else {"active": 1}
    spec = run["spec"] | ({"suspend": True} if side.word == "suspended" else {})
    return 200, {}, run | {"spec": spec, "status": {"conditions": condition} if condition else active}


def databricks(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    place = urlsplit(seen.path)
    if place.path == "/api/2.1/jobs/run-now":
        asked = seen.json()
        assert asked["job_id"] == 7
        assert len(asked["idempotency_token"]) <= 64
        side.starts += asked["idempotency_token"] not in side.runs
        run = side.runs.setdefault(asked["idempotency_token"], {"run_id": len(side.runs) + 1})
        return 200, {}, run
    if place.path == "/api/2.1/jobs/get":
        return 200, {}, {"settings": {"parameters": [{"name": "driftd_id"}, {"name": "driftd_evidence"}]}}
    number = int(parse_qs(place.query).get("run_id", ["0"])[0])
    run = next((one for one in side.runs.values() if one["run_id"] == number), None)
    cycle, _, result = (side.word or "PENDING").partition(" ")
    state = {"life_cycle_state": cycle} | ({"result_state": result} if result else {})
    return (400, {}, {"error_code": "INVALID"}) if run is None else (200, {}, run | {"state": state})


def sagemaker(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"].startswith("AWS4-HMAC-SHA256 Credential=AKIA")
    asked, operation = seen.json(), seen.headers["x-amz-target"]
    if operation == "SageMaker.StartPipelineExecution":
        assert 32 <= len(asked["ClientRequestToken"]) <= 128
        side.starts += asked["ClientRequestToken"] not in side.runs
        arn = f"arn:aws:sagemaker:eu-west-1:1:pipeline/retrain/execution/{len(side.runs) or 1}"
        return 200, {}, side.runs.setdefault(asked["ClientRequestToken"], {"PipelineExecutionArn": arn})
    if operation == "SageMaker.DescribePipeline":
        return 200, {}, {"PipelineName": asked["PipelineName"]}
    arn = asked["PipelineExecutionArn"]
    run = next((one for one in side.runs.values() if one["PipelineExecutionArn"] == arn), None)
    if run is None:
        return 400, {}, {"__type": "ResourceNotFound"}
    return 200, {}, run | {"PipelineExecutionStatus": side.word or "Executing"}


def vertex(side: Side, seen: Any) -> Any:
    assert seen.headers["authorization"] == "Bearer t0ken"
    place, base = urlsplit(seen.path), "/v1/projects/acme/locations/europe-west1/pipelineJobs"
    if place.path == base and seen.method == "POST":
        id = parse_qs(place.query)["pipelineJobId"][0]
        if id in side.runs:
            return 409, {}, {"error": {"code": 409, "status": "ALREADY_EXISTS"}}
        side.starts += 1
        side.runs[id] = {"name": f"projects/1/locations/europe-west1/pipelineJobs/{id}"}
        return 200, {}, side.runs[id] | {"state": side.word or "PIPELINE_STATE_PENDING"}
    if place.path == base:
        return 200, {}, {}
    run = side.runs.get(place.path.rsplit("/", 1)[-1])
    return missing() if run is None else (200, {}, run | {"state": side.word or "PIPELINE_STATE_PENDING"})


def azureml(side: Side, seen: Any) -> Any:
    place = urlsplit(seen.path)
    if place.path == "/tenant/oauth2/v2.0/token":
        assert parse_qs(seen.body.decode())["client_secret"] == ["t0ken"]
        return 200, {}, {"access_token": "fresh", "expires_in": 3600}
    assert seen.headers["authorization"] == "Bearer fresh"
    name = place.path.rsplit("/", 1)[-1]
    if "/jobs/" not in place.path:
        return 200, {}, {"name": "ws"}
    if seen.method == "PUT":
        side.starts += name not in side.runs
        side.runs[name] = {"name": name}
        return 201, {}, {"name": name, "properties": {"status": side.word or "NotStarted"}}
    run = side.runs.get(name)
    return missing() if run is None else (200, {}, run | {"properties": {"status": side.word or "NotStarted"}})


KINDS = {
    "webhook": Kind({"secret": TOKEN}, webhook, posts("/hook"), "native", "delivered", {}, suffix="/hook",
                    secret_headers=()),
    "github": Kind(
        {"repository": "acme/flights", "workflow": "retrain.yml", "token": TOKEN}, github, posts(".*/dispatches"),
        "findable", "queued", {"in_progress": "running", "completed success": "succeeded"}, address="api",
        told=lambda seen: seen.json()["inputs"],
    ),
    "github event": Kind(
        {"repository": "acme/flights", "event_type": "retrain", "token": TOKEN}, github_event, posts(".*/dispatches"),
        "blind", "delivered", {}, address="api", told=lambda seen: seen.json()["client_payload"],
    ),
    "gitlab": Kind(
        {"project": "acme/flights", "token": TOKEN}, gitlab, posts(".*/pipeline"), "findable", "queued",
        {"created": "queued", "waiting_for_resource": "queued", "preparing": "queued", "pending": "queued",
         "scheduled": "queued", "running": "running", "manual": "blocked", "success": "succeeded",
         "failed": "failed", "canceling": "cancelled", "canceled": "cancelled", "skipped": "cancelled"},
        secret_headers=("private-token",),
        told=lambda seen: {one["key"].lower(): one["value"] for one in seen.json()["variables"]},
    ),
    "jenkins": Kind(
        {"job": "ml/retrain", "username": "ada", "token": TOKEN}, jenkins, posts(".*/buildWithParameters"),
        "findable", "queued",
        {"building": "running", "SUCCESS": "succeeded", "UNSTABLE": "failed", "FAILURE": "failed",
         "ABORTED": "cancelled", "NOT_BUILT": "cancelled"},
        told=lambda seen: {name.lower(): value[0] for name, value in parse_qs(seen.body.decode()).items()},
    ),
    "airflow": Kind(
        {"dag": "retrain", "username": "ada", "password": TOKEN}, airflow, posts(".*/dagRuns"), "native", "queued",
        {"queued": "queued", "running": "running", "success": "succeeded", "failed": "failed"},
        told=lambda seen: seen.json()["conf"],
    ),
    "airflow 2": Kind(
        {"dag": "retrain", "version": 2, "username": "ada", "password": TOKEN}, airflow2, posts(".*/dagRuns"),
        "native", "queued", {"queued": "queued", "running": "running", "success": "succeeded", "failed": "failed"},
        told=lambda seen: seen.json()["conf"],
    ),
    "prefect": Kind(
        {"deployment": "retrain/production", "token": TOKEN}, prefect, posts(".*/create_flow_run"), "native", "queued",
        {"SCHEDULED": "queued", "PENDING": "queued", "RUNNING": "running", "CANCELLING": "running",
         "PAUSED": "blocked", "COMPLETED": "succeeded", "FAILED": "failed", "CRASHED": "failed",
         "CANCELLED": "cancelled"},
        suffix="/api", told=lambda seen: seen.json()["parameters"],
    ),
    "kubeflow": Kind(
        {"pipeline_id": "p1", "token": TOKEN}, kubeflow, posts(".*/runs"), "findable", "queued",
        {"PENDING": "queued", "RUNNING": "running", "CANCELING": "running", "PAUSED": "blocked",
         "SUCCEEDED": "succeeded", "FAILED": "failed", "SKIPPED": "cancelled", "CANCELED": "cancelled"},
        suffix="/pipeline", told=lambda seen: seen.json()["runtime_config"]["parameters"],
    ),
    "argo": Kind(
        {"namespace": "ml", "template": "retrain", "token": TOKEN}, argo, posts(".*/submit"), "native", "queued",
        {"Pending": "queued", "Running": "running", "Succeeded": "succeeded", "Failed": "failed", "Error": "failed"},
        told=lambda seen: dict(one.split("=", 1) for one in seen.json()["submitOptions"]["parameters"]),
    ),
    "kubernetes": Kind(
        {"namespace": "ml", "manifest": "job.json", "token": TOKEN}, kubernetes, posts(".*/jobs"), "native", "queued",
        {"ready": "running", "suspended": "blocked", "Complete": "succeeded", "Failed": "failed"},
        told=lambda seen: {one["name"].lower(): one["value"] for one in
                           seen.json()["spec"]["template"]["spec"]["containers"][0]["env"]},
    ),
    "databricks": Kind(
        {"job_id": 7, "token": TOKEN}, databricks, posts(".*/run-now"), "native", "queued",
        {"QUEUED": "queued", "PENDING": "queued", "BLOCKED": "queued", "RUNNING": "running",
         "TERMINATING": "running", "WAITING_FOR_RETRY": "running", "SKIPPED": "cancelled",
         "INTERNAL_ERROR": "failed", "TERMINATED SUCCESS": "succeeded", "TERMINATED FAILED": "failed",
         "TERMINATED TIMEDOUT": "failed", "TERMINATED CANCELED": "cancelled"},
        told=lambda seen: seen.json()["job_parameters"],
    ),
    "sagemaker": Kind(
        {"region": "eu-west-1", "pipeline_name": "retrain"}, sagemaker,
        lambda seen: seen.headers["x-amz-target"].endswith("StartPipelineExecution"), "native", "running",
        {"Executing": "running", "Stopping": "running", "Stopped": "cancelled", "Succeeded": "succeeded",
         "Failed": "failed"},
        told=lambda seen: {one["Name"]: one["Value"] for one in seen.json()["PipelineParameters"]},
    ),
    "vertex": Kind(
        {"project": "acme", "region": "europe-west1", "template": "gs://b/t.json", "output": "gs://b/runs",
         "token": TOKEN},
        vertex, posts(".*/pipelineJobs"), "native", "queued",
        {f"PIPELINE_STATE_{word}": state for word, state in (
            ("QUEUED", "queued"), ("PENDING", "queued"), ("RUNNING", "running"), ("SUCCEEDED", "succeeded"),
            ("FAILED", "failed"), ("CANCELLING", "running"), ("CANCELLED", "cancelled"), ("PAUSED", "blocked"))},
        told=lambda seen: seen.json()["runtimeConfig"]["parameterValues"],
    ),
    "azureml": Kind(
        {"tenant": "tenant", "client": "c", "secret": TOKEN, "subscription": "s", "resource_group": "g",
         "workspace": "w", "job_file": "job-azure.json"},
        azureml, posts(".*/jobs/.*", "PUT"), "native", "queued",
        {"NotStarted": "queued", "Starting": "queued", "Provisioning": "queued", "Preparing": "queued",
         "Queued": "queued", "Running": "running", "Finalizing": "running", "CancelRequested": "running",
         "Paused": "blocked", "Completed": "succeeded", "Failed": "failed", "Canceled": "cancelled"},
        told=lambda seen: {name: one["value"] for name, one in seen.json()["properties"]["inputs"].items()},
    ),
}
