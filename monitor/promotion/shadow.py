"""A candidate in shadow: which one it is, and what follows once it is shown to be better, or worse.

Each pair of candidate and champion is one row of the store, decided once. Its outcome and what follows from it, a move
of the alias or a version that waits for a person, are written in one transaction.
"""

import hashlib
from datetime import datetime, timedelta

from monitor.config.sections import ModelSection
from monitor.errors import UsageError
from monitor.gate_result import ShadowAnswer, ShadowState
from monitor.promotion.versions import await_person, in_service, move_alias, needs_person
from monitor.records import Message, Reference
from monitor.store import Store
from monitor.store.aliases import UNDER_WAY
from monitor.store.audit import DRIFTD
from monitor.store.shadows import Shadow

LOOK_AGAIN = timedelta(days=1)       # at the latest, although no window was measured


def shadow_in(store: Store, model: ModelSection, reference: Reference, now: datetime) -> Shadow | None:
    """The candidate that is to be judged now, begun if it is new; None where there is none, or it is decided.

    Raises UsageError where the candidate is the version in service.
    """
    section = model.promotion.shadow
    version = _candidate(store, model)
    if section is None or version is None or store.aliases.moves(model.name, UNDER_WAY):
        return None
    champion, known = in_service(store, model), store.shadows.newest(model.name)
    if known is not None and known.version == version and known.state in (ShadowState.PROMOTED, ShadowState.REFUSED):
        return None
    if version == champion:
        raise UsageError(f"promotion.shadow: version {version} is in service already, expected another one")
    since = max(section.since or now, reference.since)
    if known is None or (known.version, known.champion) != (version, champion):
        return store.shadows.begin(Shadow(
            model=model.name, version=version, champion=champion, since=since, began_at=now,
        ))
    return known


def _candidate(store: Store, model: ModelSection) -> str | None:
    section = model.promotion.shadow
    if section is None:
        return None
    return store.aliases.seen(model.name).shadow if section.alias is not None else section.version


def is_due(shadow: Shadow, now: datetime, *, measured: bool) -> bool:
    """Whether to look now: when a window was measured, which labels that come lead to, and once a day."""
    return measured or shadow.looked_at is None or now - shadow.looked_at >= LOOK_AGAIN


def note_answer(store: Store, model: ModelSection, shadow: Shadow, answer: ShadowAnswer, now: datetime) -> None:
    """Write what a look found; where that decides, what follows, and tell people, once."""
    with store.transaction():
        after = store.shadows.record(shadow, answer, now)
        if after.state is ShadowState.UNDECIDED:
            return
        promoted = after.state is ShadowState.PROMOTED
        then = _promote(store, model, after, now) if promoted else "It does not come into service."
        told = "is shown to be better" if promoted else "is refused"
        key = "\x1f".join((model.name, str(after.seq), after.state, after.version))
        store.messages.add(Message(
            id=hashlib.sha256(key.encode()).hexdigest()[:40], model=model.name, kind="shadow", created_at=now,
            title=f"{model.name}: version {after.version}, in shadow, {told}", next_try_at=now,
            body=f"{after.reason}, beside {_version(after.champion)} on the same rows. {then}",
        ))


def _promote(store: Store, model: ModelSection, shadow: Shadow, now: datetime) -> str:
    """Let the candidate come into service as any version does; what happens then, in words."""
    if needs_person(model):
        await_person(store, model, shadow.version, "shadow", now)
        return "It awaits approval."
    if model.registry is None:
        return f'Put it into service, then write version = "{shadow.version}" into [models.{model.name}].'
    if model.mode == "observe":
        words = f'`driftd rollback --model {model.name} --to {shadow.version} --reason "…"`'
        return f'The alias {model.registry.alias} stays, for mode is "observe"; {words} moves it.'
    move_alias(store, model, shadow.version, DRIFTD, f"in shadow {shadow.reason}", now, "promote shadow")
    return f"The alias {model.registry.alias} is moved to it."


def _version(champion: str | None) -> str:
    return f"version {champion}" if champion else "the version in service"
