"""The worker's side of a check: look at the source, then measure one window of it.

`resolve`, `survey` and `observe` are tasks for `workers.Workers`: JSON in, JSON out. They see the world as it was
known at `as_of`: later rows and later labels do not exist, so that a backtest runs the very same code.
"""

import logging
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from monitor import __version__
from monitor.calibration.expected_false_alarms import outlook
from monitor.calibration.reference_blocks import calibration
from monitor.challenger.window_rehearsal import rehearsal_scores
from monitor.config import USUAL_NAMES, ModelSection, Roles
from monitor.config.column_roles import FeatureKind
from monitor.drift.column_scores import column_scores
from monitor.drift.multivariate import one_by_one
from monitor.drift.scores import prediction_kinds
from monitor.drift.text import text_scores
from monitor.drift.whole_rows import parts_together, problems_together
from monitor.errors import ConfigError, DriftdError
from monitor.estimation.window_estimates import estimated_scores
from monitor.performance.group_rates import rate_scores
from monitor.performance.labels import CORRECTED, corrected, labels_digest
from monitor.performance.performance_scores import performance_scores, segment_scores
from monitor.private import HIDDEN, for_a_model, is_quiet, words
from monitor.quality.column_checks import quality_scores, schema_changes
from monitor.records import (
    Counted,
    Score,
    ScoreStatus,
    Snapshot,
    SnapshotStatus,
    Survey,
    Tally,
    Window,
    from_json,
    to_json,
)
from monitor.reference.reference_data import Performance, ReferenceData, load_reference, log_roles
from monitor.sources.log import Log, with_attributes
from monitor.sources.rows import Rows, contains
from monitor.sources.windows import closed_windows, row_windows, spec
from monitor.tables.digest import Digest, digest_of

Payload = dict[str, Any]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Look:
    """What every task says: which model, seen from which moment, and where a "first 90d" begins."""

    model: ModelSection
    as_of: datetime
    stretch: datetime | None
    profiles: Path | None                # where digests of references are kept
    hold: bool                           # keep the log in memory: it is looked at again and again

    @classmethod
    def read(cls, task: Payload) -> "Look":
        return cls(
            model=ModelSection.model_validate(task["model"]),
            as_of=datetime.fromisoformat(task["as_of"]),
            stretch=_moment(task["stretch"]),
            profiles=Path(task["profiles"]) if task.get("profiles") else None,
            hold=task.get("hold", False),
        )

    def reference(self) -> ReferenceData:
        return load_reference(self.model, self.as_of, self.stretch, self.profiles, hold=self.hold)

    def log(self, roles: Roles) -> Log:
        return Log(self.model, roles, self.as_of, hold=self.hold)


@for_a_model
def resolve(task: Payload) -> Payload:
    """Find the reference, the columns' parts, task and metric of a model: what `validate` shows."""
    look = Look.read(task)
    reference = look.reference()
    if problems := list(problems_together(look.model, reference.roles, reference.schema.names)):
        raise ConfigError(problems)
    judged, log = reference.performance, look.log(reference.roles)
    return {
        "roles": to_json(reference.roles),
        "extra": _extra(look.model, reference, log),
        "task": judged.task if judged else None,
        "metric": judged.metric if judged else None,
        "reference_rows": reference.rows,
        "outlook": to_json(outlook(look.model, reference)),
        "maturity_seconds": reference.maturity.total_seconds(),
    }


@for_a_model
def extent(task: Payload) -> Payload:
    """Find the oldest and the newest timestamp of the log: how far a backtest goes."""
    look = Look.read(task)
    log = look.log(look.reference().roles if look.model.reference.source else log_roles(look.model))
    times = log.rows(None, None, set())[log.roles.timestamp]
    return {"first": to_json(pc.min(times).as_py()), "newest": to_json(pc.max(times).as_py())}


