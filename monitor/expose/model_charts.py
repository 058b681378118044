"""The charts of a model that pages and messages show: its metric by window, and which columns drifted, and when."""

from collections.abc import Iterable, Sequence
from datetime import datetime

from monitor import page_links
from monitor.charts.alone import svg_file
from monitor.charts.figure import Drawing
from monitor.charts.heat import UNKNOWN, Row, heat, level_of
from monitor.charts.line import Mark, Point, Words, line
from monitor.charts.raster import png
from monitor.config import Config
from monitor.expose.view import ModelView, read_model
from monitor.metric_catalogue import ESTIMATED
from monitor.records import Dispatch, Message, Promotion, Score, ScoreStatus
from monitor.store import Store
from monitor.store.trends import CellScore, Looked
from monitor.wording import several, shown, span

COLUMNS = 40                # in the heat map, those that drifted most first
IN_MESSAGE, FEWEST = 26, 2  # windows in a message's picture
_OF_NO_WINDOW = ("source", "registry")      # kinds of messages
HEATED = ("drift", "prediction_drift")
BAD = (ScoreStatus.DRIFTED, ScoreStatus.BREACHED)
BESIDE_METRIC = "metric_sd"


def message_picture(store: Store, config: Config, message: Message) -> bytes | None:
    """What goes with a message, as PNG: the metric by window, or, where there is none, the columns.

    None where it is not about what the windows show. It shows numbers and names of columns, never a value of one.
    """
    model = config.models.get(message.model)
    if model is None or message.kind in _OF_NO_WINDOW:
        return None
    view = read_model(store, model, message.created_at)
    windows = store.trends.windows(view.name, limit=IN_MESSAGE, until=message.created_at)
    if len(windows) < FEWEST:
        return None
    marks = marks_of(store, view.name, message.created_at)
    drawing = metric_chart(store, view, windows, marks) or heat_chart(store, view, windows)
    return png(svg_file([drawing])) if drawing else None


def marks_of(store: Store, model: str, until: datetime) -> list[Mark]:
    """When retrains were asked for, and new versions came."""
    requests = (one for one in store.requests.all(model) if one.created_at <= until)
    asked = [Mark(one.created_at, "asked", f"{_wish(one)} asked for: {one.state.value}") for one in requests]
    return [*asked, *_came(one for one in store.promotions.all(model) if one.at <= until)]


def _wish(request: Dispatch) -> str:
    return "retrain" if request.version is None else f"version {request.version}"


def _came(promotions: Iterable[Promotion]) -> list[Mark]:
    return [Mark(one.at, "promoted", f"version {one.version} {one.state.value}, {one.origin}") for one in promotions
            if one.state.value == "taken"]



def when(view: ModelView, looked: Looked) -> str:
    """A window in words."""
    return span(looked.window.start, looked.window.end, view.zone)


def below(looked: Looked) -> str:
    """The window's page, from the page of its model."""
    return page_links.of_window(looked.window).removeprefix("/models/")


def one_of(scores: Iterable[Score], metric: str | None) -> Score | None:
    return next((one for one in scores if one.metric == metric), None)


def metric_chart(
    store: Store, view: ModelView, windows: Sequence[Looked], marks: Sequence[Mark]
) -> Drawing | None:
    """The metric that the model is judged by; None while no window has it."""
    if view.metric is None:
        return None
    scores = store.trends.scores([one.id for one in windows], {view.metric, BESIDE_METRIC}, whole=True)
    points = []
    for looked in windows:
        score = one_of(scores[looked.id], view.metric)
        if score is None or score.value is None:
            continue
        spread = one_of(scores[looked.id], BESIDE_METRIC)
        reference, sd = score.reference, spread.value if spread else None
        points.append(Point(
            at=looked.window.end, value=score.value, low=score.low, high=score.high, reference=reference,
            band=(reference - 2 * sd, reference + 2 * sd) if reference is not None and sd is not None else None,
            limit=score.threshold, provisional=score.provisional, bad=score.status in BAD, when=when(view, looked),
            href=below(looked),
        ))
    if not points:
        return None
    name, metric = view.metric.removeprefix(ESTIMATED), view.metric
    words = Words(caption=f"{name} by window" + " (estimated without labels)" * (name != metric), value=name,
                  band="usual: reference ± 2 sd", of=lambda value: shown(metric, value))
    return line(points, words, view.zone, marks)


def heat_chart(store: Store, view: ModelView, windows: Sequence[Looked]) -> Drawing | None:
    """Which columns have drifted, and when; None where none is looked at."""
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
    return heat(rows[:COLUMNS], ends, [when(view, one) for one in windows], caption, view.zone)


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
