"""A candidate that serves in shadow: its predictions of live rows, set beside the champion's on the same rows."""

from datetime import datetime, timedelta

import pyarrow as pa
import pyarrow.compute as pc

from monitor.config import ModelSection, Roles
from monitor.config.sections import ShadowSection
from monitor.errors import CannotJudge, DriftdError, UsageError
from monitor.escape import names
from monitor.gate.measured_trial import names_in, trial_of
from monitor.gate.prediction_files import Predictions, aligned, predictions_in
from monitor.gate.shadow_verdict import shadow_verdict
from monitor.gate.trial import judged
from monitor.gate_result import ShadowAnswer
from monitor.metric_catalogue import METRICS
from monitor.performance.labelled_rows import is_score
from monitor.private import quoted
from monitor.reference.reference_data import ReferenceData
from monitor.sources.column_types import as_text
from monitor.sources.ids import places_of
from monitor.sources.log import Log, answer_columns, open_part, with_attributes
from monitor.times import format_moment

MOST_UNSAID = 0.01       # of the labelled rows may lack a prediction of the candidate: a shadow loses requests


def judge_shadow(
    model: ModelSection, section: ShadowSection, reference: ReferenceData, since: datetime, as_of: datetime
) -> ShadowAnswer:
    """Judge the candidate on the rows from `since` on, and from its first prediction to its last, whose labels have
    matured.

    Raises CannotJudge while there is nothing to judge, and UsageError or SourceError where the predictions cannot be
    used: no or repeated ids, ids of other rows, missing columns, too many rows left out.
    """
    roles, at = reference.roles, reference.roles.timestamp
    if roles.id is None:
        raise UsageError("the log has no id to join the candidate's predictions on; name the column in columns.id")
    if roles.label is None:
        raise UsageError("the log has no labels, so nothing can be said of a candidate in shadow; name columns.label")
    found = _predictions(model, section, roles, reference.performance.metric if reference.performance else None)
    wanted = {*answer_columns(model, roles), *(model.gate.segments or ())}
    log = Log(model, roles, as_of)
    rows = log.rows(since, as_of, wanted)
    if not len(rows):
        raise CannotJudge(f"no row has come since {format_moment(since)}")
    _require_each_once(found)
    if _none_among(found, rows[roles.id]):
        before = log.rows(since - max(as_of - since, timedelta(days=1)), since, {roles.id})
        raise _says_nothing(found, since, of_others=_none_among(found, before[roles.id]))
    said, _ = aligned(found, rows[roles.id], len(rows))
    spoken = rows[at].filter(pc.is_valid(said))      # one that answers in batches is not yet asked about the newest
    if not len(spoken):
        raise CannotJudge(f"{found.place}: the candidate has said nothing yet")
    begin, end = pc.min(spoken).as_py(), pc.max(spoken)
    keep = pc.and_(_from(rows[at], begin), pc.less_equal(rows[at], end))
    keep = pc.and_(keep, _before(rows[at], as_of - reference.maturity))
    keep = pc.and_(keep, pc.is_valid(rows[roles.label]))
    rows, said = rows.filter(keep), said.filter(keep)
    if not len(rows):
        raise CannotJudge(f"no row since {format_moment(begin)}, where its predictions begin, has a label that has "
                          "matured")
    rows = _answered(rows, said, found.place)
    if model.gate.limits and model.fairness is not None:
        rows = with_attributes(model, rows, roles, model.fairness.columns)
    rules = model.gate.model_copy(update={"always_valid": True})
    trial = trial_of(model.model_copy(update={"gate": rules}), roles, rows, found)
    span = max(pc.max(rows[at]).as_py() - begin, timedelta(hours=1))
    done = judged(trial)
    return shadow_verdict(done.verdict, done.result, rules, len(rows) / (span / timedelta(days=1)))


def _predictions(model: ModelSection, section: ShadowSection, roles: Roles, metric: str | None) -> Predictions:
    """Read what the candidate said. Raises UsageError where a column is missing, CannotJudge where there is nothing."""
    source = open_part(section, model, roles)
    there = source.schema().names
    if roles.id not in there:
        raise UsageError(f"{source.origin}: has no column {roles.id}, which joins the candidate's predictions to the "
                         f"rows of the log; it has {quoted(names(there))}")
    table = source.read(None)
    if not len(table):
        raise CannotJudge(f"{source.origin}: the candidate has said nothing yet")
    found = predictions_in(table, source.origin, names_in(model, roles), roles.id, "name it as in the log")
    chances = [column for _, column in roles.per_class]
    spoken = is_score(found.prediction) if found.probability is None else True
    lacks = [name for name in chances if name not in found.others.column_names] if chances else \
        [roles.probability] if roles.probability and not spoken else []
    if lacks and metric is not None and METRICS[metric].needs_probability:
        raise UsageError(f"{source.origin}: has no column {lacks[0]}, which {metric} needs; it has "
                         f"{quoted(names(there))}")
    return found


def _require_each_once(found: Predictions) -> None:
    assert found.ids is not None
    there = as_text(found.ids)
    if twice := len(there) - pc.count_distinct(there, mode="all").as_py():
        raise UsageError(f"{found.place}: {twice} rows repeat an id, expected one prediction of each row")


def _none_among(found: Predictions, ids: pa.ChunkedArray) -> bool:
    assert found.ids is not None
    return bool(places_of(as_text(ids), as_text(found.ids)).null_count == len(ids))


def _says_nothing(found: Predictions, since: datetime, *, of_others: bool) -> DriftdError:
    """One that answers in batches may have answered none but earlier rows so far; else the ids are not the log's."""
    begun = format_moment(since)
    if not of_others:
        return CannotJudge(f"{found.place}: the candidate has said nothing yet of the rows since {begun}")
    return UsageError(f"{found.place}: none of its {len(found.ids or ())} ids is that of a row of the log since {begun}"
                      ", expected the log's ids")


def _answered(rows: pa.Table, said: pa.ChunkedArray, place: str) -> pa.Table:
    """Return the rows that the candidate answers. Raises UsageError where it leaves out too many."""
    if said.null_count > MOST_UNSAID * len(rows):
        raise UsageError(f"{place}: says nothing of {said.null_count} of {len(rows)} labelled rows, expected at most "
                         f"{MOST_UNSAID:.0%}: those it leaves out may be those it would be wrong on; if it was away, "
                         "set since behind that")
    return rows.filter(pc.is_valid(said))


def _from(times: pa.ChunkedArray, moment: datetime) -> pa.ChunkedArray:
    return pc.greater_equal(times, pa.scalar(moment, pa.timestamp("us", "UTC")))


def _before(times: pa.ChunkedArray, moment: datetime) -> pa.ChunkedArray:
    return pc.less(times, pa.scalar(moment, pa.timestamp("us", "UTC")))
