"""The versions that came into service, or wait for a person's word."""

from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import datetime
from typing import Any

from monitor.errors import UsageError
from monitor.records import Promotion, PromotionState, Recovery, Reference
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import Database, stamp
from monitor.store.requests import Requests
from monitor.store.rows import records_of, row_of


class Promotions:
    def __init__(self, database: Database, audit: Audit, requests: Requests) -> None:
        self._db = database
        self._audit = audit
        self._requests = requests

    def all(self, model: str) -> list[Promotion]:
        """All of a model, in the order they came."""
        found = self._db.all("SELECT * FROM promotions WHERE model = ? ORDER BY seq", model)
        return records_of(Promotion, found)

    def waiting(self, model: str) -> Promotion | None:
        """The version that waits for a person's word."""
        return next((promotion for promotion in self.all(model) if promotion.state is PromotionState.WAITING), None)

    def newest_taken(self, model: str) -> Promotion | None:
        """The version that came into service last."""
        taken = [promotion for promotion in self.all(model) if promotion.state is PromotionState.TAKEN]
        return taken[-1] if taken else None

    def add(self, promotion: Promotion) -> Promotion:
        """Write one that has come; the one that waited gives way. Audited."""
        with self._db.transaction():
            last = self.all(promotion.model)
            numbered = replace(promotion, seq=len(last) + 1)
            if promotion.state in (PromotionState.WAITING, PromotionState.TAKEN):
                self.drop_waiting(promotion.model, f"version {promotion.version} came", promotion.at)
            self._db.insert("promotions", row_of(numbered))
            self._audit_promotion(numbered, promotion.at, promotion.decided_by)
            return numbered

    def drop_waiting(self, model: str, reason: str, at: datetime) -> None:
        """The version that waits, if any, is not asked about any more."""
        waiting = self.waiting(model)
        if waiting is not None:
            self.settle(replace(
                waiting, state=PromotionState.SUPERSEDED, decided_at=at, reason=reason,
            ), at)

    def settle(self, promotion: Promotion, at: datetime) -> None:
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

    def come_into_service(
        self, ref: Reference, before: Reference | None, needs: Collection[str], configured: str | None, at: datetime
    ) -> None:
        """Join a new reference to the version it came with, and to the need that version answers."""
        newest = self.newest_taken(ref.model)
        if newest is None or newest.version != ref.model_version or newest.reference_id is not None:
            if before is None or before.model_version == ref.model_version or ref.model_version is None:
                return
            newest = self.add(Promotion(
                model=ref.model, version=ref.model_version, replaces=before.model_version, configured=configured,
                origin="configuration", state=PromotionState.TAKEN, at=at,
            ))
        asked = newest.origin != "rollback" or newest.decided_by == DRIFTD      # else a person went back
        need = self._requests.answered_need(before) if before and asked else None
        recovery = Recovery.AWAITED if need in needs else None
        self._db.run(
            "UPDATE promotions SET reference_id = ?, need = ?, recovery = ? WHERE model = ? AND seq = ?",
            ref.id, need, recovery, ref.model, newest.seq,
        )

    def _audit_promotion(self, promotion: Promotion, at: datetime, by: str | None) -> None:
        told = {
            "version": promotion.version, "replaces": promotion.replaces, "origin": promotion.origin,
            "request": promotion.dispatch_id, "reason": promotion.reason if by else None,
        }
        details: Mapping[str, Any] = {name: value for name, value in told.items() if value is not None}
        self._audit.note(at, by or DRIFTD, f"promotion {promotion.state}", promotion.model, details=details)
