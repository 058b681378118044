"""Where retrain requests go: one file per kind, loaded only when configured."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, Protocol

from monitor.config.pipeline_sections import Pipeline as PipelineSection
from monitor.escape import SENTENCE, shortened
from monitor.gate_result import GateResult
from monitor.records import Dispatch, DispatchState

LONGEST = 4096                               # characters of a handle (perhaps a path) and of a link
LONGEST_VERSION, LONGEST_REFERENCE = 200, 1000   # characters of what a run says it made
Key = Literal["native", "findable", "blind"]
KINDS = {
    "webhook": "monitor.retrain.pipelines.webhook:Webhook",
    "github": "monitor.retrain.pipelines.github:open_github",
    "gitlab": "monitor.retrain.pipelines.gitlab:Gitlab",
    "jenkins": "monitor.retrain.pipelines.jenkins:Jenkins",
    "airflow": "monitor.retrain.pipelines.airflow:Airflow",
    "prefect": "monitor.retrain.pipelines.prefect:Prefect",
    "kubeflow": "monitor.retrain.pipelines.kubeflow:Kubeflow",
    "argo": "monitor.retrain.pipelines.argo:Argo",
    "kubernetes": "monitor.retrain.pipelines.kubernetes:Kubernetes",
    "databricks": "monitor.retrain.pipelines.databricks:Databricks",
    "sagemaker": "monitor.retrain.pipelines.sagemaker:Sagemaker",
    "vertex": "monitor.retrain.pipelines.vertex:Vertex",
    "azureml": "monitor.retrain.pipelines.azureml:Azureml",
    "command": "monitor.retrain.pipelines.command:Command",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """What a successful run says it made."""

    model_version: str
    reference: str | None = None             # path of the rows to compare with from now on; default: as before
    facts: Mapping[str, Any] = field(default_factory=dict)   # its lineage: git_revision, inputs, …


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What a pipeline made of a request. `pending`: surely not taken, send again. `abandoned`: rejected.

    What the other side says is kept as it may be stored and shown: a long reason without its middle, a link only where
    it is one. Raises ValueError for a handle that can be none.
    """

    state: DispatchState
    reason: str | None = None
    handle: str | None = None
    url: str | None = None
    retry_after: timedelta | None = None
    result: Result | None = None
    gate: GateResult | None = None           # what the run says its gate said, also where it failed by it
    heard: bool = True                       # False: the other side said nothing about the run

    def __post_init__(self) -> None:
        if self.reason is not None:
            object.__setattr__(self, "reason", shortened(self.reason, SENTENCE))
        if not _is_link(self.url):
            object.__setattr__(self, "url", None)
        if self.handle is not None and len(self.handle) > LONGEST:
            raise ValueError(f"the handle of a run has more than {LONGEST} characters")


def _is_link(url: Any) -> bool:
    """Whether this leads to a page; an answer may hold anything where its address should be."""
    return isinstance(url, str) and len(url) <= LONGEST and url.startswith(("https://", "http://"))


class Pipeline(Protocol):
    """A place that retrains. No method raises for what the other side does: that is an Answer."""

    def key(self) -> Key:
        """How a repeat is kept from starting a second run: it knows our ids, can be searched, or neither."""
        ...

    def submit(self, dispatch: Dispatch) -> Answer:
        """Hand the request over, once."""
        ...

    def find(self, dispatch: Dispatch) -> Answer | None:
        """Look for the run of this request; None when there is none (yet). An unclear look is `ambiguous`."""
        ...

    def follow(self, dispatch: Dispatch) -> Answer:
        """Ask how the run is; trouble in asking leaves the state as it was."""
        ...

    def check(self) -> list[str]:
        """Whether a request could go out now, starting nothing: problems and lines to paste."""
        ...


class Unfollowed:
    """A place that takes a request and says no more of it."""

    def find(self, dispatch: Dispatch) -> Answer | None:
        return None

    def follow(self, dispatch: Dispatch) -> Answer:
        return Answer(state=dispatch.state, reason=dispatch.reason)


def open_pipeline(section: PipelineSection, state_dir: Path | None = None) -> Pipeline:
    """Build the pipeline of a configuration section; `state_dir` keeps the runs of commands (to check: none)."""
    module, name = KINDS[section.kind].split(":")
    made: Any = getattr(import_module(module), name)(section, state_dir)
    pipeline: Pipeline = made
    return pipeline
