"""Templates to HTML. Every text is one bounded line, then escaped; markup of ours is `Markup`."""

from collections.abc import Sequence
from datetime import datetime, tzinfo
from functools import cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from monitor import escape
from monitor.expose.model_state import State
from monitor.times import format_moment
from monitor.wording import several, shown

# A shape for each state, so that nobody has to tell colours apart.
MARKS = {
    State.YOURS: "M8 1l7 7-7 7-7-7z",
    State.BROKEN: "M3 1l5 5 5-5 2 2-5 5 5 5-2 2-5-5-5 5-2-2 5-5-5-5z",
    State.ALERT: "M8 1l7.5 14h-15z",
    State.RETRAINING: "M8 1a7 7 0 1 0 7 7h-3a4 4 0 1 1-4-4v3l5-4.5L8-2z",
    State.WAITING: "M1 1h14v14h-14zM4 4v8h8v-8z",
    State.NEW: "M8 1a7 7 0 1 0 .01 0zM8 4a4 4 0 1 1-.01 0z",
    State.PAUSED: "M2 1h4v14h-4zM10 1h4v14h-4z",
    State.FINE: "M8 1a7 7 0 1 0 .01 0z",
}


@cache
def templates() -> Environment:
    made = Environment(
        loader=PackageLoader("monitor.web"), autoescape=True, undefined=StrictUndefined, finalize=_contained,
        trim_blocks=True, lstrip_blocks=True,
    )
    made.filters |= {"name": escape.name, "moment": moment, "machine": format_moment, "shown": _shown, "share": share,
                     "several": several, "words": lambda text: str(text).replace("_", " ")}
    made.globals |= {"mark": mark}
    return made


def render(template: str, **given: Any) -> str:
    """The page of a template."""
    return templates().get_template(template).render(**given)


def root_of(path: str) -> str:
    """How the page at a path gets to the first page: relative, so that a proxy may put all below a folder."""
    return "../" * (path.count("/") - 1) or "./"


def moment(at: datetime | None, zone: tzinfo) -> Markup:
    """A moment as people write it, the exact one beside it for scripts."""
    if at is None:
        return Markup("")
    local = at.astimezone(zone)
    return Markup('<time datetime="{}">{}</time>').format(format_moment(at), f"{local.day} {local:%b %Y %H:%M}")


def mark(state: State) -> Markup:
    """The state as a shape; the word beside it says the same."""
    kind = state.value.replace(" ", "-")
    return Markup(
        '<svg class="mark s-{}" viewBox="-1 -2 18 18" aria-hidden="true"><path fill-rule="evenodd" d="{}"/></svg>'
    ).format(kind, Markup(MARKS[state]))


def share(value: float | None) -> str:
    """A share as percent."""
    return "" if value is None else f"{value:.0%}" if value >= 0.1 or value <= 0 else f"{value:.1%}"


def chosen(lines: Sequence[str], most: int) -> list[str]:
    """The first lines; of more, how many are left out."""
    if len(lines) <= most:
        return list(lines)
    return [*lines[:most - 1], f"… and {len(lines) - most + 1} more"]


def _shown(value: float | None, metric: str) -> str:
    return shown(metric, value)


def _contained(value: object) -> object:
    """What is written into the page: markup of ours as it is, any text as one bounded line that is then escaped."""
    return escape.sentence(value) if isinstance(value, str) and not isinstance(value, Markup) else value
