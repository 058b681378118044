"""Estimates of one window's performance, by an estimator that is fitted on the reference once and kept in memory."""

from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import replace
from functools import partial

from monitor.config import ModelSection, Roles, TriggerSection
from monitor.errors import CannotJudge
from monitor.estimation.cbpe_and_dle import MOST_ROWS
from monitor.estimation.estimators import (
    Estimator,
    Fitted,
    cannot_estimate,
    cbpe_estimator,
    estimate_scores,
    fit_estimator,
)
from monitor.metric_catalogue import ESTIMATED, ESTIMATES, estimable, place
from monitor.performance.class_evidence import score_column
from monitor.records import Score, from_json, to_json
from monitor.reference.known_reference import blocks
from monitor.reference.reference_data import Performance, ReferenceData
from monitor.sources.rows import Rows, picked

MOST_FITTED = 100_000  # labelled rows of the reference that probabilities are calibrated on
MOST_JUDGED = 100_000  # rows of a window
FORMAT = "1"           # version of what is kept; another version is fitted again
KEPT = 4  # estimators kept in this worker's memory, and nowhere else
_fitted: OrderedDict[tuple[str, str, int], Estimator] = OrderedDict()


def estimated_scores(
    model: ModelSection, reference: ReferenceData, judged: Performance, rows: Rows
) -> list[Score]:
    """Estimate the window's metrics from the predictions, without its labels, on all rows or a sample of them."""
    metrics = _asked(model.triggers, judged, probable=_probable(reference.roles))
    if not metrics:
        return []
    try:
        estimator = _estimator(model, reference, judged, metrics)
    except CannotJudge as error:
        return cannot_estimate(metrics, str(error))
    drawn = rows.drawn(MOST_JUDGED, reference.roles, whole=judged.task == "regression")
    return [replace(score, reason=score.reason or drawn.words) for score in estimate_scores(estimator, drawn.table)]


def _probable(roles: Roles) -> bool:
    return score_column(roles) is not None or bool(roles.per_class)


def _asked(triggers: Sequence[TriggerSection], judged: Performance, *, probable: bool) -> list[str]:
    """Return the metrics in triggers, and all that probabilities can estimate, or a regressor's primary metric."""
    named = {t.metric.removeprefix(ESTIMATED) for t in triggers if t.metric in ESTIMATES}
    usual: Sequence[str] = ()
    if judged.task == "regression":
        usual = (judged.metric,)
    elif probable:
        usual = estimable(judged.task)
    possible = estimable(judged.task)
    asked = {*named, *(name for name in usual if name in possible)}
    return sorted(asked, key=lambda name: (name != judged.metric, place(name)))


def _estimator(
    model: ModelSection, reference: ReferenceData, judged: Performance, metrics: Sequence[str]
) -> Estimator:
    """Return the estimator; it is fitted again when more labels of a reference taken from the log have come."""
    key = (model.model_dump_json(), reference.id, int(reference.labelled.sum()))
    if key not in _fitted:
        _fitted[key] = _kept(model, reference, judged, metrics, key[-1])
        while len(_fitted) > KEPT:
            _fitted.popitem(last=False)
    return _fitted[key]


def _kept(
    model: ModelSection, reference: ReferenceData, judged: Performance, metrics: Sequence[str], labelled: int
) -> Estimator:
    """Return the estimator from what is kept with the reference's profile; fit it and keep that, if nothing is."""
    roles, task = reference.roles, judged.task
    made_from = (model.window.model_dump_json(), *metrics, str(labelled))
    key = "\x1f".join(("estimator", FORMAT, *made_from))
    fit = partial(_fit, model, reference, judged, metrics)
    fitted = from_json(Fitted, reference.keep(key, lambda: to_json(fit().fitted)))
    return fit(fitted) if fitted.curves is None else cbpe_estimator(fitted, roles, task)


def _fit(
    model: ModelSection, reference: ReferenceData, judged: Performance, metrics: Sequence[str],
    before: Fitted | None = None,
) -> Estimator:
    """Fit on a sample of the reference's labelled rows; the thresholds are of all of them."""
    roles, task = reference.roles, judged.task
    if task == "regression":             # the only estimator that reads features
        table = reference.read(reference.spread(MOST_ROWS))
    else:
        table = picked(reference.answers, reference.spread(MOST_FITTED))
    return fit_estimator(table, roles, task, metrics, list(blocks(model, reference.answers, roles)), before)
