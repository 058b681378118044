"""The worker's side of a check's second half: every score of one window.

It sees the world as it was known at `as_of`: later rows and later labels do not exist, so that a backtest runs the
very same code.
"""

import logging
from collections.abc import Iterator

import pyarrow as pa

from monitor import __version__
from monitor.check.opened_data import known_files, open_log, open_reference, with_columns
from monitor.check.requests import ObserveRequest
from monitor.check.window_parts import PARTS, WindowData, reads_whole_rows
from monitor.errors import DriftdError
from monitor.performance.labels import CORRECTED, count_true, label_known, labels_digest
from monitor.private import for_a_model, is_quiet, words
from monitor.records import Score, ScoreStatus, Snapshot, SnapshotStatus

_NO_MEMORY = "it needs more memory than a worker may have; the limit is daemon.worker_memory_mb"
_log = logging.getLogger(__name__)


@for_a_model
def observe(request: ObserveRequest) -> Snapshot:
    """Measure one window: a snapshot with every score but those `decide` adds."""
    with known_files(request):
        return _observe(request)


def _observe(request: ObserveRequest) -> Snapshot:
    model, reference, first_rows = request.model, open_reference(request), request.first_rows
    log = open_log(request, reference.roles)
    whole = reads_whole_rows(model, reference)
    rows = log.window(request.window, model.window.sample, whole=whole)
    scores = list(_scores(WindowData(request, reference, log, rows)))
    if rows.unreadable is not None:      # a column that cannot be read is no matter of one metric
        raise rows.unreadable
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
        ledger=with_columns(rows.ledger, request, reference, log),
    )


def _scores(data: WindowData) -> Iterator[Score]:
    """Every score of the window; a part that fails yields one failed Score, and the others go on."""
    name = data.model.name
    for part in (part for part in PARTS if part.applies(data)):
        data.window.release()
        data.reference.profile.release()
        pa.default_memory_pool().release_unused()
        try:
            yield from part.scores(data)
        except MemoryError:
            metric = part.failed_metric(data)
            _log.error("%s: %s could not be measured: %s", name, metric, _NO_MEMORY)
            yield Score(metric=metric, status=ScoreStatus.FAILED, reason=_NO_MEMORY)
        except DriftdError as error:
            metric = part.failed_metric(data)
            _log.warning("%s: %s could not be measured: %s", name, metric, error)
            yield Score(metric=metric, status=ScoreStatus.FAILED, reason=str(error)[:300])
        except Exception as error:  # noqa: BLE001  whatever a library trips over costs one part, not the check
            metric = part.failed_metric(data)
            _log.error("%s: %s could not be measured: %s", name, metric, words(error), exc_info=not is_quiet())
            yield Score(metric=metric, status=ScoreStatus.FAILED, reason=words(error)[:300])


def _status(min_rows: int, scores: list[Score], rows: int) -> tuple[SnapshotStatus, str | None]:
    """The window as a whole: a source that went silent comes before a broken schema before too few rows."""
    by_name = {score.metric: score for score in scores}
    stale = by_name.get("staleness_seconds")
    if stale is not None and stale.status is ScoreStatus.BREACHED:
        return SnapshotStatus.SOURCE_FAILED, stale.reason
    schema = by_name.get("schema_changes")
    if schema is not None and schema.status is ScoreStatus.BREACHED:
        return SnapshotStatus.SCHEMA_CHANGED, schema.reason
    if stale is not None and stale.status is ScoreStatus.INSUFFICIENT:
        return SnapshotStatus.INSUFFICIENT_DATA, stale.reason
    if rows < min_rows:
        found = "1 row" if rows == 1 else f"{rows} rows"
        return SnapshotStatus.INSUFFICIENT_DATA, f"{found}, expected at least {min_rows}"
    return SnapshotStatus.OK, None
