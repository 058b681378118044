"""Scores as JUnit XML for a CI server and as Markdown for a pull request."""

from collections.abc import Callable, Sequence
from xml.etree import ElementTree

from monitor import escape
from monitor.cli.terminal import number
from monitor.records import Score, ScoreStatus

TABLE = "(table)"
_OUTCOMES = {
    "failure": (ScoreStatus.DRIFTED, ScoreStatus.BREACHED),
    "error": (ScoreStatus.FAILED,),
    "skipped": (ScoreStatus.INSUFFICIENT,),
}


def column_of(score: Score) -> str:
    return score.column or TABLE


def junit(scores: Sequence[Score], command: str = "compare", name: Callable[[Score], str] = column_of) -> str:
    """Return JUnit XML with a test case for each `name`: drifted or breached scores are failures, failed scores are
    errors, insufficient ones are skipped."""
    groups: dict[str, list[Score]] = {}
    for score in scores:
        groups.setdefault(name(score), []).append(score)
    cases = [_case(command, case, group) for case, group in groups.items()]
    counts = {kind: str(sum(case.find(kind) is not None for case in cases)) for kind in _OUTCOMES}
    suite = ElementTree.Element(
        "testsuite", name=f"driftd {command}", tests=str(len(cases)), failures=counts["failure"],
        errors=counts["error"], skipped=counts["skipped"],
    )
    suite.extend(cases)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(command: str, name: str, scores: Sequence[Score]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname=f"driftd.{command}", name=escape.sentence(name))
    for kind, statuses in _OUTCOMES.items():
        if found := [sentence(score) for score in scores if score.status in statuses]:
            ElementTree.SubElement(case, kind, message=escape.sentence("; ".join(found)))
            break
    return case


def markdown(breaks: Sequence[Score], drift: Sequence[Score], summary: str) -> str:
    """Return a comment for a pull request: the answer, what broke, one line for each column."""
    lines = [f"**driftd compare**: {escape.markdown(summary)}", "", *contract_lines(breaks)]
    rows = [
        (_name(score.column), score.method or "", number(score.value), number(score.threshold), _bold(score))
        for score in drift
    ]
    lines += table_lines(("column", "method", "value", "threshold", "status"), rows, ("value", "threshold"))
    return "\n".join(lines) + "\n"


def contract_lines(breaks: Sequence[Score]) -> list[str]:
    """Return one line for each breach of the data contract, followed by an empty line."""
    lines = [f"- contract: {_name(score.column)}: {escape.markdown(sentence(score))}" for score in breaks]
    return [*lines, *[""] * bool(breaks)]


def table_lines(headings: Sequence[str], rows: Sequence[Sequence[str]], right: Sequence[str]) -> list[str]:
    """Return a Markdown table; cells are Markdown already, columns named in `right` hold numbers."""
    rule = "|".join("---:" if heading in right else "---" for heading in headings)
    return [f"| {' | '.join(headings)} |", f"|{rule}|", *(f"| {' | '.join(row)} |" for row in rows)]


def _bold(score: Score) -> str:
    return f"**{score.status}**" if score.status == ScoreStatus.DRIFTED else str(score.status)


def _name(column: str | None) -> str:
    return escape.markdown_name(column) if column else TABLE


def sentence(score: Score) -> str:
    """Return a score as a sentence: its reason, or its value and threshold."""
    if score.reason and score.status != ScoreStatus.DRIFTED:
        return score.reason
    return f"{score.method or score.metric} {number(score.value)}, threshold {number(score.threshold)}"
