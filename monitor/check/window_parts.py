"""What is measured of one window, part by part: each a function that yields Scores, and when there is a call for it.

A new metric is a row of the catalogue (`metric_catalogue.py`) and a function in PARTS that yields its Score; all else
knows it from there.
"""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from monitor.attribution.window_causes import lost_to
from monitor.calibration.power import power_score
from monitor.calibration.reference_blocks import asked, calibration
from monitor.challenger.earlier_versions import version_scores
from monitor.challenger.window_rehearsal import rehearsal_scores
from monitor.check.opened_data import unwatched_columns
from monitor.check.requests import ObserveRequest
from monitor.config import ModelSection, Roles
from monitor.drift.column_scores import column_scores, prediction_kinds
from monitor.drift.evidently_report import report_scores
from monitor.drift.multivariate import multivariate_scores, one_by_one
from monitor.drift.text import text_scores
from monitor.estimation.window_estimates import estimated_scores
from monitor.metric_catalogue import ESTIMATED
from monitor.performance.group_rates import rate_scores
from monitor.performance.lost_performance import lost_performance
from monitor.performance.performance_scores import performance_scores, segment_scores
from monitor.quality.collapsed_predictions import collapse_scores
from monitor.quality.column_checks import has_value, ledger_scores, quality_scores, schema_changes
from monitor.records import Score, ScoreStatus
from monitor.reference.profile import RowsSide
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.log import Log, with_attributes
from monitor.sources.rows import Rows


@dataclass(frozen=True, eq=False)
class WindowData:
    """One window, and what it is measured beside."""

    request: ObserveRequest
    reference: ReferenceData
    log: Log
    window: Rows

    @property
    def model(self) -> ModelSection:
        return self.request.model

    @property
    def roles(self) -> Roles:
        return self.reference.roles

    @property
    def rows(self) -> pa.Table:
        """The sample that drift and performance are measured on: the columns that say which row it is and how the
        model did, and every other where `reads_whole_rows` says so.
        """
        return self.window.sample

    @property
    def side(self) -> RowsSide:
        """Every column of these rows, one at a time."""
        return RowsSide(self.window)

    @property
    def judged(self) -> Performance:
        """How the model is judged; for parts that apply only where it is."""
        assert self.reference.performance is not None
        return self.reference.performance

    @cached_property
    def performance(self) -> list[Score]:
        """The scores of the labelled rows, of which some parts say more."""
        judged, request = self.judged, self.request
        found = performance_scores(judged.reference, self.rows, judged.metric, not request.mature, request.as_of)
        return [*found, judged.sd, lost_performance(judged.norm, {score.metric: score for score in found})]


@dataclass(frozen=True, slots=True)
class Part:
    """`name`: the metric that is said to have failed where `scores` raises."""

    name: str | Callable[[WindowData], str]
    scores: Callable[[WindowData], Iterable[Score]]
    applies: Callable[[WindowData], bool] = lambda data: True

    def failed_metric(self, data: WindowData) -> str:
        return self.name if isinstance(self.name, str) else self.name(data)


def reads_whole_rows(model: ModelSection, reference: ReferenceData) -> bool:
    """Whether a part looks at several columns of all rows at once, so that the window is read whole."""
    together = model.drift.multivariate or model.drift.embeddings or model.evidently
    return bool(together or "text" in reference.roles.features.values())


def _schema(data: WindowData) -> list[Score]:
    """Types are those of the window's rows; files without a header have no schema to judge."""
    if not data.log.schema().names:
        return []
    extra = unwatched_columns(data.request, data.reference, data.log)
    return [schema_changes(data.reference.schema, data.window.schema, data.roles, extra,
                           lambda name: has_value(data.window.column(name)))]


def _ledger(data: WindowData) -> list[Score]:
    return [] if data.window.ledger is None else ledger_scores(data.window.ledger, data.model.quality)


def _quality(data: WindowData) -> list[Score]:
    reference, request = data.reference, data.request
    return quality_scores(
        reference.answers, data.window.table, data.roles, request.as_of, reference.maturity, request.newest,
        paused=request.paused,
    )


