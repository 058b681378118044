"""The OpenAPI document of the API, made from the records that it answers with; `docs/openapi.json` is a copy."""

from typing import Any

from pydantic import TypeAdapter

from monitor.expose.status_document import STATUS_VERSION, Request
from monitor.gate_result import GateResult
from monitor.records import SCHEMA_VERSION, Episode, Json, Ledger, Promotion, Score

_PLACE = "#/components/schemas/"
_WINDOW = {
    "type": "object", "required": ["start", "end"], "additionalProperties": False,
    "properties": {name: {"type": "string", "format": "date-time"} for name in ("start", "end")},
}


def document() -> Json:
    """OpenAPI 3.1 of every path below /api."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "driftd", "version": "1",
            "description": "Models, windows, scores and retrain requests, as driftd knows them; for the scope `read`.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "security": [{"token": []}, {"password": []}],
        "paths": _paths(),
        "components": {
            "schemas": _schemas(),
            "parameters": _PARAMETERS,
            "responses": {name: _sentence(words) for name, words in _REFUSED.items()},
            "securitySchemes": {
                "token": {"type": "http", "scheme": "bearer"}, "password": {"type": "http", "scheme": "basic"},
            },
        },
    }


_REFUSED = {
    "BadRequest": "A parameter that means nothing; the sentence says what was expected.",
    "NotFound": "There is no such model, window or request.",
}
_PARAMETERS: Json = {
    "model": {"name": "model", "in": "path", "required": True, "schema": {"type": "string"},
              "description": "The model's name; one that is long, or no part of a path, as in the pages' addresses."},
    "window": {"name": "window", "in": "path", "required": True, "schema": {"type": "string"},
               "description": "The date of its start, such as 2013-05-06, or 2013-05-06T06:00:00Z."},
    "request": {"name": "request", "in": "path", "required": True, "schema": {"type": "string"},
                "description": "The request's id."},
    "limit": {"name": "limit", "in": "query",
              "schema": {"type": "integer", "minimum": 1, "maximum": 500},
              "description": "How many windows, the newest ones: at most 500, of scores 50 without `column`, and 10 "
                             "without `metric` too."},
    "before": {"name": "before", "in": "query", "schema": {"type": "string"},
               "description": "Only windows that began before: `next` of the answer before."},
    "metric": {"name": "metric", "in": "query", "schema": {"type": "string"}, "description": "Only this metric."},
    "column": {"name": "column", "in": "query", "schema": {"type": "string"}, "description": "Only this column."},
}


def _paths() -> Json:
    paged = ("limit", "before")
    return {
        "/api/status": _get("status", "The state of every model: what `driftd status --json` prints.", "Status", ()),
        "/api/v1/models": _get("models", "The same.", "Status", ()),
        "/api/v1/models/{model}": _get("model", "The state of one model.", "Status", ("model",)),
        "/api/v1/models/{model}/windows": _get(
            "windows", "What was decided for each window, oldest first: what `driftd history --json` prints.",
            "History", ("model", *paged)),
        "/api/v1/models/{model}/windows/{window}": _get(
            "window", "One window in full: what `driftd history --explain WINDOW --json` prints.", "Explained",
            ("model", "window")),
        "/api/v1/models/{model}/scores": _get(
            "scores", "Scores by window, oldest first.", "Scores", ("model", "metric", "column", *paged)),
        "/api/v1/requests/{request}": _get("request", "A retrain request.", "RequestInFull", ("request",)),
    }


def _get(name: str, summary: str, schema: str, parameters: tuple[str, ...]) -> Json:
    refused = {"400": "BadRequest"} if "limit" in parameters else {}
    refused |= {"404": "NotFound"} if parameters else {}
    return {"get": {
        "operationId": name, "summary": summary,
        "parameters": [{"$ref": f"#/components/parameters/{one}"} for one in parameters],
        "responses": {
            "200": {"description": "The document.",
                    "content": {"application/json": {"schema": {"$ref": f"{_PLACE}{schema}"}}}},
            **{code: {"$ref": f"#/components/responses/{words}"} for code, words in refused.items()},
        },
    }}


def _sentence(words: str) -> Json:
    return {"description": words, "content": {"text/plain": {"schema": {"type": "string"}}}}


def _schemas() -> Json:
    records = (Score, Episode, Promotion, Ledger, Request, GateResult)
    inputs: list[Any] = [(record, "serialization", TypeAdapter(record)) for record in records]
    _, made = TypeAdapter.json_schemas(inputs, ref_template=_PLACE + "{model}")
    found: Json = made["$defs"] | {"Window": _WINDOW}
    return found | _documents()


def _documents() -> Json:
    def of(name: str) -> Json:
        return {"$ref": _PLACE + name}

    def many(schema: Json) -> Json:
        return {"type": "array", "items": schema}

    text, count, names = {"type": "string"}, {"type": "integer"}, many({"type": "string"})
    maybe = {"type": ["string", "null"]}
    version = {"const": SCHEMA_VERSION}
    decided = {
        "window": of("Window"), "revision": count, "rows": count, "late": count,
        "label_coverage": {"type": ["number", "null"]}, "mature": {"type": "boolean"}, "status": text, "reason": maybe,
        "reference_id": text, "taken_at": {"type": "string", "format": "date-time"}, "verdict": maybe,
        "triggers": names, "guards": names, "reasons": names,
    }
    told_at = {"type": "object", "required": ["at"], "properties": {"at": {"type": "string", "format": "date-time"}}}
    gated = {"allOf": [of("GateResult"), told_at]}
    gate = {"anyOf": [gated, {"type": "null"}]}
    score = {"window": of("Window"), "revision": count, "score": of("Score")}
    return {
        "Status": _object({"schema_version": {"const": STATUS_VERSION}, "models": many({"type": "object"}),
                           "messages_pending": count}),
        "Decided": _object(decided),
        "History": _object({
            "schema_version": version, "model": text, "windows": many(of("Decided")), "approvals": many(of("Episode")),
            "promotions": many(of("Promotion")), "next": maybe,
        }),
        "Explained": _object({
            "schema_version": version, "model": text, **decided, "revisions": many(count),
            "ledger": {"anyOf": [of("Ledger"), {"type": "null"}]}, "scores": many(of("Score")),
            "needs": many(of("Episode")), "gates": {"type": "object", "additionalProperties": gated},
        }),
        "Scores": _object({"schema_version": version, "model": text, "scores": many(_object(score)), "next": maybe}),
        "RequestInFull": _object({
            "schema_version": version, "model": text, "request": of("Request"), "gate": gate,
            "event": {"type": "object"},
        }),
    }


def _object(properties: Json) -> Json:
    return {"type": "object", "required": list(properties), "properties": properties}
