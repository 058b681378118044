"""A Kubeflow pipeline (v2beta1), found again by the name of its run, which is our id.

https://www.kubeflow.org/docs/components/pipelines/reference/api/kubeflow-pipeline-api-spec/
"""

import json
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from monitor.config.pipeline_sections import KubeflowPipeline
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Header, Nobody
from monitor.retrain.pipelines.rest import Rest, parameters, segment, stated

STATES = {
    "PENDING": DispatchState.QUEUED, "RUNNING": DispatchState.RUNNING, "CANCELING": DispatchState.RUNNING,
    "PAUSED": DispatchState.BLOCKED, "SUCCEEDED": DispatchState.SUCCEEDED, "FAILED": DispatchState.FAILED,
    "SKIPPED": DispatchState.CANCELLED, "CANCELED": DispatchState.CANCELLED,
}


class Kubeflow(Rest):
    KEY = "findable"

    def __init__(self, section: KubeflowPipeline, state_dir: Path | None) -> None:
        self._section, self._url = section, section.url.rstrip("/")
        credential = Nobody() if section.token is None else Header(section.token)
        super().__init__(f"{self._url} {section.pipeline_id}", section.timeout, section.ca, credential)

    def _start(self, dispatch: Dispatch) -> Reply:
        section = self._section
        reference = {"pipeline_id": section.pipeline_id}
        if section.pipeline_version is not None:
            reference["pipeline_version_id"] = section.pipeline_version
        body: Json = {
            "display_name": dispatch.id, "pipeline_version_reference": reference,
            "runtime_config": {"parameters": parameters(dispatch, section.parameters)},
        }
        if section.experiment is not None:
            body["experiment_id"] = section.experiment
        return self._ask("POST", f"{self._url}/apis/v2beta1/runs", body)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._url}/apis/v2beta1/runs/{segment(dispatch.handle or '')}")

    def _run(self, told: Any) -> Answer:
        id = str(told["run_id"])
        return stated(STATES, told.get("state") or "PENDING", handle=id, url=f"{self._url}/#/runs/details/{id}")

    def _search(self, dispatch: Dispatch) -> Answer | None:
        named = {"operation": "EQUALS", "key": "display_name", "string_value": dispatch.id}
        query = {"filter": json.dumps({"predicates": [named]}), "page_size": "2"}
        if self._section.experiment is not None:
            query["experiment_id"] = self._section.experiment
        found = self._read(f"{self._url}/apis/v2beta1/runs?{urlencode(query)}", "the list of runs").get("runs") or []
        return next((self._run(run) for run in found if run["display_name"] == dispatch.id), None)

    def _problems(self) -> list[str]:
        reply = self._ask("GET", f"{self._url}/apis/v2beta1/pipelines/{segment(self._section.pipeline_id)}")
        if reply.status == 404:
            return [f"{self._where}: there is no pipeline of this id"]
        return [] if reply.status == 200 else [f"{self._where} cannot be read ({reply.status}); is the token right?"]
