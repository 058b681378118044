"""An Airflow DAG, started under our id as `dag_run_id`: Airflow knows a repeat by it and answers 409.

https://airflow.apache.org/docs/apache-airflow/stable/stable-rest-api-ref.html; of Airflow 2 the /api/v1 before it.
"""

from pathlib import Path
from typing import Any
from urllib.parse import quote

from monitor.config.pipeline_sections import AirflowPipeline
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Basic, Credential, Header, Nobody, login
from monitor.retrain.pipelines.rest import Rest, parameters, segment, sender, stated
from monitor.untrusted import MALFORMED

STATES = {
    "queued": DispatchState.QUEUED, "running": DispatchState.RUNNING, "restarting": DispatchState.RUNNING,
    "success": DispatchState.SUCCEEDED, "failed": DispatchState.FAILED,
}


class Airflow(Rest):
    ACCEPTED = (200,)
    KNOWN = (409,)

    def __init__(self, section: AirflowPipeline, state_dir: Path | None) -> None:
        url = section.url.rstrip("/")
        super().__init__(f"{url} {section.dag}", section.timeout, section.ca, _credential(section, url))
        self._section, self._url = section, url
        version = {2: "v1", 3: "v2"}[section.version]
        self._dag = f"{url}/api/{version}/dags/{segment(section.dag)}"

    def _not_yet(self) -> str | None:
        """A paused DAG accepts a run, and then it is queued for ever."""
        paused = self._paused(self._ask("GET", self._dag))
        return f"{self._where} is paused, its runs would never start; unpause it" if paused else None

    def _start(self, dispatch: Dispatch) -> Reply:
        body: Json = {"dag_run_id": dispatch.id, "conf": parameters(dispatch, self._section.conf)}
        if self._section.version == 3:
            body["logical_date"] = None      # else two requests of one moment would be one run
        return self._ask("POST", f"{self._dag}/dagRuns", body)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._dag}/dagRuns/{segment(dispatch.id)}")

    def _run(self, told: Any) -> Answer:
        run = str(told["dag_run_id"])
        page = f"{self._url}/dags/{segment(self._section.dag)}/"
        page += f"runs/{segment(run)}" if self._section.version == 3 else f"grid?dag_run_id={quote(run)}"
        return stated(STATES, told["state"], handle=run, url=page)

    def _problems(self) -> list[str]:
        reply = self._ask("GET", self._dag)
        if reply.status == 404:
            return [f"{self._where}: there is no such DAG; is its file in the dags folder, and without errors?"]
        if reply.status != 200:
            return [f"{self._where} cannot be read ({reply.status}); may the user read and run this DAG?"]
        if self._paused(reply):
            return [f"{self._where} is paused, its runs would never start: airflow dags unpause {self._section.dag}"]
        return []

    @staticmethod
    def _paused(reply: Reply) -> bool:
        try:
            return reply.status == 200 and bool(reply.json()["is_paused"])
        except MALFORMED:
            return False


def _credential(section: AirflowPipeline, url: str) -> Credential:
    if section.token is not None:
        return Header(section.token)
    if section.username is None or section.password is None:
        return Nobody()
    if section.version == 2:
        return Basic(section.username, section.password)
    return login(sender(section.timeout, section.ca), url, section.username, section.password)
