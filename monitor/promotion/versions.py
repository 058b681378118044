"""Which version of a model is in service, how another one comes into it, and back.

Every change is one row of the store, written before it has an effect; the next check finds the version in service there
and brings its reference, by compare-and-set on the one before. So whatever is cut short goes on with that check.
"""

import hashlib
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

from monitor.config.sections import ModelSection, ReferenceSection
from monitor.errors import UsageError
from monitor.escape import in_path
from monitor.records import AliasMove, Dispatch, Json, Message, MoveState, Promotion, PromotionState
from monitor.store import Store

REGISTRY = "registry"


def in_service(store: Store, model: ModelSection) -> str | None:
    """The version that came last; where the configuration has changed its mind since, the configuration's."""
    newest = store.promotions.newest_taken(model.name)
    if newest is None:
        return model.version
    return newest.version if model.registry or newest.configured == model.version else model.version


def as_in_service(store: Store, model: ModelSection, folder: Path) -> ModelSection:
    """The model with its version in service and that one's reference; `folder` is the configuration's."""
    version = in_service(store, model)
    return model if version == model.version else model.model_copy(
        update={"version": version, "reference": _reference(store, model, version, folder)}
    )


def served_before(store: Store, model: ModelSection) -> tuple[str, ...]:
    """The versions that served before and are compared with the one in service, the newest first."""
    if model.versions is None:
        return ()
    known = (reference.model_version for reference in reversed(store.references.all(model.name)))
    earlier = dict.fromkeys(version for version in known if version not in (None, model.version))
    return tuple(version for version in earlier if version is not None)[:model.versions.keep]


def _reference(store: Store, model: ModelSection, version: str | None, folder: Path) -> ReferenceSection:
    """What its run named, else the path with {version}, else as configured."""
    told = [promotion.reference for promotion in store.promotions.all(model.name) if promotion.version == version]
    runs = store.requests.with_new_version(model.name)
    told += [run.new_reference for run in runs if run.new_version == version]
    named, source, template = next(filter(None, reversed(told)), None), model.reference.source, model.reference.template
    path = str(folder / named) if named else template and template.replace("{version}", in_path(version or ""))
    if not path:
        return model.reference
    if source is None or source.path is None:
        return ReferenceSection.model_validate({"source": {"path": path}})
    return model.reference.model_copy(update={"source": source.model_copy(update={"path": path})})


def collect(store: Store, model: ModelSection, now: datetime) -> None:
    """Make promotions of what runs have said they made, each run once.

    With a registry its alias decides, and a run's word counts only where a person is to be asked.
    """
    if model.registry is not None and not needs_person(model):
        return
    with store.transaction():
        seen = {promotion.dispatch_id for promotion in store.promotions.all(model.name)}
        for run in store.requests.with_new_version(model.name):
            if run.id not in seen:
                _collected(store, model, run, now)


def _collected(store: Store, model: ModelSection, run: Dispatch, now: datetime) -> None:
    asked_for, current = asked_under(run), in_service(store, model)
    assert run.new_version is not None
    promotion = Promotion(
        model=model.name, version=run.new_version, replaces=asked_for, configured=model.version, origin="run", at=now,
        state=PromotionState.TAKEN, dispatch_id=run.id, reference=run.new_reference, asked_by=_asker(store, run),
    )
    if asked_for != current or run.new_version == current:
        why = f"version {current} is in service, and the run was asked for under {asked_for}"
        store.promotions.add(replace(promotion, state=PromotionState.SUPERSEDED, decided_at=now, reason=why))
    else:
        _come(store, model, promotion, now)


def _come(store: Store, model: ModelSection, promotion: Promotion, now: datetime) -> None:
    """A version has come: it is taken, or people are asked."""
    if not needs_person(model):
        store.promotions.add(replace(promotion, state=PromotionState.TAKEN))
        return
    waiting = store.promotions.add(replace(promotion, state=PromotionState.WAITING))
    words = [f'`driftd {word} --promotion --model {model.name} --reason "…"`' for word in ("approve", "reject")]
    store.messages.add(_message(
        waiting, "promotion", f"version {waiting.version} awaits approval", now,
        f"It would replace {waiting.replaces or 'the version in service'}. "
        f"{words[0]} puts it in its place, {words[1]} does not.",
    ))


