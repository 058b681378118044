"""What others may tell the daemon: how a run ended, and that a registry's alias moved. Off without a secret."""

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import NamedTuple

import structlog

from monitor.config import Config, Secret
from monitor.errors import ConfigError, StateError
from monitor.promotion.callback import take_report
from monitor.promotion.mlflow import signed_by_mlflow
from monitor.store import Store
from monitor.times import Clock

BODY_LIMIT = 16_384     # bytes
RUNS, MLFLOW = "/v1/runs/", "/v1/mlflow"

_log = structlog.get_logger("driftd.web")


class Told(NamedTuple):
    status: HTTPStatus
    text: str


class Posts:
    """Answers POST; `wake` is called with the name of a task that has something new to look at."""

    def __init__(
        self, store: Store, config: Callable[[], Config], clock: Clock, wake: Callable[[str, str | None], None]
    ) -> None:
        self._store, self._config, self._clock, self._wake = store, config, clock, wake

    def takes(self, path: str) -> bool:
        """Whether a secret is configured for what is posted there."""
        if path.startswith(RUNS):
            return self._config().daemon.callback_secret is not None
        return path == MLFLOW and bool(self._webhook_secrets())

    def answer(self, path: str, headers: Mapping[str, str], body: bytes) -> Told:
        """Answer a POST at a path that `takes` it."""
        try:
            if path.startswith(RUNS):
                return self._report(path.removeprefix(RUNS), headers, body)
            return self._alias(headers, body)
        except StateError:          # nothing of it was kept, and the log says why
            return Told(HTTPStatus.SERVICE_UNAVAILABLE, "this cannot be recorded at the moment; send it again later")
        except ConfigError as error:
            _log.error("What was posted cannot be judged.", path=path.partition("?")[0], problem=str(error))
            return Told(HTTPStatus.SERVICE_UNAVAILABLE, "the secret cannot be read here; see driftd's log")

    def _report(self, id: str, headers: Mapping[str, str], body: bytes) -> Told:
        secret = self._config().daemon.callback_secret
        if secret is None:      # taken out of the configuration this moment
            return Told(HTTPStatus.NOT_FOUND, "reports are not taken here")
        reply = take_report(self._store, secret, id, headers, body, self._clock())
        _log.info("A run was reported.", status=int(reply.status), answer=reply.text)
        if reply.changed and (dispatch := self._store.requests.get(id)) is not None:
            self._wake("run", dispatch.model)
        return Told(reply.status, reply.text)

    def _alias(self, headers: Mapping[str, str], body: bytes) -> Told:
        """MLflow says that something changed; what it is, the registry itself is asked."""
        if not any(signed_by_mlflow(secret.reveal(), headers, body) for secret in self._webhook_secrets()):
            return Told(HTTPStatus.UNAUTHORIZED, "the signature is not right")
        _log.info("MLflow says that an alias moved.")
        self._wake("registry", None)
        return Told(HTTPStatus.OK, "the registry is asked")

    def _webhook_secrets(self) -> set[Secret]:
        registries = [model.registry for model in self._config().models.values() if model.registry]
        return {registry.webhook_secret for registry in registries if registry.webhook_secret}
