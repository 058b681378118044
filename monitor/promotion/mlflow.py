"""MLflow by REST: the alias of a registered model, read and set; runs with metrics; the signature of its webhooks.

Nothing of MLflow is imported. Paths and fields are those of its REST API 2.0.
"""

import base64
import hashlib
import hmac
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote, urlencode

from monitor.config.sections import RegistrySection
from monitor.errors import DeliveryError
from monitor.http import LIMIT, Reply, Unclear, redacted, send
from monitor.records import Json
from monitor.retrain.pipelines.answers import FINAL, quoted

RUN_TAG = "driftd.window"
MISSING = ("RESOURCE_DOES_NOT_EXIST", "INVALID_PARAMETER_VALUE")   # codes of an alias or a model that is not there
METRICS_AT_ONCE = 1000


class NoAlias(DeliveryError):
    """The registry answers, but knows no such alias or model."""


class Denied(DeliveryError):
    """The registry will not do it; asking again cannot help."""


class Mlflow:
    """One server; every method raises DeliveryError (NotSent, Unclear, Denied) where it does not get an answer."""

    def __init__(self, section: RegistrySection) -> None:
        self._section = section
        self._url = section.url.rstrip("/")

    def version(self, alias: str | None = None) -> str:
        """The version an alias names, by default that of the version in service. Raises NoAlias."""
        wanted = urlencode({"name": self._section.name, "alias": alias or self._section.alias})
        told = self._ask("GET", f"registered-models/alias?{wanted}", missing=True)
        found = told.get("model_version")
        version = found.get("version") if isinstance(found, dict) else None
        if not isinstance(version, str) or not version:
            raise Unclear(f"{redacted(self._url)}: the answer holds no model_version.version; is this MLflow?")
        return version

    def move(self, version: str) -> None:
        """Let the alias name another version. Raises NoAlias where there is no such version."""
        body = {"name": self._section.name, "alias": self._section.alias, "version": version}
        self._ask("POST", "registered-models/alias", body, missing=True)

    def experiment(self, name: str) -> str:
        """The id of an experiment, made where it is missing."""
        try:
            told = self._ask("GET", f"experiments/get-by-name?experiment_name={quote(name, safe='')}", missing=True)
            return str(told["experiment"]["experiment_id"])
        except NoAlias:
            return str(self._ask("POST", "experiments/create", {"name": name})["experiment_id"])

    def run_of(self, experiment: str, window: str) -> str | None:
        """The run of a window, found by its tag."""
        asked = {"experiment_ids": [experiment], "filter": f"tags.`{RUN_TAG}` = '{window}'", "max_results": 1}
        found = self._ask("POST", "runs/search", asked).get("runs") or []
        return str(found[0]["info"]["run_id"]) if found else None

    def start(self, experiment: str, name: str, at: int, tags: Mapping[str, str]) -> str:
        """Make a run that began at `at` (milliseconds)."""
        told = [{"key": key, "value": value} for key, value in tags.items()]
        asked = {"experiment_id": experiment, "run_name": name, "start_time": at, "tags": told}
        return str(self._ask("POST", "runs/create", asked)["run"]["info"]["run_id"])

    def log(self, run: str, metrics: Mapping[str, float], tags: Mapping[str, str], at: int, step: int) -> None:
        """Log metrics and tags, then say that the run has ended."""
        numbers = [{"key": key, "value": value, "timestamp": at, "step": step} for key, value in metrics.items()]
        told = [{"key": key, "value": value} for key, value in tags.items()]
        for first in range(0, max(len(numbers), 1), METRICS_AT_ONCE):
            part = numbers[first:first + METRICS_AT_ONCE]
            self._ask("POST", "runs/log-batch", {"run_id": run, "metrics": part, "tags": told})
        self._ask("POST", "runs/update", {"run_id": run, "status": "FINISHED", "end_time": at})

    def _ask(self, method: str, path: str, body: Any = None, *, missing: bool = False) -> Json:
        url, token = f"{self._url}/api/2.0/mlflow/{path}", self._section.token
        headers = {"Authorization": f"Bearer {token.reveal()}"} if token else {}
        if body is not None:
            headers["Content-Type"] = "application/json"
        data = None if body is None else json.dumps(body).encode()
        reply = send(method, url, headers=headers, body=data, timeout=self._section.timeout, ca=self._section.ca)
        told = _read(reply)
        if reply.status == 200 and told is not None:
            return told
        raise _trouble(redacted(url), reply, told or {}, missing)


def signed_by_mlflow(secret: str, headers: Mapping[str, str], body: bytes) -> bool:
    """Whether a webhook carries the secret's signature: `v1,` and the base64 of HMAC-SHA256 over id.timestamp.body."""
    given = headers.get("x-mlflow-signature", "")
    named = (headers.get("x-mlflow-delivery-id", "").encode(), headers.get("x-mlflow-timestamp", "").encode())
    right = hmac.new(secret.encode(), b".".join((*named, body)), hashlib.sha256).digest()
    return hmac.compare_digest(given.encode(), b"v1," + base64.b64encode(right))


def _read(reply: Reply) -> Json | None:
    try:
        told = reply.json()
    except ValueError:
        return None
    return told if isinstance(told, dict) and len(reply.body) < LIMIT else None


def _trouble(where: str, reply: Reply, told: Mapping[str, Any], missing: bool) -> DeliveryError:
    code = str(told.get("error_code", ""))[:60]
    words = f"{where}: answered {reply.status}{f' {code}' if code else ''}{quoted(reply)}"
    if missing and reply.status in (400, 404) and code in MISSING:
        return NoAlias(words)
    if reply.status in FINAL:
        return Denied(words)
    return Unclear(words)
