"""Candidates that serve in shadow, and what was found of each."""

import math
from dataclasses import dataclass, replace
from datetime import datetime

from monitor.gate_result import GateResult, ShadowAnswer, ShadowState, read_gate_result
from monitor.records import Json, to_json
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import Database
from monitor.store.rows import record_of, row_of
from monitor.untrusted import parse_json
from monitor.wording import several


@dataclass(frozen=True, slots=True, kw_only=True)
class Shadow:
    """A candidate beside a champion. `looked_at`: the newest look; once it is decided, when that was."""

    model: str
    version: str
    champion: str | None
    since: datetime                      # rows from here on are judged
    began_at: datetime
    state: ShadowState = ShadowState.UNDECIDED
    reason: str = "it has not been looked at yet"
    looked_at: datetime | None = None
    days_left: float | None = None       # until it will probably be decided, at the present rate of labels
    seq: int = 0                         # 1, 2, …, given by the store
    result: GateResult | None = None     # None while there is nothing to judge

    @property
    def sentence(self) -> str:
        """How it stands, in one line."""
        left = self.days_left
        soon = "" if left is None else f"; about {several(math.ceil(left), 'day')} left at the present rate of labels"
        where = f"version {self.version} in shadow is {self.state}"
        return f"{where}: {self.reason}{soon}"

    def to_json(self) -> Json:
        told: Json = to_json(self)
        return {name: told[name] for name in told if name not in ("model", "seq")}


class Shadows:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def newest(self, model: str) -> Shadow | None:
        """The candidate that came last."""
        row = self._db.one("SELECT * FROM shadows WHERE model = ? ORDER BY seq DESC LIMIT 1", model)
        if row is None:
            return None
        told = row["result"]
        return record_of(Shadow, row, result=None if told is None else read_gate_result(parse_json(told)))

    def begin(self, shadow: Shadow) -> Shadow:
        """Write a candidate that has come; an undecided one before it gives way. Audited."""
        with self._db.transaction():
            last = self.newest(shadow.model)
            if last is not None and last.state is ShadowState.UNDECIDED:
                why = f"version {shadow.version} beside {shadow.champion or 'the version in service'} came"
                self.record(last, ShadowAnswer(
                    state=ShadowState.SUPERSEDED, reason=why, result=last.result,
                ), shadow.began_at)
            begun = replace(shadow, seq=last.seq + 1 if last else 1)
            self._db.insert("shadows", row_of(begun))
            self._note(begun, "shadow begun", shadow.began_at)
            return begun

    def record(self, shadow: Shadow, answer: ShadowAnswer, at: datetime) -> Shadow:
        """Write what a look found; audited once it is decided."""
        after = replace(
            shadow, state=answer.state, reason=answer.reason, days_left=answer.days_left, result=answer.result,
            looked_at=at,
        )
        row = row_of(after) | {"result": answer.result.as_text() if answer.result else None}
        names = ("state", "reason", "days_left", "looked_at", "result")
        with self._db.transaction():
            self._db.run(
                f"UPDATE shadows SET {', '.join(f'{name} = ?' for name in names)} WHERE model = ? AND seq = ?",
                *(row[name] for name in names), shadow.model, shadow.seq,
            )
            if answer.state is not ShadowState.UNDECIDED:
                self._note(after, f"shadow {answer.state}", at)
        return after

    def _note(self, shadow: Shadow, action: str, at: datetime) -> None:
        told = {"version": shadow.version, "champion": shadow.champion, "reason": shadow.reason}
        self._audit.note(at, DRIFTD, action, shadow.model, details=told)
