"""What a pipeline reports of its run, signed as Standard Webhooks describes it (standardwebhooks.com).

The message's id is the request's, so that a signature holds for one request only. A message is taken once: the same id
and timestamp again is a replay. The same report signed anew changes nothing; another one contradicts, and is refused.
"""

import base64
import hashlib
import hmac
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from monitor.config.values import Secret
from monitor.gate_result import GateResult, read_gate_result
from monitor.records import Dispatch, DispatchState, Json
from monitor.retrain.outbox import ACCEPTED, ENDED, message
from monitor.retrain.pipelines import LONGEST_REFERENCE, LONGEST_VERSION
from monitor.retrain.pipelines.webhook import key_of
from monitor.store import Store

TOLERANCE = timedelta(minutes=5)             # between the sender's clock and ours
NEVER_SENT = (DispatchState.WITHDRAWN, DispatchState.ABANDONED)


class Report(BaseModel):
    """The body: how the run ended, and what it made."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)

    schema_version: Literal[1]
    outcome: Literal["succeeded", "failed", "cancelled"]
    model_version: str | None = Field(default=None, min_length=1, max_length=LONGEST_VERSION)
    reference: str | None = Field(default=None, min_length=1, max_length=LONGEST_REFERENCE)   # path of rows
    run_url: str | None = Field(default=None, max_length=1000, pattern=r"^https?://")
    git_revision: str | None = Field(default=None, max_length=200)
    inputs: list[Any] | None = None
    trained_from: str | None = Field(default=None, max_length=100)
    trained_to: str | None = Field(default=None, max_length=100)
    gate: dict[str, Any] | None = None       # what `driftd gate --report F` has written

    @property
    def facts(self) -> Json:
        """What it says of the version's lineage."""
        named = self.model_dump(include={"git_revision", "inputs", "trained_from", "trained_to"})
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Reply:
    """What the sender is answered; `changed`: something new is known of the run."""

    status: HTTPStatus
    text: str
    changed: bool = False


def take_report(
    store: Store, secret: Secret, id: str, headers: Mapping[str, str], body: bytes, now: datetime
) -> Reply:
    """Take the report on the request `id`; header names are in lower case. Raises ConfigError for a bad secret."""
    if wrong := unsigned(key_of(secret), id, headers, body, now):
        return Reply(HTTPStatus.UNAUTHORIZED, wrong)
    try:
        report = Report.model_validate_json(body)
        gate = None if report.gate is None else read_gate_result(report.gate)
    except ValidationError as error:
        return Reply(HTTPStatus.BAD_REQUEST, _flaw(error))
    except ValueError as error:
        return Reply(HTTPStatus.BAD_REQUEST, str(error))
    with store.transaction():
        dispatch = store.requests.get(id)
        if dispatch is None:
            return Reply(HTTPStatus.NOT_FOUND, f"no request has the id {id}")
        if not store.callbacks.take(id, headers["webhook-timestamp"], now, now - 3 * TOLERANCE):
            return Reply(HTTPStatus.CONFLICT, "this message was taken before; to say it again, sign it anew")
        return _reported(store, dispatch, report, gate, now)


def unsigned(key: bytes, id: str, headers: Mapping[str, str], body: bytes, now: datetime) -> str | None:
    """Why the message cannot be believed; None where it can."""
    stamp, given = headers.get("webhook-timestamp", ""), headers.get("webhook-signature", "").split()
    if headers.get("webhook-id") != id or not re.fullmatch(r"\d{1,12}", stamp) or not given:
        return "expected the headers webhook-id (the request's id), webhook-timestamp and webhook-signature"
    if abs(now.timestamp() - int(stamp)) > TOLERANCE.total_seconds():
        return "webhook-timestamp is more than 5 minutes from the clock here"
    right = hmac.new(key, b".".join((id.encode(), stamp.encode(), body)), hashlib.sha256).digest()
    wanted = b"v1," + base64.b64encode(right)
    matches = [hmac.compare_digest(signature.encode(), wanted) for signature in given]
    return None if any(matches) else "the signature is not right"


def _reported(store: Store, before: Dispatch, report: Report, gate: GateResult | None, now: datetime) -> Reply:
    state = DispatchState(report.outcome)
    if before.state in NEVER_SENT or (before.state is DispatchState.PENDING and not before.tries):
        return Reply(HTTPStatus.CONFLICT, f"the request is {before.state}: it was never handed over")
    if before.state in ENDED and before.state is not DispatchState.UNKNOWN and before.state is not state:
        return Reply(HTTPStatus.CONFLICT, f"the run is {before.state} already")
    told = ((report.model_version, before.new_version), (report.reference, before.new_reference))
    if before.state is state and any(new and old and new != old for new, old in told):
        return Reply(HTTPStatus.CONFLICT, f"the run was reported before, with {before.new_version}")
    known = store.gates.of([before.id]).get(before.id)
    if known and gate and known.result != gate:
        return Reply(HTTPStatus.CONFLICT, f"another result of the gate was reported before: {known.result.outcome}")
    after = _after(before, state, report, now)
    if after == before and (known or not gate):
        return Reply(HTTPStatus.OK, "known already")
    if gate is not None:
        store.gates.record(before, gate, now)
    store.requests.record(after, was=before.state, at=now)
    if after.state is not before.state:
        store.messages.add(message(after, "outcome", now))
    if report.model_version is not None and state is DispatchState.SUCCEEDED:
        store.lineage.note_version(after.model, report.model_version, report.facts, now)
    return Reply(HTTPStatus.OK, "taken", changed=True)


def _after(before: Dispatch, state: DispatchState, report: Report, now: datetime) -> Dispatch:
    made = state is DispatchState.SUCCEEDED
    known = before.state is state
    return replace(
        before, state=state, next_try_at=None, url=report.run_url or before.url,
        reason=before.reason if known else f"the pipeline reported: {report.outcome}",
        accepted_at=before.accepted_at or (now if state in ACCEPTED else None),
        ended_at=before.ended_at if known else now,
        new_version=(report.model_version if made else None) or before.new_version,
        new_reference=(report.reference if made else None) or before.new_reference,
    )


def _flaw(error: ValidationError) -> str:
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(map(str, first["loc"])) or "the body"
    return (
        f'{where}: {first["msg"]}; expected {{"schema_version": 1, "outcome": "succeeded", "model_version": "…", '
        '"reference": "…", "run_url": "https://…"}, all but the first two optional'
    )
