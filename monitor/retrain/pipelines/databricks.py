"""A Databricks job; it knows a repeat by the idempotency token and answers with the same run.

https://docs.databricks.com/api/workspace/jobs/runnow
"""

from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import DatabricksPipeline
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Header
from monitor.retrain.pipelines.rest import TOLD, Rest, missing, parameters, segment, stated

CYCLES = {
    "QUEUED": DispatchState.QUEUED, "PENDING": DispatchState.QUEUED, "BLOCKED": DispatchState.QUEUED,
    "RUNNING": DispatchState.RUNNING, "TERMINATING": DispatchState.RUNNING,
    "WAITING_FOR_RETRY": DispatchState.RUNNING, "SKIPPED": DispatchState.CANCELLED,
    "INTERNAL_ERROR": DispatchState.FAILED,
}
RESULTS = {
    "SUCCESS": DispatchState.SUCCEEDED, "SUCCESS_WITH_FAILURES": DispatchState.SUCCEEDED,
    "FAILED": DispatchState.FAILED, "TIMEDOUT": DispatchState.FAILED, "UPSTREAM_FAILED": DispatchState.FAILED,
    "CANCELED": DispatchState.CANCELLED, "UPSTREAM_CANCELED": DispatchState.CANCELLED,
    "EXCLUDED": DispatchState.CANCELLED, "DISABLED": DispatchState.CANCELLED,
    "MAXIMUM_CONCURRENT_RUNS_REACHED": DispatchState.CANCELLED,
}


class Databricks(Rest):
    ACCEPTED = (200,)

    def __init__(self, section: DatabricksPipeline, state_dir: Path | None) -> None:
        self._section = section
        self._jobs = f"{section.url.rstrip('/')}/api/2.1/jobs"
        super().__init__(f"{section.url} job {section.job_id}", section.timeout, section.ca, Header(section.token))

    def _start(self, dispatch: Dispatch) -> Reply:
        body = {
            "job_id": self._section.job_id, "idempotency_token": dispatch.id,
            "job_parameters": parameters(dispatch, self._section.parameters),
        }
        return self._ask("POST", f"{self._jobs}/run-now", body)

    def _accepted(self, reply: Reply) -> Answer:
        return Answer(state=DispatchState.QUEUED, reason="accepted", handle=str(int(reply.json()["run_id"])))

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._jobs}/runs/get?run_id={segment(dispatch.handle or '')}")

    def _run(self, told: Any) -> Answer:
        state, also = told["state"], {"handle": str(int(told["run_id"])), "url": told.get("run_page_url")}
        if state["life_cycle_state"] == "TERMINATED":
            return stated(RESULTS, state["result_state"], **also)
        return stated(CYCLES, state["life_cycle_state"], **also)

    def _problems(self) -> list[str]:
        reply = self._ask("GET", f"{self._jobs}/get?job_id={self._section.job_id}")
        if reply.status != 200:
            return [f"{self._where} cannot be read ({reply.status}); does it exist, and may the token manage its runs?"]
        declared = [parameter["name"] for parameter in reply.json()["settings"].get("parameters", ())]
        needed = (*TOLD, *self._section.parameters)
        return missing(needed, declared, self._where, "them as job parameters, each with a default")
