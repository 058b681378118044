"""What each serving platform writes: how its records are known, and which parts of a request they hold.

By the platforms' published descriptions, as docs/sources.md lists them.
"""

import base64
import binascii
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from fnmatch import fnmatch
from typing import Any

from monitor.records import Json
from monitor.sources.captures.answers import ANSWERS
from monitor.sources.captures.bodies import from_text, instances
from monitor.sources.captures.unusable import Unusable


@dataclass(frozen=True, slots=True)
class Part:
    """The inputs of a request, or its answers, one for each instance."""

    id: str
    at: str | int | float | None     # when; None: not told, then the file's time counts
    answers: bool
    instances: list[Any]
    version: str | None = None       # of the model


@dataclass(frozen=True, slots=True)
class Family:
    title: str
    fits: Callable[[Json], bool]
    parts: Callable[[Json], Iterator[Part]]      # raises Unusable
    files: str = "*"                             # the names of its files
    roles: Callable[[Json], dict[str, str]] = lambda record: {}     # of other records' columns, as this one says …
    usual: Mapping[str, str] = field(default_factory=dict)          # … and where none says
    continued: bool = False                      # records with one id are rows of one request


def _sagemaker(record: Json) -> Iterator[Part]:
    meta = record.get("eventMetadata") or {}
    id, at = meta.get("inferenceId") or meta.get("eventId"), meta.get("inferenceTime")
    captured = record["captureData"]
    for key, answers in (("endpointInput", False), ("endpointOutput", True)):
        side = captured.get(key)
        if not id or not isinstance(side, dict) or "data" not in side:
            raise Unusable("no id" if not id else f"no {'output' if answers else 'input'}")
        text = _decoded(side["data"]) if side.get("encoding") == "BASE64" else side["data"]
        kind = str(side.get("observedContentType") or side.get("encoding"))
        yield Part(str(id), at, answers, from_text(str(text), kind=kind))


def _kserve(record: Json) -> Iterator[Part]:
    """A CloudEvent in JSON, or an entry of the logger's files, which has the body in Base64 and no time."""
    kind = str(record.get("type") or record.get("ReqType"))
    id = record.get("requestid") or record.get("id") or record.get("Id")
    if not id or not kind.endswith((".request", ".response")):
        raise Unusable("no id" if not id else "neither a request nor a response")
    if "Bytes" in record:
        found = from_text(_decoded(record["Bytes"]))
    elif "data_base64" in record:
        found = from_text(_decoded(record["data_base64"]))
    else:
        found = _body(record.get("data"))
    yield Part(str(id), record.get("time"), kind.endswith(".response"), found)


def _azureml(record: Json) -> Iterator[Part]:
    kind = str(record["type"]).lower()
    id = record.get("correlationid") or record.get("xrequestid")
    if not id or not kind.endswith(("inputs", "outputs", "request", "response")):
        raise Unusable("no correlation id" if not id else "neither inputs nor outputs")
    at, version, found = record.get("time"), record.get("modelversion"), _body(record.get("data"))
    if kind.endswith("inputs_outputs"):        # one collector for both
        rows = [row if isinstance(row, dict) else {"f": row} for row in found]
        for answers in (False, True):
            yield Part(str(id), at, answers,
                       [{name: value for name, value in row.items() if (name in _ANSWERED) == answers} for row in rows],
                       version)
        return
    yield Part(str(id), at, kind.endswith(("outputs", "response")), found, version)


def _vertex(record: Json) -> Iterator[Part]:
    id, at = record.get("request_id"), record.get("logging_time")
    for key, answers in (("request_payload", False), ("response_payload", True)):
        payload = record.get(key)
        if id is None or not isinstance(payload, list) or not payload:
            raise Unusable("no id" if id is None else f"no {key}")
        found = [one for body in payload for one in _body(body)]
        yield Part(str(id), at, answers, found, record.get("deployed_model_id"))


def _databricks(record: Json) -> Iterator[Part]:
    if str(record.get("status_code") or 200) != "200":
        raise Unusable("a request that failed")
    id = record.get("client_request_id") or record.get("databricks_request_id") or record.get("request_id")
    at = record.get("request_time") or record.get("timestamp_ms")
    for key, answers in (("request", False), ("response", True)):
        if not id or record.get(key) in (None, ""):
            raise Unusable("no id" if not id else f"no {key}")
        yield Part(str(id), at, answers, _body(record[key], kind="json"), record.get("served_entity_id"))


