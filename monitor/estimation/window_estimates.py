"""Estimates of one window's performance, by an estimator that is fitted on the reference once and kept in memory."""

from collections import OrderedDict
from collections.abc import Sequence

import pyarrow as pa

from monitor.config import ModelSection, Roles, TriggerSection
from monitor.errors import CannotJudge
from monitor.estimation.estimators import Estimator, cannot_estimate, estimate_scores, fit_estimator
from monitor.metric_catalogue import ESTIMATED, ESTIMATES, estimable, place
from monitor.performance.class_evidence import score_column
from monitor.records import Score
from monitor.reference.reference_data import Performance, ReferenceData, blocks

KEPT = 4  # estimators kept in this worker's memory, and nowhere else
_fitted: OrderedDict[tuple[str, str, int], Estimator] = OrderedDict()


def estimated_scores(
    model: ModelSection, reference: ReferenceData, judged: Performance, rows: pa.Table
) -> list[Score]:
    """Estimate the window's metrics from the predictions, without its labels."""
    metrics = _asked(model.triggers, judged, probable=_probable(reference.roles))
    if not metrics:
        return []
    try:
        return estimate_scores(_estimator(model, reference, judged, metrics), rows)
    except CannotJudge as error:
        return cannot_estimate(metrics, str(error))


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
    answers, roles = reference.answers, reference.roles
    labelled = len(answers) - answers[roles.label].null_count
    key = (model.model_dump_json(), reference.id, labelled)
    if key not in _fitted:
        table = reference.table
        cut = list(blocks(model, table, roles))
        _fitted[key] = fit_estimator(table, roles, judged.task, metrics, cut)
        while len(_fitted) > KEPT:
            _fitted.popitem(last=False)
    return _fitted[key]
