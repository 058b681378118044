"""A window: its verdict with every reason, its scores, and what became of its rows. And a request in full."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields
from datetime import datetime
from typing import Any

from monitor import page_links
from monitor.charts.heat import LEVELS, level_of
from monitor.decide.why_it_fell import why_it_fell
from monitor.expose.model_charts import when
from monitor.expose.model_state import verdict_words
from monitor.expose.view import ModelView
from monitor.ledger import unusual
from monitor.records import Dispatch, Ledger, Score
from monitor.store import Store
from monitor.store.trends import Looked
from monitor.web.episode_story import stories_of
from monitor.wording import shown

SCORES = 300            # on one page
SORTS = ("status", "metric", "column", "value", "reference", "threshold")
_ORDER = {"breached": 0, "drifted": 1, "failed": 2, "insufficient": 3, "ok": 4}
_WORDS = {"files": "rows of the whole log", "read": "rows of the window", "astray": "of these in no window",
          "untimed": "rows of the log without a timestamp", "apart": "rows of the log far from all others",
          "unplaced": "of these, not known where they belong", "undated_labels": "labels without a time"}


@dataclass(frozen=True, slots=True)
class Told:
    """One score as a row of the table."""

    score: Score
    href: str | None
    value: str
    reference: str
    threshold: str
    interval: str
    mark: str                       # class of its colour


def window_page(store: Store, view: ModelView, looked: Looked, sort: str, page: int) -> dict[str, Any]:
    """What the template of a window shows; scores in the order of `sort`, downwards with a - before it."""
    scores = store.trends.scores([looked.id])[looked.id]
    key, down = sort.removeprefix("-"), sort.startswith("-")
    ordered = sorted(scores, key=lambda score: _key(score, key), reverse=down)
    ledger = store.trends.ledger(looked.id)
    needs = [one for one in store.episodes.all(view.name) if one.window == looked.window]
    return {
        "title": when(view, looked), "trail": [(view.name, page_links.of_model(view.name)[1:])], "model": view,
        "looked": looked, "key": page_links.window_key(looked.window),
        "verdict": verdict_words(looked.action, looked.fired or (), (), ()),
        "fell": why_it_fell(scores),
        "scores": [_told(score) for score in ordered[page * SCORES:(page + 1) * SCORES]], "sort": sort, "sorts": SORTS,
        "page": page, "pages": max(1, -(-len(ordered) // SCORES)), "known": len(ordered),
        "ledger": list(_ledger(ledger)) if ledger else [], "unusual": unusual(ledger),
        "stories": stories_of(store, view.name, needs),
    }


def _key(score: Score, key: str) -> tuple[Any, ...]:
    """What scores are ordered by; those without come last upwards."""
    level = -level_of(score.status, score.value, score.threshold)
    urgent = (_ORDER[score.status], level, score.metric, score.column or "")
    if key == "status":
        return urgent
    value = getattr(score, key)
    return (value is None, value if value is not None else 0, *urgent)


def _told(score: Score) -> Told:
    def number(value: float | None) -> str:
        return shown(score.metric, value)

    interval = f"{number(score.low)} to {number(score.high)}" if None not in (score.low, score.high) else ""
    return Told(
        score, "../columns/" + page_links.part(score.column) if score.column else None, number(score.value),
        number(score.reference), number(score.threshold), interval,
        LEVELS[level_of(score.status, score.value, score.threshold)],
    )


def _ledger(ledger: Ledger) -> Iterator[tuple[str, str]]:
    for field in fields(Ledger):
        value = getattr(ledger, field.name)
        if isinstance(value, int):
            yield _WORDS.get(field.name, field.name.replace("_", " ")), f"{value:,}"


@dataclass(frozen=True, slots=True)
class Happened:
    at: datetime
    who: str
    what: str
    why: str


def request_page(store: Store, view: ModelView, request: Dispatch) -> dict[str, Any]:
    """What the template of a request shows: evidence, delivery, run, approval, outcome."""
    episode = store.episodes.get(request.episode_id)
    gated = store.gates.of([request.id]).get(request.id)
    about = [entry for entry in store.audit.about(view.name) if entry.subject in (request.id, request.episode_id)]
    return {
        "title": "retrain request", "trail": [(view.name, page_links.of_model(view.name)[1:])], "model": view,
        "report": page_links.report_of(page_links.of_request(request.id))[1:],
        "request": request, "evidence": _evidence(request.body),
        "told": next(iter(stories_of(store, view.name, [episode] if episode else [])), None), "gate": gated,
        "happened": [Happened(one.at, one.actor, one.action, one.reason or _change(one.details)) for one in about],
        "link": request.url if request.url and request.url.startswith(("https://", "http://")) else None,
    }


def _change(details: dict[str, Any]) -> str:
    return ", ".join(f"{name.replace('_', ' ')}: {value}" for name, value in details.items()
                     if name not in ("model", "pipeline"))


def _evidence(body: str) -> dict[str, Any]:
    """The parts of the event that people read; it is ours, and still only looked into."""
    data = json.loads(body).get("data", {})
    columns: Sequence[dict[str, Any]] = data.get("drifted_columns") or ()
    return {
        "triggers": [str(one) for one in data.get("triggers") or ()],
        "reasons": [str(one) for one in data.get("reasons") or ()], "regret": data.get("regret"),
        "version": data.get("version"), "accuracy": data.get("accuracy") or {}, "trimmed": bool(data.get("trimmed")),
        "columns": [(str(one.get("column")), str(one.get("method")), shown("drift", one.get("value")),
                     shown("drift", one.get("threshold"))) for one in columns],
    }
