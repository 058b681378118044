"""[pipelines.NAME]: one section for each kind of pipeline a retrain request can go to."""

from datetime import timedelta
from pathlib import Path
from typing import Annotated, Literal, get_args

from pydantic import ConfigDict, Field
from pydantic.config import JsonDict

from monitor.config.section import Section, exactly_one
from monitor.config.values import Address, AddressOrSecret, PositiveDuration, SecretRef, TextOrSecret

ACCOUNT_OR_TOKEN: JsonDict = {
    "dependentRequired": {"username": ["password"], "password": ["username"]},
    "not": {"required": ["username", "token"]},
}


class OverHttp(Section):
    """What all pipelines that are reached over HTTP have in common."""

    ca: Path | None = None
    """File of certificates to trust instead of the system's, PEM."""
    timeout: PositiveDuration = timedelta(seconds=15)
    """Longest wait for one try."""


class WebhookPipeline(OverHttp):
    """A signed HTTP request (Standard Webhooks, CloudEvents)."""

    kind: Literal["webhook"]
    """`"webhook"`."""
    url: AddressOrSecret
    """Address that receives the POST."""
    secret: SecretRef
    """Secret that signs each request: `whsec_` and the base64 of 24 to 64 bytes."""
    previous_secret: SecretRef | None = None
    """Old secret that also signs each request while the secret is being changed."""


class GithubApp(Section):
    """A GitHub App, installed for the repository."""

    id: int
    """Number of the app."""
    installation: int
    """Number of the app's installation in the repository's account."""
    key: SecretRef
    """The app's private key, PEM."""


class GithubPipeline(OverHttp):
    """A GitHub Actions workflow, or a `repository_dispatch`."""

    model_config = ConfigDict(json_schema_extra={
        "allOf": [exactly_one("workflow", "event_type"), exactly_one("token", "app")],
    })

    kind: Literal["github"]
    """`"github"`."""
    repository: str = Field(json_schema_extra={"pattern": r"^[\w-]+/[\w.-]+$"})
    """Repository that holds the workflow: `owner/name`."""
    workflow: str | None = None
    """Name of the workflow's file, such as `retrain.yml`."""
    event_type: str | None = None
    """Instead of a workflow: the event of a `repository_dispatch`, whose runs cannot be followed."""
    ref: str = "main"
    """Branch or tag that runs."""
    token: SecretRef | None = None
    """A token with permission to write actions and read contents."""
    app: GithubApp | None = None
    """A GitHub App instead of a token."""
    inputs: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""
    api: Address = "https://api.github.com"
    """Address of the API; for an Enterprise server `https://HOST/api/v3`."""


class GitlabPipeline(OverHttp):
    """A GitLab pipeline."""

    kind: Literal["gitlab"]
    """`"gitlab"`."""
    project: str
    """Path of the project, `group/name`, or its number."""
    ref: str = "main"
    """Branch or tag that runs."""
    token: SecretRef
    """An access token with the scope `api`."""
    inputs: dict[str, str] = {}
    """Values for inputs that the pipeline declares."""
    url: Address = "https://gitlab.com"
    """Address of the server."""


class JenkinsPipeline(OverHttp):
    """A Jenkins job with parameters."""

    kind: Literal["jenkins"]
    """`"jenkins"`."""
    url: Address
    """Address of the server."""
    job: str
    """Name of the job, with its folders before it: `ml/retrain`."""
    username: str
    """The user that starts the job."""
    token: SecretRef
    """An API token of that user."""
    parameters: dict[str, str] = {}
    """Values sent besides `DRIFTD_ID` and `DRIFTD_EVIDENCE`."""


class AirflowPipeline(OverHttp):
    """An Airflow DAG run."""

    model_config = ConfigDict(json_schema_extra=ACCOUNT_OR_TOKEN)

    kind: Literal["airflow"]
    """`"airflow"`."""
    url: Address
    """Address of the server."""
    dag: str
    """Id of the DAG."""
    version: Literal[2, 3] = 3
    """Major version of Airflow: 2 or 3."""
    username: str | None = None
    """The user that starts runs, with `password`."""
    password: SecretRef | None = None
    """Password of that user."""
    token: SecretRef | None = None
    """A bearer token instead of user and password."""
    conf: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""


class PrefectPipeline(OverHttp):
    """A Prefect flow run."""

    model_config = ConfigDict(json_schema_extra=ACCOUNT_OR_TOKEN)

    kind: Literal["prefect"]
    """`"prefect"`."""
    url: Address
    """Address of the API, which ends in `/api`."""
    deployment: str
    """`flow/name` of the deployment, or its id."""
    username: str | None = None
    """The user that starts runs, with `password`."""
    password: SecretRef | None = None
    """Password of that user."""
    token: SecretRef | None = None
    """An API key instead of user and password."""
    parameters: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""


