"""The story of the gate: rows that neither model has seen, both models' answers, what is sure of them, the verdict.

Rows and the champion's predictions come from files, or from the log of a model that the daemon watches; the
candidate's predictions always come as a file. No model is loaded, so nothing is unpickled.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from monitor.config import ModelSection
from monitor.config.sections import FairnessSection
from monitor.decide.fairness import fairness_scores
from monitor.gate.gate_verdict import GateVerdict, gate
from monitor.gate_result import GatePart, GateResult
from monitor.records import Json, Score, ScoreStatus, Window
from monitor.times import BEGINNING

if TYPE_CHECKING:
    from monitor.gate.matured_rows import Matured, Stretch
    from monitor.gate.measured_trial import Measured, Trial


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """What the models were fitted on, as far as who calls the gate says so."""

    candidate_until: datetime | None = None
    champion_until: datetime | None = None
    candidate_on: Path | None = None

    @property
    def until(self) -> dict[str, datetime | None]:
        return {"candidate": self.candidate_until, "champion": self.champion_until}


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """The verdict, what was measured, and what could not be looked at or holds beside."""

    verdict: GateVerdict
    measured: "Measured"
    notes: tuple[str, ...]

    @property
    def result(self) -> GateResult:
        """The answer with its table: overall, segments by what blocks and by loss, limits, what broke the contract."""
        verdict, found = self.verdict, self.measured
        beside = {score.segment: score for score in found.performance if score.metric == found.metric}
        order = sorted(verdict.segments, key=lambda score: (
            score.status != ScoreStatus.BREACHED, score.value is None, score.value or 0.0,
        ))
        broken = [score for score in verdict.contract if score.status == ScoreStatus.BREACHED]
        return GateResult(
            outcome=verdict.outcome, metric=found.metric, rows=found.rows, labelled=found.labelled,
            reasons=verdict.reasons,
            parts=(
                *(_improvement(score, beside.get(score.segment)) for score in (verdict.overall, *order)),
                *map(_limit, verdict.fairness),
                *(GatePart(kind="contract", part=one.column or one.metric, status=one.status, reason=one.reason)
                  for one in broken),
            ),
        )

    def to_json(self) -> Json:
        """The document of `driftd gate --json`, without its schema_version."""
        found = self.measured
        whole = next((s for s in found.performance if s.metric == found.metric and s.segment is None), None)
        return {
            "outcome": self.verdict.outcome,
            "reasons": self.verdict.reasons,
            "task": found.task,
            "metric": found.metric,
            "rows": found.rows,
            "labelled": found.labelled,
            "first": found.first,
            "last": found.last,
            "champion": whole and whole.reference,
            "candidate": whole and whole.value,
            "improvement": self.verdict.overall,
            "notes": self.notes,
            "scores": (*self.verdict.scores, *found.performance),
        }


def _improvement(score: Score, both: Score | None) -> GatePart:
    """The row of the whole or of a segment; `both`: the metric of candidate and champion there."""
    return GatePart(
        kind="performance", part=score.segment or "overall", rows=score.n,
        champion=both.reference if both else None, candidate=both.value if both else None,
        better_by=score.value, low=score.low, high=score.high, limit=score.threshold,
        status=score.status, reason=score.reason,
    )


def _limit(score: Score) -> GatePart:
    return GatePart(
        kind="limit", part=score.segment or "", limited=score.metric, rows=score.n, champion=score.reference,
        candidate=score.value, low=score.low, high=score.high, limit=score.threshold, status=score.status,
        reason=score.reason,
    )


def gate_files(
    model: ModelSection, data: Path, champion: Path | None, candidate: Path, seen: Seen, reference: Path | None = None
) -> Judged:
    """Judge a candidate by files alone. Raises SourceError, CannotJudge, UsageError, ConfigError."""
    from monitor.gate.measured_trial import trial_of_files

    return _judged(trial_of_files(model, data, champion, candidate, reference), seen)


def gate_log(model: ModelSection, found: "Matured", candidate: Path, seen: Seen) -> Judged:
    """Judge a candidate by the log of the model in service. Raises as `gate_files` does."""
    from monitor.gate.matured_rows import trial_of_log

    return _judged(trial_of_log(model, found, candidate), seen)


def stretch_of(
    window: Window | None, since: datetime | None, until: datetime | None, reference_since: datetime | None, seen: Seen
) -> "Stretch":
    """Which rows of a log judge a candidate: a window, or all behind the training data and the reference."""
    from monitor.gate.matured_rows import Stretch

    known = (reference_since, seen.candidate_until, seen.champion_until)
    begin = since or max((moment for moment in known if moment is not None), default=BEGINNING)
    return Stretch(window=window, since=begin, until=until)


def _judged(trial: "Trial", seen: Seen) -> Judged:
    from monitor.gate.measured_trial import require_unseen

    return judged(trial, require_unseen(trial, seen.until, seen.candidate_on))


def judged(trial: "Trial", notes: tuple[str, ...] = ()) -> Judged:
    """Measure both models on rows that neither was fitted on, and judge by the model's rules. Raises CannotJudge."""
    from monitor.gate.measured_trial import measure

    found = measure(trial)
    limits = trial.model.gate
    fairness = _fairness(trial.model.fairness, limits.min_rows, found.rates)
    verdict = gate(found.overall, found.segments, fairness, found.contract, limits)
    if limits.always_valid:
        notes = (*notes, "bounds of the improvement hold however often the gate is asked")
    return Judged(verdict=verdict, measured=found, notes=notes)


def _fairness(section: FairnessSection | None, min_rows: int, rates: Sequence[Score]) -> tuple[Score, ...]:
    """The fairness numbers of these rows, as of one window that holds them all. Groups need what the gate asks for."""
    return fairness_scores(section, min_rows, [rates]) if section and rates else ()
