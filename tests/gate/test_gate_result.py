"""What a run reports of its gate: read as it was written, as much of it as a report holds."""

import json
from dataclasses import replace
from typing import Any

import pytest

from monitor.gate_result import MOST, GatePart, GateResult, Outcome, read_gate_result
from monitor.records import ScoreStatus
from monitor.web.posts import BODY_LIMIT

GATE: dict[str, Any] = {
    "outcome": "refused", "metric": "rmse", "rows": 3000, "labelled": 2900,
    "reasons": ["rmse of b=2: shown to be worse"],
    "parts": [
        {"kind": "performance", "part": "overall", "rows": 2900, "champion": 50.0, "candidate": 40.5, "better_by": 9.5,
         "low": 8.25, "high": 11.0, "limit": 0.0, "status": "ok", "reason": "shown to be better: at least 8.25"},
        {"kind": "performance", "part": "b=2", "rows": 300, "champion": 40.0, "candidate": 52.0, "better_by": -12.0,
         "low": -15.0, "high": -9.0, "limit": 0.0, "status": "breached", "reason": "shown to be worse"},
        {"kind": "limit", "part": "sex=f", "limited": "mae_difference", "champion": 0.1, "candidate": 0.2, "limit": 0.3,
         "status": "ok"},
        {"kind": "contract", "part": "temp", "status": "breached", "reason": "the candidate has no such column"},
    ],
}


def test_a_result_is_read_as_it_was_written() -> None:
    """Numbers are exact, what is missing is none; the sentence says the answer and why."""
    read = read_gate_result(GATE)
    assert read_gate_result(json.loads(read.as_text())) == read
    assert read.sentence == "refused: rmse of b=2: shown to be worse"
    assert [len(group) for group in (read.performance, read.limits, read.contract)] == [2, 1, 1]
    passed = replace(read, outcome=Outcome.PASSED, reasons=())
    assert passed.sentence == "passed: rmse is shown to be better: at least 8.25"


def test_a_large_table_is_cut_to_what_a_report_holds() -> None:
    """The whole and what refuses stay, texts are shortened, and how much is left out is told."""
    many = [
        GatePart(kind="performance", part=f"place={at}" + "x" * 100, rows=at, better_by=1 / 3, low=-1 / 3, high=2 / 3,
                 status=ScoreStatus.BREACHED if at == 990 else ScoreStatus.OK, reason="so " * 12)
        for at in range(999)
    ]
    whole = GatePart(kind="performance", part="overall", reason="y" * 9000)
    result = GateResult(outcome=Outcome.REFUSED, metric="rmse", rows=1, labelled=1, reasons=("why",) * 999,
                        parts=(*many, whole))
    text = result.as_text()
    read = read_gate_result(json.loads(text))
    assert len(text) < BODY_LIMIT
    assert (len(read.parts), read.left_out) == (MOST, 1000 - MOST)
    assert {"overall", "place=990" + "x" * 100} <= {part.part for part in read.parts}


@pytest.mark.parametrize(("change", "said"), [
    ({"outcome": "fine"}, "gate.outcome"), ({"rows": -1}, "gate.rows"), ({"rows": "many"}, "gate.rows"),
    ({"parts": [{"kind": "performance"}]}, "gate.parts.0.part"), ({"parts": GATE["parts"] * 20}, "gate.parts"),
    ({"metric": "x" * 601}, "gate.metric"), ({"reasons": [1]}, "gate.reasons.0"),
    ({"parts": [GATE["parts"][0] | {"low": "0"}]}, "gate.parts.0.low"),
])
def test_what_is_no_result_is_told(change: dict[str, Any], said: str) -> None:
    """One sentence says where it is wrong, and what writes a right one."""
    with pytest.raises(ValueError, match=r"driftd gate --report F") as wrong:
        read_gate_result(GATE | change)
    assert str(wrong.value).startswith(f"{said}: ")
