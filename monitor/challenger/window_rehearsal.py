"""The rehearsal of one window: would a model fitted just before it have done better than the one in service?"""

from collections import OrderedDict
from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from monitor.challenger.rehearsal import GAP_ROWS, Challenger, fit, gains, gap
from monitor.config import ModelSection
from monitor.errors import CannotJudge
from monitor.records import Score, Window
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.log import Log, known_by
from monitor.sources.rows import Rows

MOST_ROWS = 100_000  # labelled rows of a window on which a challenger is scored
KEPT = 4  # challengers kept in this worker's memory, and nowhere else: the next window needs the last one again
_fitted: OrderedDict[tuple[str, str, datetime], Challenger] = OrderedDict()
_gaps: OrderedDict[tuple[str, str], Score] = OrderedDict()


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
    """Return the gain due to the challenger's kind alone, on the reference; computed once per reference."""
    key = (model.model_dump_json(), reference.id)
    if key not in _gaps:
        kind = model.rehearsal.challenger
        newest = reference.newest(reference.labelled, GAP_ROWS)
        _gaps[key] = gap(newest, reference.roles, judged.task, judged.metric, kind)
        while len(_gaps) > KEPT:
            _gaps.popitem(last=False)
    return _gaps[key]


def challenger_at(
    model: ModelSection, reference: ReferenceData, judged: Performance, log: Log, moment: datetime
) -> Challenger:
    """Return the challenger fitted on what was known at `moment`; the last few are kept in memory."""
    key = (model.model_dump_json(), reference.id, moment)
    if key not in _fitted:
        past, section = _past(model, reference, log, moment), model.rehearsal
        _fitted[key] = fit(
            past, reference.roles, judged.task, judged.metric, section.max_rows, section.challenger
        )
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
