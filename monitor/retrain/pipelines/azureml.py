"""An Azure Machine Learning job, put under our id: putting it again changes nothing and starts nothing.

https://learn.microsoft.com/rest/api/azureml/jobs/create-or-update. The job is described by a JSON file: the
`properties` of that call.
"""

import copy
from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import AzuremlPipeline
from monitor.errors import ConfigError
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import client_credentials
from monitor.retrain.pipelines.rest import Rest, parameters, segment, sender, stated
from monitor.untrusted import parse_json, read_text

VERSION = "2024-04-01"
STATES = {
    **dict.fromkeys(("NotStarted", "Starting", "Provisioning", "Preparing", "Queued"), DispatchState.QUEUED),
    **dict.fromkeys(("Running", "Finalizing", "CancelRequested", "NotResponding"), DispatchState.RUNNING),
    "Paused": DispatchState.BLOCKED, "Completed": DispatchState.SUCCEEDED, "Failed": DispatchState.FAILED,
    "Canceled": DispatchState.CANCELLED,
}


class Azureml(Rest):
    def __init__(self, section: AzuremlPipeline, state_dir: Path | None) -> None:
        self._section = section
        self._workspace = (
            f"{section.url.rstrip('/')}/subscriptions/{segment(section.subscription)}/resourceGroups/"
            f"{segment(section.resource_group)}/providers/Microsoft.MachineLearningServices/workspaces/"
            f"{segment(section.workspace)}"
        )
        asked = sender(section.timeout, section.ca)
        login = f"{section.login.rstrip('/')}/{segment(section.tenant)}/oauth2/v2.0/token"
        scope = f"{section.url.rstrip('/')}/.default"
        super().__init__(f"workspace {section.workspace}", section.timeout, section.ca,
                         client_credentials(asked, login, section.client, section.secret, scope))

    def _start(self, dispatch: Dispatch) -> Reply:
        """A repeat would be answered as an update of the job, which starts nothing; we look first all the same."""
        known = self._ask_run(dispatch)
        if known.status == 200:
            return known
        told = parameters(dispatch, {})
        made = copy.deepcopy(self._job())
        made["displayName"] = dispatch.id
        made["tags"] = {**(made.get("tags") or {}), "driftd_id": dispatch.id}
        made["environmentVariables" if made["jobType"] == "Command" else "inputs"] = self._inputs(made, told)
        return self._ask("PUT", self._place(dispatch), {"properties": made})

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", self._place(dispatch))

    def _run(self, told: Any) -> Answer:
        given = told["properties"]
        services = given.get("services") or {}
        page = (services.get("Studio") or {}).get("endpoint")
        return stated(STATES, given.get("status") or "NotStarted", handle=str(told["name"]), url=page)

    def _problems(self) -> list[str]:
        self._job()
        reply = self._ask("GET", f"{self._workspace}?api-version={VERSION}")
        if reply.status == 200:
            return []
        return [f"{self._where} cannot be read ({reply.status}); the application needs the role AzureML Data Scientist"]

    def _place(self, dispatch: Dispatch) -> str:
        return f"{self._workspace}/jobs/{segment(dispatch.id)}?api-version={VERSION}"

    @staticmethod
    def _inputs(made: Json, told: dict[str, str]) -> Json:
        """A command reads its environment; a pipeline has inputs that are literals."""
        if made["jobType"] == "Command":
            return {**(made.get("environmentVariables") or {}), **{name.upper(): text for name, text in told.items()}}
        literal = {name: {"jobInputType": "literal", "value": text} for name, text in told.items()}
        return {**(made.get("inputs") or {}), **literal}

    def _job(self) -> Json:
        """Read the file. Raises ConfigError where it describes no job."""
        path = self._section.job_file
        try:
            found: Json = parse_json(read_text(path))
            if found["jobType"] in ("Command", "Pipeline"):
                return found
        except (OSError, ValueError, KeyError, TypeError):
            pass
        raise ConfigError([f'{path}: describes no job, expected JSON with "jobType": "Pipeline" or "Command"'])
