"""A model: its metric over time, needs and what came of them, columns by windows, what waiting costs, every window."""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from monitor import page_links
from monitor.charts.figure import Drawing
from monitor.charts.line import Mark, Point, Words, line
from monitor.decide.going_back import METRIC as VERSION_REGRET
from monitor.expose.model_charts import below, heat_chart, marks_of, metric_chart, one_of, when
from monitor.expose.model_state import state_of, verdict_words
from monitor.expose.view import ModelView
from monitor.records import Score, ScoreStatus
from monitor.store import Store
from monitor.store.trends import Looked
from monitor.web.episode_story import told
from monitor.web.page import cost_of, drift_words, metric_now, notes_of
from monitor.web.render import share
from monitor.web.running import Looks
from monitor.wording import shown, span

WINDOWS = 100               # on one page
LISTED = 30                 # windows in the table, the newest first


@dataclass(frozen=True, slots=True)
class Listed:
    """One window in the table."""

    looked: Looked
    href: str
    span: str
    words: str
    metric: str


def model_page(store: Store, view: ModelView, looks: Looks, now: datetime, before: datetime | None) -> dict[str, Any]:
    """What the template of a model shows; `before`: windows that began before."""
    windows = store.trends.windows(view.name, limit=WINDOWS, until=now, before=before)
    wanted = {"regret", *((view.metric,) if view.metric else ())}
    scores = store.trends.scores([one.id for one in windows], wanted, whole=True)
    metrics = [one_of(scores[one.id], view.metric) for one in windows]
    marks = marks_of(store, view.name, now)
    first = windows[0].window.start if windows else None
    return {
        "title": view.name, "trail": (), "report": page_links.report_of(page_links.of_model(view.name))[1:],
        "model": view, "state": state_of(view), "looks": looks,
        "now": metric_now(view), "cost": cost_of(view.whole("regret")), "drift": drift_words(view),
        "labels": share(view.newest.label_coverage) if view.newest else "", "notes": notes_of(view),
        "window": span(view.newest.window.start, view.newest.window.end, view.zone) if view.newest else "",
        "metric_chart": _placed(metric_chart(store, view, windows, marks)),
        "cost_chart": _cost_chart(view, windows, scores, marks),
        "label_chart": _label_chart(view, windows), "versions": _versions(view),
        "heat": _placed(heat_chart(store, view, windows)), "stories": told(store, view.name),
        "windows": [_listed(view, *pair) for pair in zip(windows[:-LISTED - 1:-1], metrics[::-1], strict=False)],
        "before": before, "count": len(windows), "first": first,
        "older": page_links.window_key(windows[0].window) if len(windows) == WINDOWS else None,
        "known": store.trends.count(view.name, now),
    }


def _versions(view: ModelView) -> list[tuple[str, str]]:
    """Each version that served before and is compared, with what is known of going back to it."""
    scores = view.newest.scores if view.newest else ()
    return [(one.method or "", one.reason or "") for one in scores if one.metric == VERSION_REGRET]


def _placed(drawing: Drawing | None) -> Markup | None:
    return Markup(drawing.html()) if drawing else None


def _cost_chart(
    view: ModelView, windows: Sequence[Looked], scores: dict[int, list[Score]], marks: Sequence[Mark]
) -> Markup | None:
    found = [(looked, one_of(scores[looked.id], "regret")) for looked in windows]
    points = [
        Point(at=looked.window.end, value=one.value, limit=one.threshold, when=when(view, looked), href=below(looked),
              bad=one.threshold is not None and one.value >= one.threshold)
        for looked, one in found if one is not None and one.value is not None
    ]
    words = Words(caption="What waiting has cost, in reference sd × windows", value="cost of waiting",
                  limit="price of a retrain")
    return Markup(line(points, words, view.zone, marks, zero=True).html()) if points else None


def _label_chart(view: ModelView, windows: Sequence[Looked]) -> Markup | None:
    points = [
        Point(at=one.window.end, value=one.label_coverage, provisional=not one.mature, when=when(view, one),
              href=below(one))
        for one in windows if one.label_coverage is not None
    ]
    if not any(point.value for point in points):
        return None
    words = Words(caption="Share of rows with a label", value="labelled", of=share)
    return Markup(line(points, words, view.zone, zero=True).html())


def _listed(view: ModelView, looked: Looked, score: Score | None) -> Listed:
    if looked.status != "ok":
        words = f"{looked.status.replace('_', ' ').capitalize()}: {looked.reason or 'no reason given'}"
    else:
        words = verdict_words(looked.action, looked.fired or (), looked.guards or (), looked.reasons or ())
    failed = score is not None and score.status in (ScoreStatus.FAILED, ScoreStatus.INSUFFICIENT)
    value = "" if score is None or failed else shown(score.metric, score.value)
    value += " ~" if score and score.provisional else ""
    return Listed(looked, below(looked), when(view, looked), words, value)
