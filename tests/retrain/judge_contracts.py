"""Run by a Python that has the vendors' own clients: reads a request and states, prints what those do not know.

Each body is held against the client's model, key by key; the words for states against the client's, both ways.
"""

import enum
import json
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import Any


def openapi(module: Any, kind: str, body: Any, place: str) -> Iterator[str]:
    """Keys that a model of a generated client (Kubernetes, Kubeflow) does not have."""
    if kind.startswith("list["):
        for one in body:
            yield from openapi(module, kind[5:-1], one, place)
    elif kind.startswith("dict(") or not hasattr(module, kind):
        return
    elif hasattr(getattr(module, kind), "openapi_types") and isinstance(body, dict):
        model = getattr(module, kind)
        known = {wire: model.openapi_types[name] for name, wire in model.attribute_map.items()}
        for key, value in body.items():
            if key in known:
                yield from openapi(module, known[key], value, f"{place}.{key}")
            else:
                yield f"{place}.{key}: {kind} has no such key"


def kubeflow(body: Any) -> Iterator[str]:
    import kfp_server_api

    yield from openapi(kfp_server_api, "V2beta1Run", body, "run")


def kubernetes(body: Any) -> Iterator[str]:
    from kubernetes import client

    yield from openapi(client, "V1Job", body, "job")


def argo(body: Any) -> Iterator[str]:
    from hera.workflows.models import SubmitOpts, WorkflowSubmitRequest

    for model, part in ((WorkflowSubmitRequest, body), (SubmitOpts, body["submitOptions"])):
        known = {field.alias or name for name, field in model.__fields__.items()}
        yield from (f"{key}: {model.__name__} has no such key" for key in set(part) - known)
        model.parse_obj(part)


def databricks(body: Any) -> Iterator[str]:
    import inspect

    from databricks.sdk.service.jobs import JobsAPI

    known = set(inspect.signature(JobsAPI.run_now).parameters)
    yield from (f"{key}: run_now has no such parameter" for key in set(body) - known)


def vertex(body: Any) -> Iterator[str]:
    from google.cloud.aiplatform_v1 import PipelineJob

    PipelineJob.from_json(json.dumps(body))          # refuses keys that it does not know
    yield from ()


def azureml(body: Any) -> Iterator[str]:
    from azure.mgmt.machinelearningservices.models import PipelineJob

    known = {one["key"] for one in PipelineJob._attribute_map.values()}
    yield from (f"properties.{key}: PipelineJob has no such key" for key in set(body["properties"]) - known)


def words(*kinds: Any) -> set[str]:
    return {str(one.value if isinstance(one, enum.Enum) else one) for kind in kinds for one in kind}


def states(name: str) -> set[str]:
    """Every word for the state of a run that the client knows."""
    if name == "kubeflow":
        from kfp_server_api import V2beta1RuntimeState

        return set(V2beta1RuntimeState.allowable_values) - {"RUNTIME_STATE_UNSPECIFIED"}
    if name == "databricks":
        from databricks.sdk.service.jobs import RunLifeCycleState, RunResultState

        return words(RunLifeCycleState) - {"TERMINATED"} | {f"TERMINATED {one}" for one in words(RunResultState)}
    if name == "vertex":
        from google.cloud.aiplatform_v1 import PipelineState

        return {one.name for one in PipelineState}
    if name == "azureml":
        from azure.mgmt.machinelearningservices.models import JobStatus

        return words(JobStatus) - {"Unknown"}       # which is what driftd says too
    return set()


BODIES: dict[str, Callable[[Any], Iterable[str]]] = {
    "kubeflow": kubeflow, "kubernetes": kubernetes, "argo": argo, "databricks": databricks, "vertex": vertex,
    "azureml": azureml,
}

if __name__ == "__main__":
    asked = json.load(sys.stdin)
    found = list(BODIES[asked["kind"]](asked["body"]))
    if theirs := states(asked["kind"]):
        ours = set(asked["states"])
        found += [f"{word}: not known to the vendor" for word in sorted(ours - theirs)]
        found += [f"{word}: not known to driftd" for word in sorted(theirs - ours)]
    print(json.dumps(found))
