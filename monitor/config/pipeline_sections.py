"""[pipelines.NAME]: one section for each kind of pipeline a retrain request can go to."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import Field

from monitor.config.section import Section
from monitor.config.values import PositiveDuration, SecretRef, TextOrSecret


class OverHttp(Section):
    """What every pipeline has that is asked over HTTP."""

    ca: Path | None = None                   # PEM, of a place whose certificate no public authority has signed
    timeout: PositiveDuration = timedelta(seconds=15)


class WebhookPipeline(OverHttp):
    kind: Literal["webhook"]
    url: TextOrSecret
    secret: SecretRef                        # whsec_ + base64
    previous_secret: SecretRef | None = None  # signs too while a secret rotates


class GithubApp(Section):
    """A GitHub App, installed for the repository."""

    id: int
    installation: int
    key: SecretRef                           # its private key, PEM


class GithubPipeline(OverHttp):
    kind: Literal["github"]
    repository: str                          # owner/name
    workflow: str | None = None
    event_type: str | None = None            # instead of a workflow: a repository_dispatch, which nobody can follow
    ref: str = "main"
    token: SecretRef | None = None
    app: GithubApp | None = None             # instead of a token
    inputs: dict[str, str] = {}              # sent besides driftd_id and driftd_evidence
    api: str = "https://api.github.com"


class GitlabPipeline(OverHttp):
    kind: Literal["gitlab"]
    project: str                             # its path or number
    ref: str = "main"
    token: SecretRef
    inputs: dict[str, str] = {}              # that the pipeline declares under spec.inputs
    url: str = "https://gitlab.com"


class JenkinsPipeline(OverHttp):
    kind: Literal["jenkins"]
    url: str
    job: str                                 # folders before it with /
    username: str
    token: SecretRef
    parameters: dict[str, str] = {}          # sent besides DRIFTD_ID and DRIFTD_EVIDENCE


class AirflowPipeline(OverHttp):
    kind: Literal["airflow"]
    url: str
    dag: str
    version: Literal[2, 3] = 3
    username: str | None = None
    password: SecretRef | None = None
    token: SecretRef | None = None           # instead of user and password
    conf: dict[str, str] = {}                # sent besides driftd_id and driftd_evidence


class PrefectPipeline(OverHttp):
    kind: Literal["prefect"]
    url: str                                 # with /api at its end
    deployment: str                          # flow/name or its id
    username: str | None = None
    password: SecretRef | None = None
    token: SecretRef | None = None
    parameters: dict[str, str] = {}          # sent besides driftd_id and driftd_evidence


class KubeflowPipeline(OverHttp):
    kind: Literal["kubeflow"]
    url: str
    pipeline_id: str
    pipeline_version: str | None = None      # default: the newest
    experiment: str | None = None            # its id
    token: SecretRef | None = None
    parameters: dict[str, str] = {}          # sent besides driftd_id and driftd_evidence


class ArgoPipeline(OverHttp):
    kind: Literal["argo"]
    url: str
    namespace: str
    template: str                            # a WorkflowTemplate
    token: SecretRef | None = None
    parameters: dict[str, str] = {}          # sent besides driftd_id and driftd_evidence


class KubernetesPipeline(OverHttp):
    kind: Literal["kubernetes"]
    url: str = "https://kubernetes.default.svc"
    namespace: str
    manifest: Path                           # of a Job, YAML or JSON
    token: SecretRef | None = None           # default: the service account's


class DatabricksPipeline(OverHttp):
    kind: Literal["databricks"]
    url: str
    job_id: int
    token: SecretRef
    parameters: dict[str, str] = {}          # sent besides driftd_id and driftd_evidence


class SagemakerPipeline(OverHttp):
    kind: Literal["sagemaker"]
    region: str
    pipeline_name: str
    profile: str | None = None               # of the AWS configuration; default: whatever this machine has
    parameters: dict[str, str] = {}          # sent besides driftd_id and driftd_evidence
    url: str | None = None                   # default: the region's


class VertexPipeline(OverHttp):
    kind: Literal["vertex"]
    project: str
    region: str
    template: str                            # gs://… or https://…-kfp.pkg.dev/…
    output: str                              # gs://…, where the run writes
    service_account: str | None = None
    token: SecretRef | None = None           # default: the application default credentials
    parameters: dict[str, str] = {}          # sent besides driftd_id and driftd_evidence
    url: str | None = None                   # default: the region's


class AzuremlPipeline(OverHttp):
    kind: Literal["azureml"]
    tenant: str
    client: str                              # of the application that asks
    secret: SecretRef
    subscription: str
    resource_group: str
    workspace: str
    job_file: Path                           # JSON: the properties of the job
    url: str = "https://management.azure.com"
    login: str = "https://login.microsoftonline.com"


class CommandPipeline(Section):
    kind: Literal["command"]
    command: tuple[str, ...] = Field(min_length=1)   # no shell
    timeout: PositiveDuration = timedelta(hours=6)   # of the run
    environment: dict[str, TextOrSecret] = {}


Pipeline = Annotated[
    WebhookPipeline | GithubPipeline | GitlabPipeline | JenkinsPipeline | AirflowPipeline | PrefectPipeline
    | KubeflowPipeline | ArgoPipeline | KubernetesPipeline | DatabricksPipeline | SagemakerPipeline | VertexPipeline
    | AzuremlPipeline | CommandPipeline,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[Section]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(get_args(Pipeline)[0])
}
