"""Versions in service or waiting to be, what the registry said and is asked, and the callbacks that were taken."""

from collections.abc import Collection, Mapping
from dataclasses import fields, replace
from datetime import datetime
from typing import Any

from monitor.errors import UsageError
from monitor.records import AliasMove, AliasSeen, MoveState, Promotion, PromotionState, Recovery, Reference, from_json
from monitor.store.chain import DRIFTD, Chain
from monitor.store.database import stamp

UNDER_WAY = (MoveState.PENDING, MoveState.SENDING)


class Promotions(Chain):
    def promotions(self, model: str) -> list[Promotion]:
        """All of a model, in the order they came."""
        found = self._db.all("SELECT * FROM promotions WHERE model = ? ORDER BY seq", model)
        return [from_json(Promotion, dict(row)) for row in found]

    def waiting_promotion(self, model: str) -> Promotion | None:
        """The version that waits for a person's word."""
        return next((one for one in self.promotions(model) if one.state is PromotionState.WAITING), None)

    def newest_taken(self, model: str) -> Promotion | None:
        """The version that came into service last."""
        taken = [one for one in self.promotions(model) if one.state is PromotionState.TAKEN]
        return taken[-1] if taken else None

    def add_promotion(self, promotion: Promotion) -> Promotion:
        """Write one that has come; the one that waited gives way. Audited."""
        with self._db.transaction():
            last = self.promotions(promotion.model)
            numbered = replace(promotion, seq=len(last) + 1)
            if promotion.state in (PromotionState.WAITING, PromotionState.TAKEN):
                self.drop_waiting(promotion.model, f"version {promotion.version} came", promotion.at)
            self._db.insert("promotions", _row(numbered))
            self._audit_promotion(numbered, promotion.at, promotion.decided_by)
            return numbered

    def drop_waiting(self, model: str, reason: str, at: datetime) -> None:
        """The version that waits, if any, is not asked about any more."""
        waiting = self.waiting_promotion(model)
        if waiting is not None:
            self.settle_promotion(replace(
                waiting, state=PromotionState.SUPERSEDED, decided_at=at, reason=reason,
            ), at)

    def settle_promotion(self, promotion: Promotion, at: datetime) -> None:
        """Write the answer to one that waits. Raises UsageError when another answer came first."""
        with self._db.transaction():
            changed = self._db.run(
                """UPDATE promotions SET state = ?, decided_at = ?, decided_by = ?, reason = ?
                   WHERE model = ? AND seq = ? AND state = 'waiting'""",
                promotion.state, stamp(promotion.decided_at), promotion.decided_by, promotion.reason,
                promotion.model, promotion.seq,
            )
            if not changed:
                raise UsageError(f"{promotion.model}: version {promotion.version} does not wait any more")
            self._audit_promotion(promotion, at, promotion.decided_by)

    def note_recovery(self, promotion: Promotion) -> None:
        """Write whether the need went away with this version."""
        self._db.run(
            "UPDATE promotions SET recovery = ?, recovery_at = ?, recovery_reason = ? WHERE model = ? AND seq = ?",
            promotion.recovery, stamp(promotion.recovery_at), promotion.recovery_reason, promotion.model, promotion.seq,
        )

    def alias_seen(self, model: str) -> AliasSeen:
        """What the registry said when it was last asked."""
        row = self._db.one("SELECT * FROM registries WHERE model = ?", model)
        return AliasSeen(model=model) if row is None else from_json(AliasSeen, dict(row))

    def note_alias(self, seen: AliasSeen) -> None:
        with self._db.transaction():
            self._db.run("DELETE FROM registries WHERE model = ?", seen.model)
            self._db.insert("registries", _row(seen))

    def add_move(self, move: AliasMove, action: str) -> None:
        """Write a wish to move the alias, before anything is sent; audited. Raises UsageError beside another one."""
        with self._db.transaction():
            other = self.moves(move.model, UNDER_WAY)
            if other:
                raise UsageError(
                    f"{move.model}: the alias is being moved to {other[0].to_version} already "
                    f"({other[0].answer or other[0].state})"
                )
            self._db.insert("alias_moves", _row(move))
            self.audit(move.created_at, move.by_whom, action, move.model, move.reason,
                       {"from": move.from_version, "to": move.to_version})

    def moves(self, model: str | None = None, states: Collection[MoveState] = tuple(MoveState)) -> list[AliasMove]:
        """Wishes to move an alias, oldest first."""
        found = self._db.all(
            "SELECT * FROM alias_moves WHERE model = COALESCE(?, model) ORDER BY created_at, id", model
        )
        return [one for row in found if (one := from_json(AliasMove, dict(row))).state in states]

    def due_moves(self, now: datetime) -> list[AliasMove]:
        """Moves that are to be sent, or looked for, now; what was being sent when the last daemon ended too."""
        return [one for one in self.moves(states=UNDER_WAY) if one.next_try_at is None or one.next_try_at <= now]

    def record_move(self, move: AliasMove, was: AliasMove, at: datetime) -> bool:
        """Write what became of a move; False, and nothing written, when somebody else did first. Audited."""
        with self._db.transaction():
            changed = self._db.run(
                """UPDATE alias_moves SET state = ?, tries = ?, next_try_at = ?, answer = ?
                   WHERE id = ? AND state = ? AND tries = ?""",
                move.state, move.tries, stamp(move.next_try_at), move.answer, move.id, was.state, was.tries,
            )
            if changed and move.state != was.state:
                self.audit(at, DRIFTD, f"alias move {move.state}", move.model, details={
                    "id": move.id, "from": move.from_version, "to": move.to_version,
                })
            return changed == 1

    def take_callback(self, id: str, signed_at: str, at: datetime, forget: datetime) -> bool:
        """Note a message that was signed; False when it was here before. Those from before `forget` are dropped."""
        with self._db.transaction():
            self._db.run("DELETE FROM callbacks WHERE at < ?", stamp(forget))
            row = {"id": id, "stamp": signed_at, "at": stamp(at)}
            return self._db.insert("callbacks", row, "ON CONFLICT DO NOTHING") == 1

    def _come_into_service(
        self, ref: Reference, before: Reference | None, needs: Collection[str], configured: str | None, at: datetime
    ) -> None:
        """Join a new reference to the version it came with, and to the need that version answers."""
        newest = self.newest_taken(ref.model)
        if newest is None or newest.version != ref.model_version or newest.reference_id is not None:
            if before is None or before.model_version == ref.model_version or ref.model_version is None:
                return
            newest = self.add_promotion(Promotion(
                model=ref.model, version=ref.model_version, replaces=before.model_version, configured=configured,
                origin="configuration", state=PromotionState.TAKEN, at=at,
            ))
        need = self._answered_need(before, newest) if before else None
        recovery = Recovery.AWAITED if need in needs else None
        self._db.run(
            "UPDATE promotions SET reference_id = ?, need = ?, recovery = ? WHERE model = ? AND seq = ?",
            ref.id, need, recovery, ref.model, newest.seq,
        )

    def _answered_need(self, before: Reference, promotion: Promotion) -> str | None:
        """The trigger whose accepted request this version answers: the newest one against the old reference."""
        if promotion.origin == "rollback":
            return None
        row = self._db.one(
            """SELECT e.trigger_name FROM dispatches d JOIN episodes e ON e.id = d.episode_id
               WHERE e.model = ? AND e.reference_id = ? AND d.accepted_at IS NOT NULL
               ORDER BY d.accepted_at DESC LIMIT 1""",
            before.model, before.id,
        )
        return None if row is None else str(row["trigger_name"])

    def _audit_promotion(self, promotion: Promotion, at: datetime, by: str | None) -> None:
        told = {
            "version": promotion.version, "replaces": promotion.replaces, "origin": promotion.origin,
            "request": promotion.dispatch_id, "reason": promotion.reason if by else None,
        }
        details: Mapping[str, Any] = {name: value for name, value in told.items() if value is not None}
        self.audit(at, by or DRIFTD, f"promotion {promotion.state}", promotion.model, details=details)


def _row(record: Promotion | AliasSeen | AliasMove) -> dict[str, Any]:
    found = {one.name: getattr(record, one.name) for one in fields(record)}
    return {name: stamp(value) if isinstance(value, datetime) else value for name, value in found.items()}
