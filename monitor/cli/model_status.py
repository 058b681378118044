"""What is going on with one model, as the state has it."""

from dataclasses import dataclass, fields
from datetime import datetime

from monitor.config import Loaded
from monitor.decide.messages import standing
from monitor.records import (
    Action,
    AliasMove,
    Dispatch,
    DispatchState,
    Episode,
    Firing,
    MoveState,
    Promotion,
    Reference,
    Score,
    Silence,
    SnapshotStatus,
    Window,
)
from monitor.store import Pause, Store
from monitor.times import utcnow

ENDED = (DispatchState.SUCCEEDED, DispatchState.FAILED, DispatchState.CANCELLED, DispatchState.ABANDONED,
         DispatchState.WITHDRAWN, DispatchState.DELIVERED)


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """A dispatch without its body."""

    id: str
    attempt: int
    pipeline: str
    state: DispatchState
    created_at: datetime
    tries: int
    next_try_at: datetime | None
    accepted_at: datetime | None
    running_at: datetime | None
    ended_at: datetime | None
    handle: str | None
    url: str | None
    reason: str | None

    @classmethod
    def of(cls, dispatch: Dispatch) -> "Request":
        return cls(**{field.name: getattr(dispatch, field.name) for field in fields(cls)})


@dataclass(frozen=True, slots=True, kw_only=True)
class ModelStatus:
    """What is going on with one model, as `--json` has it; None and nothing where there is none."""

    model: str
    mode: str
    window: Window | None
    revision: int | None
    rows: int | None
    mature: bool | None
    source: SnapshotStatus | None
    source_reason: str | None
    verdict: Action | None
    guards: tuple[str, ...]
    firing: list[Firing]
    gain_realised: Score | None
    reference: Reference | None
    episode: Episode | None
    dispatch: Request | None             # the newest that has not ended
    last_dispatch: Request | None
    promotion: Promotion | None
    waiting: Promotion | None
    alias_move: AliasMove | None
    paused: Pause | None
    silences: tuple[Silence, ...]


def model_status(loaded: Loaded, store: Store, name: str) -> ModelStatus:
    newest = store.snapshots.newest(name, metrics=("gain_realised",), until=utcnow())
    verdict = store.verdicts.newest_on(newest.window) if newest else None
    requests = store.requests.all(name)
    under_way = [request for request in requests if request.state not in ENDED]
    firing = [firing for firing in store.firings.all(name) if firing.firing]
    return ModelStatus(
        model=name,
        mode=loaded.config.models[name].mode,
        window=newest.window if newest else None,
        revision=newest.revision if newest else None,
        rows=newest.rows if newest else None,
        mature=newest.mature if newest else None,
        source=newest.status if newest else None,
        source_reason=newest.reason if newest else None,
        verdict=standing(verdict, firing),
        guards=verdict.guards if verdict else (),
        firing=firing,
        gain_realised=next(iter(newest.scores), None) if newest else None,
        reference=store.references.current(name),
        episode=store.episodes.standing(name),
        dispatch=Request.of(under_way[-1]) if under_way else None,
        last_dispatch=Request.of(requests[-1]) if requests else None,
        promotion=store.promotions.newest_taken(name),
        waiting=store.promotions.waiting(name),
        alias_move=next(iter(store.aliases.moves(name, (MoveState.PENDING, MoveState.SENDING))), None),
        paused=store.pauses.current(name),
        silences=store.silences.in_force(loaded.config, name, utcnow()),
    )