def _drift(data: WindowData) -> list[Score]:
    reference, model, roles = data.reference, data.model, data.roles
    judged, texts = reference.performance, "text" in roles.features.values()
    return column_scores(
        reference.profile, data.side, one_by_one(roles, model.drift).features,
        prediction_kinds(reference.answers, roles, judged.task if judged else None),
        model.drift, model.quality, model.window.min_rows,
        texts=text_scores(reference.table, data.rows, roles, model.drift, model.window.min_rows) if texts else (),
        calibration=calibration(model, reference),
    )


def _power(data: WindowData) -> Iterable[Score]:
    return power_score(data.model, data.reference)


def _multivariate(data: WindowData) -> list[Score]:
    model = data.model
    return multivariate_scores(data.reference.table, data.rows, data.roles, model.drift, model.window.min_rows)


def _evidently(data: WindowData) -> list[Score]:
    reference, model = data.reference, data.model
    task = reference.performance.task if reference.performance else model.task
    return report_scores(
        reference.table, data.rows, data.roles, model.drift, model.evidently, task, mature=data.request.mature
    )


def _performance(data: WindowData) -> list[Score]:
    return data.performance


def _lost_to(data: WindowData) -> list[Score]:
    lost = next(score for score in data.performance if score.metric == "performance_lost")
    fell = lost.status is ScoreStatus.DRIFTED
    return lost_to(data.model, data.reference, data.judged, data.window) if fell else []


def _collapse(data: WindowData) -> Iterable[Score]:
    return collapse_scores(data.reference.answers, data.window.table, data.roles, data.model.window.min_rows)


def _segments(data: WindowData) -> list[Score]:
    columns, request = data.model.columns.segments, data.request
    return segment_scores(
        data.judged.segments, data.rows, columns, provisional=not request.mature, as_of=request.as_of
    )


def _rehearsal(data: WindowData) -> list[Score]:
    request = data.request
    return rehearsal_scores(
        data.model, data.reference, data.judged, data.log, data.window, request.window, request.earlier
    )


def _versions(data: WindowData) -> Iterable[Score]:
    return version_scores(data.model, data.reference, data.judged, data.window, data.request.versions)


def _estimates(data: WindowData) -> list[Score]:
    return estimated_scores(data.model, data.reference, data.judged, data.window)


def _fairness(data: WindowData) -> list[Score]:
    """Protected columns that are not in the log are joined for this alone."""
    model, section, request, roles = data.model, data.model.fairness, data.request, data.roles
    assert section is not None
    before, now = (
        with_attributes(model, table, roles, section.columns) for table in (data.reference.answers, data.rows)
    )
    return rate_scores(before, now, roles, section, model.window.min_rows, not request.mature, request.as_of)


def _labelled(data: WindowData) -> bool:
    return data.reference.performance is not None and data.roles.label in data.window.table.column_names


def _rehearsed(data: WindowData) -> bool:
    return _labelled(data) and data.request.mature and data.model.rehearsal.enabled


def _compared(data: WindowData) -> bool:
    return _labelled(data) and data.request.mature and bool(data.request.versions)


def _estimated(data: WindowData) -> bool:
    return data.reference.performance is not None and data.model.estimation.enabled


PARTS = (
    Part("schema_changes", _schema),
    Part("lost_rows_share", _ledger),
    Part("quality", _quality),
    Part("prediction_collapse", _collapse),
    Part("drift", _drift),
    Part("smallest_shift", _power, lambda data: asked(data.model.drift)),
    Part("domain_classifier_auc", _multivariate,
         lambda data: bool(data.model.drift.multivariate or data.model.drift.embeddings)),
    Part(lambda data: data.model.evidently[0].metric, _evidently, lambda data: bool(data.model.evidently)),
    Part("performance", _performance, _labelled),
    Part("lost_to", _lost_to, lambda data: _labelled(data) and data.request.mature),
    Part("segments", _segments, lambda data: _labelled(data) and bool(data.model.columns.segments)),
    Part("challenger_gain", _rehearsal, _rehearsed),
    Part("version_gain", _versions, _compared),
    Part(lambda data: ESTIMATED + data.judged.metric, _estimates, _estimated),
    Part("fairness", _fairness, lambda data: data.model.fairness is not None),
)
