"""Sentences for pydantic's errors: what was expected, and what was given; secrets are never quoted."""

import json
from datetime import date, datetime, time
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

from annotated_types import Ge, Gt, Le, MinLen
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from monitor.config.keys import Key, at, did_you_mean, matches
from monitor.config.pipeline_sections import KINDS
from monitor.config.section import Section
from monitor.config.sections import Config
from monitor.config.values import Secret

SHORT_FORMS = {"": ("defaults", "include"), "models.*": ("label",), "models.*.reference.source": ("first",)}
MISSING = {
    "models": "at least one table [models.NAME]",
    "predictions": 'where the log is, such as "log/*.csv"',
    "reference": 'a file, such as "reference.csv", or "first 90d"',
    "pipeline": "the name of a table [pipelines.NAME]",
    "kind": f"{', '.join(list(KINDS)[:-1])} or {list(KINDS)[-1]}",
    "name": "a name for the trigger",
    "columns": 'the protected columns, such as ["sex"]',
    "metric": 'what the trigger watches, such as "regret"',
    "reason": "why, in a few words",
    "url": "where to send the request",
    "repository": 'OWNER/NAME, such as "acme/flights"',
    "project": 'the path or number of the project, such as "acme/flights"',
    "job": "the job to run",
    "job_id": "the number of the job",
    "job_file": 'JSON with the properties of a job, such as "retrain-job.json"',
    "dag": "the id of a DAG",
    "deployment": 'FLOW/NAME of a deployment, such as "retrain/production"',
    "pipeline_id": "the id of the pipeline",
    "pipeline_name": "the name of the pipeline",
    "namespace": "a namespace",
    "template": "the template that a run is made from",
    "manifest": 'the manifest of a Job, such as "retrain-job.yaml"',
    "region": 'a region, such as "eu-west-1"',
    "output": 'where a run writes, such as "gs://bucket/runs"',
    "username": "the user that asks",
    "password": 'a reference such as { env = "NAME" }',
    "command": 'a list of texts, such as ["./retrain.sh"]',
    "secret": 'a reference such as { env = "NAME" }',
    "token": 'a reference such as { env = "NAME" }',
    "scopes": 'what the token may, such as ["metrics"]',
    "header": 'the header that names the user, such as "X-Forwarded-User"',
    "peers": 'the addresses of the proxy, such as ["10.0.0.7"]',
}
UNQUOTED = {
    "urls", "url", "secret", "previous_secret", "token", "password", "key", "database", "heartbeat", "environment",
}
WORDS: dict[Any, str] = {
    int: "a whole number", float: "a number", bool: "true or false", str: "text", Path: "a path",
    tuple: "a list", dict: "a table", datetime: "a moment such as 2024-01-31T00:00:00Z",
    Secret: 'a reference such as { env = "NAME" }',
}
LIMITS = ((Ge, "ge", "≥"), (Gt, "gt", ">"), (Le, "le", "≤"))


def sentence(error: ErrorDetails, data: Any) -> tuple[Key, str]:
    """Return the key of an error from validating Config, and a sentence about it."""
    key = _key(error, data)
    kind = error["type"]
    if kind == "missing":
        registry = matches(key, "models.*.registry.kind")
        return key, "is missing, expected " + ('"mlflow"' if registry else MISSING.get(str(key[-1]), "a value"))
    if kind == "extra_forbidden":
        return key, "unknown key" + _names(key, data)
    if kind == "union_tag_not_found":
        return (*key, "kind"), f"is missing, expected {MISSING['kind']}"
    if kind == "union_tag_invalid":
        key = (*key, "kind")
        near = did_you_mean(str(at(data, key)), KINDS)
        return key, f"expected {MISSING['kind']}, got {_got(key, data)}{near}"
    if kind == "value_error":
        return key, str(error["ctx"]["error"])
    return key, expected(key, data)


def expected(key: Key, data: Any) -> str:
    """Say what is expected at a key, and what is there."""
    return f"expected {_expected(key, data)}, got {_got(key, data)}"


def _key(error: ErrorDetails, data: Any) -> Key:
    """Return pydantic's location of an error without the names of union members in it."""
    loc = error["loc"]
    if loc[0] == "pipelines":
        loc = (*loc[:2], *loc[3:])
    key: Key = ()
    for step in loc:
        value = at(data, key)
        inside = step in value if isinstance(value, dict) else isinstance(step, int)
        if not inside and error["type"] != "missing":
            break
        key = (*key, step)
    return key


def _type(key: Key, data: Any) -> tuple[Any, FieldInfo | None]:
    """Return the declared type of a key, and its field if it is a field of a section."""
    kind: Any = Config
    field = None
    for depth, step in enumerate(key, 1):
        section = next((arm for arm in _arms(kind) if _is_section(arm)), None)
        if section:
            field = section.model_fields.get(str(step))
            kind = field.annotation if field else None
        else:
            holder = next((arm for arm in _arms(kind) if get_origin(arm) in (dict, tuple)), dict[str, None])
            kind, field = get_args(holder)[1 if get_origin(holder) is dict else 0], None
        if depth == 2 and key[0] == "pipelines":
            kind = KINDS.get(str(at(data, (*key[:2], "kind"))), dict)
    return kind, field


def _arms(kind: Any) -> list[Any]:
    """Return the members of a union without None; for any other type a list of that type."""
    if get_origin(kind) in (Literal, dict, tuple) or not get_args(kind):
        return [kind] if kind is not type(None) else []
    members = get_args(kind)[:1] if hasattr(kind, "__metadata__") else get_args(kind)
    return [arm for member in members for arm in _arms(member)]


def _is_section(arm: Any) -> bool:
    return isinstance(arm, type) and issubclass(arm, Section)


def _names(key: Key, data: Any) -> str:
    section = next((arm for arm in _arms(_type(key[:-1], data)[0]) if _is_section(arm)), None)
    fields = [name for name in (section.key_names() if section else ()) if len(key) != 3 or name != "name"]
    short = [name for pattern, names in SHORT_FORMS.items() if matches(key[:-1], pattern) for name in names]
    names = [*fields, *short]
    return did_you_mean(str(key[-1]), names) or ", expected one of " + ", ".join(names)


def _expected(key: Key, data: Any) -> str:
    kind, field = _type(key, data)
    words = " or ".join(_word(arm) for arm in _arms(kind)) or "another value"
    limits = [f"{sign} {getattr(limit, name)}" for limit in (field.metadata if field else ())
              for cls, name, sign in LIMITS if isinstance(limit, cls)]
    if field and any(isinstance(limit, MinLen) for limit in field.metadata):
        return f"{words} that is not empty"
    return " ".join([words, " and ".join(limits)]).strip()


def _word(arm: Any) -> str:
    if get_origin(arm) is Literal:
        return " or ".join(json.dumps(value) for value in get_args(arm))
    if get_origin(arm) is tuple:
        inner = _arms(get_args(arm)[0])
        return "a list of texts" if inner == [str] else "a list"
    return "a table" if _is_section(arm) else WORDS.get(get_origin(arm) or arm, "another value")


def _got(key: Key, data: Any) -> str:
    value = at(data, key)
    if isinstance(value, list | dict):
        return "an empty list" if value == [] else "a list" if isinstance(value, list) else "a table"
    if isinstance(value, date | time):
        return "a date or a time" if UNQUOTED & set(key) else f"the date or time {value}"
    return "text" if isinstance(value, str) and UNQUOTED & set(key) else json.dumps(value, ensure_ascii=False)
