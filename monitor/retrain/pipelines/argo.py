"""An Argo workflow made from a template, under our id as its name: a second one of that name is refused.

https://argo-workflows.readthedocs.io/en/latest/swagger/
"""

from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import ArgoPipeline
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Header, Nobody
from monitor.retrain.pipelines.rest import TOLD, Rest, missing, parameters, segment, stated

STATES = {
    "Pending": DispatchState.QUEUED, "Running": DispatchState.RUNNING, "Succeeded": DispatchState.SUCCEEDED,
    "Failed": DispatchState.FAILED, "Error": DispatchState.FAILED,
}


class Argo(Rest):
    KNOWN = (409,)

    def __init__(self, section: ArgoPipeline, state_dir: Path | None) -> None:
        self._section, self._url = section, section.url.rstrip("/")
        self._workflows = f"{self._url}/api/v1/workflows/{segment(section.namespace)}"
        credential = Nobody() if section.token is None else Header(section.token)
        super().__init__(f"{section.namespace}/{section.template}", section.timeout, section.ca, credential)

    def _start(self, dispatch: Dispatch) -> Reply:
        told = [f"{name}={value}" for name, value in parameters(dispatch, self._section.parameters).items()]
        body = {
            "resourceKind": "WorkflowTemplate", "resourceName": self._section.template,
            "submitOptions": {"name": dispatch.id, "parameters": told},
        }
        return self._ask("POST", f"{self._workflows}/submit", body)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._workflows}/{segment(dispatch.id)}")

    def _run(self, told: Any) -> Answer:
        name = str(told["metadata"]["name"])
        phase = (told.get("status") or {}).get("phase") or "Pending"
        page = f"{self._url}/workflows/{segment(self._section.namespace)}/{segment(name)}"
        return stated(STATES, phase, handle=name, url=page)

    def _gone(self, dispatch: Dispatch, reply: Reply) -> DispatchState:
        """Workflows are tidied away: one that was seen and is not there any more has an end nobody knows."""
        return DispatchState.UNKNOWN if reply.status == 404 else dispatch.state

    def _problems(self) -> list[str]:
        place = f"{self._url}/api/v1/workflow-templates/{segment(self._section.namespace)}"
        reply = self._ask("GET", f"{place}/{segment(self._section.template)}")
        if reply.status == 404:
            return [f"{self._where}: there is no such workflow template"]
        if reply.status != 200:
            return [f"{self._where} cannot be read ({reply.status}); is the token right?"]
        declared = [parameter["name"] for parameter in reply.json()["spec"].get("arguments", {}).get("parameters", ())]
        needed = (*TOLD, *self._section.parameters)
        return missing(needed, declared, self._where, "them to spec.arguments.parameters")
