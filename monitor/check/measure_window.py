"""The worker's side of a check's second half: every score of one window.

It sees the world as it was known at `as_of`: later rows and later labels do not exist, so that a backtest runs the
very same code.
"""

import logging
from collections.abc import Callable, Iterable, Iterator

import pyarrow as pa

from monitor import __version__
from monitor.calibration.reference_blocks import calibration
from monitor.challenger.window_rehearsal import rehearsal_scores
from monitor.check.opened_data import open_log, open_reference, unwatched_columns
from monitor.check.requests import ObserveRequest
from monitor.config import ModelSection
from monitor.config.column_roles import FeatureKind
from monitor.drift.column_scores import column_scores
from monitor.drift.multivariate import one_by_one
from monitor.drift.scores import prediction_kinds
from monitor.drift.text import text_scores
from monitor.drift.whole_rows import parts_together
from monitor.errors import DriftdError
from monitor.estimation.window_estimates import estimated_scores
from monitor.performance.group_rates import rate_scores
from monitor.performance.labels import CORRECTED, count_true, label_known, labels_digest
from monitor.performance.performance_scores import performance_scores, segment_scores
from monitor.private import for_a_model, is_quiet, words
from monitor.quality.column_checks import quality_scores, schema_changes
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.log import Log, with_attributes
from monitor.sources.rows import Rows
from monitor.tables.digest import Digest, digest_of

Parts = dict[str, Callable[[], Iterable[Score]]]

_log = logging.getLogger(__name__)


@for_a_model
def observe(request: ObserveRequest) -> Snapshot:
    """Measure one window: a snapshot with every score but those `decide` adds."""
    model, reference, first_rows = request.model, open_reference(request), request.first_rows
    log = open_log(request, reference.roles)
    whole = _needs_rows(model, reference, mature=request.mature)
    rows = log.window(request.window, model.window.sample, whole=whole)
    scores = list(_scores(request, reference, log, rows))
    count = len(rows.table)
    status, reason = _status(model.window.min_rows, scores, count)
    return Snapshot(
        window=request.window,
        revision=request.revision,
        taken_at=request.as_of,
        reference_id=reference.id,
        model_version=model.version,
        config_hash=request.config_hash,
        code_version=__version__,
        rows=count,
        labelled=count_true(label_known(rows.table, reference.roles)),
        late=0 if first_rows is None else max(0, count - first_rows),
        sampled=rows.sampled,
        mature=request.mature,
        status=status,
        reason=reason or (CORRECTED if request.corrected else None),
        scores=tuple(scores),
        labels=labels_digest(rows.table, reference.roles),
    )


def _needs_rows(model: ModelSection, reference: ReferenceData, *, mature: bool) -> bool:
    """Whether anything looks at several columns of a row at once, so that the window is read whole."""
    judged, drift = reference.performance, model.drift
    together = drift.multivariate or drift.embeddings or model.evidently
    rehearsed = judged is not None and mature and model.rehearsal.enabled
    estimated = judged is not None and judged.task == "regression" and model.estimation.enabled
    return bool(together or rehearsed or estimated or "text" in reference.roles.features.values())


class WindowSide:
    """The rows of a window as digests of columns."""

    def __init__(self, window: Rows) -> None:
        self._window = window
        self.rows = len(window.sample)

    def column(self, name: str, kind: FeatureKind) -> Digest | None:
        pieces = self._window.pieces(name)
        return None if pieces is None else digest_of(pieces, self.rows, kind)


def _scores(request: ObserveRequest, reference: ReferenceData, log: Log, window: Rows) -> Iterator[Score]:
    """Every score of the window; a part that fails yields one failed Score, and the others go on."""
    name = request.model.name
    for metric, part in _parts(request, reference, log, window).items():
        try:
            yield from part()
        except DriftdError as error:
            _log.warning("%s: %s could not be measured: %s", name, metric, error)
            yield Score(metric=metric, status=ScoreStatus.FAILED, reason=str(error)[:300])
        except Exception as error:  # noqa: BLE001  whatever a library trips over costs one part, not the check
            _log.error("%s: %s could not be measured: %s", name, metric, words(error), exc_info=not is_quiet())
            yield Score(metric=metric, status=ScoreStatus.FAILED, reason=words(error)[:300])


