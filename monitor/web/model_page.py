"""A model: its metric over time, needs and what came of them, columns by windows, what waiting costs, every window."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from markupsafe import Markup

from monitor import page_links
from monitor.charts.heat import UNKNOWN, Row, heat, level_of
from monitor.charts.line import Mark, Point, Words, line
from monitor.expose.model_state import state_of, verdict_words
from monitor.expose.view import ModelView
from monitor.metric_catalogue import ESTIMATED
from monitor.records import Promotion, Score, ScoreStatus
from monitor.store import Store
from monitor.store.trends import CellScore, Looked
from monitor.web.episode_story import told
from monitor.web.page import BAD, cost_of, drift_words, metric_now, notes_of
from monitor.web.render import share, span
from monitor.web.running import Looks
from monitor.wording import several, shown

WINDOWS = 100               # on one page
COLUMNS = 40                # in the heat map, those that drifted most first
LISTED = 30                 # windows in the table, the newest first
HEATED = ("drift", "prediction_drift")


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
    metric = view.metric
    wanted = {"regret", "metric_sd", "label_coverage", *((metric,) if metric else ())}
    scores = store.trends.scores([one.id for one in windows], wanted, whole=True)
    metrics = [_one(scores[one.id], metric) for one in windows]
    promotions = store.promotions.all(view.name)
    requests = store.requests.all(view.name)
    marks = [*(Mark(one.created_at, "asked", f"retrain asked for: {one.state.value}") for one in requests),
             *_came(promotions)]
    first = windows[0].window.start if windows else None
    return {
        "title": view.name, "trail": (), "report": page_links.report_of(page_links.of_model(view.name))[1:],
        "model": view, "state": state_of(view), "looks": looks,
        "now": metric_now(view), "cost": cost_of(view.whole("regret")), "drift": drift_words(view),
        "labels": share(view.newest.label_coverage) if view.newest else "", "notes": notes_of(view),
        "window": span(view.newest.window.start, view.newest.window.end, view.zone) if view.newest else "",
        "metric_chart": _metric_chart(view, windows, metrics, scores, marks),
        "cost_chart": _cost_chart(view, windows, scores, marks),
        "label_chart": _label_chart(view, windows),
        "heat": _heat(store, view, windows), "stories": told(store, view.name),
        "windows": [_listed(view, *pair) for pair in zip(windows[:-LISTED - 1:-1], metrics[::-1], strict=False)],
        "before": before, "count": len(windows), "first": first,
        "older": page_links.window_key(windows[0].window) if len(windows) == WINDOWS else None,
        "known": store.trends.count(view.name, now),
    }


def _one(scores: Iterable[Score], metric: str | None) -> Score | None:
    return next((one for one in scores if one.metric == metric), None)


def _came(promotions: Iterable[Promotion]) -> list[Mark]:
    return [Mark(one.at, "promoted", f"version {one.version} {one.state.value}, {one.origin}") for one in promotions
            if one.state.value == "taken"]


def when(view: ModelView, looked: Looked) -> str:
    return span(looked.window.start, looked.window.end, view.zone)


def _metric_chart(
    view: ModelView, windows: Sequence[Looked], values: Sequence[Score | None], scores: dict[int, list[Score]],
    marks: Sequence[Mark],
) -> Markup | None:
    points = []
    for looked, score in zip(windows, values, strict=True):
        if score is None or score.value is None:
            continue
        spread = _one(scores[looked.id], "metric_sd")
        reference, sd = score.reference, spread.value if spread else None
        points.append(Point(
            at=looked.window.end, value=score.value, low=score.low, high=score.high, reference=reference,
            band=(reference - 2 * sd, reference + 2 * sd) if reference is not None and sd is not None else None,
            limit=score.threshold, provisional=score.provisional, bad=score.status in BAD, when=when(view, looked),
            href=_below(looked),
        ))
    if not points or view.metric is None:
        return None
    name, metric = view.metric.removeprefix(ESTIMATED), view.metric
    words = Words(caption=f"{name} by window" + " (estimated without labels)" * (name != metric), value=name,
                  band="usual: reference ± 2 sd", of=lambda value: shown(metric, value))
    return Markup(line(points, words, view.zone, marks).html())


def _below(looked: Looked) -> str:
    """The window's page, from the page of its model."""
    return page_links.of_window(looked.window).removeprefix("/models/")