class KubeflowPipeline(OverHttp):
    """A run of Kubeflow Pipelines."""

    kind: Literal["kubeflow"]
    """`"kubeflow"`."""
    url: Address
    """Address of the API, which often ends in `/pipeline`."""
    pipeline_id: str
    """Id of the pipeline."""
    pipeline_version: str | None = None
    """Id of the pipeline's version. Default: the newest."""
    experiment: str | None = None
    """Id of the experiment. Default: the server's default experiment."""
    token: SecretRef | None = None
    """A bearer token."""
    parameters: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""


class ArgoPipeline(OverHttp):
    """An Argo workflow, made from a WorkflowTemplate."""

    kind: Literal["argo"]
    """`"argo"`."""
    url: Address
    """Address of the server."""
    namespace: str
    """Namespace that it runs in."""
    template: str
    """Name of a WorkflowTemplate."""
    token: SecretRef | None = None
    """A bearer token."""
    parameters: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""


class KubernetesPipeline(OverHttp):
    """A Kubernetes Job."""

    kind: Literal["kubernetes"]
    """`"kubernetes"`."""
    url: Address = "https://kubernetes.default.svc"
    """Address of the API server."""
    namespace: str
    """Namespace that it runs in."""
    manifest: Path
    """File with the manifest of the Job, YAML or JSON."""
    token: SecretRef | None = None
    """A bearer token. Default: the service account's."""
    ca: Path | None = None
    """File of certificates to trust, PEM. Default: the service account's."""


class DatabricksPipeline(OverHttp):
    """A Databricks job run."""

    kind: Literal["databricks"]
    """`"databricks"`."""
    url: Address
    """Address of the server."""
    job_id: int
    """Number of the job."""
    token: SecretRef
    """A bearer token."""
    parameters: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""


class SagemakerPipeline(OverHttp):
    """An execution of a SageMaker pipeline."""

    kind: Literal["sagemaker"]
    """`"sagemaker"`."""
    region: str
    """The region, such as `eu-west-1`."""
    pipeline_name: str
    """Name of the pipeline."""
    profile: str | None = None
    """Profile of the AWS configuration. Default: the machine's usual credentials."""
    parameters: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""
    url: Address | None = None
    """Address of the API. Default: the region's."""


class VertexPipeline(OverHttp):
    """A pipeline job of Vertex AI."""

    kind: Literal["vertex"]
    """`"vertex"`."""
    project: str
    """Id or number of the project."""
    region: str
    """The region, such as `europe-west1`."""
    template: str
    """The compiled pipeline: `gs://…` or `https://…-kfp.pkg.dev/…`."""
    output: str
    """Where a run writes its output: `gs://…`."""
    service_account: str | None = None
    """Service account that the run acts as. Default: the project's."""
    token: SecretRef | None = None
    """A bearer token. Default: the application default credentials."""
    parameters: dict[str, str] = {}
    """Values sent besides `driftd_id` and `driftd_evidence`."""
    url: Address | None = None
    """Address of the API. Default: the region's."""


class AzuremlPipeline(OverHttp):
    """A job of Azure Machine Learning."""

    kind: Literal["azureml"]
    """`"azureml"`."""
    tenant: str
    """Id of the tenant."""
    client: str
    """Id of the application that driftd signs in as."""
    secret: SecretRef
    """Secret of that application."""
    subscription: str
    """Id of the subscription."""
    resource_group: str
    """Name of the resource group."""
    workspace: str
    """Name of the workspace."""
    job_file: Path
    """JSON file with the `properties` of a job."""
    url: Address = "https://management.azure.com"
    """Address of the API; national clouds have other addresses."""
    login: Address = "https://login.microsoftonline.com"
    """Address that tokens are fetched from."""


class CommandPipeline(Section):
    """A program on this machine."""

    kind: Literal["command"]
    """`"command"`."""
    command: tuple[str, ...] = Field(min_length=1)
    """Program and arguments, started without a shell."""
    timeout: PositiveDuration = timedelta(hours=6)
    """Longest time a run may take; then it is ended."""
    environment: dict[str, TextOrSecret] = {}
    """Variables added to the daemon's own environment; texts or secrets."""


Pipeline = Annotated[
    WebhookPipeline | GithubPipeline | GitlabPipeline | JenkinsPipeline | AirflowPipeline | PrefectPipeline
    | KubeflowPipeline | ArgoPipeline | KubernetesPipeline | DatabricksPipeline | SagemakerPipeline | VertexPipeline
    | AzuremlPipeline | CommandPipeline,
    Field(discriminator="kind"),
]
KINDS: dict[str, type[Section]] = {
    get_args(kind.model_fields["kind"].annotation)[0]: kind for kind in get_args(get_args(Pipeline)[0])
}
