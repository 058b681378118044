"""The worker's side of `validate` and of a backtest's beginning: what a model's data are, and how far they go."""

import pyarrow.compute as pc

from monitor.calibration.expected_false_alarms import outlook
from monitor.check.opened_data import open_log, open_reference, unwatched_columns, with_columns
from monitor.check.requests import Extent, Look, Resolved
from monitor.check.trigger_problems import trigger_problems
from monitor.drift.whole_rows import problems_together
from monitor.errors import ConfigError
from monitor.private import for_a_model
from monitor.reference.reference_data import log_roles


@for_a_model
def resolve(look: Look) -> Resolved:
    """Find the reference, the columns' parts, task and metric of a model: what `validate` shows."""
    reference = open_reference(look)
    if problems := list(problems_together(look.model, reference.roles, reference.schema.names)):
        raise ConfigError(problems)
    judged, log = reference.performance, open_log(look, reference.roles)
    return Resolved(
        roles=reference.roles,
        extra=tuple(unwatched_columns(look, reference, log)),
        left_out=log.left_out(),
        task=judged.task if judged else None,
        metric=judged.metric if judged else None,
        reference_rows=reference.rows,
        maturity=reference.maturity,
        outlook=outlook(look.model, reference),
        ledger=with_columns(log.account(), look, reference, log),
        said=reference.said,
        problems=tuple(trigger_problems(look.model.triggers, reference)),
    )


@for_a_model
def extent(look: Look) -> Extent:
    """Find the oldest and the newest timestamp of the log: how far a backtest goes."""
    log = open_log(look, open_reference(look).roles if look.model.reference.source else log_roles(look.model))
    times = log.rows(None, None, set())[log.roles.timestamp]
    return Extent(first=pc.min(times).as_py(), newest=pc.max(times).as_py())