def _cost_chart(
    view: ModelView, windows: Sequence[Looked], scores: dict[int, list[Score]], marks: Sequence[Mark]
) -> Markup | None:
    found = [(looked, _one(scores[looked.id], "regret")) for looked in windows]
    points = [
        Point(at=looked.window.end, value=one.value, limit=one.threshold, when=when(view, looked), href=_below(looked),
              bad=one.threshold is not None and one.value >= one.threshold)
        for looked, one in found if one is not None and one.value is not None
    ]
    words = Words(caption="What waiting has cost, in reference sd × windows", value="cost of waiting",
                  limit="price of a retrain")
    return Markup(line(points, words, view.zone, marks, zero=True).html()) if points else None


def _label_chart(view: ModelView, windows: Sequence[Looked]) -> Markup | None:
    points = [
        Point(at=one.window.end, value=one.label_coverage, provisional=not one.mature, when=when(view, one),
              href=_below(one))
        for one in windows if one.label_coverage is not None
    ]
    if not any(point.value for point in points):
        return None
    words = Words(caption="Share of rows with a label", value="labelled", of=share)
    return Markup(line(points, words, view.zone, zero=True).html())


def _heat(store: Store, view: ModelView, windows: Sequence[Looked]) -> Markup | None:
    place = {looked.id: at for at, looked in enumerate(windows)}
    worst: dict[str, dict[int, CellScore]] = {}      # by column, in each window where there is something to say
    for score in store.trends.cells(list(place), HEATED):
        cells, at = worst.setdefault(score.column, {}), place[score.snapshot_id]
        if at not in cells or _rank(_level(score)) > _rank(_level(cells[at])):
            cells[at] = score
    looked_at = {one.column for one in (view.newest.scores if view.newest else ()) if one.metric in HEATED}
    rows = [_heat_row(view, name, worst.get(name, {}), len(windows))
            for name in {*worst, *(name for name in looked_at if name is not None)}]
    if not rows:
        return None
    rows.sort(key=lambda row: (-sum(level for level in row.levels if level < UNKNOWN), row.name))
    left = f", {COLUMNS} of {len(rows)}, those that drifted most" if len(rows) > COLUMNS else ""
    caption = f"Which columns have drifted, and when{left}; a row leads to its column"
    ends = [one.window.end for one in windows]
    return Markup(heat(rows[:COLUMNS], ends, [when(view, one) for one in windows], caption, view.zone).html())


def _heat_row(view: ModelView, name: str, cells: dict[int, CellScore], windows: int) -> Row:
    levels = [0] * windows
    for at, score in cells.items():
        levels[at] = _level(score)
    count = sum(0 < level < UNKNOWN for level in levels)
    summary = f"drifted in {count} of {several(windows, 'window')}" if count else "never drifted here"
    href = page_links.of_column(view.name, name).removeprefix("/models/")
    return Row(name, href, levels, summary, lambda at: _said(cells[at]))


def _level(score: CellScore) -> int:
    return level_of(score.status, score.value, score.threshold)


def _said(score: CellScore) -> str:
    method = f" ({score.method})" if score.method else ""
    beside = f", threshold {shown(score.metric, score.threshold)}" if score.threshold is not None else ""
    value = shown(score.metric, score.value) or score.status.value
    return f"{score.metric}{method} {value}{beside}"


def _rank(level: int) -> int:
    """What is broken is worse than what drifted, and that than what is not known."""
    return (0, 2, 3, 4, 5, 1)[level]


def _listed(view: ModelView, looked: Looked, score: Score | None) -> Listed:
    if looked.status != "ok":
        words = f"{looked.status.replace('_', ' ').capitalize()}: {looked.reason or 'no reason given'}"
    else:
        words = verdict_words(looked.action, looked.fired or (), looked.guards or (), looked.reasons or ())
    failed = score is not None and score.status in (ScoreStatus.FAILED, ScoreStatus.INSUFFICIENT)
    value = "" if score is None or failed else shown(score.metric, score.value)
    value += " ~" if score and score.provisional else ""
    return Listed(looked, _below(looked), when(view, looked), words, value)
