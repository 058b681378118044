"""The table of a gate's result: on the terminal, and as Markdown for a pull request."""

from collections.abc import Sequence

from monitor.cli.junit_and_markdown import contract_lines, table_lines
from monitor.cli.terminal import number, print_table, say
from monitor.escape import markdown, markdown_name
from monitor.gate.trial import Judged
from monitor.gate_result import GatePart, GateResult
from monitor.records import ScoreStatus

_NUMBERS = ("rows", "champion", "candidate", "better by", "at least", "at most")
_WORDS = {ScoreStatus.BREACHED: "refused", ScoreStatus.INSUFFICIENT: "not judged", ScoreStatus.FAILED: "not judged"}
_PERFORMANCE = ("part", *_NUMBERS, "")
_LIMITS = ("limited", "group", "champion", "candidate", "limit", "")


def print_gate(found: GateResult) -> None:
    """Print the tables of a result: the whole and its segments, then what has limits."""
    rows = [(*cells, _word(part)) for part, cells in _performance_rows(found.performance)]
    print_table(_PERFORMANCE, rows, _NUMBERS)
    if found.limits:
        say()
        rows = [(*cells, _word(part)) for part, cells in _limit_rows(found.limits)]
        print_table(_LIMITS, rows, ("champion", "candidate", "limit"))


def as_markdown(judged: Judged) -> str:
    """Return a comment for a pull request: the answer, what broke, one line for each part."""
    found = judged.result
    broken = [score for score in judged.verdict.contract if score.status == ScoreStatus.BREACHED]
    lines = [f"**driftd gate**: {markdown(found.sentence)}", "", *contract_lines(broken)]
    lines += table_lines(_PERFORMANCE, [_marked(*row, 1) for row in _performance_rows(found.performance)], _NUMBERS)
    if found.limits:
        rows = [_marked(*row, 2) for row in _limit_rows(found.limits)]
        lines += ["", *table_lines(_LIMITS, rows, ("champion", "candidate", "limit"))]
    return "\n".join([*lines, "", *map(markdown, judged.notes)]).rstrip() + "\n"


def _performance_rows(parts: Sequence[GatePart]) -> list[tuple[GatePart, tuple[str, ...]]]:
    return [
        (part, (part.part, "" if part.rows is None else str(part.rows), number(part.champion), number(part.candidate),
                *map(_short, (part.better_by, part.low, part.high))))
        for part in parts
    ]


def _short(value: float | None) -> str:
    return "" if value is None else f"{value:.3g}"


def _limit_rows(parts: Sequence[GatePart]) -> list[tuple[GatePart, tuple[str, ...]]]:
    return [
        (part, (part.limited or "", part.part, *map(number, (part.champion, part.candidate, part.limit))))
        for part in parts
    ]


def _word(part: GatePart) -> str:
    """Return a part's status in a word or two; JSON, JUnit and Markdown hold the whole sentence."""
    unsure = "not shown" if part.candidate is not None and "not shown" in (part.reason or "") else ""
    return _WORDS.get(part.status, f"looks worse, {unsure}" if unsure else "")


def _marked(part: GatePart, cells: Sequence[str], names: int) -> tuple[str, ...]:
    """Return the cells as Markdown: names as code, the reason of a refusal in bold."""
    reason = markdown(part.reason or "")
    reason = f"**{reason}**" if part.status == ScoreStatus.BREACHED else reason
    return (*(markdown_name(name) if name else "" for name in cells[:names]), *cells[names:], reason)
