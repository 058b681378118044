"""The registry: its alias is read again and again, moved on a person's word, and told of every window.

Whatever it answers but a version changes nothing. A move is written before it is sent; as the alias can be read, an
unclear answer is cleared up by looking: it names the new version (done), still the old one (sent again, which can do no
harm), or another (refused: somebody else was there).
"""

import math
from collections.abc import Callable, Iterable
from dataclasses import replace
from datetime import datetime, timedelta
from functools import partial

import structlog

from monitor.config.sections import Config, ModelSection
from monitor.errors import ConfigError, DeliveryError
from monitor.promotion.mlflow import RUN_TAG, Denied, Mlflow, NoAlias
from monitor.promotion.versions import moved, saw_alias, saw_shadow
from monitor.records import AliasMove, Firing, Message, MoveState, Score, ScoreStatus, Snapshot
from monitor.store import Store
from monitor.times import Clock, format_moment, utcnow

REGISTRY = "registry"                        # the built-in trigger that fires while it cannot be read
PATIENCE = timedelta(minutes=15)             # so long it may be away before people hear of it
MOVE_AGAIN = tuple(timedelta(seconds=s) for s in (5, 60, 300, 1800))   # waits between tries; the last one for ever
WORRY_AT = 2                                 # the try after which people hear that it is not moved yet
AT_ONCE = 20                                 # windows logged in one turn

_log = structlog.get_logger(__name__)


class Registries:
    """The registries of all models that have one."""

    def __init__(self, config: Config, store: Store, clock: Clock = utcnow) -> None:
        self._models = {name: model for name, model in config.models.items() if model.registry is not None}
        self._store, self._clock = store, clock

    def move(self) -> list[str]:
        """Move the aliases that are to be moved; names of the models that have another version by that."""
        return [move.model for move in self._store.aliases.due_moves(self._clock()) if self._move(move)]

    def look(self) -> list[str]:
        """Read every alias; names of the models that have another version."""
        return [name for name, model in self._models.items() if self._read(model)]

    def track(self) -> int:
        """Log windows that are not logged yet, the oldest first; how many were. What fails is tried next time."""
        return sum(self._track(model) for model in self._models.values())

    def _read(self, model: ModelSection) -> bool:
        assert model.registry is not None
        try:
            server = Mlflow(model.registry)
            version, shadow = server.version(), _shadow(server, model)
        except (DeliveryError, ConfigError) as error:
            self._away(model, str(error))
            return False
        self._back(model.name)
        with self._store.transaction():
            other = saw_shadow(self._store, model, shadow, self._clock())
            return saw_alias(self._store, model, version, self._clock()) or other

    def _away(self, model: ModelSection, reason: str) -> None:
        """It cannot be read: nothing changes; after a while people hear of it, once."""
        now, name = self._clock(), model.name
        with self._store.transaction():
            last = self._store.aliases.seen(name)
            since = last.down_since or now
            if (last.down_since, last.reason) != (since, reason):
                self._store.aliases.note_seen(replace(last, down_since=since, reason=reason))
                _log.warning("The registry cannot be read; nothing changes.", model=name, reason=reason)
            if now - since < PATIENCE or self._fires(name):
                return
            words = f"the registry cannot be read since {format_moment(since)}: {reason}; version and alias stay"
            self._note(name, True, now, words, "the registry cannot be read", words)

    def _back(self, name: str) -> None:
        with self._store.transaction():
            if not self._fires(name):
                return
            since = self._store.aliases.seen(name).down_since
            body = f"the registry answers again; it had been away since {format_moment(since or self._clock())}."
            self._note(name, False, self._clock(), "the registry answers", "the registry is back", body)

    def _fires(self, name: str) -> bool:
        return any(firing.trigger == REGISTRY and firing.firing for firing in self._store.firings.all(name))

    def _note(self, name: str, firing: bool, now: datetime, reason: str, headline: str, body: str) -> None:
        about = f"{name}:{REGISTRY}:{firing}:{now.isoformat()}"
        said = Message(
            id=about, model=name, kind="registry", title=f"{name}: {headline}", body=body, created_at=now,
            next_try_at=now, trigger=REGISTRY,
        )
        self._store.checks.note(Firing(model=name, trigger=REGISTRY, firing=firing, since=now, reason=reason), said)

    def _move(self, move: AliasMove) -> bool:
        """Try once; True when the alias is where it was wanted."""
        model, now = self._models.get(move.model), self._clock()
        if model is None or model.registry is None:
            after = replace(move, next_try_at=now + MOVE_AGAIN[-1], answer="the model has no registry any more")
            self._store.aliases.record_move(after, move, now)
            return False
        sending = replace(move, state=MoveState.SENDING, tries=move.tries + 1, next_try_at=None)
        if not self._store.aliases.record_move(sending, move, now):
            return False
        return self._settle(model, sending, partial(_moved_alias, Mlflow(model.registry), sending))

    def _settle(self, model: ModelSection, sending: AliasMove, send: Callable[[], str | None]) -> bool:
        try:
            refused = send()
        except (NoAlias, Denied, ConfigError) as error:
            refused = str(error)
        except DeliveryError as error:           # unsent or unclear: the next try begins with a look
            wait = MOVE_AGAIN[min(sending.tries, len(MOVE_AGAIN)) - 1]
            after = replace(sending, next_try_at=self._clock() + wait, answer=str(error))
            with self._store.transaction():
                if self._store.aliases.record_move(after, sending, self._clock()) and sending.tries == WORRY_AT:
                    self._store.messages.add(_waits(sending, str(error), self._clock()))
            return False
        now, done = self._clock(), refused is None
        with self._store.transaction():
            state = MoveState.DONE if done else MoveState.REFUSED
            if not self._store.aliases.record_move(replace(sending, state=state, answer=refused), sending, now):
                return False
            if done:
                moved(self._store, model, sending, now)
            self._store.messages.add(move_ended(sending, refused, now))
        return done

    def _track(self, model: ModelSection) -> int:
        registry, count = model.registry, 0
        if registry is None or registry.experiment is None:
            return 0
        try:
            server, waiting = Mlflow(registry), self._store.snapshots.unlogged(model.name, AT_ONCE)
            experiment = server.experiment(registry.experiment) if waiting else ""
            for snapshot in waiting:
                self._log_window(server, experiment, snapshot)
                count += 1
        except (DeliveryError, ConfigError, KeyError, TypeError) as error:
            _log.warning("Windows could not be logged to MLflow; they are tried again.", model=model.name,
                         reason=str(error) if isinstance(error, DeliveryError | ConfigError) else "an unknown answer")
        return count

    def _log_window(self, server: Mlflow, experiment: str, snapshot: Snapshot) -> None:
        """One run for each window, whatever its revision; found again by its tag, so that none is made twice."""
        window = window_id(snapshot)
        at, began = _milliseconds(snapshot.taken_at), _milliseconds(snapshot.window.start)
        tags = _tags(snapshot)
        named = f"{snapshot.window.model} {format_moment(snapshot.window.start)}"
        run = server.run_of(experiment, window) or server.start(experiment, named, began, {RUN_TAG: window} | tags)
        server.log(run, dict(_metrics(snapshot.scores)), tags, at, snapshot.revision)
        self._store.snapshots.note_logged(snapshot, run)