def _parts(request: ObserveRequest, reference: ReferenceData, log: Log, window: Rows) -> Parts:
    """What is to be measured, each part by the metric that is said to have failed where it cannot be."""
    model, roles, judged = request.model, reference.roles, reference.performance
    table, rows = window.table, window.sample
    parts: Parts = {
        "schema_changes": lambda: _schema(request, reference, log, window),
        "quality": lambda: quality_scores(
            reference.answers, table, roles, request.as_of, reference.maturity, request.newest
        ),
        "drift": lambda: column_scores(
            reference.profile, WindowSide(window), one_by_one(roles, model.drift).features,
            prediction_kinds(reference.answers, roles, judged.task if judged else None),
            model.drift, model.quality, model.window.min_rows,
            texts=text_scores(reference.table, rows, roles, model.drift, model.window.min_rows)
            if "text" in roles.features.values() else (),
            calibration=calibration(model, reference),
        ),
    }
    parts |= parts_together(reference, rows, model, mature=request.mature)
    if judged and roles.label in table.column_names:
        parts |= _parts_of_labels(request, reference, judged, log, rows)
    if judged and model.estimation.enabled:
        parts[f"estimated_{judged.metric}"] = lambda: estimated_scores(model, reference, judged, rows)
    if model.fairness:
        parts["fairness"] = lambda: _fairness(request, reference, rows)
    return parts


def _parts_of_labels(
    request: ObserveRequest, reference: ReferenceData, judged: Performance, log: Log, rows: pa.Table
) -> Parts:
    model, provisional = request.model, not request.mature
    parts: Parts = {"performance": lambda: [
        *performance_scores(judged.beside, rows, judged.metric, provisional, request.as_of), judged.sd,
    ]}
    if model.columns.segments:
        parts["segments"] = lambda: segment_scores(
            judged.segments, rows, model.columns.segments, provisional=provisional, as_of=request.as_of
        )
    if request.mature and model.rehearsal.enabled:
        parts["challenger_gain"] = lambda: rehearsal_scores(
            model, reference, judged, log, rows, request.window, request.earlier
        )
    return parts


def _schema(request: ObserveRequest, reference: ReferenceData, log: Log, window: Rows) -> list[Score]:
    """Types are those of the window's rows; files without a header have no schema to judge."""
    extra = unwatched_columns(request, reference, log)
    return [schema_changes(reference.schema, window.schema, reference.roles, extra)] if log.schema().names else []


def _fairness(request: ObserveRequest, reference: ReferenceData, rows: pa.Table) -> list[Score]:
    """Protected columns that are not in the log are joined for this alone."""
    model, section, roles = request.model, request.model.fairness, reference.roles
    assert section is not None
    before, now = (with_attributes(model, table, roles, section.columns) for table in (reference.answers, rows))
    return rate_scores(before, now, roles, section, model.window.min_rows, not request.mature, request.as_of)


def _status(min_rows: int, scores: list[Score], rows: int) -> tuple[SnapshotStatus, str | None]:
    """The window as a whole: a source that went silent comes before a broken schema before too few rows."""
    by_name = {score.metric: score for score in scores}
    stale = by_name.get("staleness_seconds")
    if stale is not None and stale.status is ScoreStatus.BREACHED:
        return SnapshotStatus.SOURCE_FAILED, stale.reason
    schema = by_name.get("schema_changes")
    if schema is not None and schema.status is ScoreStatus.BREACHED:
        return SnapshotStatus.SCHEMA_CHANGED, schema.reason
    if rows < min_rows:
        found = "1 row" if rows == 1 else f"{rows} rows"
        return SnapshotStatus.INSUFFICIENT_DATA, f"{found}, expected at least {min_rows}"
    return SnapshotStatus.OK, None