def _bentoml(record: Json) -> Iterator[Part]:
    """A row in one record: what is an input and what an answer stands in a record of its own, the schema."""
    if "columns" in record:
        return
    given = {name: value for name, value in record.items() if name not in _BENTOML}
    yield Part(str(record["request_id"]), record["timestamp"], False, [given])
    yield Part(str(record["request_id"]), record["timestamp"], True, [{}])


def _roles_of_bentoml(record: Json) -> dict[str, str]:
    """The first column of each role; others keep their names. A score is a prediction to BentoML."""
    own, found = {"prediction": "prediction", "target": "label"}, dict[str, str]()
    for column in record.get("columns") or ():
        name, role = str(column["name"]), own.get(str(column.get("role")))
        role = ANSWERS.get(name, role) if role == "prediction" else role
        if role is not None and role not in found.values():
            found[name] = role
    return found


_ANSWERED = ("prediction", "probability")
_BENTOML = ("timestamp", "request_id", "trace_id")


def _oip(record: Json) -> Iterator[Part]:
    """A request, an answer, or both under `request` and `response`, perhaps with their time beside them."""
    at = record.get("timestamp") or record.get("time")
    if "request" in record:
        id = record.get("id") or record["request"].get("id") or record["response"].get("id")
        for key, answers in (("request", False), ("response", True)):
            if not id:
                raise Unusable("no id")
            yield Part(str(id), at, answers, instances(record[key]), record["response"].get("model_version"))
        return
    if not record.get("id"):
        raise Unusable("no id")
    yield Part(str(record["id"]), at, "model_name" in record, instances(record), record.get("model_version"))


def _is_oip(record: Json) -> bool:
    sides = [side for key in ("request", "response") if isinstance(side := record.get(key), dict)]
    if sides:
        return len(sides) == 2 and all(map(_has_tensors, sides))
    return _has_tensors(record)


def _has_tensors(body: Json) -> bool:
    tensors = body.get("outputs") if "model_name" in body else body.get("inputs")
    return isinstance(tensors, list) and bool(tensors) and isinstance(tensors[0], dict) and "datatype" in tensors[0]


def _is_event(record: Json, *kinds: str) -> bool:
    return "specversion" in record and str(record.get("type", "")).startswith(kinds)


def _body(data: Any, kind: str = "") -> list[Any]:
    """Return the instances of a body, which may be JSON in a text."""
    return from_text(data, kind=kind) if isinstance(data, str) else instances(data)


def _decoded(data: Any) -> str:
    try:
        return base64.b64decode(str(data), validate=True).decode()
    except (binascii.Error, ValueError):
        raise Unusable("a body that is no text in Base64") from None


FAMILIES: dict[str, Family] = {
    "sagemaker": Family("SageMaker data capture",
                        lambda record: isinstance(record.get("captureData"), dict), _sagemaker),
    "kserve": Family("KServe inference logger", lambda record: {"ReqType", "Bytes", "Id"} <= set(record)
                     or _is_event(record, "org.kubeflow.serving.inference."), _kserve),
    "seldon": Family("Seldon request logger",
                     lambda record: _is_event(record, "io.seldon.serving.inference."), _kserve),
    "azureml": Family("Azure ML data collector", lambda record: _is_event(record, "azureml.inference."), _azureml),
    "vertex": Family("Vertex AI request-response logging",
                     lambda record: {"request_payload", "response_payload", "request_id"} <= set(record), _vertex),
    "databricks": Family("Databricks inference table", lambda record: {"request", "response"} <= set(record)
                         and bool({"databricks_request_id", "timestamp_ms"} & set(record)), _databricks),
    "bentoml": Family("BentoML monitoring", lambda record: set(_BENTOML) <= set(record)
                      or {"meta_data", "columns"} <= set(record), _bentoml, "*.log*", _roles_of_bentoml,
                      {name: name for name in ("prediction", "probability", "label")}, continued=True),
    "oip": Family("Open Inference Protocol bodies", _is_oip, _oip),
}


def family_of(record: Any, file: str) -> str | None:
    """Return which platform wrote a record into a file of this name; None where none is known to write such."""
    if not isinstance(record, dict):
        return None
    fitting = (name for name, family in FAMILIES.items() if fnmatch(file, family.files) and family.fits(record))
    return next(fitting, None)
