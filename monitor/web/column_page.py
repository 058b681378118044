"""A column: its distribution beside the reference's, its scores against their thresholds over time."""

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any

from markupsafe import Markup

from monitor import page_links
from monitor.charts.line import Point, Words, line
from monitor.expose.model_charts import BAD, when
from monitor.expose.view import ModelView
from monitor.metric_catalogue import CATALOGUE
from monitor.records import Score
from monitor.store import Store
from monitor.store.trends import Looked
from monitor.web.model_page import WINDOWS
from monitor.web.render import share
from monitor.wording import shown

_FIRST = ("drift", "prediction_drift", "missing_share", "unseen_share", "out_of_range_share")


def column_page(store: Store, view: ModelView, column: str, now: datetime) -> dict[str, Any] | None:
    """What the template of a column shows; None where no window has a score of it."""
    windows = store.trends.windows(view.name, limit=WINDOWS, until=now)
    scores = store.trends.scores([one.id for one in windows], column=column)
    found = [(looked, score) for looked in windows for score in scores[looked.id] if score.segment is None]
    if not found:
        return None
    series: dict[tuple[str, str | None], list[tuple[Looked, Score]]] = {}
    for looked, score in found:
        series.setdefault((score.metric, score.method), []).append((looked, score))
    order = sorted(series, key=lambda one: (_FIRST.index(one[0]) if one[0] in _FIRST else len(_FIRST), str(one)))
    charts = [chart for one in order if (chart := _chart(view, series[one])) is not None]
    newest = [score for looked, score in found if looked is found[-1][0]]
    return {
        "title": column, "trail": [(view.name, page_links.of_model(view.name)[1:])], "model": view,
        "charts": charts, "facts": list(_facts(newest)), "count": len(windows),
        "newest": found[-1][0], "when": when(view, found[-1][0]),
        "window_href": "../windows/" + page_links.window_key(found[-1][0].window),
    }


def _facts(scores: Sequence[Score]) -> Iterator[tuple[str, str, str, bool]]:
    """Of each score in the newest window: its name, its value, what it is held against, whether it is beyond that."""
    for score in scores:
        of = share if score.metric.endswith("_share") else lambda value, m=score.metric: shown(m, value)
        limit = f"threshold {of(score.threshold)}" if score.threshold is not None else ""
        before = f"reference {of(score.reference)}" if score.reference is not None else ""
        name = score.metric.replace("_", " ") + (f" ({score.method})" if score.method else "")
        value = of(score.value) or score.status.replace("_", " ")
        yield name, value, ", ".join(filter(None, (before, limit))), score.status in BAD


def _chart(view: ModelView, found: Sequence[tuple[Looked, Score]]) -> Markup | None:
    points = [
        Point(at=looked.window.end, value=score.value, reference=score.reference, limit=score.threshold,
              low=score.low, high=score.high, provisional=score.provisional, bad=score.status in BAD,
              when=when(view, looked), href="../windows/" + page_links.window_key(looked.window))
        for looked, score in found if score.value is not None
    ]
    if not points or (all(point.value == 0 for point in points) and not any(point.bad for point in points)):
        return None                     # a line at zero says less than the word
    metric, method = found[-1][1].metric, found[-1][1].method
    of = share if metric.endswith("_share") else lambda value: shown(metric, value)
    known = CATALOGUE.get(metric)
    name = metric.replace("_", " ") + (f" ({method})" if method else "")
    words = Words(caption=f"{name}. {known.meaning if known else ''}", value=name, limit="threshold", of=of)
    return Markup(line(points, words, view.zone, zero=True).html())
