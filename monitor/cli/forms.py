"""A comparison in the forms that other tools read: JUnit for a CI server, Markdown for a pull request."""

from collections.abc import Sequence
from xml.etree import ElementTree

from monitor.cli.show import number
from monitor.records import Score, ScoreStatus

TABLE = "(table)"
_OUTCOMES = {
    "failure": (ScoreStatus.DRIFTED, ScoreStatus.BREACHED),
    "error": (ScoreStatus.FAILED,),
    "skipped": (ScoreStatus.INSUFFICIENT,),
}


def junit(scores: Sequence[Score]) -> str:
    """One test case a column: drifted or broken is a failure, failed an error, too little skipped."""
    columns: dict[str, list[Score]] = {}
    for score in scores:
        columns.setdefault(score.column or TABLE, []).append(score)
    cases = [_case(column, group) for column, group in columns.items()]
    counts = {kind: str(sum(case.find(kind) is not None for case in cases)) for kind in _OUTCOMES}
    suite = ElementTree.Element(
        "testsuite", name="driftd compare", tests=str(len(cases)), failures=counts["failure"],
        errors=counts["error"], skipped=counts["skipped"],
    )
    suite.extend(cases)
    root = ElementTree.Element("testsuites")
    root.append(suite)
    ElementTree.indent(root)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(root, encoding="unicode") + "\n"


def _case(column: str, scores: Sequence[Score]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname="driftd.compare", name=_printable(column))
    for kind, statuses in _OUTCOMES.items():
        if found := [sentence(score) for score in scores if score.status in statuses]:
            ElementTree.SubElement(case, kind, message=_printable("; ".join(found)))
            break
    return case


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def markdown(breaks: Sequence[Score], drift: Sequence[Score], summary: str) -> str:
    """A comment for a pull request: the answer, what broke, one line per column."""
    lines = [f"**driftd compare**: {_cell(summary)}", ""]
    lines += [f"- contract: {_name(score.column)}: {_cell(sentence(score))}" for score in breaks]
    lines += [""] * bool(breaks)
    lines += ["| column | method | value | threshold | status |", "|---|---|---:|---:|---|"]
    for score in drift:
        status = f"**{score.status}**" if score.status == ScoreStatus.DRIFTED else str(score.status)
        numbers = number(score.value), number(score.threshold)
        cells = (_name(score.column), score.method or "", *numbers, status)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def _name(column: str | None) -> str:
    """A column's name as code; its backticks would end the code."""
    return f"`{_cell(column.replace('`', chr(39)))}`" if column else TABLE


def _cell(text: str) -> str:
    return " ".join(text.split()).replace("|", "\\|")


def sentence(score: Score) -> str:
    """What one score says, in words."""
    if score.reason and score.status != ScoreStatus.DRIFTED:
        return score.reason
    return f"{score.method or score.metric} {number(score.value)}, threshold {number(score.threshold)}"
