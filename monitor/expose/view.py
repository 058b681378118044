"""The current state of every model, read from the store once after each check, for metrics and status page."""

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta

from monitor.config import Config, ModelSection
from monitor.decide.recovery import NO_RECOVERY
from monitor.decide.triggers import BROKEN_DATA, SOURCE, SOURCE_DOWN
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

REGISTRY = "registry"                 # fires while the registry cannot be read
BUILT_IN = (BROKEN_DATA, SOURCE, SOURCE_DOWN, NO_RECOVERY, REGISTRY)  # triggers that need no configuration
_EVER = timedelta(days=36_500)


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelView:
    """One configured model: its newest window, its newest mature window, and its current decisions and requests."""

    name: str
    mode: str
    triggers: tuple[str, ...]            # names, as configured
    newest: Snapshot | None
    mature: Snapshot | None
    verdict: Verdict | None
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

    @property
    def gain_realised(self) -> Score | None:
        """What earlier promotions brought of the gains that were predicted, as the newest window has it."""
        scores = self.newest.scores if self.newest else ()
        return next((score for score in scores if score.metric == "gain_realised"), None)


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    models: tuple[ModelView, ...] = ()
    all_columns: bool = False            # metrics of columns that nothing is to be said of, too
    messages_pending: int = 0


def read_view(store: Store, config: Config, now: datetime) -> View:
    """Read the state of every configured model; others are left out."""
    return View(
        all_columns=config.daemon.metrics_columns == "all",
        models=tuple(
            _model(store, model, store.silences.in_force(config, name, now), now)
            for name, model in config.models.items()
        ),
        messages_pending=len(store.messages.due(now + _EVER)),
    )


def _model(store: Store, model: ModelSection, silences: tuple[Silence, ...], now: datetime) -> ModelView:
    newest = store.snapshots.newest(model.name, until=now)
    return ModelView(
        name=model.name,
        mode=model.mode,
        triggers=tuple(trigger.name for trigger in model.triggers),
        newest=newest,
        mature=_mature(store, newest),
        verdict=store.verdicts.newest_on(newest.window) if newest else None,
        firing=tuple(_firing(store, model)),
        episode=store.episodes.standing(model.name),
        dispatches=tuple(store.requests.all(model.name)),
        reference=store.references.current(model.name),
        paused=store.pauses.current(model.name),
        silences=silences,
        named=_named(model),
        promotion=store.promotions.newest_taken(model.name),
        waiting=store.promotions.waiting(model.name),
        alias_move=next(iter(store.aliases.moves(model.name, (MoveState.PENDING, MoveState.SENDING))), None),
    )


def _named(model: ModelSection) -> frozenset[str]:
    of_triggers = {trigger.column for trigger in model.triggers if trigger.column is not None}
    return frozenset(of_triggers | {*model.drift.columns, *model.drift.embeddings})


def _mature(store: Store, newest: Snapshot | None) -> Snapshot | None:
    if newest is None or newest.mature:
        return newest
    model, spec = newest.window.model, newest.window.spec
    mature = [known.window for known in store.windows.known(model, spec) if known.mature]
    if not mature:
        return None
    found = store.snapshots.newest_revisions(model, window_start=mature[-1].start, spec=spec)
    return next((snapshot for snapshot in reversed(found) if snapshot.window == mature[-1]), None)


def _firing(store: Store, model: ModelSection) -> Iterable[Firing]:
    """Return the firing states of configured and built-in triggers; removed triggers are left out."""
    names = {trigger.name for trigger in model.triggers} | set(BUILT_IN)
    return (firing for firing in store.firings.all(model.name) if firing.trigger in names)