@for_a_model
def survey(task: Payload) -> Any:
    """Count rows and labels of the windows in `recount`, and of all that closed after `last`. Returns a Survey.

    `recount` says of each window what was Counted before.
    """
    look = Look.read(task)
    reference = look.reference()
    before = {one.window: one for one in (from_json(Counted, item) for item in task["recount"])}
    known = list(before)
    last = from_json(Window, task["last"]) if task["last"] else None
    since = datetime.fromisoformat(task["since"])
    log = look.log(reference.roles)
    begin = min([w.start for w in known] + [last.start if last else since])
    keys = log.keys(begin)
    times = keys[reference.roles.timestamp]
    judged = reference.performance
    oldest = pc.min(times).as_py() or since
    newest = pc.max(times).as_py() or log.newest()
    closed = _closed(look, log, keys, last, oldest if last else max(since, oldest))
    fresh = [window for window in _worth_checking(closed, newest) if window not in known]
    found = Survey(
        reference_id=reference.id,
        reference_rows=reference.rows,
        stretch=reference.stretch,
        task=judged.task if judged else None,
        metric=judged.metric if judged else None,
        first=pc.min(times).as_py(),
        newest=newest,
        maturity=reference.maturity,
        tallies=tuple(_tallies(log, keys, [*known, *fresh], before)),
    )
    return to_json(found)


@for_a_model
def observe(task: Payload) -> Any:
    """Measure one window. Returns a Snapshot with every score but those `decide` adds."""
    look = Look.read(task)
    reference, window = look.reference(), from_json(Window, task["window"])
    log = look.log(reference.roles)
    rows = log.window(window, look.model.window.sample, whole=_needs_rows(look.model, reference, mature=task["mature"]))
    scores = list(_scores(look, reference, log, rows, task))
    count = len(rows.table)
    status, reason = _status(look.model, scores, count)
    first_rows = task["first_rows"]
    snapshot = Snapshot(
        window=window,
        revision=task["revision"],
        taken_at=look.as_of,
        reference_id=reference.id,
        model_version=look.model.version,
        config_hash=task["config_hash"],
        code_version=__version__,
        rows=count,
        labelled=_labelled(rows.table, reference.roles),
        late=0 if first_rows is None else max(0, count - first_rows),
        sampled=rows.sampled,
        mature=task["mature"],
        status=status,
        reason=reason or (CORRECTED if task["corrected"] else None),
        scores=tuple(scores),
        labels=labels_digest(rows.table, reference.roles),
    )
    return to_json(snapshot)


def _closed(look: Look, log: Log, keys: pa.Table, last: Window | None, first: datetime) -> list[Window]:
    """Windows that closed by `as_of` and come after `last`."""
    model, section = look.model, look.model.window
    if not isinstance(section.size, int):
        after = last.start if last else None
        return list(
            closed_windows(section, model.timezone, model.name, after=after, first=first, until=look.as_of)
        )
    start = (last.end, last.end_id) if last else None
    cut = spec(section, model.timezone)
    ordered = log.ordered_keys(keys)
    before = look.as_of - section.lateness
    return list(row_windows(ordered, section.size, model.name, cut, start, before=before))


def _worth_checking(windows: list[Window], newest: datetime | None) -> list[Window]:
    """Of the windows behind the newest row the last one says all there is: that the log is silent."""
    live = [window for window in windows if newest is not None and window.start <= newest]
    return [*live, *windows[len(live):][-1:]]


def _tallies(
    log: Log, keys: pa.Table, windows: list[Window], before: Mapping[Window, Counted]
) -> Iterator[Tally]:
    """Count the rows and labels of each window, and look whether those it had are still the same."""
    by_id = any(window.start_id or window.end_id for window in windows)
    ids, known = log.ids(keys) if by_id else None, _known(keys, log.roles)
    for window in windows:
        inside = contains(keys, log.roles.timestamp, ids, window)
        labelled, seen = _count(pc.and_(inside, known)), before.get(window)
        yield Tally(window=window, rows=_count(inside), labelled=labelled,
                    corrected=seen is not None and corrected(keys.filter(inside), log.roles, seen))


def _known(table: pa.Table, roles: Roles) -> pa.ChunkedArray:
    """Tell for each row whether its label is known."""
    label = roles.label if roles.label in table.column_names else None
    return pc.is_valid(table[label]) if label else pa.chunked_array([pa.repeat(False, len(table))])


def _count(mask: pa.Array | pa.ChunkedArray) -> int:
    return pc.sum(mask).as_py() or 0


def _labelled(table: pa.Table, roles: Roles) -> int:
    return _count(_known(table, roles))


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