def _shadow(server: Mlflow, model: ModelSection) -> str | None:
    """The version that serves in shadow by its alias; None where the registry has no such alias now."""
    section = model.promotion.shadow
    if section is None or section.alias is None:
        return None
    try:
        return server.version(section.alias)
    except NoAlias:
        return None


def window_id(snapshot: Snapshot) -> str:
    """What a window's run is tagged with."""
    window = snapshot.window
    return "/".join((window.model, window.spec, window.start.isoformat(), window.end.isoformat()))


def _moved_alias(server: Mlflow, move: AliasMove) -> str | None:
    """Look, move, look again; why it was refused, None when the alias names the version wanted."""
    found = server.version()
    if found == move.to_version:
        return None
    if found != move.from_version:
        return f"the alias names {found}, expected {move.from_version}: somebody else has moved it"
    server.move(move.to_version)
    found = server.version()
    return None if found == move.to_version else f"the alias names {found} behind the move"


def _waits(move: AliasMove, why: str, now: datetime) -> Message:
    return Message(
        id=f"{move.id}:waits", model=move.model, kind="registry", created_at=now, next_try_at=now,
        title=f"{move.model}: the alias is not moved to version {move.to_version} yet",
        body=f"{move.by_whom} asked for it: {move.reason}. {why}. It is tried again.",
    )


def move_ended(move: AliasMove, refused: str | None, now: datetime) -> Message:
    headline = f"the alias {'names' if refused is None else 'was not moved to'} version {move.to_version}"
    body = f"{move.by_whom} asked for it: {move.reason}." + (f" {refused}." if refused else "")
    return Message(
        id=f"{move.id}:{'done' if refused is None else 'refused'}", model=move.model, kind="registry",
        title=f"{move.model}: {headline}", body=body, created_at=now, next_try_at=now,
    )


def _metrics(scores: Iterable[Score]) -> Iterable[tuple[str, float]]:
    """Each number under its name, method and column; no values of columns, nothing of groups of people."""
    for score in scores:
        if score.value is None or not math.isfinite(score.value) or score.segment is not None:
            continue
        if score.status is not ScoreStatus.FAILED:
            yield _safe(".".join(part for part in (score.metric, score.method, score.column) if part)), score.value


def _tags(snapshot: Snapshot) -> dict[str, str]:
    told = {
        "model": snapshot.window.model, "model_version": snapshot.model_version, "reference": snapshot.reference_id,
        "window_end": snapshot.window.end.isoformat(), "revision": str(snapshot.revision),
        "rows": str(snapshot.rows), "status": str(snapshot.status), "mature": str(snapshot.mature).lower(),
    }
    return {f"driftd.{name}": value for name, value in told.items() if value is not None}


def _safe(name: str) -> str:
    """MLflow's names of metrics hold letters, digits and _ - . space : / only."""
    return "".join(sign if sign.isascii() and (sign.isalnum() or sign in "_-. :/") else "_" for sign in name)[:250]


def _milliseconds(moment: datetime) -> int:
    return int(moment.timestamp() * 1000)
