"""The worker's side of a check's first half: which windows closed, and how many rows and labels each holds."""

import hashlib
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from monitor.check.opened_data import known_files, open_log, open_reference
from monitor.check.requests import Look, SurveyRequest
from monitor.config import Roles
from monitor.performance.labels import corrected, count_true, label_known
from monitor.private import for_a_model
from monitor.records import Counted, Survey, Tally, Window
from monitor.sources.log import Log, known_by
from monitor.sources.rows import contains
from monitor.sources.windows import closed_windows, row_windows, spec


@for_a_model
def survey(request: SurveyRequest) -> Survey:
    """Count the rows and labels of the windows in `recount`, and of all that closed after `last`."""
    with known_files(request):
        return _survey(request)


def _survey(request: SurveyRequest) -> Survey:
    reference = open_reference(request)
    before = {counted.window: counted for counted in request.recount}
    known, last, since = list(before), request.last, request.since
    log = open_log(request, reference.roles)
    begin = min([w.start for w in known] + [last.start if last else since])
    keys = log.keys(begin)
    times = keys[reference.roles.timestamp]
    judged = reference.performance
    oldest = pc.min(times).as_py() or since
    newest = pc.max(times).as_py() or log.newest()
    closed = _closed(request, log, keys, last, oldest if last else max(since, oldest))
    fresh = [window for window in _worth_checking(closed, newest) if window not in known]
    return Survey(
        reference_id=reference.id,
        reference_rows=reference.rows,
        stretch=reference.stretch,
        task=judged.task if judged else None,
        metric=judged.metric if judged else None,
        first=pc.min(times).as_py(),
        newest=newest,
        maturity=reference.maturity,
        tallies=tuple(_tallies(log, keys, [*known, *fresh], before, request, reference.pause)),
        files=log.files(),
        gone=reference.gone,
        timestamp=reference.roles.timestamp,
        pause=reference.pause,
        schema=hashlib.sha256(str(log.schema().remove_metadata()).encode()).hexdigest(),
    )


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
    log: Log, keys: pa.Table, windows: list[Window], before: Mapping[Window, Counted], look: Look, pause: timedelta
) -> Iterator[Tally]:
    """Count the rows and labels of each window, and look whether those it had are still the same."""
    by_id = any(window.start_id or window.end_id for window in windows)
    ids, known = log.ids(keys) if by_id else None, label_known(keys, log.roles)
    for window in windows:
        inside = contains(keys, log.roles.timestamp, ids, window)
        rows, labelled, seen = count_true(inside), count_true(pc.and_(inside, known)), before.get(window)
        yield Tally(
            window=window, rows=rows, labelled=labelled,
            corrected=seen is not None and _corrected(keys.filter(inside), log.roles, seen, look.model.label_delay),
            paused=not rows and _silence(keys[log.roles.timestamp], window, look.as_of) <= pause,
        )


def _silence(times: pa.ChunkedArray, window: Window, as_of: datetime) -> timedelta:
    """How long no row came, before, in and after a window without rows; a log that has none was always silent."""
    before = pc.max(times.filter(pc.less(times, window.start))).as_py()
    after = pc.min(times.filter(pc.greater_equal(times, window.end))).as_py()
    return timedelta.max if before is None else (after or as_of) - before


def _corrected(rows: pa.Table, roles: Roles, seen: Counted, delay: timedelta) -> bool:
    if roles.label not in rows.column_names:
        return False
    return corrected(rows, rows.filter(known_by(rows, roles, seen.at, delay)), roles, seen)
