"""What a model fitted at one moment scores on the windows behind it: a row of what a backtest's rehearsal reads."""

from collections import OrderedDict
from datetime import datetime
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from monitor.challenger.rehearsal import on_windows
from monitor.challenger.window_rehearsal import challenger_at, kind_gap
from monitor.check.tasks import Look
from monitor.errors import CannotJudge
from monitor.records import Window, from_json, to_json
from monitor.reference.reference_data import ReferenceData
from monitor.sources.log import Log, mask_labels
from monitor.sources.rows import contains

KEPT = 250      # windows whose labelled rows stay in this worker's memory
_tables: OrderedDict[tuple[str, str, Window], pa.Table] = OrderedDict()


def ahead(task: dict[str, Any]) -> dict[str, Any]:
    """Score the challenger fitted at `moment`, or without one the model in service, on each of `windows`.

    Each window with the labels known when it was mature. Returns `values`: a window's metrics by name, empty where
    it cannot be scored; of the model in service also `gap`, what a challenger gains by its kind.
    """
    look = Look.read(task)
    reference = look.reference()
    judged = reference.performance
    if judged is None:
        raise CannotJudge(f"{look.model.name}: there are no labels, expected some to rehearse retrains with")
    log = look.log(reference.roles)
    moment = datetime.fromisoformat(task["moment"]) if task["moment"] else None
    challenger = challenger_at(look.model, reference, judged, log, moment) if moment else None
    windows = [from_json(Window, one) for one in task["windows"]]
    if challenger is not None and challenger.model is None:
        values: list[dict[str, float]] = [{} for _ in windows]
    else:
        tables = [_labelled(look, reference, log, one) for one in windows]
        values = on_windows(challenger, tables, reference.roles, judged.task, judged.metric, task["metrics"])
    gap = None if moment else to_json(kind_gap(look.model, reference, judged))
    return {"metric": judged.metric, "values": values, "gap": gap}


def _labelled(look: Look, reference: ReferenceData, log: Log, window: Window) -> pa.Table:
    """The labelled rows of a window as they were known when it was mature; the last ones are kept."""
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
