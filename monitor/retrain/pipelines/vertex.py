"""A Vertex AI pipeline job, under our id: the same id again is refused as existing.

https://cloud.google.com/vertex-ai/docs/reference/rest/v1/projects.locations.pipelineJobs
"""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import VertexPipeline
from monitor.errors import ConfigError
from monitor.http import NotSent, Reply
from monitor.outgoing import trust
from monitor.outgoing.guard import own_rights
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.credentials import Credential, Header, Token
from monitor.retrain.pipelines.rest import Rest, parameters, segment, stated

SCOPE = "https://www.googleapis.com/auth/cloud-platform"
_STATES = {
    "UNSPECIFIED": DispatchState.QUEUED, "QUEUED": DispatchState.QUEUED, "PENDING": DispatchState.QUEUED,
    "RUNNING": DispatchState.RUNNING, "CANCELLING": DispatchState.RUNNING, "PAUSED": DispatchState.BLOCKED,
    "SUCCEEDED": DispatchState.SUCCEEDED, "FAILED": DispatchState.FAILED, "CANCELLED": DispatchState.CANCELLED,
}
STATES = {f"PIPELINE_STATE_{name}": state for name, state in _STATES.items()}


class Vertex(Rest):
    ACCEPTED = (200,)
    KNOWN = (409,)

    def __init__(self, section: VertexPipeline, state_dir: Path | None) -> None:
        self._section = section
        url = section.url or f"https://{section.region}-aiplatform.googleapis.com"
        self._jobs = (f"{url.rstrip('/')}/v1/projects/{segment(section.project)}"
                      f"/locations/{segment(section.region)}/pipelineJobs")
        super().__init__(f"{section.project} {section.region}", section.timeout, section.ca, _credential(section))

    def _start(self, dispatch: Dispatch) -> Reply:
        section = self._section
        body: Json = {
            "displayName": dispatch.id, "templateUri": section.template,
            "runtimeConfig": {
                "gcsOutputDirectory": section.output, "parameterValues": parameters(dispatch, section.parameters),
            },
        }
        if section.service_account is not None:
            body["serviceAccount"] = section.service_account
        return self._ask("POST", f"{self._jobs}?pipelineJobId={segment(dispatch.id)}", body)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._ask("GET", f"{self._jobs}/{segment(dispatch.id)}")

    def _run(self, told: Any) -> Answer:
        place = str(told["name"]).split("/")
        page = (f"https://console.cloud.google.com/vertex-ai/locations/{self._section.region}"
                f"/pipelines/runs/{place[-1]}?project={self._section.project}")
        return stated(STATES, told.get("state", "PIPELINE_STATE_PENDING"), handle=place[-1], url=page)

    def _problems(self) -> list[str]:
        reply = self._ask("GET", f"{self._jobs}?pageSize=1")
        if reply.status == 200:
            return []
        return [f"{self._where} cannot be read ({reply.status}); the account needs the role roles/aiplatform.user"]


def _credential(section: VertexPipeline) -> Credential:
    return Token(_default) if section.token is None else Header(section.token)


def _default() -> tuple[str, datetime | None]:
    """Google's application default credentials. Raises ConfigError without the extra, NotSent without credentials."""
    try:
        import google.auth
        import google.auth.transport.requests as transport
    except ImportError:
        raise ConfigError(['kind = "vertex" needs a token, or the extra: pip install "driftd[vertex]"']) from None
    try:
        trust.tell_requests()
        with own_rights():                   # the metadata service is where a machine at Google gets its token
            found: Any = google.auth.default(scopes=[SCOPE])[0]
            found.refresh(transport.Request())
    except google.auth.exceptions.GoogleAuthError as error:
        raise NotSent(f"Google gave no token ({type(error).__name__}); is an account configured here?") from None
    return str(found.token), None if found.expiry is None else found.expiry.replace(tzinfo=UTC)