def await_person(store: Store, model: ModelSection, version: str, origin: str, now: datetime) -> None:
    """Ask people whether a version may replace the one in service."""
    _come(store, model, Promotion(
        model=model.name, version=version, replaces=in_service(store, model), configured=model.version, origin=origin,
        state=PromotionState.WAITING, at=now,
    ), now)


def saw_shadow(store: Store, model: ModelSection, version: str | None, now: datetime) -> bool:
    """The registry's alias of the candidate in shadow names this version; True where it named another one."""
    with store.transaction():
        last = store.aliases.seen(model.name)
        store.aliases.note_seen(replace(last, shadow=version, read_at=now))
        return version != last.shadow


def move_alias(
    store: Store, model: ModelSection, to: str, by: str, reason: str, now: datetime, action: str
) -> AliasMove:
    """Write the wish that the alias names another version; audited. Raises UsageError where that cannot be now."""
    current = store.aliases.seen(model.name).version or in_service(store, model)
    return _move(store, model, current, to, by, reason, now, action)


def saw_alias(store: Store, model: ModelSection, version: str, now: datetime) -> bool:
    """The registry's alias names this version: if another one was in service, it has come; True where it has."""
    with store.transaction():
        last, current = store.aliases.seen(model.name), in_service(store, model)
        before = store.promotions.all(model.name)
        store.aliases.note_seen(replace(last, version=version, read_at=now, down_since=None, reason=None))
        if version == current:
            waiting = store.promotions.waiting(model.name)
            if waiting is not None and waiting.origin == REGISTRY:
                store.promotions.drop_waiting(model.name, f"the alias names {version} again", now)
            return False
        newest = next((promotion for promotion in reversed(before) if promotion.origin == REGISTRY), None)
        known = newest is not None and newest.version == version == last.version
        if known and newest is not None and newest.state in (PromotionState.WAITING, PromotionState.REJECTED):
            return False
        promotion = Promotion(
            model=model.name, version=version, replaces=current, configured=model.version, origin=REGISTRY,
            state=PromotionState.TAKEN, at=now, **_run_of(store, model.name, version),
        )
        if current is None or store.references.current(model.name) is None:
            store.promotions.add(promotion)       # in service when driftd came: nobody is asked
        else:
            _come(store, model, promotion, now)
        return True


def _run_of(store: Store, model: str, version: str) -> Json:
    """What is known of the run that made a version."""
    runs = [request for request in store.requests.with_new_version(model) if request.new_version == version]
    seen = {promotion.dispatch_id for promotion in store.promotions.all(model)}
    if not runs:
        return {}
    free = None if runs[-1].id in seen else runs[-1].id
    return {"dispatch_id": free, "reference": runs[-1].new_reference, "asked_by": _asker(store, runs[-1])}


def approve_promotion(store: Store, model: ModelSection, by: str, reason: str, now: datetime) -> AliasMove | None:
    """Take the version that waits, or move the registry's alias to it (returned); audited.

    Raises UsageError where none waits, where `by` asked for the retrain, or where another version came into service.
    """
    with store.transaction():
        waiting = _waiting(store, model)
        if waiting.asked_by == by:
            raise UsageError(f"{by} asked for this retrain; expected somebody else to approve what came of it (--by)")
        current = in_service(store, model)
        if current != waiting.replaces:
            raise UsageError(
                f"{model.name}: version {waiting.version} was to replace {waiting.replaces}, but {current} is in "
                "service now; reject it"
            )
        move = None
        alias = store.aliases.seen(model.name).version
        if model.registry is not None and alias != waiting.version:
            move = _move(store, model, alias or current, waiting.version, by, reason, now, "approve promotion")
        taken = replace(waiting, state=PromotionState.TAKEN, decided_at=now, decided_by=by, reason=reason)
        if move is not None:                     # … once the alias has moved
            taken = replace(taken, state=PromotionState.SUPERSEDED)
        store.promotions.settle(taken, now)
        return move