def _scores(look: Look, reference: ReferenceData, log: Log, window: Rows, task: Payload) -> Iterator[Score]:
    """Every score of the window; a part that fails yields one failed Score, and the others go on."""
    model, roles, judged = look.model, reference.roles, reference.performance
    table, rows = window.table, window.sample
    parts: dict[str, Callable[[], Iterable[Score]]] = {
        "schema_changes": lambda: _schema(model, reference, log, window),
        "quality": lambda: quality_scores(
            reference.answers, table, roles, look.as_of, reference.maturity, _moment(task["newest"])
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
    parts |= parts_together(reference, rows, model, mature=task["mature"])
    if judged and reference.roles.label in table.column_names:
        parts["performance"] = lambda: _performance(judged, rows, look.as_of, mature=task["mature"])
        if model.columns.segments:
            parts["segments"] = lambda: segment_scores(
                judged.segments, rows, model.columns.segments, provisional=not task["mature"], as_of=look.as_of
            )
        if task["mature"] and model.rehearsal.enabled:
            parts["challenger_gain"] = lambda: rehearsal_scores(
                model, reference, judged, log, rows, from_json(Window, task["window"]), _moment(task["earlier"])
            )
    if judged and model.estimation.enabled:
        parts[f"estimated_{judged.metric}"] = lambda: estimated_scores(model, reference, judged, rows)
    if model.fairness:
        parts["fairness"] = lambda: _fairness(look, reference, rows, mature=task["mature"])
    for name, part in parts.items():
        try:
            yield from part()
        except DriftdError as error:
            _log.warning("%s: %s could not be measured: %s", model.name, name, error)
            yield Score(metric=name, status=ScoreStatus.FAILED, reason=str(error)[:300])
        except Exception as error:  # noqa: BLE001  whatever a library trips over costs one part, not the check
            _log.error("%s: %s could not be measured: %s", model.name, name, words(error), exc_info=not is_quiet())
            yield Score(metric=name, status=ScoreStatus.FAILED, reason=words(error)[:300])


def _schema(model: ModelSection, reference: ReferenceData, log: Log, window: Rows) -> list[Score]:
    """Types are those of the window's rows; files without a header have no schema to judge."""
    extra, roles = _extra(model, reference, log), reference.roles
    return [schema_changes(reference.schema, window.schema, roles, extra)] if log.schema().names else []


def _extra(model: ModelSection, reference: ReferenceData, log: Log) -> list[str]:
    """Columns of the log that would be features if the reference had them; none where features are listed."""
    parts = {field: getattr(reference.roles, field) for field in USUAL_NAMES}
    known = {*reference.schema.names, *parts.values(), *(model.fairness.columns if model.fairness else ())}
    extra = [name for name in log.schema().names if model.columns.features is None and name not in known]
    # names nobody knows may be values: of a file that lost its header
    return [HIDDEN] if extra and is_quiet() else extra


def _performance(judged: Performance, rows: pa.Table, as_of: datetime, *, mature: bool) -> list[Score]:
    return [*performance_scores(judged.beside, rows, judged.metric, not mature, as_of), judged.sd]


def _fairness(look: Look, reference: ReferenceData, rows: pa.Table, *, mature: bool) -> list[Score]:
    """Protected columns that are not in the log are joined for this alone."""
    model, section, roles = look.model, look.model.fairness, reference.roles
    assert section is not None
    before, now = (with_attributes(model, table, roles, section.columns) for table in (reference.answers, rows))
    return rate_scores(before, now, roles, section, model.window.min_rows, not mature, look.as_of)


def _status(model: ModelSection, scores: list[Score], rows: int) -> tuple[SnapshotStatus, str | None]:
    """The window as a whole: a source that went silent comes before a broken schema before too few rows."""
    by_name = {score.metric: score for score in scores}
    stale = by_name.get("staleness_seconds")
    if stale is not None and stale.status is ScoreStatus.BREACHED:
        return SnapshotStatus.SOURCE_FAILED, stale.reason
    schema = by_name.get("schema_changes")
    if schema is not None and schema.status is ScoreStatus.BREACHED:
        return SnapshotStatus.SCHEMA_CHANGED, schema.reason
    if rows < model.window.min_rows:
        found = "1 row" if rows == 1 else f"{rows} rows"
        return SnapshotStatus.INSUFFICIENT_DATA, f"{found}, expected at least {model.window.min_rows}"
    return SnapshotStatus.OK, None


def _moment(text: str | None) -> datetime | None:
    return datetime.fromisoformat(text) if text else None
