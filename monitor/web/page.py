"""A short page for people: each model, its newest window, what fires, what was concluded."""

import base64
import hashlib
from functools import cache
from typing import Final
from zoneinfo import ZoneInfo

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor.decide.guards import silence_words
from monitor.decide.messages import need_words, standing
from monitor.escape import sentence
from monitor.expose.view import ModelView, View
from monitor.ledger import unusual
from monitor.times import format_moment

_STYLE: Final = Markup("""
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem; }
table { border-collapse: collapse; width: 100%; }
th, td { text-align: left; vertical-align: top; padding: .4rem .8rem .4rem 0; border-bottom: 1px solid #ccc; }
.firing { color: #a40000; font-weight: 600; }
""")
STYLE_HASH = "sha256-" + base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()

_UTC = ZoneInfo("UTC")
_COLUMNS = ("Model", "Newest window (UTC)", "Rows", "Firing", "Verdict", "Need to retrain")


def page(view: View) -> str:
    """Return the whole page as HTML; every text from outside is escaped."""
    rows = [_row(model) for model in view.models]
    return _templates().get_template("page.html").render(style=_STYLE, columns=_COLUMNS, rows=rows, view=view)


@cache
def _templates() -> Environment:
    return Environment(
        loader=PackageLoader("monitor.web"), autoescape=True, undefined=StrictUndefined, finalize=_contained,
    )


def _contained(value: object) -> object:
    """What is written into the page: markup of ours as it is, any text as one bounded line that is then escaped."""
    return sentence(value) if isinstance(value, str) and not isinstance(value, Markup) else value


def _row(model: ModelView) -> tuple[list[str], ...]:
    """The lines of each cell."""
    return (
        _model(model),
        [_window(model), *unusual(model.newest.ledger if model.newest else None)],
        [str(model.newest.rows)] if model.newest else [],
        _firing(model),
        _verdict(model),
        [f"{model.episode.state}: {need_words(model.episode, model.firing)}"] if model.episode else [],
    )


def _model(model: ModelView) -> list[str]:
    head = f"{model.name} ({model.mode}{', paused' if model.paused else ''})"
    return [head, *(silence_words(silence, _UTC) for silence in model.silences)]


def _window(model: ModelView) -> str:
    if model.newest is None:
        return "none checked yet"
    window, status = model.newest.window, model.newest.status
    span = f"{format_moment(window.start)} – {format_moment(window.end)}"
    return span if status == "ok" else f"{span}: {status.replace('_', ' ')}, {model.newest.reason or ''}"


def _firing(model: ModelView) -> list[str]:
    marked = Markup('<span class="firing">{}</span>')
    said = [marked.format(sentence(f"{firing.trigger}: {firing.reason}")) for firing in model.firing if firing.firing]
    return [*said] or ["nothing"]


def _verdict(model: ModelView) -> list[str]:
    if model.verdict is None:
        return []
    return [str(standing(model.verdict, model.firing)), *model.verdict.reasons]
