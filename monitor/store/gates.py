"""What gates said of the candidates of runs."""

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime

from monitor.gate_result import GateResult, read_gate_result
from monitor.records import Dispatch, Json, to_json
from monitor.store.audit import DRIFTD, Audit
from monitor.store.database import AMONG, Database, listed, stamp, sure
from monitor.times import format_moment
from monitor.untrusted import parse_json


@dataclass(frozen=True, slots=True, kw_only=True)
class Gated:
    """When a request's run told of its gate, and what it told."""

    at: datetime
    result: GateResult

    def to_json(self) -> Json:
        return {"at": format_moment(self.at), **to_json(self.result)}


class Gates:
    def __init__(self, database: Database, audit: Audit) -> None:
        self._db = database
        self._audit = audit

    def record(self, request: Dispatch, result: GateResult, at: datetime) -> bool:
        """Keep the first result that is told of a request; False when there is another one. Audited."""
        with self._db.transaction():
            known = self.of([request.id]).get(request.id)
            if known is not None:
                return known.result == result
            row = {"dispatch_id": request.id, "at": stamp(at), "result": result.as_text()}
            self._db.insert("gates", row)
            told = {"model": request.model, "metric": result.metric, "rows": result.rows}
            self._audit.note(at, DRIFTD, f"gate {result.outcome}", request.id, details=told)
        return True

    def of(self, requests: Collection[str]) -> dict[str, Gated]:
        """By request, what is known."""
        found = self._db.all(f"SELECT * FROM gates WHERE dispatch_id IN {AMONG}", listed(requests))
        return {
            row["dispatch_id"]: Gated(at=sure(row["at"]), result=read_gate_result(parse_json(row["result"])))
            for row in found
        }
