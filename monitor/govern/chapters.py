"""The governance report as chapters of sentences, tables and pictures; `html` and `markdown` write them out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime, tzinfo
from typing import Any

from monitor.govern.report import Point, Report
from monitor.govern.version_history import Run, Version
from monitor.records import Approval, Score
from monitor.wording import shown

_PICTURES = (
    "Each window's value (a ring where labels were still maturing, red beyond its threshold), its 95 % interval, "
    "and the reference's value (dashed). `driftd window evidently --window DATE` writes Evidently's own report of one."
)
_FAIRNESS = "Of the newest window that tells it; groups under 10 rows are not shown."
SHORT = 12      # characters of a hash that are shown; the JSON and the archive have all


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    heads: tuple[str, ...]
    rows: tuple[tuple[str, ...], ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """One chapter. `pictures`: by name the points to draw."""

    title: str
    text: tuple[str, ...] = ()
    table: Table | None = None
    pictures: dict[str, tuple[Point, ...]] | None = None


def sections(report: Report, zone: tzinfo) -> Iterator[Section]:
    """The chapters, those with nothing to say left out; times in the model's time zone."""
    yield Section(title="In short", text=tuple(_summary(report, zone)))
    yield Section(title="Versions", table=_table(
        ("version", "since", "until", "judged on windows", "reference", "made by", "git revision"),
        (_version(version, zone) for version in report.versions),
    ))
    for version in report.versions:
        named = f"version {version.model_version}" if version.model_version else "the version without a name"
        yield Section(
            title=f"Lineage of {named}, since {_day(version.since, zone)}", text=tuple(_lineage(version, zone)),
            table=_data(version),
        )
    if report.metrics:
        yield Section(title="Metrics over time", pictures=report.metrics, text=(_PICTURES,))
    if report.fairness:
        heads = ("metric", "group", "value", "reference", "low", "high", "rows")
        yield Section(title="Fairness", text=(_FAIRNESS,), table=_table(heads, map(_rate, report.fairness)))
    yield Section(title="Triggers", table=_table(("trigger", "metric", "action", "now", "since", "last said"), (
        (t.name, t.metric, t.action, "fires" if t.firing else "still", _moment(t.since, zone), t.reason)
        for t in report.triggers)))
    yield from _decided(report, zone)
    yield Section(title="Windows", table=_table(("window", "version", "rows", "labelled", "data", "verdict"), (
        (f"{_moment(w.start, zone)} – {_moment(w.end, zone)}", w.model_version or "", str(w.rows), str(w.labelled),
         w.status.replace("_", " "), f"{w.action or 'none'}{'' if w.mature else ' ~'}") for w in report.windows)))


def _decided(report: Report, zone: tzinfo) -> Iterator[Section]:
    """What was decided, asked for, and done by people."""
    if report.decisions:
        yield Section(title="Decisions", table=_table(("reached", "window", "verdict", "fired", "guards", "why"), (
            (_moment(v.at, zone), _day(v.window.start, zone), v.action, ", ".join(v.fired), ", ".join(v.guards),
             "; ".join(v.reasons)) for v in report.decisions)))
    if report.needs:
        yield Section(title="Needs", table=_table(("since window", "trigger", "state", "why", "approval"), (
            (_day(n.window.start, zone), n.trigger, n.state, n.reason, _approval(n.approval, zone))
            for n in report.needs)))
    if report.requests:
        yield Section(title="Requests", table=_table(
            ("asked", "request", "pipeline", "outcome", "ended", "run", "gate", "made version", "last answer"),
            ((_moment(r.at, zone), r.id, r.pipeline, r.state, _moment(r.ended_at, zone), r.url or "", r.gate or "",
              r.made or "", r.outcome or "") for r in report.requests)))
    if report.hands:
        yield Section(title="What people did", table=_table(("when", "who", "what", "about", "why"), (
            (_moment(h.at, zone), h.by, h.action, h.subject, h.reason) for h in report.hands)))


