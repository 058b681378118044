"""Scores of a challenger fitted at one moment on all later windows, for a backtest's rehearsal."""

from collections import OrderedDict
from collections.abc import Sequence

import pyarrow as pa
import pyarrow.compute as pc

from monitor.challenger.rehearsal import Challenger, on_windows
from monitor.challenger.window_rehearsal import challenger_at, challenger_of_age
from monitor.check.opened_data import open_log, open_reference
from monitor.check.requests import Ahead, AheadRequest, Look
from monitor.errors import CannotJudge
from monitor.private import for_a_model
from monitor.records import Window
from monitor.reference.reference_data import ReferenceData
from monitor.sources.log import Log, mask_labels
from monitor.sources.rows import contains

KEPT = 250      # windows whose labelled rows stay in this worker's memory
_tables: OrderedDict[tuple[str, str, Window], pa.Table] = OrderedDict()


@for_a_model
def ahead(request: AheadRequest) -> Ahead:
    """Score one model on each window, with the labels known when the window was mature. Raises CannotJudge."""
    model, reference, moment = request.model, open_reference(request), request.moment
    judged = reference.performance
    if judged is None:
        raise CannotJudge(f"{model.name}: there are no labels, expected some to rehearse retrains with")
    log = open_log(request, reference.roles)
    challenger = challenger_at(model, reference, judged, log, moment) if moment else None

    def scored(challenger: Challenger | None, windows: Sequence[Window]) -> list[dict[str, float]]:
        if challenger is not None and challenger.model is None:
            return [{} for _ in windows]
        tables = [_labelled(request, reference, log, window) for window in windows]
        return on_windows(challenger, tables, reference.roles, judged.task, judged.metric, request.metrics)

    values = scored(challenger, request.windows)
    if moment:
        return Ahead(metric=judged.metric, values=tuple(values))
    fitted = [challenger_of_age(model, reference, judged, log, window) for window in request.windows]
    first = next((at for at, one in enumerate(fitted) if one.model is not None), len(fitted))
    later = scored(fitted[first], request.windows[first:]) if first < len(fitted) else []
    return Ahead(metric=judged.metric, values=tuple(values), of_age=(*({} for _ in range(first)), *later))


def _labelled(look: Look, reference: ReferenceData, log: Log, window: Window) -> pa.Table:
    """Return the rows of a window whose labels were known when it was mature; the newest KEPT windows are cached."""
    key = (look.model.model_dump_json(), reference.id, window)
    if key not in _tables:
        _tables[key] = _read(look, reference, log, window)
        while len(_tables) > KEPT:
            _tables.popitem(last=False)
    return _tables[key]


def _read(look: Look, reference: ReferenceData, log: Log, window: Window) -> pa.Table:
    roles = reference.roles
    table = log.rows(window.start, window.end)
    ids = log.ids(table) if window.start_id or window.end_id else None
    inside = table.filter(contains(table, roles.timestamp, ids, window))
    masked = mask_labels(inside, roles, window.end + reference.maturity, look.model.label_delay)
    known = masked.filter(pc.is_valid(masked[roles.label]))
    return known.slice(max(0, len(known) - look.model.rehearsal.max_rows))