def reject_promotion(store: Store, model: ModelSection, by: str, reason: str, now: datetime) -> Promotion:
    """Turn down the version that waits; audited. Raises UsageError where none waits."""
    with store.transaction():
        waiting = _waiting(store, model)
        rejected = replace(waiting, state=PromotionState.REJECTED, decided_at=now, decided_by=by, reason=reason)
        store.promotions.settle(rejected, now)
        return rejected


def rollback(store: Store, model: ModelSection, to: str, by: str, reason: str, now: datetime) -> AliasMove:
    """Write the wish that the alias names an earlier version again; audited.

    Raises UsageError without a registry, saying what to do, or where the version is in service already.
    """
    current = in_service(store, model)
    if model.registry is None:
        raise UsageError(
            f"{model.name} has no [models.{model.name}.registry] whose alias could be moved: put version {to} back "
            f'into service, then write version = "{to}" into [models.{model.name}]'
        )
    with store.transaction():
        alias = store.aliases.seen(model.name).version or current
        if alias == to:
            raise UsageError(f"{model.name}: {model.registry.alias} names version {to} already")
        return _move(store, model, alias, to, by, reason, now, "rollback")


def moved(store: Store, model: ModelSection, move: AliasMove, now: datetime) -> None:
    """The alias was moved on a person's word, which nobody is asked for again: the version is in service."""
    current, last = in_service(store, model), store.aliases.seen(model.name)
    store.aliases.note_seen(replace(last, version=move.to_version, read_at=now, down_since=None, reason=None))
    if current == move.to_version:
        return
    asked = [promotion for promotion in store.promotions.all(model.name) if promotion.version == move.to_version]
    back = any(promotion.state is PromotionState.TAKEN for promotion in asked) or move.to_version == model.version
    run = _run_of(store, model.name, move.to_version) | {"dispatch_id": None}
    store.promotions.add(Promotion(**{
        "model": model.name, "version": move.to_version, "replaces": current, "configured": model.version,
        "origin": "rollback" if back else REGISTRY, "state": PromotionState.TAKEN, "at": now,
        "decided_at": move.created_at, "decided_by": move.by_whom, "reason": move.reason, **run,
    }))


def needs_person(model: ModelSection) -> bool:
    return model.retrain is not None and model.retrain.approval.promotion == "person"


def asked_under(run: Dispatch) -> str | None:
    """The version in service when a run was asked for."""
    version = json.loads(run.body)["data"]["model_version"]
    return None if version is None else str(version)


def _move(
    store: Store, model: ModelSection, current: str | None, to: str, by: str, reason: str, now: datetime, action: str
) -> AliasMove:
    if current is None:
        raise UsageError(f"{model.name}: the registry has not said yet which version is in service; try again shortly")
    move = AliasMove(
        id=AliasMove.new_id(model.name, current, to, now), model=model.name, from_version=current, to_version=to,
        by_whom=by, reason=reason, state=MoveState.PENDING, created_at=now,
    )
    store.aliases.add_move(move, action)
    return move


def _waiting(store: Store, model: ModelSection) -> Promotion:
    waiting = store.promotions.waiting(model.name)
    if waiting is None:
        raise UsageError(f"{model.name}: no version awaits approval")
    return waiting


def _asker(store: Store, run: Dispatch) -> str | None:
    """The person who asked for a run, where one did."""
    episode = store.episodes.get(run.episode_id)
    if episode is not None and episode.approval is not None and episode.approval.asked_by is not None:
        return episode.approval.asked_by
    hands = ("retrain", "retry --new-attempt")
    said = [entry.actor for entry in store.audit.about(run.model) if entry.subject == run.id and entry.action in hands]
    return said[-1] if said else None


def _message(promotion: Promotion, kind: str, headline: str, now: datetime, body: str) -> Message:
    key = "\x1f".join((promotion.model, str(promotion.seq), kind, promotion.version))
    return Message(
        id=hashlib.sha256(key.encode()).hexdigest()[:40], model=promotion.model, kind=kind,
        title=f"{promotion.model}: {headline}", body=body, created_at=now, next_try_at=now,
    )
