"""A short page for people: each model, its newest window, what fires, what was concluded."""

import base64
import hashlib
from html import escape
from zoneinfo import ZoneInfo

from monitor.decide.guards import silence_words
from monitor.decide.messages import standing
from monitor.expose.view import ModelView, View
from monitor.times import format_moment

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #ccc; }
.firing { color: #a40000; font-weight: 600; }
"""
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_UTC = ZoneInfo("UTC")
_COLUMNS = ("Model", "Newest window (UTC)", "Rows", "Firing", "Verdict", "Need to retrain")


def page(view: View) -> str:
    """Return the whole page as HTML; every text from outside is escaped."""
    head = "".join(f"<th>{name}</th>" for name in _COLUMNS)
    rows = "\n".join(_row(model) for model in view.models)
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8"><title>driftd</title>'
        f"<style>{_STYLE}</style></head>\n<body><h1>driftd</h1>\n"
        f"<table><thead><tr>{head}</tr></thead>\n<tbody>\n{rows}\n</tbody></table>\n"
        f"<p>Messages waiting: {view.messages_pending}. "
        '<a href="metrics">metrics</a> · <a href="api/status">status as JSON</a></p></body></html>\n'
    )


def _row(model: ModelView) -> str:
    return "<tr>" + "".join(f"<td>{cell}</td>" for cell in (
        _model(model),
        _window(model),
        escape(str(model.newest.rows)) if model.newest else "",
        _firing(model),
        _verdict(model),
        escape(f"{model.episode.state}: {model.episode.reason}") if model.episode else "",
    )) + "</tr>"


def _model(model: ModelView) -> str:
    head = f"{model.name} ({model.mode}{', paused' if model.paused else ''})"
    silent = [silence_words(silence, _UTC) for silence in model.silences]
    return "<br>".join(escape(text) for text in (head, *silent))


def _window(model: ModelView) -> str:
    if model.newest is None:
        return "none checked yet"
    window, status = model.newest.window, model.newest.status
    span = f"{format_moment(window.start)} – {format_moment(window.end)}"
    trouble = "" if status == "ok" else f": {status.replace('_', ' ')}, {model.newest.reason or ''}"
    return escape(span + trouble)


def _firing(model: ModelView) -> str:
    names = [escape(f"{firing.trigger}: {firing.reason}") for firing in model.firing if firing.firing]
    return f'<span class="firing">{"<br>".join(names)}</span>' if names else "nothing"


def _verdict(model: ModelView) -> str:
    if model.verdict is None:
        return ""
    action = standing(model.verdict, model.firing)
    return "<br>".join(escape(str(text)) for text in (action, *model.verdict.reasons))
