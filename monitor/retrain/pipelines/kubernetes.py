"""A Kubernetes Job made from a manifest, under our id as its name: a second one of that name is refused.

https://kubernetes.io/docs/reference/kubernetes-api/workload-resources/job-v1/. Inside a cluster the service account's
token and authority are found where Kubernetes puts them.
"""

import copy
from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import KubernetesPipeline
from monitor.config.values import Secret
from monitor.errors import ConfigError
from monitor.http import Reply
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Header
from monitor.retrain.pipelines.rest import Rest, parameters, segment
from monitor.untrusted import parse_yaml, read_text

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")


class Kubernetes(Rest):
    ACCEPTED = (200, 201, 202)
    KNOWN = (409,)

    def __init__(self, section: KubernetesPipeline, state_dir: Path | None) -> None:
        self._section = section
        self._namespace = section.namespace
        self._jobs = f"{section.url.rstrip('/')}/apis/batch/v1/namespaces/{segment(section.namespace)}/jobs"
        token = section.token or Secret("file", str(ACCOUNT / "token"))
        ca = section.ca or (ACCOUNT / "ca.crt" if (ACCOUNT / "ca.crt").exists() else None)
        super().__init__(f"jobs of {section.namespace}", section.timeout, ca, Header(token))

    def _start(self, dispatch: Dispatch) -> Reply:
        return self._ask("POST", self._jobs, self._job(dispatch.id, parameters(dispatch, {})))

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._jobs}/{segment(dispatch.id)}")

    def _run(self, told: Any) -> Answer:
        name, status = str(told["metadata"]["name"]), told.get("status") or {}
        conditions = status.get("conditions", ())
        held = {condition["type"]: condition for condition in conditions if condition["status"] == "True"}
        if "Complete" in held:
            return Answer(state=DispatchState.SUCCEEDED, reason="the job is complete", handle=name)
        if failed := held.get("Failed") or held.get("FailureTarget"):
            reason = f"the job failed: {failed.get('reason', 'no reason given')}"
            return Answer(state=DispatchState.FAILED, reason=reason, handle=name)
        if told.get("spec", {}).get("suspend"):
            return Answer(state=DispatchState.BLOCKED, reason="the job is suspended", handle=name)
        running = bool(status.get("ready") or status.get("succeeded") or status.get("failed"))
        state = DispatchState.RUNNING if running else DispatchState.QUEUED
        return Answer(state=state, reason="its pod runs" if running else "its pod has not started", handle=name)

    def _gone(self, dispatch: Dispatch, reply: Reply) -> DispatchState:
        """Finished jobs are tidied away: one that was seen and is not there any more has an end nobody knows."""
        return DispatchState.UNKNOWN if reply.status == 404 else dispatch.state

    def _problems(self) -> list[str]:
        """Let the cluster judge the manifest and our rights without making anything (dry run)."""
        reply = self._ask("POST", f"{self._jobs}?dryRun=All", self._job("driftd-check", {}))
        if reply.status in self.ACCEPTED:
            return []
        if reply.status in (401, 403):
            return [f"{self._where}: the account may not create jobs ({reply.status}); give it create and get on jobs"]
        why = reply.said() or "no reason given"
        return [f"{self._where}: {self._section.manifest} is refused ({reply.status}): {why}"]

    def _job(self, name: str, told: dict[str, str]) -> Json:
        """The manifest under a name, with what the run is told in the environment of every container."""
        made = copy.deepcopy(self._manifest())
        labels = {"app.kubernetes.io/managed-by": "driftd"}
        given = made.get("metadata") or {}
        made["metadata"] = {k: v for k, v in given.items() if k != "generateName"} | {
            "name": name, "namespace": self._namespace, "labels": {**(given.get("labels") or {}), **labels},
        }
        for container in made["spec"]["template"]["spec"]["containers"]:
            own = [variable for variable in container.get("env") or () if variable["name"].lower() not in told]
            container["env"] = [*own, *({"name": key.upper(), "value": value} for key, value in told.items())]
        return made

    def _manifest(self) -> Json:
        """Read the file. Raises ConfigError where it holds no Job."""
        path = self._section.manifest
        try:
            found = parse_yaml(read_text(path))
            whole = found["kind"] == "Job" and found["spec"]["template"]["spec"]["containers"]
        except (OSError, ValueError, KeyError, TypeError) as error:
            why = type(error).__name__
            raise ConfigError([f"{path}: is no manifest of a Job ({why}), expected kind: Job"]) from None
        if not whole:
            raise ConfigError([f"{path}: is no manifest of a Job, expected kind: Job with a container"])
        manifest: Json = found
        return manifest