def _rate(score: Score) -> tuple[str, ...]:
    numbers = (shown(score.metric, number) for number in (score.value, score.reference, score.low, score.high))
    return (score.metric, score.segment or "", *numbers, str(score.n or ""))


def _summary(report: Report, zone: tzinfo) -> Iterator[str]:
    named = f"version {report.reference.model_version}" if report.reference else "no reference yet"
    yield f"Model {report.model}, {named}, mode {report.mode}; as of {_moment(report.at, zone)}."
    firing = [trigger.name for trigger in report.triggers if trigger.firing]
    yield f"Firing: {', '.join(firing)}." if firing else "No trigger fires."
    ended = [request for request in report.requests if request.ended_at is not None]
    yield (f"Windows: {len(report.windows)}. Retrain requests: {len(report.requests)}, {len(ended)} of them ended. "
           f"Acts by people: {len(report.hands)}.")
    if report.private:
        yield f"Private columns, of which no value is told: {', '.join(report.private)}."
    chain = "is whole" if report.audit_problem is None else f"IS BROKEN: {report.audit_problem}"
    yield f"The audit of {report.audit_entries} entries {chain}."


def _version(one: Version, zone: tzinfo) -> tuple[str, ...]:
    judged = f"{_moment(one.judged_from, zone)} – {_moment(one.judged_to, zone)} ({one.windows})"
    made = f"{one.run.pipeline}, {one.run.id}" if one.run else "not by a request"
    return (one.model_version or "", _day(one.since, zone), _day(one.until, zone) or "in service",
            judged if one.windows else "none yet", f"{one.origin} ({one.reference_id})", made,
            str(one.facts.get("git_revision", "")))


def _lineage(one: Version, zone: tzinfo) -> Iterator[str]:
    yield f"Configurations in force: {', '.join(one.configs) or 'none yet'}."
    if one.run is not None:
        yield from _run(one.run, zone)
    for name, value in one.facts.items():
        yield f"{name.replace('_', ' ')}: {value}"


def _run(run: Run, zone: tzinfo) -> Iterator[str]:
    where = f" ({run.url})" if run.url else ""
    yield f"Made by request {run.id} to {run.pipeline}{where}, asked {_moment(run.asked_at, zone)}: {run.why}"
    if run.approval is not None:
        yield f"Approval: {_approval(run.approval, zone)}"


def _approval(approval: Approval | None, zone: tzinfo) -> str:
    if approval is None:
        return ""
    if approval.decision is None:
        return f"waits since {_moment(approval.asked_at, zone)}"
    word = "approved" if approval.decision == "requested" else approval.decision
    by = f" by {approval.decided_by}" if approval.decided_by else ""
    return f"{word}{by} on {_moment(approval.decided_at, zone)}: {approval.reason}"


def _data(one: Version) -> Table | None:
    if not one.data:
        return None
    newest = {(c.place, c.name): c for c in one.data}
    return _table(("data", "file", "bytes", "SHA-256, as last seen"), (
        (c.place, c.name, "" if c.bytes is None else str(c.bytes), c.hash or f"a table; {c.stamp[:SHORT]}")
        for c in newest.values()))


def _table(heads: Sequence[str], rows: Iterator[tuple[Any, ...]]) -> Table:
    return Table(heads=tuple(heads), rows=tuple(tuple(map(str, row)) for row in rows))


def _day(value: datetime | None, zone: tzinfo) -> str:
    return "" if value is None else f"{value.astimezone(zone):%Y-%m-%d}"


def _moment(value: datetime | None, zone: tzinfo) -> str:
    """To the minute; a date alone where it is midnight."""
    if value is None:
        return ""
    local = value.astimezone(zone)
    return f"{local:%Y-%m-%d}" if (local.hour, local.minute) == (0, 0) else f"{local:%Y-%m-%d %H:%M}"
