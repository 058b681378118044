"""The rehearsal of one window: would a model fitted just before it have done better than the one in service?"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import Any

import pyarrow as pa

from monitor.challenger.nearest_kind import nearest_kind
from monitor.challenger.rehearsal import GAP_ROWS, Challenger, fit, gains, gap
from monitor.config import ModelSection
from monitor.config.measured_sections import ChallengerKind
from monitor.errors import CannotJudge
from monitor.records import Json, Score, Window, from_json, to_json
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.log import Log, known_by
from monitor.sources.rows import Rows

MOST_ROWS = 100_000  # labelled rows of a window on which a challenger is scored
KEPT = 4  # challengers kept in this worker's memory, and nowhere else: the next window needs the last one again
_fitted: OrderedDict[tuple[str, str, datetime], Challenger] = OrderedDict()
_told: OrderedDict[tuple[str, str, str], Any] = OrderedDict()       # for a reference of which nothing may be kept


def rehearsal_scores(
    model: ModelSection,
    reference: ReferenceData,
    judged: Performance,
    log: Log,
    rows: Rows,
    window: Window,
    earlier: datetime | None,
) -> list[Score]:
    """Score the challengers fitted at the window's start, and at `earlier`, on the window's labelled rows, or on a
    sample of them.

    The result includes `challenger_gap`, the gain due to the challenger's kind of model alone, on the reference.
    """
    challenger = challenger_at(model, reference, judged, log, window.start)
    placebo = challenger_at(model, reference, judged, log, earlier) if earlier else None
    drawn = rows.drawn(MOST_ROWS, reference.roles, labelled=True)
    scores = gains(challenger, placebo, drawn.table, reference.roles, judged.task, judged.metric)
    told = [replace(score, reason=score.reason or drawn.words) for score in scores]
    return [*told, kind_gap(model, reference, judged)]


def kind_gap(model: ModelSection, reference: ReferenceData, judged: Performance) -> Score:
    """Return the gain due to the challenger's kind alone, on the reference."""
    return _gap(model, reference, judged, kind_of(model, reference, judged))


def kind_of(model: ModelSection, reference: ReferenceData, judged: Performance) -> ChallengerKind:
    """Return the kind of the challenger: as configured, else the one that is nearer to the model in service."""
    if (named := model.rehearsal.challenger) != "auto":
        return named

    def made() -> ChallengerKind:
        return nearest_kind(reference.newest(reference.labelled, GAP_ROWS), reference.roles, judged.task)

    kind: ChallengerKind = _once(model, reference, "nearest kind", made)
    return kind


def _gap(model: ModelSection, reference: ReferenceData, judged: Performance, kind: ChallengerKind) -> Score:
    def made() -> Json:
        newest = reference.newest(reference.labelled, GAP_ROWS)
        found: Json = to_json(gap(newest, reference.roles, judged.task, judged.metric, kind))
        return found

    return from_json(Score, _once(model, reference, "\x1f".join(("gap", judged.metric, kind)), made))


def _once(model: ModelSection, reference: ReferenceData, what: str, make: Callable[[], Any]) -> Any:
    """Work it out once for a reference."""
    key = (model.model_dump_json(), reference.id, what)
    if key not in _told:
        _told[key] = reference.keep(what, make)
        while len(_told) > 2 * KEPT:
            _told.popitem(last=False)
    return _told[key]


def challenger_at(
    model: ModelSection, reference: ReferenceData, judged: Performance, log: Log, moment: datetime
) -> Challenger:
    """Return the challenger fitted on what was known at `moment`; the last few are kept in memory."""
    key = (model.model_dump_json(), reference.id, moment)
    if key not in _fitted:
        past, kind = _past(model, reference, log, moment), kind_of(model, reference, judged)
        _fitted[key] = fit(past, reference.roles, judged.task, judged.metric, model.rehearsal.max_rows, kind)
        while len(_fitted) > KEPT:
            _fitted.popitem(last=False)
    return _fitted[key]


def _past(model: ModelSection, reference: ReferenceData, log: Log, moment: datetime) -> pa.Table:
    """Return the newest rows of reference and log whose labels were known at `moment`."""
    rows = log.newest_before(moment, model.rehearsal.max_rows)
    known = rows.filter(known_by(rows, reference.roles, moment, model.label_delay))
    if model.reference.source is None:               # the log contains the reference's rows
        return known
    told = known_by(reference.answers, reference.roles, moment, model.label_delay)
    before = reference.newest(told.to_numpy() & reference.labelled, model.rehearsal.max_rows)
    columns = [name for name in before.column_names if name in known.column_names]
    try:
        both = pa.concat_tables([before.select(columns), known.select(columns)], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        why = "the log's columns differ in type from the reference's, no challenger is fitted"
        raise CannotJudge(why) from None
    return both.sort_by(reference.roles.timestamp)
