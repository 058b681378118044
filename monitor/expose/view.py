"""The current state of every model, read from the store once after each check, for metrics and the overview."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from zoneinfo import ZoneInfo

from monitor.config import Config, ModelSection
from monitor.decide.messages import since_then
from monitor.decide.particulars import judged_metric
from monitor.decide.recovery import NO_RECOVERY
from monitor.decide.triggers import BROKEN_DATA, REFERENCE_GONE, SHADOW, SOURCE, SOURCE_DOWN
from monitor.metric_catalogue import ESTIMATED
from monitor.records import (
    AliasMove,
    Dispatch,
    Episode,
    Firing,
    MoveState,
    Promotion,
    Reference,
    Score,
    Silence,
    Snapshot,
    Verdict,
)
from monitor.store import Pause, Store
from monitor.store.shadows import Shadow

REGISTRY = "registry"                 # fires while the registry cannot be read
# triggers that need no configuration
BUILT_IN = (BROKEN_DATA, SOURCE, SOURCE_DOWN, REFERENCE_GONE, NO_RECOVERY, REGISTRY, SHADOW)
TREND = 40                            # windows of the metric's line beside a model
_EVER = timedelta(days=36_500)
_UTC = ZoneInfo("UTC")


@dataclass(frozen=True, slots=True, kw_only=True)
class TrendPoint:
    """The metric a model is judged by, in one window."""

    end: datetime
    score: Score


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One configured model: its newest window, its newest mature window, and its current decisions and requests."""

    name: str
    mode: str
    triggers: tuple[str, ...]            # names, as configured
    newest: Snapshot | None
    mature: Snapshot | None
    verdict: Verdict | None              # on the newest window, its triggers as they are now
    firing: tuple[Firing, ...]           # of every trigger, firing or not
    episode: Episode | None
    dispatches: tuple[Dispatch, ...]
    reference: Reference | None
    paused: Pause | None
    silences: tuple[Silence, ...] = ()   # in force now
    named: frozenset[str] = frozenset()  # columns that triggers or drift settings name
    promotion: Promotion | None = None   # that came last
    waiting: Promotion | None = None     # for a person's approval
    alias_move: AliasMove | None = None  # under way
    shadow: Shadow | None = None         # the newest candidate in shadow, decided or not
    metric: str | None = None            # the model is judged by; an estimate of it where labels never came
    trend: tuple[TrendPoint, ...] = ()   # of that metric, oldest first
    zone: ZoneInfo = _UTC

    @property
    def gain_realised(self) -> Score | None:
        """What earlier promotions brought of the gains that were predicted, as the newest window has it."""
        scores = self.newest.scores if self.newest else ()
        return next((score for score in scores if score.metric == "gain_realised"), None)

    def whole(self, metric: str) -> Score | None:
        """A score of the newest window as a whole."""
        scores = self.newest.scores if self.newest else ()
        named = (one for one in scores if one.metric == metric and one.column is None)
        return next((one for one in named if one.segment is None), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    models: tuple[ModelView, ...] = ()
    all_columns: bool = False            # metrics of columns that nothing is to be said of, too
    messages_pending: int = 0


def read_view(store: Store, config: Config, now: datetime, before: View | None = None) -> View:
    """Read the state of every configured model; others are left out. Scores that `before` has are not read again."""
    shown = {one.name: one for one in before.models} if before else {}
    return View(
        all_columns=config.daemon.metrics_columns == "all",
        models=tuple(
            _model(store, model, store.silences.in_force(config, name, now), now, shown.get(name))
            for name, model in config.models.items()
        ),
        messages_pending=len(store.messages.due(now + _EVER)),
    )


def read_model(store: Store, model: ModelSection, now: datetime) -> ModelView:
    """Read the state of one model, whether it is silenced or not."""
    return _model(store, model, (), now, None)


def _model(
    store: Store, model: ModelSection, silences: tuple[Silence, ...], now: datetime, before: ModelView | None
) -> ModelView:
    known = [one for one in (before.newest, before.mature) if one] if before else []
    newest = store.snapshots.newest(model.name, until=now, known=known)
    metric = judged_metric(model.metric, newest.scores if newest else ())
    trend = _trend(store, model.name, metric, now) if metric else ()
    if metric and not trend:             # its labels have never come: the estimate, where there is one
        trend = _trend(store, model.name, ESTIMATED + metric, now)
    verdict, firing = store.verdicts.newest_on(newest.window) if newest else None, tuple(_firing(store, model))
    return ModelView(
        name=model.name,
        mode=model.mode,
        triggers=tuple(trigger.name for trigger in model.triggers),
        newest=newest,
        mature=_mature(store, newest, known),
        verdict=since_then(verdict, firing, model.timezone) if verdict else None,
        firing=firing,
        episode=store.episodes.standing(model.name),
        dispatches=tuple(store.requests.all(model.name)),
        reference=store.references.current(model.name),
        paused=store.pauses.current(model.name),
        silences=silences,
        named=_named(model),
        promotion=store.promotions.newest_taken(model.name),
        waiting=store.promotions.waiting(model.name),
        alias_move=next(iter(store.aliases.moves(model.name, (MoveState.PENDING, MoveState.SENDING))), None),
        shadow=store.shadows.newest(model.name),
        metric=trend[-1].score.metric if trend else metric,
        trend=trend,
        zone=model.timezone,
    )


def _trend(store: Store, model: str, metric: str, now: datetime) -> tuple[TrendPoint, ...]:
    windows = store.trends.windows(model, limit=TREND, until=now)
    scores = store.trends.scores([one.id for one in windows], (metric,), whole=True)
    return tuple(
        TrendPoint(end=one.window.end, score=score) for one in windows for score in scores[one.id]
        if score.value is not None
    )


def _named(model: ModelSection) -> frozenset[str]:
    of_triggers = {trigger.column for trigger in model.triggers if trigger.column is not None}
    return frozenset(of_triggers | {*model.drift.columns, *model.drift.embeddings})


def _mature(store: Store, newest: Snapshot | None, known: list[Snapshot]) -> Snapshot | None:
    if newest is None or newest.mature:
        return newest
    model, spec = newest.window.model, newest.window.spec
    mature = [one.window for one in store.windows.known(model, spec) if one.mature]
    if not mature:
        return None
    found = store.snapshots.newest_revisions(model, window_start=mature[-1].start, spec=spec, known=known)
    return next((snapshot for snapshot in reversed(found) if snapshot.window == mature[-1]), None)


def _firing(store: Store, model: ModelSection) -> Iterable[Firing]:
    """Return the firing states of configured and built-in triggers; removed triggers are left out."""
    names = {trigger.name for trigger in model.triggers} | set(BUILT_IN)
    return (firing for firing in store.firings.all(model.name) if firing.trigger in names)
