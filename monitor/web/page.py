"""The overview: every model with its state, its metric now against its reference, and what is to be done."""

from collections import Counter
from dataclasses import dataclass

from markupsafe import Markup

from monitor import page_links
from monitor.charts.line import Point, spark
from monitor.decide.guards import silence_words
from monitor.decide.messages import need_words
from monitor.expose.model_charts import BAD
from monitor.expose.model_state import State, state_of
from monitor.expose.status_document import under_way
from monitor.expose.view import ModelView, View
from monitor.ledger import unusual
from monitor.metric_catalogue import ESTIMATED
from monitor.records import Score, ScoreStatus
from monitor.web.render import chosen, render, share
from monitor.web.running import Looks, Running
from monitor.wording import shown, span

NOTES = 5       # lines on what is going on, of one model


def page(view: View, running: Running | None = None, only: str = "", *, sign_in: bool = False) -> str:
    """The whole page as HTML; every text from outside is escaped. `only`: models in that state."""
    running = running or Running()
    lines = sorted((_line(model, running.looks.get(model.name, Looks())) for model in view.models), key=_urgency)
    counts = Counter(line.state for line in lines)
    return render(
        "overview.html", sign_in=sign_in, root="./", title="Models", trail=(), view=view, running=running, only=only,
        lines=[line for line in lines if not only or line.state == only],
        counts=[(state, counts[state]) for state in State if counts[state]],
    )


@dataclass(frozen=True, slots=True)
class Line:
    """One model as the overview shows it."""

    model: ModelView
    state: State
    href: str
    looks: Looks
    now: "Metric | None"
    spark: Markup
    drift: str
    labels: str
    cost: "Cost | None"
    window: str
    notes: list[str]


@dataclass(frozen=True, slots=True)
class Metric:
    """The metric now, beside its reference."""

    name: str
    value: str
    reference: str
    change: str                     # in percent of the reference
    worse: bool                     # than the reference's windows, beyond chance
    provisional: bool
    estimated: bool


@dataclass(frozen=True, slots=True)
class Cost:
    """What waiting has cost, as a share of what a retrain costs."""

    share: str
    width: int                      # of a bar, 0 to 100
    due: bool
    words: str


def metric_now(model: ModelView) -> Metric | None:
    """The newest value of the metric that a model is judged by, in words."""
    if not model.trend or model.metric is None:
        return None
    score, metric, lost = model.trend[-1].score, model.metric, model.whole("performance_lost")
    value, reference = score.value, score.reference
    change = f"{value / reference - 1:+.0%}" if value is not None and reference else ""
    worse = lost is not None and lost.status is ScoreStatus.DRIFTED
    return Metric(
        metric.removeprefix(ESTIMATED), shown(metric, value), shown(metric, reference), change, worse,
        score.provisional, metric.startswith(ESTIMATED),
    )


def cost_of(score: Score | None) -> Cost | None:
    """What waiting has cost against the price of a retrain; None where neither is known."""
    if score is None or score.value is None or not score.threshold:
        return None
    paid = score.value / score.threshold
    return Cost(f"{paid:.0%}", max(0, min(100, round(100 * paid))), paid >= 1, score.reason or "")


def drift_words(model: ModelView) -> str:
    """How many columns have drifted, of those that were looked at."""
    found = [one for one in (model.newest.scores if model.newest else ()) if one.metric == "drift" and one.column]
    judged = [one for one in found if one.status in (ScoreStatus.OK, ScoreStatus.DRIFTED)]
    return f"{sum(one.status is ScoreStatus.DRIFTED for one in judged)} of {len(judged)}" if judged else ""


def trend_points(model: ModelView) -> list[Point]:
    return [
        Point(at=one.end, value=one.score.value, reference=one.score.reference, provisional=one.score.provisional,
              bad=one.score.status in BAD)
        for one in model.trend if one.score.value is not None
    ]


def notes_of(model: ModelView) -> list[str]:
    """What somebody should know of a model now, most urgent first."""
    found = []
    if model.waiting:
        found.append(f"version {model.waiting.version} awaits approval")
    if need := model.episode:
        found.append(f"retrain {need.state.replace('_', ' ')}: {need_words(need, model.firing)}")
    if request := under_way(model.dispatches):
        found.append(f"request {request.state}: {request.reason or 'no answer yet'}")
    if model.newest and model.newest.status != "ok":
        found.append(f"{model.newest.status.replace('_', ' ')}: {model.newest.reason or 'no reason given'}")
    asked = model.episode.trigger if model.episode else None
    found += [f"{one.trigger}: {one.reason}" for one in model.firing if one.firing and one.trigger != asked]
    if model.paused:
        found.append(f"paused by {model.paused.by}: {model.paused.reason}")
    found += [silence_words(silence, model.zone) for silence in model.silences]
    return [*found, *unusual(model.newest.ledger if model.newest else None)]


def _line(model: ModelView, looks: Looks) -> Line:
    newest, points = model.newest, trend_points(model)
    now = metric_now(model)
    said = f"{now.name} over {len(points)} windows, newest {now.value}" if now else ""
    return Line(
        model=model, state=state_of(model), href=page_links.of_model(model.name)[1:], looks=looks, now=now,
        spark=Markup(spark(points, said)) if len(points) > 1 else Markup(""), drift=drift_words(model),
        labels=share(newest.label_coverage) if newest else "", cost=cost_of(model.whole("regret")),
        window=span(newest.window.start, newest.window.end, model.zone) if newest else "",
        notes=chosen(notes_of(model), NOTES),
    )


def _urgency(line: Line) -> tuple[int, str]:
    return list(State).index(line.state), line.model.name
