"""A webhook as Standard Webhooks describes it (standardwebhooks.com), with a structured CloudEvents body."""

import base64
import binascii
import hashlib
import hmac
from pathlib import Path

from monitor.config.pipeline_sections import WebhookPipeline
from monitor.config.values import Secret
from monitor.errors import ConfigError
from monitor.http import NotSent, Unclear, redacted, send
from monitor.records import Dispatch, DispatchState
from monitor.retrain.pipelines import Answer, Key, Unfollowed
from monitor.retrain.pipelines.answers import failure, trouble
from monitor.times import utcnow

SECRET_BYTES = range(24, 65)


class Webhook(Unfollowed):
    """The receiver knows a repeat by `webhook-id`; what becomes of the run it does not tell."""

    def __init__(self, section: WebhookPipeline, state_dir: Path | None) -> None:
        self._section = section

    def key(self) -> Key:
        return "native"

    def submit(self, dispatch: Dispatch) -> Answer:
        """POST the event, signed now. Raises ConfigError when a secret or the address cannot be read."""
        url, body = self._url(), dispatch.body.encode()
        secret_url = isinstance(self._section.url, Secret)
        where = redacted(url, secret=secret_url)
        headers = {"Content-Type": "application/cloudevents+json; charset=utf-8"} | self._signed(dispatch.id, body)
        try:
            reply = send(
                "POST", url, headers=headers, body=body, timeout=self._section.timeout, ca=self._section.ca,
                secret_url=secret_url,
            ).of_the_api(where)
        except (NotSent, Unclear) as error:
            return trouble(error)
        if 200 <= reply.status < 300:
            return Answer(state=DispatchState.DELIVERED, reason=f"accepted ({reply.status})")
        return failure(reply, where)

    def check(self) -> list[str]:
        """Read address and secrets, and open a connection without asking for anything."""
        try:
            url = self._url()
            self._signed("check", b"")
        except ConfigError as error:
            return error.problems
        try:
            send("HEAD", url, timeout=self._section.timeout, ca=self._section.ca,
                 secret_url=isinstance(self._section.url, Secret))
        except NotSent as error:
            return [str(error)]
        except Unclear:
            pass                                 # somebody is there; many receivers know only POST
        return []

    def _url(self) -> str:
        return self._section.url.reveal() if isinstance(self._section.url, Secret) else self._section.url

    def _signed(self, message_id: str, body: bytes) -> dict[str, str]:
        stamp = str(int(utcnow().timestamp()))
        content = b".".join((message_id.encode(), stamp.encode(), body))
        secrets = [s for s in (self._section.secret, self._section.previous_secret) if s is not None]
        signatures = [hmac.new(key_of(secret), content, hashlib.sha256).digest() for secret in secrets]
        return {
            "webhook-id": message_id,
            "webhook-timestamp": stamp,
            "webhook-signature": " ".join("v1," + base64.b64encode(signature).decode() for signature in signatures),
        }


def key_of(secret: Secret) -> bytes:
    """The signing key behind `whsec_` + base64 of 24 to 64 bytes. Raises ConfigError."""
    try:
        key = base64.b64decode(secret.reveal().removeprefix("whsec_"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) not in SECRET_BYTES:
        raise ConfigError([f"the webhook secret in {secret} is not whsec_ and the base64 of 24 to 64 bytes"])
    return key
