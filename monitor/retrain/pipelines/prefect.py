"""A Prefect 3 deployment; its server knows a repeat by the idempotency key and answers with the same flow run.

https://docs.prefect.io/v3/api-ref/rest-api
"""

from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import PrefectPipeline
from monitor.http import NotSent, Reply
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Basic, Credential, Header, Nobody
from monitor.retrain.pipelines.rest import TOLD, Rest, missing, parameters, segment, stated
from monitor.untrusted import MALFORMED

STATES = {
    "SCHEDULED": DispatchState.QUEUED, "PENDING": DispatchState.QUEUED, "RUNNING": DispatchState.RUNNING,
    "CANCELLING": DispatchState.RUNNING, "PAUSED": DispatchState.BLOCKED, "COMPLETED": DispatchState.SUCCEEDED,
    "FAILED": DispatchState.FAILED, "CRASHED": DispatchState.FAILED, "CANCELLED": DispatchState.CANCELLED,
}


class Prefect(Rest):
    def __init__(self, section: PrefectPipeline, state_dir: Path | None) -> None:
        self._section, self._api = section, section.url.rstrip("/")
        super().__init__(f"{self._api} {section.deployment}", section.timeout, section.ca, _credential(section))

    def _start(self, dispatch: Dispatch) -> Reply:
        body = {
            "name": dispatch.id, "idempotency_key": dispatch.id, "tags": ["driftd"],
            "parameters": parameters(dispatch, self._section.parameters),
        }
        found = self._asked()
        if 400 <= found.status < 500:
            return found                     # no such deployment, or not for us: as if the request were refused
        id = self._deployment(found)["id"]
        return self._ask("POST", f"{self._api}/deployments/{segment(id)}/create_flow_run", body)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._api}/flow_runs/{segment(dispatch.handle or '')}")

    def _run(self, told: Any) -> Answer:
        base, id = self._api.removesuffix("/api"), str(told["id"])
        return stated(STATES, told["state_type"] or "SCHEDULED", handle=id, url=f"{base}/runs/flow-run/{id}")

    def _problems(self) -> list[str]:
        found = self._deployment(self._asked())
        paused = [f"{self._where} is paused, its runs would wait: prefect deployment resume"] if found["paused"] else []
        schema = found.get("parameter_openapi_schema") or {}
        lines = "them to the flow's parameters, each with a default, such as driftd_id=None"
        needed = (*TOLD, *self._section.parameters)
        return paused + missing(needed, schema.get("properties", {}), self._where, lines)

    def _asked(self) -> Reply:
        """Ask for the deployment by "flow/name" or its id."""
        named = "/".join(map(segment, self._section.deployment.split("/", 1)))
        place = f"name/{named}" if "/" in self._section.deployment else named
        return self._ask("GET", f"{self._api}/deployments/{place}")

    def _deployment(self, reply: Reply) -> Json:
        """Read a deployment. Raises NotSent: without it nothing is sent."""
        if reply.status == 404:
            raise NotSent(f"{self._where}: there is no such deployment")
        if reply.status != 200:
            raise NotSent(f"{self._where}: the deployment cannot be read ({reply.status})")
        try:
            found: Json = reply.json()
            return found | {"id": str(found["id"]), "paused": bool(found.get("paused"))}
        except MALFORMED:
            raise NotSent(f"{self._where}: the answer is no deployment") from None


def _credential(section: PrefectPipeline) -> Credential:
    if section.token is not None:
        return Header(section.token)
    if section.username is None or section.password is None:
        return Nobody()
    return Basic(section.username, section.password)
