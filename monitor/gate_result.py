"""What the gate said of a run's candidate: its answer and its table, as `driftd gate` prints it, a run reports it and
the store keeps it."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import StrEnum
from typing import Annotated, Any, Literal

from pydantic import Field, TypeAdapter, ValidationError

from monitor.escape import bounded, json_text
from monitor.records import ScoreStatus

MOST = 40               # parts that are kept; a report has to fit into 16 kB
FEW = 10                # reasons that are kept: each is one of a part
LONGEST = 600           # characters of a text
Text = Annotated[str, Field(max_length=LONGEST)]
Number = Annotated[float, Field(allow_inf_nan=False)]
Count = Annotated[int, Field(ge=0)]


class Outcome(StrEnum):
    PASSED = "passed"
    REFUSED = "refused"
    UNJUDGED = "unjudged"            # too little to say


class ShadowState(StrEnum):
    UNDECIDED = "undecided"
    PROMOTED = "promoted"            # shown to be what the gate asks for
    REFUSED = "refused"              # shown to be worse
    SUPERSEDED = "superseded"        # another candidate or champion came first


@dataclass(frozen=True, slots=True, kw_only=True)
class GatePart:
    """One row of the table. `low` and `high` are 95 % bounds: of the improvement, or of a limited number itself."""

    kind: Literal["performance", "limit", "contract"]
    part: Text                           # overall, a segment, a group, a column or the table
    limited: Text | None = None          # the metric that has a limit
    rows: Count | None = None
    champion: Number | None = None
    candidate: Number | None = None
    better_by: Number | None = None
    low: Number | None = None
    high: Number | None = None
    limit: Number | None = None          # the margin, −delta, or the limit
    status: ScoreStatus = ScoreStatus.OK
    reason: Text | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class GateResult:
    outcome: Outcome
    metric: Text                         # the one that decides
    rows: Count
    labelled: Count
    reasons: Annotated[tuple[Text, ...], Field(max_length=FEW)]     # what refuses, or keeps it from being judged
    parts: Annotated[tuple[GatePart, ...], Field(max_length=MOST)]
    left_out: Count = 0                  # parts that were too many

    @property
    def sentence(self) -> str:
        """The answer in one line."""
        words = {Outcome.PASSED: "passed", Outcome.REFUSED: "refused", Outcome.UNJUDGED: "could not be judged"}
        whole = next((one.reason for one in self.parts if one.part == "overall" and one.reason), None)
        why = "; ".join(self.reasons) or (f"{self.metric} is {whole}" if whole else "")
        return f"{words[self.outcome]}: {why}" if why else words[self.outcome]

    @property
    def performance(self) -> tuple[GatePart, ...]:
        return self._of("performance")

    @property
    def limits(self) -> tuple[GatePart, ...]:
        return self._of("limit")

    @property
    def contract(self) -> tuple[GatePart, ...]:
        return self._of("contract")

    def _of(self, kind: str) -> tuple[GatePart, ...]:
        return tuple(one for one in self.parts if one.kind == kind)

    def as_text(self) -> str:
        """The JSON of a report: as much as fits, what refuses first; what is None is left out."""
        ordered = sorted(self.parts, key=lambda one: (one.part != "overall", one.status is not ScoreStatus.BREACHED))
        kept = set(ordered[:MOST])
        short = replace(
            self, parts=tuple(one for one in self.parts if one in kept), left_out=len(self.parts) - len(kept),
            reasons=self.reasons[:FEW],
        )
        return json_text(bounded(_ADAPTER.dump_python(short, mode="json", exclude_none=True), LONGEST))


@dataclass(frozen=True, slots=True, kw_only=True)
class ShadowAnswer:
    """What one look at a candidate in shadow says of it, in words; `days_left` until it will probably be decided."""

    state: ShadowState
    reason: str
    days_left: float | None = None
    result: GateResult | None = None     # None while there is nothing to judge


_ADAPTER = TypeAdapter(GateResult)


def read_gate_result(told: Mapping[str, Any]) -> GateResult:
    """The result in the JSON of a report. Raises ValueError with what is wrong in words."""
    try:
        return _ADAPTER.validate_json(json_text(told), strict=True)
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, ("gate", *first["loc"])))
        raise ValueError(f"{where}: {first['msg']}; expected what `driftd gate --report F` has written") from None
