"""The evidence that travels with a retrain request: a structured CloudEvent, always under 20 kB."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

from monitor import page_links
from monitor.config.sections import ModelSection
from monitor.decide.particulars import most_drifted
from monitor.decide.why_it_fell import why_it_fell
from monitor.escape import bounded, json_text, shortened
from monitor.metric_catalogue import PERFORMANCE
from monitor.records import SCHEMA_VERSION, Json, Reference, Score, Snapshot, Verdict, Window
from monitor.times import format_moment

TYPES = {"retrain": "io.driftd.retrain.requested", "rollback": "io.driftd.rollback.requested"}
LIMIT = 20_000                               # bytes of the whole event
SHORT_LIMIT = 2_000                          # bytes of the form that fits one workflow input
COLUMNS = 40                                 # drifted columns named at most
REASON_LENGTH = 600
LONGEST = 600                                # characters of a name; the middle of a longer one is left out


_GIST = ("schema_version", "action", "version", "model", "window", "triggers", "accuracy")


def event(
    dispatch_id: str,
    model: ModelSection,
    snapshot: Snapshot | None,
    verdict: Verdict | None,
    reference: Reference,
    now: datetime,
    *,
    metric: str | None = None,
    reasons: Sequence[str] = (),
    url: str | None = None,
    version: str | None = None,
) -> str:
    """Write the CloudEvent 1.0 (JSON format) of one request, as JSON text.

    `metric` is the one the model is judged by (default: the model's own). Snapshot and verdict are None when
    a person asks before anything was measured; `reasons` are a person's, set before the verdict's. `url`: the
    address under which people reach the page. `version`: the one to go back to; without it a retrain is asked for.
    """
    action = "retrain" if version is None else "rollback"
    asked = {"schema_version": SCHEMA_VERSION, "action": action, "version": version}
    data = asked | _data(model, snapshot, verdict, reference, metric or model.metric, reasons)
    data["page"] = None if url is None else page_links.address(url, page_links.of_model(model.name))
    whole = {
        "specversion": "1.0",
        "id": dispatch_id,
        "source": f"driftd/{_uri_part(model.name)}",
        "type": TYPES[action],
        "subject": model.name,
        "time": format_moment(now),
        "datacontenttype": "application/json",
        "data": data,
    }
    return _fitted(bounded(whole, LONGEST))


def with_id(body: str, dispatch_id: str) -> str:
    """The same event under the id of another attempt."""
    return _text(json.loads(body) | {"id": dispatch_id})


def short(body: str) -> str:
    """The gist of an event in at most SHORT_LIMIT bytes of JSON, for places with little room."""
    whole = json.loads(body)
    data = whole.get("data", {})
    gist = {name: data.get(name) for name in _GIST}
    gist |= {"id": whole.get("id"), "reasons": list(data.get("reasons", []))}
    while len(_text(gist).encode()) > SHORT_LIMIT and gist["reasons"]:
        gist["reasons"].pop()
    return _text(gist) if len(_text(gist).encode()) <= SHORT_LIMIT else _text({"id": whole.get("id")})


def _data(
    model: ModelSection,
    snapshot: Snapshot | None,
    verdict: Verdict | None,
    reference: Reference,
    metric: str | None,
    reasons: Sequence[str],
) -> Json:
    scores = snapshot.scores if snapshot else ()
    said = [*reasons, *(verdict.reasons if verdict else ())]
    return {
        "model": model.name,
        "model_version": (snapshot.model_version if snapshot else None) or reference.model_version,
        "window": _window(snapshot.window) if snapshot else None,
        "revision": snapshot.revision if snapshot else None,
        "rows": snapshot.rows if snapshot else None,
        "labelled": snapshot.labelled if snapshot else None,
        "triggers": list(verdict.fired) if verdict else [],
        "reasons": [shortened(reason, REASON_LENGTH) for reason in said],
        "accuracy": _accuracy(scores, metric),
        "why_it_fell": why_it_fell(scores),
        "regret": next((s.reason for s in scores if s.metric == "regret" and s.value is not None), None),
        "drifted_columns": _drifted(scores),
        "reference": {
            "id": reference.id, "model_version": reference.model_version, "origin": reference.origin,
        },
        "config_hash": snapshot.config_hash if snapshot else None,
    }


def _window(window: Window) -> dict[str, str]:
    return {"start": format_moment(window.start), "end": format_moment(window.end)}


def _accuracy(scores: Sequence[Score], metric: str | None) -> Json | None:
    """The primary metric now and on the reference; without a name the first performance score."""
    names = PERFORMANCE if metric is None else (metric,)
    whole = [s for s in scores if s.metric in names and s.column is None and s.segment is None]
    if not whole:
        return None
    s = whole[0]
    return {
        "metric": s.metric, "now": s.value, "before": s.reference,
        "low": s.low, "high": s.high, "provisional": s.provisional, "n": s.n,
    }


def _drifted(scores: Sequence[Score]) -> list[Json]:
    """Drifted columns, the farthest beyond their thresholds first."""
    return [
        {"column": s.column, "method": s.method, "value": s.value, "threshold": s.threshold}
        for s in most_drifted(scores)[:COLUMNS]
    ]


def _fitted(whole: Json) -> str:
    """Drop columns, then reasons, from the end until the event fits."""
    data = whole["data"]
    for name in ("drifted_columns", "reasons", "triggers"):
        while len(_text(whole).encode()) >= LIMIT and data[name]:
            data[name].pop()
            data["trimmed"] = True
    return _text(whole)


def _uri_part(name: str) -> str:
    return "".join(c if (c.isalnum() and c.isascii()) or c in "-._~" else "_" for c in name)


def _text(value: Any) -> str:
    return json_text(value, separators=(",", ":"))
