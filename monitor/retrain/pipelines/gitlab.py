"""A GitLab CI pipeline, found again by the variable that holds our id.

https://docs.gitlab.com/api/pipelines/
"""

import re
from datetime import timedelta
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from monitor.config.pipeline_sections import GitlabPipeline
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Header
from monitor.retrain.pipelines.rest import LISTED, LISTING_LIMIT, Rest, missing, parameters, segment, stated
from monitor.times import format_moment
from monitor.untrusted import parse_yaml

FILE = ".gitlab-ci.yml"
BEFORE = timedelta(minutes=5)                # clocks differ: a pipeline may seem older than its request
STATES = {
    **dict.fromkeys(("created", "waiting_for_resource", "preparing", "pending", "scheduled"), DispatchState.QUEUED),
    "running": DispatchState.RUNNING, "manual": DispatchState.BLOCKED, "success": DispatchState.SUCCEEDED,
    "failed": DispatchState.FAILED,
    **dict.fromkeys(("canceling", "canceled", "skipped"), DispatchState.CANCELLED),
}


class Gitlab(Rest):
    KEY = "findable"

    def __init__(self, section: GitlabPipeline, state_dir: Path | None) -> None:
        self._section = section
        self._project = f"{section.url.rstrip('/')}/api/v4/projects/{segment(section.project)}"
        where = f"{section.project} {section.ref}"
        super().__init__(where, section.timeout, section.ca, Header(section.token, "PRIVATE-TOKEN", ""))

    def _start(self, dispatch: Dispatch) -> Reply:
        told = parameters(dispatch, {})
        variables = [{"key": name.upper(), "value": value} for name, value in told.items()]
        body: Json = {"ref": self._section.ref, "variables": variables}
        if self._section.inputs:
            body["inputs"] = self._section.inputs
        return self._ask("POST", f"{self._project}/pipeline", body)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._project}/pipelines/{segment(dispatch.handle or '')}")

    def _run(self, told: Any) -> Answer:
        return stated(STATES, told["status"], handle=str(int(told["id"])), url=told.get("web_url"))

    def _search(self, dispatch: Dispatch) -> Answer | None:
        """Look into the variables of the pipelines started by API on this branch since the request."""
        since = (dispatch.sent_at or dispatch.created_at) - BEFORE
        query = {"ref": self._section.ref, "source": "api", "updated_after": format_moment(since), "per_page": LISTED}
        for run in self._read(f"{self._project}/pipelines?{urlencode(query)}", "the list of pipelines"):
            place = f"{self._project}/pipelines/{int(run['id'])}/variables"
            if any(each["value"] == dispatch.id for each in self._read(place, "a pipeline's variables")):
                return self._run(run)
        return None

    def _problems(self) -> list[str]:
        branch = f"{self._project}/repository/branches/{segment(self._section.ref)}"
        reply = self._ask("GET", branch)
        if reply.status == 404:
            return [f"{self._where}: there is no such branch, or the token may not see the project"]
        if reply.status != 200:
            return [f"{self._where} cannot be read ({reply.status}); the token needs the scope api"]
        return self._undeclared() if self._section.inputs else []

    def _undeclared(self) -> list[str]:
        """Inputs that GitLab would refuse the request for; none where the file is not at its usual place."""
        file = f"{self._project}/repository/files/{segment(FILE)}/raw?{urlencode({'ref': self._section.ref})}"
        reply = self._ask("GET", file, limit=LISTING_LIMIT)
        if reply.status != 200:
            return []
        lines = "\n".join(f"    {name}:\n      type: string" for name in self._section.inputs)
        header = f"to the first lines of {FILE}:\nspec:\n  inputs:\n{lines}\n---"
        known = declared_inputs(reply.body.decode("utf-8", "replace"))
        return missing(self._section.inputs, known, self._where, header)


def declared_inputs(text: str) -> frozenset[str]:
    """Names under `spec.inputs` in the header of a pipeline's file; only the header is read. Raises ValueError."""
    header = parse_yaml(re.split(r"^---\s*$", text.removeprefix("---"), maxsplit=1, flags=re.MULTILINE)[0])
    spec = header.get("spec") if isinstance(header, dict) else None
    inputs = spec.get("inputs") if isinstance(spec, dict) else None
    return frozenset(map(str, inputs or ()))
