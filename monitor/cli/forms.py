"""A comparison in the forms that other tools read: JUnit for a CI server, Markdown for a pull request."""

from collections.abc import Sequence
from xml.etree import ElementTree

from monitor.cli.show import number
from monitor.records import Score, ScoreStatus

_BAD = (ScoreStatus.DRIFTED, ScoreStatus.BREACHED)


def excess(score: Score) -> float:
    """How far a drift score is past its threshold, as a factor: above 1 is past it, whichever side that is."""
    if score.value is None or score.threshold is None or score.value != score.value:
        return -1.0
    small = 1e-300   # a p-value can be 0, and a distance be compared with a threshold of 0
    if is_p_value(score):
        return max(score.threshold, small) / max(score.value, small)
    return score.value / max(score.threshold, small)


def is_p_value(score: Score) -> bool:
    """Whether low values mean drift."""
    return score.method in P_VALUES


def junit(scores: Sequence[Score]) -> str:
    """One test case per column; a drifted or broken one is a failure, one that failed an error."""
    columns = list(dict.fromkeys(score.column or "(table)" for score in scores))
    cases = [_case(column, [s for s in scores if (s.column or "(table)") == column]) for column in columns]
    suite = ElementTree.Element("testsuite", name="driftd compare", tests=str(len(cases)))
    for kind in ("failure", "error", "skipped"):
        plural = kind if kind == "skipped" else f"{kind}s"
        suite.set(plural, str(sum(case.find(kind) is not None for case in cases)))
    suite.extend(cases)
    ElementTree.indent(suite)
    return ElementTree.tostring(suite, encoding="unicode", xml_declaration=False) + "\n"


def _case(column: str, scores: Sequence[Score]) -> ElementTree.Element:
    case = ElementTree.Element("testcase", classname="driftd.compare", name=_printable(column))
    for kind, statuses in (
        ("failure", _BAD), ("error", (ScoreStatus.FAILED,)), ("skipped", (ScoreStatus.INSUFFICIENT,)),
    ):
        if found := [sentence(score) for score in scores if score.status in statuses]:
            ElementTree.SubElement(case, kind, message=_printable("; ".join(found)))
            break
    return case


def _printable(text: str) -> str:
    """Without the control characters that XML cannot hold."""
    return "".join(sign if sign.isprintable() else " " for sign in text)


def sentence(score: Score) -> str:
    """What one score says, in words."""
    if score.reason:
        return score.reason
    name = " ".join(part for part in (score.method or score.metric,) if part)
    return f"{name} {number(score.value)}, threshold {number(score.threshold)}"
