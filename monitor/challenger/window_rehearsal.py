"""The rehearsal of one window: would a model fitted just before it have done better than the one in service?"""

from collections import OrderedDict
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from monitor.challenger.rehearsal import FEWEST_ROWS, MOST_CLASSES, Challenger, fit, gains, gap, learn
from monitor.config import ModelSection
from monitor.config.column_roles import Roles
from monitor.config.measured_sections import ChallengerKind
from monitor.errors import CannotJudge
from monitor.metric_catalogue import Task
from monitor.performance.labelled_rows import Answers, answers, classes_of
from monitor.records import Score, Window
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.log import Log, known_by
from monitor.sources.rows import Rows
from monitor.tables.columns import Floats, features_of

MOST_ROWS = 100_000  # labelled rows of a window on which a challenger is scored
KEPT = 6  # challengers kept in this worker's memory, and nowhere else: the next window needs two of them again
IMITATED_ROWS = 10_000   # the newest labelled ones of the reference, on which kinds imitate the model …
IMITATED = 5          # … one row in so many is kept apart to see how well
COMPLETE = 0.99       # of the reference's labels are known: the rest may be stragglers
LEAST_CHANCE = 0.001  # for its log odds, so that no forest that is sure counts as infinitely sure
_NUMBERS: Task = "regression"
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

    The result includes `challenger_gap`, what a challenger as old as the model in service gains by its kind alone.
    """
    challenger = challenger_at(model, reference, judged, log, window.start)
    placebo = challenger_at(model, reference, judged, log, earlier) if earlier else None
    drawn = rows.drawn(MOST_ROWS, reference.roles, labelled=True)
    scores = gains(challenger, placebo, drawn.table, reference.roles, judged.task, judged.metric)
    told = [replace(score, reason=score.reason or drawn.words) for score in scores]
    of_age = challenger_of_age(model, reference, judged, log, window)
    return [*told, gap(of_age, drawn.table, reference.roles, judged.task, judged.metric)]


def challenger_of_age(
    model: ModelSection, reference: ReferenceData, judged: Performance, log: Log, window: Window
) -> Challenger:
    """Return the challenger that knows what the model in service may: what was known when the reference's labels were.
    """
    moment = _complete(reference, model.label_delay)
    if moment is None or moment > window.start:
        return Challenger(reason="the window began before the labels of the reference were known")
    return challenger_at(model, reference, judged, log, moment)


def _complete(reference: ReferenceData, delay: timedelta) -> datetime | None:
    """Return the moment at which nearly all labels of the reference were known; None without any."""
    roles = reference.roles
    rows = reference.answers.filter(pa.array(reference.labelled))
    told = pc.add(rows[roles.timestamp], pa.scalar(delay, pa.duration("us")))
    if roles.label_timestamp and roles.label_timestamp in rows.column_names:
        told = pc.coalesce(rows[roles.label_timestamp], told)
    moments = told.drop_null().sort()
    last: datetime | None = moments[int(COMPLETE * (len(moments) - 1))].as_py() if len(moments) else None
    return last


def kind_of(model: ModelSection, reference: ReferenceData, judged: Performance) -> ChallengerKind:
    """Return the kind of the challenger: as configured, else the one that is nearer to the model in service."""
    if (named := model.rehearsal.challenger) != "auto":
        return named

    def made() -> ChallengerKind:
        return nearest_kind(reference.newest(reference.labelled, IMITATED_ROWS), reference.roles, judged.task)

    kind: ChallengerKind = _once(model, reference, "nearest kind", made)
    return kind


def nearest_kind(reference: pa.Table, roles: Roles, task: Task) -> ChallengerKind:
    """Return linear where a linear model imitates the model in service better than gradient boosting; else the latter.

    Each learns what the model predicts on four fifths of the reference, and says it of the other rows; labels play no
    part. A challenger of the model's own kind ages as the model does, and gains from new rows what a retrain would.
    """
    try:
        served = answers(reference, roles, task, classes_of([reference], roles, task))
        linear, boosted = (_missed(reference, roles, served, kind) for kind in ("linear", "gradient_boosting"))
    except CannotJudge:
        return "gradient_boosting"
    return "linear" if linear < boosted else "gradient_boosting"


def _missed(reference: pa.Table, roles: Roles, served: Answers, kind: ChallengerKind) -> float:
    """Return how badly the kind imitates the model: a mean square, or a share of rows where there are classes only."""
    rows = reference.take(served.at)
    score = _score(served)
    told, task = (served.predicted, served.task) if score is None else (score, _NUMBERS)
    features, tried = features_of(rows, roles), np.arange(len(served)) % IMITATED == 0
    if not features.names or len(served) < FEWEST_ROWS or len(np.unique(told[~tried])) < 2:
        raise CannotJudge("there is too little to imitate")
    if score is None and len(np.unique(told)) > MOST_CLASSES:
        raise CannotJudge("no challenger is fitted on so many classes")
    matrix = features.matrix(rows)
    model = learn(kind, task, "rmse", features.categorical, matrix[~tried], told[~tried])
    off = model.predict(matrix[tried]) - told[tried]
    return float(np.mean(off**2 if task == _NUMBERS else off != 0))


def _score(served: Answers) -> Floats | None:
    """Return what a model predicts as one number a row: a quantity, or log odds; None if it names classes only."""
    if served.task == "regression":
        return np.asarray(served.predicted, dtype=float)
    if served.probability is None or not np.isfinite(served.probability).all():
        return None
    if served.ranks_only:
        return served.probability
    chance = np.clip(served.probability, LEAST_CHANCE, 1 - LEAST_CHANCE)
    return np.asarray(np.log(chance / (1 - chance)))


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
    _fitted.move_to_end(key)
    return _fitted[key]


def _past(model: ModelSection, reference: ReferenceData, log: Log, moment: datetime) -> pa.Table:
    """Return the newest rows of reference and log whose labels were known at `moment`."""
    rows = log.newest_before(moment, model.rehearsal.max_rows)
    known = rows.filter(known_by(rows, reference.roles, moment, model.label_delay))
    if model.reference.source is None:               # the log contains the reference's rows
        return known
    told = known_by(reference.answers, reference.roles, moment, model.label_delay)
    before = reference.newest(told.to_numpy() & reference.labelled, model.rehearsal.max_rows)
    if not len(known):                               # a column without rows may have any type
        return before
    columns = [name for name in before.column_names if name in known.column_names]
    try:
        both = pa.concat_tables([before.select(columns), known.select(columns)], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        why = "the log's columns differ in type from the reference's, no challenger is fitted"
        raise CannotJudge(why) from None
    return both.sort_by(reference.roles.timestamp)
