"""A SageMaker pipeline; it knows a repeat by the client request token and answers with the same execution.

https://docs.aws.amazon.com/sagemaker/latest/APIReference/API_StartPipelineExecution.html (JSON 1.1). Requests are
signed by botocore and sent as all others are: botocore alone would send again by itself.
"""

import json
from pathlib import Path
from typing import Any

from monitor.config.pipeline_sections import SagemakerPipeline
from monitor.errors import ConfigError
from monitor.http import NotSent, Reply
from monitor.outgoing import trust
from monitor.outgoing.guard import own_rights
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.pipelines import Answer
from monitor.retrain.pipelines.rest import Rest, parameters, stated

STATES = {
    "Executing": DispatchState.RUNNING, "Stopping": DispatchState.RUNNING, "Stopped": DispatchState.CANCELLED,
    "Succeeded": DispatchState.SUCCEEDED, "Failed": DispatchState.FAILED,
}


class Sagemaker(Rest):
    ACCEPTED = (200,)

    def __init__(self, section: SagemakerPipeline, state_dir: Path | None) -> None:
        self._section = section
        self._url = (section.url or f"https://api.sagemaker.{section.region}.amazonaws.com").rstrip("/") + "/"
        super().__init__(f"{section.pipeline_name} in {section.region}", section.timeout, section.ca)

    def _start(self, dispatch: Dispatch) -> Reply:
        told = parameters(dispatch, self._section.parameters)
        return self._call("StartPipelineExecution", {
            "PipelineName": self._section.pipeline_name, "ClientRequestToken": dispatch.id,
            "PipelineExecutionDisplayName": dispatch.id,
            "PipelineParameters": [{"Name": name, "Value": value[:1024]} for name, value in told.items()],
        })

    def _accepted(self, reply: Reply) -> Answer:
        arn = str(reply.json()["PipelineExecutionArn"])
        return Answer(state=DispatchState.RUNNING, reason="accepted", handle=arn)

    def _ask_run(self, dispatch: Dispatch) -> Reply:
        return self._call("DescribePipelineExecution", {"PipelineExecutionArn": dispatch.handle or ""})

    def _run(self, told: Any) -> Answer:
        return stated(STATES, told["PipelineExecutionStatus"], handle=str(told["PipelineExecutionArn"]))

    def _problems(self) -> list[str]:
        reply = self._call("DescribePipeline", {"PipelineName": self._section.pipeline_name})
        if reply.status == 200:
            return []
        return [f"{self._where} cannot be read ({reply.status}); does it exist, and may this account see it?"]

    def _call(self, operation: str, body: Json) -> Reply:
        """One signed call. Raises ConfigError without the extra, NotSent without credentials."""
        try:
            from botocore.auth import SigV4Auth
            from botocore.awsrequest import AWSRequest
            from botocore.exceptions import BotoCoreError
            from botocore.session import Session
        except ImportError:
            raise ConfigError(['kind = "sagemaker" needs the extra: pip install "driftd[sagemaker]"']) from None
        try:
            trust.tell_requests()
            with own_rights():               # botocore asks the metadata service where nothing else gives credentials
                account = Session(profile=self._section.profile).get_credentials()
                frozen = account and account.get_frozen_credentials()
            if frozen is None:
                raise NotSent("AWS credentials are found nowhere; is a role or a profile configured here?")
            headers = {"Content-Type": "application/x-amz-json-1.1", "X-Amz-Target": f"SageMaker.{operation}"}
            asked = AWSRequest("POST", self._url, headers=headers, data=json.dumps(body).encode())
            SigV4Auth(frozen, "sagemaker", self._section.region).add_auth(asked)
        except BotoCoreError as error:
            raise NotSent(f"AWS gave no credentials ({type(error).__name__})") from None
        return self._ask("POST", self._url, json.dumps(body).encode(), headers=dict(asked.headers.items()))
